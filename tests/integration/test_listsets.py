"""Compiled files: made once, kept while little changes, refused when damaged, never in each other's way."""

from __future__ import annotations

import json
import logging
import multiprocessing
import resource
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from lists_parts import AT, MD5, NAMES, NO_TRIAL, images, pdq_hash, trial_of, write_csv
from sqlalchemy import text

from hashmatch.config import Settings
from hashmatch.db.session import Database
from hashmatch.lists.activation import activate, deactivate, rollback, set_policy
from hashmatch.lists.active import active_lists
from hashmatch.lists.compiled import building, changes
from hashmatch.lists.compiled.building import Compiled, StateUnusable, compile_lists
from hashmatch.lists.disabled import disable, enable
from hashmatch.lists.imports import Delivery, import_list
from hashmatch.matching import compiled_file
from hashmatch.matching.array_file import ListSetDamaged
from hashmatch.matching.compiled_file import open_lists
from hashmatch.matching.listset import ListSet
from hashmatch.model import Action, Algorithm, Digests, Fingerprint, FrameHashes, Variant
from hashmatch.scanning import canary


class Host:
    """A host with lists of its partners, compiled into a folder of its own."""

    def __init__(self, db: Database, folder: Path, name: str = "state") -> None:
        self.db = db
        self.folder = folder
        self.settings = Settings(run={"state": str(folder / name)}, lists={"max_age_days": 10_000})
        self.files = folder / name / "lists"

    def sends(self, rows: list[dict[str, str]], name: str = "c3p") -> None:
        """A new version, active."""
        path = write_csv(self.folder / "list.csv", rows)
        done = import_list(
            self.db, NAMES, name, Delivery([path]), by="alice", at=AT, max_rejected=0.01
        )
        activate(
            self.db, name, done.version, by="alice", at=AT, trial=trial_of(0, 0), max_shrink=1.0
        )

    def disables(self, *entries: str, name: str = "c3p") -> None:
        for entry in entries:
            disable(self.db, NAMES, name, entry, reason="withdrawn", by="bob", at=AT)

    def compiles(self) -> Compiled:
        return compile_lists(self.db, self.settings, AT + timedelta(days=1))


@pytest.fixture
def host(db: Database, tmp_path: Path) -> Host:
    return Host(db, tmp_path)


def found(lists: ListSet, numbers: Iterable[int]) -> set[tuple[str, int, str, str]]:
    """What a clip of the pictures with those numbers matches."""
    bits = np.array([[list(bytes.fromhex(pdq_hash(i)))] for i in numbers], np.uint8)
    quality = np.full(len(bits), 100, np.uint8)
    t = np.arange(len(bits), dtype=float)
    frames = FrameHashes("", Algorithm.PDQ, t, quality, bits, (Variant.ORIGINAL,))
    clip = Fingerprint(Digests("0" * 32, "0" * 40, "0" * 64), 1, frames=(frames,))
    matches = lists.match(clip, distance=31, quality=50, review_score=1)
    return {(m.list, m.version, m.entry, m.action.value) for m in matches}


def anew(host: Host) -> ListSet:
    """All compiled anew, in memory."""
    with host.db.read() as session:
        return ListSet.build([*active_lists(session), canary.active_list()])


def edited(rows: list[dict[str, str]], **by_id: dict[str, str]) -> list[dict[str, str]]:
    names = {name.replace("_", "-"): change for name, change in by_id.items()}
    return [{**row, **names.get(row.get("entry_id", ""), {})} for row in rows]


VIDEO = [
    {"group": "img-19", "algorithm": "pdq", "hash": pdq_hash(i), "timestamp": str(i)}
    for i in (19, 20, 21)
]
LISTED = images(19) + VIDEO

CHANGES: dict[str, Callable[[Host], object]] = {
    "an entry disabled": lambda host: host.disables("img-3"),
    "a disabled entry enabled": lambda host: enable(
        host.db, NAMES, "c3p", "img-9", trial=NO_TRIAL, by="bob", at=AT
    ),
    "an entry added": lambda host: host.sends([*LISTED, *images(1, first=25)]),
    "an entry removed": lambda host: host.sends(images(18) + VIDEO),
    "a hash changed": lambda host: host.sends(edited(LISTED, img_4={"hash": pdq_hash(70)})),
    "a class changed": lambda host: host.sends(edited(LISTED, img_4={"classification": "A2"})),
    "a quality added": lambda host: host.sends(edited(LISTED, img_4={"quality": "20"})),
    "a hash more": lambda host: host.sends(
        [*LISTED, {"entry_id": "img-4", "algorithm": "md5", "hash": MD5}]
    ),
    "a hash less": lambda host: host.sends([*images(19), VIDEO[0], VIDEO[2]]),
    "a time changed": lambda host: host.sends(
        [*images(19), VIDEO[0], {**VIDEO[1], "timestamp": "1.5"}, VIDEO[2]]
    ),
    "the same in another file": lambda host: host.sends(LISTED[::-1]),
    "another action": lambda host: set_policy(
        host.db, "c3p", trial=NO_TRIAL, near=31, by="bob", at=AT, action=Action.REVIEW
    ),
    "another distance": lambda host: set_policy(
        host.db, "c3p", trial=NO_TRIAL, near=31, by="bob", at=AT, distance=9
    ),
    "a list more": lambda host: host.sends(images(5, first=15), name="ncmec"),
    "a list less": lambda host: deactivate(host.db, "iwf", by="bob", at=AT),
    "a disabled entry withdrawn": lambda host: host.sends(
        [row for row in LISTED if row.get("entry_id") != "img-9"]
    ),
    "nothing": lambda host: None,
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_the_set_is_what_compiling_all_anew_gives(host: Host, change: str) -> None:
    host.sends(LISTED)
    host.sends(images(3, first=30), name="iwf")
    host.disables("img-9")
    base = host.compiles()
    CHANGES[change](host)
    after, whole = host.compiles(), anew(host)
    assert (after.lists.base is None) == (change == "nothing"), "it was all compiled anew"
    assert after.id == after.lists.id == whole.id
    assert (after.id == base.id) == (change == "nothing")
    assert after.lists.lists == whole.lists
    assert after.lists.algorithms == whole.algorithms
    seen = [*range(40), 70]
    assert found(after.lists, seen) == found(whole, seen)
    assert found(open_lists(after.file), seen) == found(whole, seen)


def test_changes_on_changes_and_back_again(host: Host) -> None:
    host.sends(LISTED)
    first = host.compiles()
    for version in (
        images(25),
        images(10, first=3),
        edited(images(24), img_7={"hash": pdq_hash(50)}),
    ):
        host.sends(version)
        assert found(host.compiles().lists, range(30)) == found(anew(host), range(30))
    rollback(host.db, "c3p", trial=NO_TRIAL, by="bob", at=AT)
    assert found(host.compiles().lists, range(30)) == found(anew(host), range(30))
    host.sends(LISTED)
    assert found(host.compiles().lists, range(30)) == {
        (name, 5, entry, action) for name, _, entry, action in found(first.lists, range(30))
    }


def test_a_change_of_one_entry_reads_and_writes_little(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.sends(images(500))
    base = host.compiles()
    monkeypatch.setattr(building, "active_lists", None)  # what compiles all
    host.disables("img-77")
    host.sends(images(501))
    after = host.compiles()
    assert after.file.path.stat().st_size < base.file.path.stat().st_size / 4
    assert after.lists.base is not None
    assert after.lists.base.id == base.id


def test_too_much_that_is_new_is_compiled_anew(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "FEW_ENTRIES", 4)
    host.sends(images(30))
    host.compiles()
    host.sends(images(34))
    assert host.compiles().lists.base is not None
    host.sends(images(35))
    assert host.compiles().lists.base is None
    host.sends(images(5, first=50), name="ncmec")
    compiled = host.compiles()
    assert compiled.lists.base is None
    assert compiled.lists.versions == {"c3p": 3, "ncmec": 1, canary.LIST: 1}


def test_a_base_of_which_little_acts_is_compiled_anew(host: Host) -> None:
    host.sends(images(30))
    host.sends(images(40, first=40), name="iwf")
    host.compiles()
    deactivate(host.db, "iwf", by="bob", at=AT)
    assert host.compiles().lists.base is None


def test_a_base_of_another_database_is_not_built_on(
    host: Host, tmp_path: Path, sqlite_template: Path
) -> None:
    host.sends(images(10))
    host.compiles()
    (tmp_path / "other.db").write_bytes(sqlite_template.read_bytes())
    other = Host(Database.connect("sqlite:///other.db", tmp_path), tmp_path)
    other.sends(images(10, first=50))
    other.sends(images(11, first=50))
    compiled = other.compiles()
    assert found(compiled.lists, range(70)) == found(anew(other), range(70))
    assert len(found(compiled.lists, range(70))) == 11
    other.db.close()


def test_two_hosts_with_the_same_lists_agree_whatever_way_they_came_to_them(
    host: Host, tmp_path: Path
) -> None:
    host.sends(images(10))
    host.compiles()
    host.sends(images(12))
    host.disables("img-2")
    late = Host(host.db, tmp_path, "another")
    one, two = host.compiles(), late.compiles()
    assert (one.lists.base is None, two.lists.base is None) == (False, True)
    assert one.id == two.id


# The files.


@pytest.mark.parametrize("how", ["no folder", "no space"])
def test_a_state_folder_that_takes_nothing_is_named_and_leaves_nothing(
    host: Host, how: str
) -> None:
    host.sends(images(3))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if how == "no folder":
        (host.folder / "state").write_text("a file")
    else:
        host.files.mkdir(parents=True)
    try:
        if how == "no space":  # to a process, a file that may not grow is a disk that is full
            resource.setrlimit(resource.RLIMIT_FSIZE, (256, hard))
        with pytest.raises(StateUnusable, match=r"run\.state: .*(Not a directory|File too large)"):
            host.compiles()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    if how == "no space":
        assert list(host.files.iterdir()) == []
        assert len(host.compiles().lists) > 0


def test_what_was_compiled_is_found_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.sends(images(10))
    first = host.compiles()
    monkeypatch.setattr(building, "_compile", None)
    again = host.compiles()
    assert (again.file, again.id) == (first.file, first.id)


def damaged(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    match how:
        case "truncated":
            data = data[:-100]
        case "turned":
            data[len(data) // 2] ^= 4
        case "foreign":
            data[:16] = b"SQLite format 3\0"
        case "empty":
            data.clear()
        case "another version":
            data[8] += 1
    path.unlink()  # who has it mapped keeps it
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "turned", "foreign", "empty", "another version"])
@pytest.mark.parametrize("which", ["whole", "small", "base"])
def test_a_damaged_file_is_refused_by_name_and_compiled_again(
    host: Host, caplog: pytest.LogCaptureFixture, which: str, how: str
) -> None:
    host.sends(images(10))
    whole = host.compiles()
    host.sends(images(11))
    small = host.compiles() if which != "whole" else whole
    if which == "whole":
        rollback(host.db, "c3p", trial=NO_TRIAL, by="bob", at=AT)
    file = small.file if which == "small" else whole.file
    damaged(file.path, how)
    with pytest.raises(ListSetDamaged, match=file.path.name):
        compiled_file.open_unnamed(file.path, file.path, file.checksum)
    with caplog.at_level(logging.WARNING):
        after = host.compiles()
    assert file.path.name in caplog.text
    assert found(after.lists, range(15)) == found(anew(host), range(15))
    assert len(found(open_lists(after.file), range(15))) == (10 if which == "whole" else 11)


def test_lists_for_clips_hashed_otherwise_are_refused_by_name_and_compiled_again(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host.sends(images(10))
    first = host.compiles()
    monkeypatch.setattr(compiled_file, "recipe", lambda algorithm: f"{algorithm}/99")
    with pytest.raises(ListSetDamaged, match=rf"{first.file.path.name}.*recipes"):
        open_lists(first.file)
    after = host.compiles()
    assert first.file.path.name in caplog.text
    assert after.lists.recipes == {"pdq": "pdq/99"}


def test_a_worker_takes_no_other_file_than_the_one_that_was_checked(host: Host) -> None:
    host.sends(images(10))
    first = host.compiles()
    other = Host(host.db, host.folder, "another")
    set_policy(host.db, "c3p", trial=NO_TRIAL, near=31, by="bob", at=AT, action=Action.LOG)
    theirs = other.compiles().file.path.read_bytes()
    first.file.path.unlink()
    first.file.path.write_bytes(theirs)
    with pytest.raises(ListSetDamaged, match=first.file.path.name):
        open_lists(first.file)


def test_files_go_when_nobody_has_them_and_not_before(host: Host) -> None:
    host.sends(images(10))
    first = host.compiles()
    host.sends(images(12))
    second = host.compiles()
    host.sends(images(13))
    third = host.compiles()
    assert {path.name for path in host.files.iterdir()} == {
        one.file.path.name for one in (first, second, third)
    }
    assert len(found(open_lists(second.file), range(20))) == 12
    del second
    third = host.compiles()
    assert {path.name for path in host.files.iterdir()} == {
        one.file.path.name for one in (first, third)
    }, "its base is kept, what nobody has is not"


def test_what_a_killed_process_left_unfinished_is_removed_in_time(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.sends(images(10))
    host.files.mkdir(parents=True)
    left = host.files / "tmpabc.unfinished"
    left.write_bytes(b"half")
    host.compiles()
    assert left.exists(), "it may be being written"
    monkeypatch.setattr(building, "ABANDONED", -1)
    host.compiles()
    assert not left.exists()


def _compile_often(url: str, folder: Path, times: int, results: object) -> None:
    db = Database.connect(url, folder)
    host = Host(db, folder)
    ids = set()
    for _ in range(times):
        compiled = host.compiles()
        ids.add((compiled.id, len(found(open_lists(compiled.file), range(40)))))
    results.put(json.dumps(sorted(ids)))  # type: ignore[attr-defined]


def test_processes_that_compile_at_once_do_not_disturb_each_other(
    database_url: str, tmp_path: Path
) -> None:
    host = Host(Database.connect(database_url, tmp_path), tmp_path)
    host.sends(LISTED)
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    others = [
        context.Process(target=_compile_often, args=(database_url, tmp_path, 12, results))
        for _ in range(3)
    ]
    for other in others:
        other.start()
    acting = 20
    ids = {(host.compiles().id, acting)}
    for entry in range(8):
        host.disables(f"img-{entry}")
        acting -= 1
        ids.add((host.compiles().id, acting))
    told = [json.loads(results.get(timeout=120)) for _ in others]
    for other in others:
        other.join()
        assert other.exitcode == 0
    assert {tuple(one) for some in told for one in some} <= ids
    host.db.close()


# Entries that imports should have refused.

DAMAGE = {
    "a short hash": "update entry_hash set bits = {short} where entry = {entry}",
    "no hash at all": "update entry_hash set bits = {empty} where entry = {entry}",
    "a quality that there is not": "update entry_hash set quality = 300 where entry = {entry}",
    "a negative quality": "update entry_hash set quality = -1 where entry = {entry}",
    "a quality a little too high": "update entry_hash set quality = 120 where entry = {entry}",
    "a time without end": "update entry_hash set timestamp = 1e300 where entry = {entry}",
    "an unknown algorithm": "update entry_hash set algorithm = 'md6' where entry = {entry}",
    "an unknown kind": "update entry set media = 'poem' where id = {entry}",
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_one_bad_entry_stops_nothing_and_is_an_alarm(host: Host, damage: str) -> None:
    host.sends(images(10))
    with host.db.write() as session:
        entry = session.scalar(text("select id from entry where entry_id = 'img-4'"))
        sqlite = session.get_bind().dialect.name == "sqlite"
        short = "x'0011'" if sqlite else r"'\x0011'"
        empty = "x''" if sqlite else r"'\x'"
        session.execute(text(DAMAGE[damage].format(entry=entry, short=short, empty=empty)))
    compiled = host.compiles()
    assert found(compiled.lists, range(10)) == {
        ("c3p", 1, f"img-{i}", "quarantine") for i in range(10) if i != 4
    }
    (alarm,) = compiled.alarms
    assert "img-4" in alarm
    assert pdq_hash(4) not in alarm
    host.sends(images(11))
    assert host.compiles().alarms == ()


def test_many_bad_entries_are_counted(host: Host) -> None:
    host.sends(images(60))
    with host.db.write() as session:
        session.execute(
            text(
                "update entry_hash set quality = 101"
                " where entry in (select id from entry where entry_id like 'img-__')"
            )
        )
    compiled = host.compiles()
    assert len(compiled.lists.left_out) == 50
    assert len(compiled.alarms) == building.NAMED + 1
    assert compiled.alarms[-1].startswith("30 more")


def test_lists_that_did_not_change_are_not_compared(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.sends(images(10))
    host.compiles()
    monkeypatch.setattr(changes, "new_or_changed", None)
    host.disables("img-1")
    assert len(found(host.compiles().lists, range(10))) == 9
