"""What a run leaves in the log beside its clips' leaves: shards, settings, checkpoint, anchors."""

from __future__ import annotations

import json
import shutil
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest
from archive_parts import Archive, SeeingEngine, drawn
from shard_parts import check_shards
from sqlalchemy import select, update

from hashmatch.audit.signing import LogRolledBack, Signer
from hashmatch.audit.verification import verify
from hashmatch.config import Anchors, Settings, Vault, Withdraw
from hashmatch.config.sections import Database as DatabaseSection
from hashmatch.custody.host import host_id
from hashmatch.db.schema import AnchorRow, ClipRow, LeafRow, RunRow
from hashmatch.db.session import Database
from hashmatch.errors import CanaryFailed
from hashmatch.model import Outcome, Reason, Verdict
from hashmatch.report.summary import RunSummary
from hashmatch.runs import coordinator as running
from hashmatch.runs.dispatcher import Progress
from hashmatch.runs.job import open_job
from hashmatch.runs.local_executor import Done
from hashmatch.runs.nightly import nightly
from hashmatch.runs.plan import NothingFits, Selection
from hashmatch.runs.stop import Stop
from hashmatch.scanning.scanner import Scanned
from hashmatch.services.doctor import Finding, examine
from hashmatch.work import Turn


class Killed(BaseException):
    """The process dies here."""


class Scanning(SeeingEngine):
    """One worker that finds everything clean, until something happens after so many clips."""

    after: int | None = None
    happens: BaseException | None = None
    verdict = Verdict(Outcome.CLEAN, None, 1.0)

    def __init__(self, *_: object) -> None:
        self._turns: deque[Turn] = deque()
        self._seen = 0

    @property
    def idle(self) -> bool:
        return not self._turns

    @property
    def busy(self) -> bool:
        return bool(self._turns)

    def submit(self, turn: Turn) -> None:
        self._turns.append(turn)

    def wait(self) -> list[Done]:
        if self._seen == self.after and self.happens is not None:
            raise self.happens
        turn = self._turns.popleft()
        self._seen += len(turn.clips)
        verdict = self.verdict
        return [Done(turn, tuple(Scanned(c.etag, c.size, verdict, None, 0.1) for c in turn.clips))]


class StopAfter:
    """Asked to stop once so many clips are done."""

    interrupted = False

    def __init__(self, clips: int) -> None:
        self._clips, self._done = clips, 0

    def watch(self, progress: Progress) -> None:
        self._done = progress.done

    def __bool__(self) -> bool:
        return self._done >= self._clips


def scan(archive: Archive, engine: type[Scanning] = Scanning, stop_after: int = 99) -> RunSummary:
    archive.job = open_job(archive.settings, archive.db, archive.names)
    stop = StopAfter(stop_after)
    with mock.patch.object(running, "Engine", engine):
        return running.run(archive.job, Selection(), stop=stop, watch=stop.watch)  # type: ignore[arg-type]


def set_to(archive: Archive, **sections: object) -> None:
    archive.settings = archive.settings.model_copy(update=sections)


def leaves(db: Database, *kinds: str) -> list[tuple[str, dict]]:
    query = select(LeafRow.kind, LeafRow.body).order_by(LeafRow.seq)
    with db.read() as session:
        rows = session.execute(query.where(LeafRow.kind.in_(kinds)) if kinds else query).all()
    return [(kind, json.loads(body)["body"]) for kind, body in rows]


@pytest.fixture
def archive(tmp_path: Path, db: Database) -> Archive:
    """Seven clips that nobody looked at, in shards of three."""
    return started(tmp_path, db)


@pytest.fixture
def small(tmp_path: Path, sqlite_db: Database) -> Archive:
    return started(tmp_path, sqlite_db)


def started(tmp_path: Path, db: Database) -> Archive:
    made = Archive(tmp_path / "home", db)
    made.activate("partner", {"e-1": [drawn(1)]})
    for number in range(7):
        (made.home / "clips" / f"{number}.mp4").write_text(str(number))
    set_to(made, run=made.settings.run.model_copy(update={"shard_size": 3}))
    return made


# Shards


def test_a_shard_has_its_leaf_right_after_that_of_its_last_clip(archive: Archive) -> None:
    scan(archive)
    assert check_shards(archive.db) == 3
    kinds = [kind for kind, _ in leaves(archive.db, "clip-scanned", "shard-scanned")]
    assert kinds == (["clip-scanned"] * 3 + ["shard-scanned"]) * 2 + [
        "clip-scanned",
        "shard-scanned",
    ]
    (_, first), *_ = leaves(archive.db, "shard-scanned")
    assert (first["shard"], first["clips"], first["outcomes"]) == (0, 3, {"clean": 3})
    assert first["lists"]["partner"] == 1
    assert first["list_set"] == archive.comparison().id
    scan(archive)
    assert check_shards(archive.db) == 3


def test_a_run_that_stops_accounts_for_the_shard_it_did_not_finish(archive: Archive) -> None:
    assert scan(archive, stop_after=4).left == 3
    assert check_shards(archive.db) == 2
    assert [body["clips"] for _, body in leaves(archive.db, "shard-scanned")] == [3, 1]
    scan(archive)
    check_shards(archive.db)
    assert sum(body["clips"] for _, body in leaves(archive.db, "shard-scanned")) == 7


@pytest.mark.parametrize("clips", [0, 2, 3, 5, 6])
def test_a_run_that_was_killed_is_accounted_for_by_the_next(archive: Archive, clips: int) -> None:
    class Dying(Scanning):
        after, happens = clips, Killed()

    with pytest.raises(Killed):
        scan(archive, Dying)
    scan(archive)
    check_shards(archive.db)
    assert sum(body["clips"] for _, body in leaves(archive.db, "shard-scanned")) == 7


@pytest.mark.parametrize(
    ("kind", "says"),
    [("scan", "its clips are due again"), ("rescan", "start it again for the rest")],
)
def test_the_next_run_says_of_one_that_was_killed_how_it_goes_on(
    small: Archive, caplog: pytest.LogCaptureFixture, kind: str, says: str
) -> None:
    engine = type("Killed", (Scanning,), {"after": 2, "happens": Killed()})
    with pytest.raises(Killed):
        scan(small, engine)
    with small.db.write() as session:
        (killed,) = session.scalars(select(RunRow.id))
        session.execute(update(RunRow).values(kind=kind))
    scan(small)
    assert f"run {killed} was interrupted; {says}" in caplog.messages


def test_a_run_that_fails_is_accounted_for_and_signed(archive: Archive) -> None:
    class Failing(Scanning):
        after, happens = 4, CanaryFailed(when="end", problem="dark")

    with pytest.raises(CanaryFailed):
        scan(archive, Failing)
    assert check_shards(archive.db) == 2
    with archive.db.read() as session:
        assert verify(session).checkpoints == 1


def test_no_key_and_no_version_of_a_clip_is_in_the_log(small: Archive) -> None:
    scan(small)
    (etag,) = {clip.etag for clip in small.job.clips.list("3.mp4")}
    with small.db.read() as session:
        log = b"".join(session.scalars(select(LeafRow.body)))
    assert b".mp4" not in log
    assert etag.encode() not in log
    assert small.names.clip("3.mp4").encode() not in log


# Settings and keys


def test_a_run_says_on_which_host_it_was(small: Archive) -> None:
    scan(small)
    ((_, body),) = leaves(small.db, "run-started")
    with small.db.read() as session:
        assert session.scalars(select(RunRow.host)).one() == body["host"] == host_id()


def test_the_first_run_records_the_settings_and_a_later_one_what_changed(archive: Archive) -> None:
    kinds = ("settings-recorded", "settings-changed", "keys-changed")
    scan(archive)
    ((kind, first),) = leaves(archive.db, *kinds)
    assert kind == "settings-recorded"
    assert first["keys"]["recipients"] == sorted(archive.settings.vault.recipients)
    scan(archive)
    assert len(leaves(archive.db, *kinds)) == 1
    quiet = archive.settings.match.model_copy(update={"distance": 30})
    clips = archive.settings.clips.model_copy(update={"max_bytes": 77, "exclude": ("x/**",)})
    set_to(archive, match=quiet, clips=clips)
    scan(archive)
    _, (kind, changed) = leaves(archive.db, *kinds)
    assert kind == "settings-changed"
    assert changed["changed"] == ["clips.exclude", "clips.max_bytes", "match.distance"]
    assert changed["settings"] != first["settings"]
    everything = json.dumps(leaves(archive.db))
    assert "x/**" not in everything
    assert "77" not in json.dumps(changed).replace(changed["settings"], "")


def test_a_secret_that_changes_is_named_and_is_not_in_the_database(small: Archive) -> None:
    def secret(value: str) -> None:
        update = {"clips": {"secret_access_key": value, "access_key_id": "a"}}
        given = {"vault": Vault(recipients=small.settings.vault.recipients), **update}
        made = Settings(**given)
        made._home = small.settings.home
        small.settings = made

    secret("hunter2-one")
    scan(small)
    secret("hunter2-two")
    scan(small)
    assert leaves(small.db, "settings-changed")[0][1]["changed"] == ["clips.secret_access_key"]
    small.db.close()
    assert small.db.file is not None
    assert b"hunter2" not in small.db.file.read_bytes()


def test_changed_keys_have_a_leaf_with_what_they_were(small: Archive) -> None:
    scan(small)
    before = list(small.settings.vault.recipients)
    set_to(small, vault=small.settings.vault.model_copy(update={"recipients": tuple(before[::-1])}))
    scan(small)
    assert leaves(small.db, "keys-changed") == []  # the same, in another order
    shutil.copy(small.home / "keys" / "audit.key", small.home / "keys" / "old.key")
    (small.home / "keys" / "audit.key").unlink()
    (small.home / "keys" / "id.key").unlink()
    fresh = Archive(small.home, small.db)
    fresh.settings = small.settings
    scan(fresh)
    ((_, body),) = leaves(small.db, "keys-changed")
    assert body["changed"] == ["id_key", "signer"]
    assert body["former"]["signer"] != body["keys"]["signer"]
    assert len(leaves(small.db, "settings-recorded")) == 2  # with another id key nothing compares


# Checkpoints and anchors


def test_a_run_hands_its_checkpoint_to_the_anchors(archive: Archive) -> None:
    (archive.home / "kept").mkdir()
    set_to(archive, anchors=Anchors(folder="kept", command=("false",)))
    summary = scan(archive)
    (file,) = (archive.home / "kept").iterdir()
    assert file.read_text() == summary.checkpoint
    assert summary.exit_code == 15
    (alarm,) = summary.alarms
    assert alarm.startswith("anchor command: ")
    with archive.db.read() as session:
        row = session.scalars(select(RunRow)).one()
        assert row.summary == json.loads(json.dumps(summary.as_json()))
        assert len(session.scalars(select(AnchorRow)).all()) == 2
        assert verify(session, kept=[file.read_text()]).checkpoints == 2


def test_a_failed_run_hands_its_checkpoint_over_too(archive: Archive) -> None:
    class Failing(Scanning):
        after, happens = 1, CanaryFailed(when="end", problem="dark")

    (archive.home / "kept").mkdir()
    set_to(archive, anchors=Anchors(folder="kept", command=("false",)))
    with pytest.raises(CanaryFailed):
        scan(archive, Failing)
    assert len(list((archive.home / "kept").iterdir())) == 1
    with archive.db.read() as session:
        (alarm,) = session.scalars(select(RunRow.summary)).one()["alarms"]
    assert alarm.startswith("anchor command: ")


def doctor(archive: Archive) -> Finding:
    """What it says of the log; what comes after is not looked at."""
    url = f"sqlite:///{archive.db.file}"
    settings = archive.settings.model_copy(update={"database": DatabaseSection(url=url)})
    return next(one for one in examine(lambda: settings) if one.what == "audit log")


def test_a_run_on_a_restored_database_does_its_work_and_ends_with_20(small: Archive) -> None:
    file = small.db.file
    assert file is not None
    scan(small)
    small.db.close()
    kept = file.read_bytes()
    (small.home / "clips" / "new.mp4").write_text("new")
    scan(small)
    small.db.close()
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    assert doctor(small).ok
    file.write_bytes(kept)
    assert (doctor(small).ok, doctor(small).exit_code) == (False, 20)
    with pytest.raises(LogRolledBack) as refused:
        scan(small)
    assert refused.value.exit_code == 20
    with small.db.read() as session:
        row = session.scalars(select(RunRow).order_by(RunRow.started_at.desc())).first()
        assert row is not None
        assert (row.status, row.exit_code, row.summary["outcomes"]["clean"]) == ("finished", 20, 1)
    audit = small.settings.audit.model_copy(update={"origin": "hashmatch.example/log/2"})
    set_to(small, audit=audit)
    assert scan(small).exit_code == 0
    assert doctor(small).ok
    signer = Signer.of(small.settings)
    with small.db.read() as session:
        assert verify(session, signer.key.public_key()).checkpoints == 2
        signer.check(session)
    assert len(leaves(small.db, "log-continued")) == 1


# Storage that is suddenly empty


def remove(archive: Archive, numbers: range) -> None:
    for number in numbers:
        (archive.home / "clips" / f"{number}.mp4").unlink()


def storage(archive: Archive) -> Finding:
    url = f"sqlite:///{archive.db.file}"
    settings = archive.settings.model_copy(update={"database": DatabaseSection(url=url)})
    return next(one for one in examine(lambda: settings) if one.what == "clip storage")


def accepting(archive: Archive, **clips: object) -> None:
    set_to(archive, clips=archive.settings.clips.model_copy(update=clips))


def test_promise_1_storage_that_is_suddenly_empty_is_an_alarm_until_it_is_accepted(
    small: Archive,
) -> None:
    assert scan(small).missing == 0
    remove(small, range(7))
    for _ in range(2):  # a bad night is nothing that a later one is held to
        empty = scan(small)
        assert (empty.listed, empty.missing, empty.exit_code) == (0, 7, 15)
        assert "lists 0 clips, and 7 are expected" in empty.alarms[0]
    found = storage(small)
    assert (found.ok, found.exit_code) == (False, 15)
    assert "HASHMATCH_CLIPS__LEAST_SHARE=0 hashmatch scan" in found.remedy
    accepting(small, least_share=0)
    assert scan(small).exit_code == 0
    accepting(small, least_share=0.5)
    assert scan(small).exit_code == 0
    assert storage(small).ok


def test_promise_1_a_listing_that_collapses_is_held_to_the_share_and_the_floor(
    small: Archive,
) -> None:
    scan(small)
    remove(small, range(4))
    assert storage(small).ok
    accepting(small, least_known=7)
    assert not storage(small).ok
    assert (scan(small).missing, scan(small).exit_code) == (4, 15)
    accepting(small, least_share=0.4)
    assert storage(small).ok
    assert scan(small).exit_code == 0


def test_promise_1_clips_of_a_first_run_that_was_killed_are_known_too(small: Archive) -> None:
    class Dying(Scanning):
        after, happens = 0, Killed()

    with pytest.raises(Killed):
        scan(small, Dying)
    remove(small, range(7))
    assert scan(small).missing == 7


def test_promise_2_an_original_on_storage_that_is_empty_is_not_gone(small: Archive) -> None:
    """Whatever a case waits for, the share may be mounted again tomorrow, with the clip on it."""
    names = list((small.home / "clips").iterdir())
    for number in range(7):
        small.remember(f"{number}.mp4", [drawn(1), drawn(2)])
    small.activate("partner", {"e-1": [drawn(9)], "e-2": [drawn(1), drawn(2)]})
    kept = small.home / "kept"
    (small.home / "clips").rename(kept)
    (small.home / "clips").mkdir()
    summary = small.compare()
    assert (summary.outcomes[Outcome.MATCHED], summary.custody_open) == (7, 7)
    assert "lists nothing at all" in " ".join(summary.alarms)
    (small.home / "clips").rmdir()
    kept.rename(small.home / "clips")
    assert scan(small).custody_open == 0
    assert not [name for name in names if name.exists()]


# Clips that wait unread


def unread(why: Reason) -> type[Scanning]:
    class Unread(Scanning):
        verdict = Verdict(Outcome.UNSCANNABLE, why, 0.0)

    return Unread


def test_promise_1_clips_that_wait_for_another_look_are_no_good_night(archive: Archive) -> None:
    assert scan(archive, unread(Reason.STORAGE_ERROR)).exit_code == 10
    later = scan(archive)
    assert (later.waiting, later.skipped_unchanged, later.exit_code) == (7, 7, 10)
    with archive.db.write() as session:
        session.execute(update(ClipRow).values(retry_at=datetime.now(UTC)))
    seen = scan(archive)
    assert (seen.waiting, seen.outcomes[Outcome.CLEAN], seen.exit_code) == (0, 7, 0)


def test_promise_1_what_the_spool_had_no_room_for_is_looked_at_by_the_next_run(
    small: Archive,
) -> None:
    for _ in range(small.settings.run.max_attempts + 1):
        full = scan(small, unread(Reason.SPOOL_FULL))
        assert (full.unscannable, full.exit_code) == ({"spool-full": 7}, 10)
        assert full.alarms == (
            "the disk of run.state is full: 7 clips were not looked at; free some space",
        )
    assert scan(small).outcomes[Outcome.CLEAN] == 7


# Metrics


def night(archive: Archive, engine: type[Scanning], selection: Selection) -> RunSummary:
    report = archive.settings.report.model_copy(update={"metrics": "metrics/hashmatch.prom"})
    set_to(archive, report=report)
    with mock.patch.object(running, "Engine", engine), Stop() as stop:
        return nightly(
            archive.settings,
            archive.db,
            archive.names,
            selection,
            stop=stop,
            watch=lambda progress: None,
        )


def metrics_of(archive: Archive) -> dict[str, str]:
    lines = (archive.home / "metrics" / "hashmatch.prom").read_text().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_promise_8_a_rescan_does_not_turn_the_metrics_of_a_failed_night_green(
    small: Archive,
) -> None:
    class Blind(Scanning):
        def canary(self) -> list[str]:
            return ["dark"]

    code, success = "hashmatch_last_exit_code", "hashmatch_last_success_timestamp_seconds"
    night(small, Scanning, Selection())
    good = metrics_of(small)[success]
    with pytest.raises(CanaryFailed):
        night(small, Blind, Selection())
    rescan = Selection(force=True, prefix="3")
    assert night(small, Scanning, rescan).listed == 1
    with pytest.raises(NothingFits) as refused:
        night(small, Scanning, Selection(force=True, prefix="zzz"))
    assert refused.value.exit_code == 2
    night(small, Scanning, Selection(force=True, stored=True))
    shown = metrics_of(small)
    assert {
        kind: float(shown[f'{code}{{kind="{kind}"}}']) for kind in ("scan", "rescan", "stored")
    } == {"scan": 11, "rescan": 2, "stored": 0}
    assert shown[success] == good
    for number in range(7):
        (small.home / "clips" / f"{number}.mp4").unlink()
    assert night(small, Scanning, Selection()).missing == 7
    shown = metrics_of(small)
    assert shown[success] == good
    assert float(shown['hashmatch_missing{kind="scan"}']) == 7


def test_metrics_that_cannot_be_written_are_an_alarm(small: Archive) -> None:
    night(small, Scanning, Selection())
    (small.home / "metrics" / "hashmatch.prom").unlink()
    (small.home / "metrics").rmdir()
    (small.home / "metrics").write_text("a file where the folder was")
    summary = night(small, Scanning, Selection())
    assert summary.exit_code == 15
    (alarm,) = summary.alarms
    assert "report.metrics" in alarm
    with small.db.read() as session:
        row = session.scalars(select(RunRow).order_by(RunRow.started_at.desc())).first()
    assert row is not None
    assert (row.exit_code, row.summary["alarms"]) == (15, [alarm])


def test_a_platform_that_is_to_be_told_and_is_not_is_an_alarm_every_night(small: Archive) -> None:
    set_to(small, withdraw=Withdraw(command=("true",)))
    for _ in range(2):
        summary = scan(small)
        assert [alarm for alarm in summary.alarms if "withdraw.command is given" in alarm]
        assert summary.exit_code == 0
    set_to(small, withdraw=Withdraw(how="command", command=("true",)))
    assert scan(small).alarms == ()
