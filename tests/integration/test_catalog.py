"""Lists in the database: imported whole or not at all, activated, compared, switched off."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from lists_parts import (
    AT,
    BRIDGE,
    MD5,
    NAMES,
    NO_TRIAL,
    SHA1,
    SHA256,
    images,
    pdq_hash,
    trial_of,
    write_csv,
)
from sqlalchemy import func, select, text

from hashmatch.audit.commitments import opened
from hashmatch.audit.verification import verify
from hashmatch.db.schema import (
    EntryHashRow,
    EntryRow,
    LeafRow,
    ListRow,
    ListVersionRow,
)
from hashmatch.db.session import Database
from hashmatch.errors import AlreadyRunning, DatabaseError
from hashmatch.lists import active, bulk, removal, staging
from hashmatch.lists.activation import (
    NotActive,
    NothingBefore,
    activate,
    deactivate,
    rollback,
    set_policy,
)
from hashmatch.lists.active import active_lists, active_versions, trial_list
from hashmatch.lists.catalog import (
    ListUnknown,
    NameWrong,
    VersionRemoved,
    VersionUnknown,
    get_version,
    list_names,
    summary,
)
from hashmatch.lists.differences import ChangeKind, differences
from hashmatch.lists.disabled import EntryUnknown, NotDisabled, ReasonWrong, disable, enable
from hashmatch.lists.formats import FileTruncated, Format
from hashmatch.lists.formats.rows import Fault
from hashmatch.lists.formats.text import ListUnreadable
from hashmatch.lists.imports import Delivery, Imported, import_list
from hashmatch.lists.removal import NothingToRemove, StillActs, remove
from hashmatch.lists.staging import StagingFailed
from hashmatch.lists.trust import (
    DigestDiffers,
    ListRejected,
    ListShrank,
    ListWithoutEntries,
    NotPdq,
    TrialResult,
    TrialTooWide,
)
from hashmatch.matching.listset import ListSet
from hashmatch.model import Action, Algorithm, Media, Orientations
from hashmatch.reconcile.books import DatabaseDiffers
from hashmatch.reconcile.database import Reconciliation


class Partner:
    """Somebody who sends lists, and the operator who takes them."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.folder = folder

    def deliver(self, *paths: Path, name: str = "c3p", **how: Any) -> Imported:
        limit = how.pop("max_rejected", 0.01)
        return import_list(
            self.db, NAMES, name, Delivery(paths, **how), by="alice", at=AT, max_rejected=limit
        )

    def sends(self, rows: list[dict[str, str]], name: str = "c3p", **how: Any) -> Imported:
        return self.deliver(write_csv(self.folder / "list.csv", rows), name=name, **how)

    def sends_text(self, text: str, name: str = "c3p", **how: Any) -> Imported:
        path = self.folder / "list.txt"
        path.write_text(text)
        return self.deliver(path, name=name, **how)

    def activates(self, version: int, name: str = "c3p", **how: Any):
        how = {"at": AT, "trial": trial_of(0, 0), "max_shrink": 0.2, **how}
        return activate(self.db, name, version, by="alice", **how)

    def entries(self, version: int = 1, name: str = "c3p") -> dict[str, EntryRow]:
        with self.db.read() as session:
            id = get_version(session, name, version).id
            rows = session.scalars(select(EntryRow).where(EntryRow.version_id == id))
            return {row.entry_id: row for row in rows}

    def hashes(self, entry: EntryRow) -> list[tuple[str, str, float | None, int | None]]:
        with self.db.read() as session:
            rows = session.scalars(
                select(EntryHashRow).where(EntryHashRow.entry == entry.id).order_by(EntryHashRow.id)
            )
            return [(row.algorithm, row.bits.hex(), row.timestamp, row.quality) for row in rows]

    def leaves(self) -> list[tuple[str, dict[str, Any]]]:
        with self.db.read() as session:
            rows = session.scalars(select(LeafRow).order_by(LeafRow.seq))
            return [(row.kind, json.loads(row.body)["body"]) for row in rows]

    def count(self, table: type) -> int:
        with self.db.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def partner(db, tmp_path) -> Partner:
    return Partner(db, tmp_path)


# --- importing


def test_a_delivery_becomes_a_version_with_all_that_was_said(partner):
    rows = [
        {"entry_id": "img", "algorithm": "pdq", "hash": BRIDGE.upper(), "quality": "99"},
        {"entry_id": "img", "algorithm": "md5", "hash": MD5, "classification": "A1"},
        {"entry_id": "file", "algorithm": "sha256", "hash": SHA256},
        *(
            {"group": "vid", "algorithm": "pdq", "hash": pdq_hash(i), "timestamp": f"{i}.5"}
            for i in range(3)
        ),
    ]
    done = partner.sends(rows)
    assert (done.version, done.created, done.entries, done.hashes) == (1, True, 3, 6)
    assert done.algorithms == {"md5": 1, "pdq": 4, "sha256": 1}
    entries = partner.entries()
    assert {id: row.media for id, row in entries.items()} == {
        "img": "image",
        "file": "file",
        "vid": "video",
    }
    assert entries["img"].classification == "A1"
    assert partner.hashes(entries["img"]) == [("pdq", BRIDGE, None, 99), ("md5", MD5, None, None)]
    assert partner.hashes(entries["vid"]) == [("pdq", pdq_hash(i), i + 0.5, None) for i in range(3)]


def test_a_version_remembers_where_it_came_from(partner):
    path = write_csv(partner.folder / "c3p-11.csv", images(3))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    partner.deliver(path, sha256=digest.upper())
    with partner.db.read() as session:
        row = get_version(session, "c3p", 1)
    assert (row.source, row.sha256, row.format, row.imported_by, row.imported_at) == (
        "c3p-11.csv",
        digest,
        "csv",
        "alice",
        AT,
    )
    assert (row.entries, row.hashes, row.rejected, row.algorithms) == (3, 3, 0, {"pdq": 3})


def test_an_import_is_on_the_record_without_any_hash_of_an_entry(partner):
    done = partner.sends(images(3), source="sftp://partner")
    ((kind, body),) = partner.leaves()
    assert kind == "list-import"
    assert (body["list"], body["version"], body["sha256"]) == ("c3p", 1, done.sha256)
    assert (body["entries"], body["rows"]) == (3, 3)
    assert not any(pdq_hash(i) in json.dumps(body) for i in range(3))
    with partner.db.read() as session:
        assert opened(session, body["by"]) == "alice"
        assert opened(session, body["source"]) == "sftp://partner"
        assert verify(session).size == 1


def test_no_name_of_a_person_and_no_words_of_theirs_are_in_the_log(partner):
    partner.sends(images(3), source="sftp://partner")
    partner.activates(1)
    disable(partner.db, NAMES, "c3p", "img-1", reason="our logo", by="alice", at=AT)
    enable(partner.db, NAMES, "c3p", "img-1", trial=NO_TRIAL, by="alice", at=AT)
    set_policy(partner.db, "c3p", trial=NO_TRIAL, near=31, by="alice", at=AT, action=Action.REVIEW)
    deactivate(partner.db, "c3p", by="alice", at=AT)
    rollback(partner.db, "c3p", trial=NO_TRIAL, by="alice", at=AT)
    leaves = partner.leaves()
    assert len(leaves) == 7
    assert {body["by"] for _, body in leaves} == {leaves[0][1]["by"]}
    assert not any(word in json.dumps(leaves) for word in ("alice", "our logo", "sftp"))
    with partner.db.read() as session:
        assert opened(session, leaves[0][1]["by"]) == "alice"
        assert opened(session, dict(leaves)["entry-disable"]["reason"]) == "our logo"


def test_unknown_columns_and_the_partners_own_id_stay_with_the_entry(partner):
    partner.sends_text(f"entry_id,hash,case\n{MD5}.jpg,{BRIDGE},ä-17\nb,{SHA1},\n")
    entries = partner.entries()
    keyed = NAMES.entry("id", f"{MD5}.jpg".encode())
    assert entries[keyed].extra == {"case": "ä-17", "entry_id": f"{MD5}.jpg"}
    assert entries["b"].extra is None


def test_what_later_rows_add_is_kept(partner, monkeypatch):
    monkeypatch.setattr(staging, "BATCH", 2)
    rows = [
        {"entry_id": "a", "algorithm": "md5", "hash": MD5},
        *images(5),
        {"entry_id": "a", "algorithm": "pdq", "hash": BRIDGE, "classification": "A1"},
    ]
    partner.sends(rows)
    entry = partner.entries()["a"]
    assert (entry.media, entry.classification) == ("image", "A1")
    assert len(partner.hashes(entry)) == 2
    assert partner.count(EntryRow) == 6


def test_entries_without_ids_keep_their_keyed_names_over_versions(partner):
    lines = [f"pdq {pdq_hash(i)}\n" for i in range(5)]
    partner.sends_text("".join(lines))
    partner.sends_text("".join(reversed(lines[1:])))
    assert set(partner.entries(2)) < set(partner.entries(1))
    assert all(id.startswith("entry-") for id in partner.entries(1))


def test_the_same_bytes_again_make_no_new_version(partner):
    first = partner.sends(images(3))
    again = partner.sends(images(3))
    assert (again.version, again.created, again.entries) == (first.version, False, 3)
    assert partner.count(ListVersionRow) == 1
    assert len(partner.leaves()) == 1


def test_the_same_bytes_read_in_another_way_are_another_version(partner):
    text = "".join(f"{hashlib.sha256(bytes([i])).hexdigest()}\n" for i in range(5))
    partner.sends_text(text)
    again = partner.sends_text(text, algorithm=Algorithm.SHA256)
    assert (again.version, again.algorithms) == (2, {"sha256": 5})


def test_bytes_that_are_not_the_newest_make_a_version_again(partner):
    partner.sends(images(3))
    partner.sends(images(4))
    assert partner.sends(images(3)).version == 3


def test_several_files_are_one_version(partner, media):
    paths = sorted((media / "video-hashes").glob("*.txt"))
    done = partner.deliver(*paths)
    assert (done.format, done.entries, done.hashes) == (Format.VPDQ, 14, 5872)
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    by_hand = hashlib.sha256("".join(f"{digest}\n" for digest in digests).encode()).hexdigest()
    assert done.sha256 == by_hand
    assert partner.deliver(*reversed(paths)).created is False


def test_rejected_rows_are_counted_and_named_by_line(partner):
    rows = [*images(200), {"entry_id": "bad", "algorithm": "pdq", "hash": "zz"}]
    done = partner.sends(rows)
    assert (done.entries, done.tally.rows) == (200, 201)
    assert done.tally.report() == ["line 202: the hash has the wrong length for its algorithm"]
    with partner.db.read() as session:
        assert get_version(session, "c3p", 1).rejected == 1


def test_rejected_rows_of_several_files_are_named_by_file(partner):
    good = write_csv(partner.folder / "a.csv", images(200))
    bad = write_csv(partner.folder / "b.csv", [{"algorithm": "pdq", "hash": "zz"}])
    done = partner.deliver(good, bad, max_rejected=0.1)
    assert done.tally.report()[0].startswith("b.csv line 2: ")


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([*images(50), {"algorithm": "pdq", "hash": "zz"}], ListRejected),
        ([*images(50), *images(1)], ListRejected),
        ([{"algorithm": "pdq", "hash": "0" * 64}], ListRejected),
    ],
)
def test_a_file_with_too_many_bad_rows_leaves_nothing_behind(partner, rows, error):
    with pytest.raises(error):
        partner.sends(rows)
    for table in (ListRow, ListVersionRow, EntryRow, EntryHashRow, LeafRow):
        assert partner.count(table) == 0


def test_more_bad_rows_can_be_allowed(partner):
    rows = [*images(3), {"algorithm": "pdq", "hash": "zz"}]
    assert partner.sends(rows, max_rejected=0.25).entries == 3


def test_a_file_without_a_usable_row_is_refused_whatever_is_allowed(partner):
    with pytest.raises(ListWithoutEntries):
        partner.sends([{"algorithm": "pdq", "hash": "zz"}], max_rejected=1)


def test_a_video_of_black_frames_alone_is_a_bad_row(partner):
    rows = images(200) + [{"group": "black", "algorithm": "pdq", "hash": "0" * 64}] * 3
    done = partner.sends(rows)
    assert done.tally.rejected == {Fault.BLANK_VIDEO: 1}
    assert done.tally.left_out == {Fault.FEATURELESS_FRAME: 3}


def test_a_truncated_file_imports_nothing(partner):
    with pytest.raises(FileTruncated):
        partner.sends_text(f"{MD5}\n{SHA1[:-1]}")
    assert partner.count(ListRow) == 0


def test_bytes_that_differ_from_the_published_digest_import_nothing(partner):
    with pytest.raises(DigestDiffers):
        partner.sends(images(3), sha256="0" * 64)
    assert partner.count(ListRow) == 0


def test_untyped_digests_are_not_taken_for_pdq(partner):
    digests = [hashlib.sha256(bytes([i])).hexdigest() for i in range(50)]
    with pytest.raises(NotPdq):
        partner.sends_text("\n".join(digests) + "\n")
    done = partner.sends_text("\n".join(digests) + "\n", algorithm=Algorithm.SHA256)
    assert done.entries == 50
    assert not any("algorithm" in note for note in done.notes)


def test_untyped_pdq_hashes_are_taken_with_a_note(partner):
    done = partner.sends_text("".join(f"{pdq_hash(i)}\n" for i in range(50)))
    assert done.algorithms == {"pdq": 50}
    assert "50 hashes of 64 digits name no algorithm" in done.notes[0]


def test_a_file_that_changes_while_it_is_read_imports_nothing(partner, monkeypatch):
    path = write_csv(partner.folder / "list.csv", images(3))
    read = staging.Staging.read

    def swapped(self: staging.Staging, file: Any, *, several: bool) -> None:
        write_csv(path, images(4))
        read(self, file, several=several)

    monkeypatch.setattr(staging.Staging, "read", swapped)
    with pytest.raises(ListUnreadable, match="changed while it was read"):
        partner.deliver(path)
    assert partner.count(ListRow) == 0


@pytest.mark.parametrize("name", ["", "C3P", "a--b", "-a", "a b", "ä", "a" * 65, "../x"])
def test_a_list_has_a_plain_name(partner, name):
    with pytest.raises(NameWrong):
        partner.sends(images(1), name=name)


def test_a_database_that_refuses_rows_does_not_quote_them(partner):
    """The rows of a batch are listed hashes, and drivers like to quote what they refuse."""
    row = (None, "pdq", bytes.fromhex(BRIDGE), None, None)
    with pytest.raises(Exception) as caught, partner.db.write() as session:  # noqa: PT011
        bulk.insert_rows(
            session, staging._HASH, ("entry", "algorithm", "bits", "timestamp", "quality"), [row]
        )
    error: BaseException | None = caught.value
    while error is not None:
        assert BRIDGE not in str(error)
        assert repr(bytes.fromhex(BRIDGE)) not in str(error)
        error = error.__cause__


def test_a_postgresql_that_refuses_rows_is_a_database_error(partner):
    if partner.db.file is not None:
        pytest.skip("SQLite is written to in another way")
    with pytest.raises(DatabaseError, match="SQLSTATE 23502"), partner.db.write() as session:
        bulk.insert_rows(session, staging._HASH, ("entry", "algorithm", "bits"), [(None, "a", b"")])


def test_a_full_disk_while_staging_imports_nothing_and_says_so(partner, monkeypatch):
    full = Path("/dev/full").open("w+b")  # noqa: SIM115  (staging closes it)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: full)
    with pytest.raises(StagingFailed, match="No space left on device") as caught:
        partner.sends(images(3))
    assert "TMPDIR" in caught.value.remedy
    assert partner.count(ListRow) == 0


def test_two_imports_at_once_make_two_versions(partner):
    partner.sends(images(1))
    paths = [write_csv(partner.folder / f"{n}.csv", images(30, first=n)) for n in range(1, 4)]
    threads = [threading.Thread(target=partner.deliver, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with partner.db.read() as session:
        assert [row.version for row in summary(session, "c3p").versions] == [1, 2, 3, 4]
        assert verify(session).size == 4


# --- activation


def test_nothing_acts_before_it_is_activated(partner):
    partner.sends(images(3))
    with partner.db.read() as session:
        assert active_versions(session) == []
        assert list(active_lists(session)) == []


def test_an_activated_version_acts_and_is_on_the_record(partner):
    partner.sends(images(3))
    change = partner.activates(1, trial=trial_of(40, 2))
    assert (change.version, change.previous, change.entries) == (1, None, 3)
    kind, body = partner.leaves()[-1]
    assert kind == "list-activate"
    assert body["trial"] == {"clips": 40, "matched": 2}
    with partner.db.read() as session:
        (acting,) = active_versions(session)
    assert (acting.name, acting.version, acting.imported_at, acting.action) == (
        "c3p",
        1,
        AT,
        Action.QUARANTINE,
    )


def test_a_new_import_does_not_replace_what_acts(partner):
    partner.sends(images(3))
    partner.activates(1)
    partner.sends(images(4))
    with partner.db.read() as session:
        assert [version.version for version in active_versions(session)] == [1]


def test_activating_what_acts_changes_nothing(partner):
    partner.sends(images(3))
    partner.activates(1)
    assert partner.activates(1).changed is False
    assert len(partner.leaves()) == 2


def test_a_version_that_lost_many_entries_needs_to_be_accepted(partner):
    partner.sends(images(10))
    partner.activates(1)
    partner.sends(images(7))
    with pytest.raises(ListShrank, match="the new version has 7 entries, the active one 10"):
        partner.activates(2)
    assert partner.activates(2, accept_shrink=True).version == 2
    assert partner.leaves()[-1][1]["accept_shrink"] is True


def test_switching_a_list_off_first_does_not_let_a_shrunk_one_in(partner):
    partner.sends(images(10))
    partner.activates(1)
    partner.sends(images(7))
    deactivate(partner.db, "c3p", by="alice", at=AT)
    with pytest.raises(ListShrank):
        partner.activates(2)


def test_a_version_that_matches_too_much_of_what_is_stored_does_not_act(partner):
    partner.sends(images(3))
    wide = {"trial": trial_of(100, 60), "max_trial": 0.2}
    with pytest.raises(TrialTooWide):
        partner.activates(1, **wide)
    with partner.db.read() as session:
        assert active_versions(session) == []
    assert partner.activates(1, **wide, accept_trial=True).version == 1


def test_a_trial_that_fails_activates_nothing(partner):
    partner.sends(images(3))

    def broken(_name: str, _version: int) -> TrialResult:
        raise DatabaseError(url="x", problem="gone")

    with pytest.raises(DatabaseError):
        partner.activates(1, trial=broken)
    with partner.db.read() as session:
        assert active_versions(session) == []


@pytest.mark.parametrize("version", [0, 2])
def test_a_version_that_is_not_there_is_not_activated(partner, version):
    partner.sends(images(3))
    with pytest.raises(VersionUnknown):
        partner.activates(version)


def test_a_list_that_is_not_there_is_an_error(partner):
    with pytest.raises(ListUnknown):
        partner.activates(1, name="other")


def test_one_call_goes_back_to_the_version_before(partner):
    partner.sends(images(10))
    partner.sends(images(11))
    partner.activates(1)
    partner.activates(2)
    change = rollback(partner.db, "c3p", trial=NO_TRIAL, by="bob", at=AT)
    assert (change.version, change.previous) == (1, 2)
    assert partner.leaves()[-1][0] == "list-rollback"
    assert rollback(partner.db, "c3p", trial=NO_TRIAL, by="bob", at=AT).version == 2


def test_there_is_no_way_back_from_a_first_version(partner):
    partner.sends(images(3))
    partner.activates(1)
    with pytest.raises(NothingBefore):
        rollback(partner.db, "c3p", trial=NO_TRIAL, by="bob", at=AT)


def test_a_list_that_was_switched_off_can_be_rolled_back_to(partner):
    partner.sends(images(3))
    partner.activates(1)
    deactivate(partner.db, "c3p", by="bob", at=AT)
    with partner.db.read() as session:
        assert active_versions(session) == []
    with pytest.raises(NotActive):
        deactivate(partner.db, "c3p", by="bob", at=AT)
    assert rollback(partner.db, "c3p", trial=NO_TRIAL, by="bob", at=AT).version == 1


def removes(partner: Partner, version: int | None, **how: Any):
    how = {"reason": "superseded", "by": "alice", "at": AT, **how}
    return remove(partner.db, "c3p", version, **how)


def agrees(partner: Partner) -> None:
    """The database is what the log says."""
    with partner.db.read() as session:
        books = Reconciliation(session)
        verify(session, Ed25519PrivateKey.generate().public_key(), each=books.take)
        books.close(session)


def test_a_removed_version_leaves_no_hash_and_its_number_never_comes_back(partner):
    for count in (10, 11, 12):
        partner.sends(images(count))
    partner.activates(2)
    done = removes(partner, 3)
    assert (done.versions, done.entries, done.stopped) == ((3,), 12, False)
    assert (partner.count(EntryRow), partner.count(EntryHashRow)) == (21, 21)
    with partner.db.read() as session:
        one = summary(session, "c3p")
        assert (one.newest.version, one.versions[-1].removed_at) == (2, AT)
        with pytest.raises(VersionRemoved, match="removed on 2026-11-22"):
            get_version(session, "c3p", 3)
    with pytest.raises(VersionRemoved):
        partner.activates(3)
    with pytest.raises(VersionRemoved):
        removes(partner, 3)
    assert (again := partner.sends(images(12))).created
    assert again.version == 4, "the same file again is a new version"
    agrees(partner)


def test_a_removal_has_a_leaf_of_each_version_and_none_names_who_or_why(partner):
    for count in (10, 11):
        partner.sends(images(count))
    assert removes(partner, None, reason="the agreement ended").versions == (1, 2)
    leaves = [body for kind, body in partner.leaves() if kind == "list-remove"]
    assert [(body["version"], body["entries"], body["acted"]) for body in leaves] == [
        (1, 10, False),
        (2, 11, False),
    ]
    with partner.db.read() as session:
        assert opened(session, leaves[0]["reason"]) == "the agreement ended"
        assert opened(session, leaves[0]["by"]) == "alice"
        assert list_names(session) == []
    with pytest.raises(NothingToRemove):
        removes(partner, None)
    agrees(partner)


@pytest.mark.parametrize("reason", ["", "  ", "two\nlines", MD5])
def test_a_removal_without_words_of_a_reason_removes_nothing(partner, reason):
    partner.sends(images(10))
    with pytest.raises(removal.ReasonRefused):
        removes(partner, 1, reason=reason)
    assert partner.count(EntryRow) == 10


@pytest.mark.parametrize("version", [1, 2, None], ids=["before", "acting", "all"])
def test_promise_5_what_acts_or_acted_before_is_not_removed_without_saying_so(partner, version):
    for count in (10, 11):
        partner.sends(images(count))
        partner.activates(partner.sends(images(count)).version)
    before = partner.leaves()
    with pytest.raises(StillActs, match=r"version . (acts|is what)"):
        removes(partner, version)
    assert (partner.count(EntryRow), partner.leaves()) == (21, before)
    removes(partner, version, accept_active=True)
    with partner.db.read() as session:
        row = session.get_one(ListRow, "c3p")
        left = {1: (2, None), 2: (None, 1), None: (None, None)}[version]
        assert (row.active_version, row.previous_version) == left
        assert len(list(active_versions(session))) == (left[0] is not None)
    agrees(partner)
    if left[1] is None:
        with pytest.raises(NothingBefore):
            rollback(partner.db, "c3p", trial=NO_TRIAL, by="alice", at=AT)


def test_switching_a_list_off_and_removing_it_does_not_let_a_shrunk_one_in_unsaid(partner):
    partner.sends(images(10))
    partner.activates(1)
    deactivate(partner.db, "c3p", by="alice", at=AT)
    with pytest.raises(StillActs):
        removes(partner, None)


def test_no_list_is_removed_while_a_run_reads_it(partner):
    partner.sends(images(10))
    with partner.db.run_lock(), pytest.raises(AlreadyRunning):
        removes(partner, 1)
    assert partner.count(EntryRow) == 10


@pytest.mark.parametrize(
    ("tampering", "problem"),
    [
        ("UPDATE list_version SET removed_at = NULL WHERE version = 1", "removed by its last leaf"),
        ("UPDATE list_version SET removed_at = imported_at WHERE version = 2", "there by its last"),
        ("DELETE FROM list_version WHERE version = 1", "version 1 of list c3p is gone"),
        (
            "INSERT INTO entry (version_id, entry_id, media) SELECT id, 'x', 'image' "
            "FROM list_version WHERE version = 1",
            "are there, which was removed",
        ),
    ],
)
def test_promise_3_a_removal_is_what_the_log_says(partner, tampering, problem):
    for count in (10, 11):
        partner.sends(images(count))
    removes(partner, 1)
    agrees(partner)
    with partner.db.write() as session:
        session.execute(text(tampering))
    with pytest.raises(DatabaseDiffers, match=problem):
        agrees(partner)


def test_what_a_match_does_is_set_per_list(partner):
    partner.sends(images(3))
    partner.activates(1)
    set_policy(
        partner.db,
        "c3p",
        trial=NO_TRIAL,
        near=31,
        by="bob",
        at=AT,
        action=Action.REVIEW,
        distance=0,
    )
    with partner.db.read() as session:
        (acting,) = active_versions(session)
    assert (acting.action, acting.distance) == (Action.REVIEW, 0)
    row = set_policy(
        partner.db, "c3p", trial=NO_TRIAL, near=31, by="bob", at=AT, default_distance=True
    )
    assert (row.action, row.distance) == ("review", None)
    kind, body = partner.leaves()[-1]
    with partner.db.read() as session:
        assert opened(session, body.pop("by")) == "bob"
    assert (kind, body) == (
        "list-set",
        {
            "list": "c3p",
            "action": "review",
            "distance": None,
            "orientations": "mirrored",
            "trial": {"clips": 0, "matched": 0},
            "accept_trial": False,
        },
    )


def test_a_list_may_ask_for_all_orientations(partner):
    partner.sends(images(3))
    partner.activates(1)
    with partner.db.read() as session:
        before = ListSet.build(active_lists(session))
    row = set_policy(
        partner.db, "c3p", trial=NO_TRIAL, near=31, by="bob", at=AT, orientations=Orientations.ALL
    )
    assert (row.action, row.distance, row.orientations) == ("quarantine", None, "all")
    assert partner.leaves()[-1][1]["orientations"] == "all"
    with partner.db.read() as session:
        after = ListSet.build(active_lists(session))
    assert before.orientations is Orientations.MIRRORED
    assert after.orientations is Orientations.ALL
    assert before.id != after.id


# --- disabled entries


def test_a_disabled_entry_stays_disabled_in_later_versions(partner):
    partner.sends(images(3))
    partner.activates(1)
    disable(partner.db, NAMES, "c3p", "img-1", reason="our logo", by="bob", at=AT)
    partner.sends(images(4))
    partner.activates(2)
    with partner.db.read() as session:
        (one,) = active_lists(session)
        assert one.disabled == {"img-1"}
        assert len(ListSet.build([one])) == 3
        assert summary(session, "c3p").disabled == {"img-1": "our logo"}
    enable(partner.db, NAMES, "c3p", "img-1", trial=NO_TRIAL, by="bob", at=AT)
    with partner.db.read() as session:
        assert len(ListSet.build(active_lists(session))) == 4
    assert [kind for kind, _ in partner.leaves()][2:] == [
        "entry-disable",
        "list-import",
        "list-activate",
        "entry-enable",
    ]


def test_an_entry_can_be_disabled_by_the_id_its_partner_uses(partner):
    partner.sends([{"entry_id": MD5, "algorithm": "pdq", "hash": BRIDGE}])
    kept = disable(partner.db, NAMES, "c3p", MD5, reason="withdrawn", by="bob", at=AT)
    assert set(partner.entries()) == {kept}
    assert MD5 not in json.dumps(partner.leaves())
    assert enable(partner.db, NAMES, "c3p", MD5, trial=NO_TRIAL, by="bob", at=AT).entry == kept


def test_a_mistyped_entry_is_an_error_that_repeats_no_hash(partner):
    partner.sends(images(3))
    with pytest.raises(EntryUnknown, match="no version has an entry img-9"):
        disable(partner.db, NAMES, "c3p", "img-9", reason="x", by="bob", at=AT)
    with pytest.raises(EntryUnknown) as caught:
        disable(partner.db, NAMES, "c3p", BRIDGE, reason="x", by="bob", at=AT)
    assert BRIDGE not in str(caught.value)
    with pytest.raises(NotDisabled):
        enable(partner.db, NAMES, "c3p", "img-1", trial=NO_TRIAL, by="bob", at=AT)


@pytest.mark.parametrize("reason", ["", "  ", f"is {BRIDGE}", "\x1b[2J"])
def test_a_reason_is_words(partner, reason):
    partner.sends(images(3))
    with pytest.raises(ReasonWrong) as caught:
        disable(partner.db, NAMES, "c3p", "img-1", reason=reason, by="bob", at=AT)
    assert BRIDGE not in str(caught.value)


# --- what versions hold


def test_two_versions_are_compared_entry_by_entry(partner):
    before = [*images(4), {"entry_id": "Å", "algorithm": "md5", "hash": MD5}]
    partner.sends([*before, {"entry_id": "a", "algorithm": "md5", "hash": SHA1[:32]}])
    after = [
        {**row, "classification": "A1"} if row["entry_id"] == "img-2" else row
        for row in before
        if row["entry_id"] != "img-1"
    ]
    after = [{**r, "hash": pdq_hash(99)} if r["entry_id"] == "img-3" else r for r in after]
    partner.sends([{"entry_id": "B", "algorithm": "md5", "hash": MD5}, *reversed(after)])
    with partner.db.read() as session:
        versions = [get_version(session, "c3p", number) for number in (1, 2)]
        changes = {(change.kind, change.entry) for change in differences(session, *versions)}
    assert changes == {
        (ChangeKind.ADDED, "B"),
        (ChangeKind.REMOVED, "img-1"),
        (ChangeKind.REMOVED, "a"),
        (ChangeKind.CHANGED, "img-2"),
        (ChangeKind.CHANGED, "img-3"),
    }


def test_a_version_does_not_differ_from_itself_in_another_order(partner):
    rows = [
        {"group": f"v-{i % 7}", "algorithm": "pdq", "hash": pdq_hash(i), "timestamp": str(i)}
        for i in range(50)
    ]
    partner.sends(rows)
    partner.sends(rows[::-1])
    with partner.db.read() as session:
        versions = [get_version(session, "c3p", number) for number in (1, 2)]
        assert list(differences(session, *versions)) == []


@pytest.mark.parametrize("block", [1, 4, 20_000])
def test_the_matcher_gets_what_was_imported(partner, monkeypatch, block):
    monkeypatch.setattr(active, "BLOCK", block)
    rows = [
        {"entry_id": "img", "algorithm": "pdq", "hash": BRIDGE, "classification": "A1"},
        {"entry_id": "img", "algorithm": "md5", "hash": MD5},
        *(
            {
                "group": f"v-{i // 5}",
                "algorithm": "pdq",
                "hash": pdq_hash(i),
                "timestamp": str(i % 5),
                "quality": "70",
            }
            for i in range(15)
        ),
    ]
    partner.sends(rows)
    partner.activates(1)
    found: dict[str, list[Any]] = {}
    seen: list[str] = []
    with partner.db.read() as session:
        (one,) = active_lists(session)
        for part in one.blocks():
            seen += part.ids
            for id, media, name in zip(part.ids, part.media, part.classification, strict=True):
                found[id] = [media, name]
            for column in part.hashes:
                for i, place in enumerate(column.entry):
                    at = None if np.isnan(column.timestamp[i]) else float(column.timestamp[i])
                    found[part.ids[place]].append(
                        (column.algorithm, column.bits[i].tobytes().hex(), at, column.quality[i])
                    )
    assert len(seen) == len(set(seen)) == 4
    assert found["img"][:2] == [Media.IMAGE, "A1"]
    assert set(found["img"][2:]) == {
        (Algorithm.PDQ, BRIDGE, None, 255),
        (Algorithm.MD5, MD5, None, 255),
    }
    assert found["v-2"] == [
        Media.VIDEO,
        None,
        *((Algorithm.PDQ, pdq_hash(10 + i), float(i), 70) for i in range(5)),
    ]


def test_active_lists_compile_and_a_version_on_trial_does_too(partner):
    partner.sends(images(30))
    partner.activates(1)
    partner.sends(images(31))
    with partner.db.read() as session:
        lists = ListSet.build(active_lists(session))
        tried = ListSet.build([trial_list(session, "c3p", 2)])
    assert (lists.versions, len(lists)) == ({"c3p": 1}, 30)
    assert (tried.versions, len(tried)) == ({"c3p": 2}, 31)


def test_the_age_of_what_acts_is_that_of_its_import(partner):
    partner.sends(images(3))
    partner.activates(1, at=AT + timedelta(days=9))
    with partner.db.read() as session:
        assert active_versions(session)[0].imported_at == AT


def test_lists_are_listed_by_name(partner):
    for name in ("ncmec", "c3p"):
        partner.sends(images(1), name=name)
    with partner.db.read() as session:
        assert list_names(session) == ["c3p", "ncmec"]


@pytest.mark.slow
def test_a_million_rows_import_in_a_minute_and_a_gigabyte():
    """In a process of its own, because memory is counted by process."""
    bench = Path(__file__).resolve().parents[2] / "scripts" / "bench_lists"
    done = subprocess.run(
        [sys.executable, bench, "1000000"], capture_output=True, text=True, check=True, timeout=290
    )
    core, peak = re.search(
        r"^import .* core +([\d.]+) s +peak +(\d+) MB", done.stdout, re.M
    ).groups()
    assert float(core) < 60
    assert int(peak) < 1000
