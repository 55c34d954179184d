"""The ledger: what is due, what a run takes, and that a clip's turn ends once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.db import ledger
from hashmatch.db.schema import ClipRow, RunRow, ShardRow
from hashmatch.db.session import Database
from hashmatch.model import Clip, Metadata, Outcome, Reason, Verdict
from hashmatch.work import LONGEST_WAIT, Retry, Task

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
RETRY = Retry(attempts=3, wait=timedelta(minutes=30))
CLEAN = Verdict(Outcome.CLEAN, None, 1.0)


def clip(key: str, etag: str = "v1", **about: object) -> Clip:
    return Clip(key, etag, 100, NOW, Metadata(**about))  # type: ignore[arg-type]


def start(db: Database, run: str) -> None:
    with db.write() as session:
        session.add(
            RunRow(
                id=run, kind="scan", selection={}, status="running", started_at=NOW,
                software="test", recipes={}, lists={},
            )
        )  # fmt: skip


def take(db: Database, run: str, clips: list[Clip], now: datetime = NOW, **more: object) -> int:
    with db.write() as session:
        return ledger.take_listing(session, run, clips, now=now, shard_size=2, planned=0, **more)  # type: ignore[arg-type]


def end(db: Database, run: str, task: Task, verdict: Verdict, now: datetime = NOW) -> None:
    with db.write() as session:
        ledger.finish(
            session, task, run_id=run, verdict=verdict, etag=task.clip.etag, size=task.clip.size,
            list_set="lists", seconds=1.0, now=now, retry=RETRY,
        )  # fmt: skip


def all_tasks(db: Database, run: str) -> list[Task]:
    tasks: list[Task] = []
    while True:
        with db.write() as session:
            shard = ledger.lease_shard(session, run, "w", NOW)
        if not shard:
            return tasks
        assert len(shard) <= 2
        tasks += shard


def scan(db: Database, run: str, clips: list[Clip], verdict: Verdict, now: datetime = NOW) -> int:
    start(db, run)
    planned = take(db, run, clips, now)
    for task in all_tasks(db, run):
        end(db, run, task, verdict, now)
    return planned


def test_a_clip_is_taken_once_until_it_changes(db: Database):
    clips = [clip("a"), clip("b"), clip("c")]
    assert scan(db, "r1", clips, CLEAN) == 3
    assert scan(db, "r2", clips, CLEAN) == 0
    assert scan(db, "r3", [clip("a"), clip("b", "v2"), clip("c")], CLEAN) == 1


def test_a_rescan_takes_it_all_the_same(db: Database):
    scan(db, "r1", [clip("a")], CLEAN)
    start(db, "r2")
    assert take(db, "r2", [clip("a")], force=True) == 1


def test_work_that_a_killed_run_left_is_found_again(db: Database):
    start(db, "r1")
    take(db, "r1", [clip("a"), clip("b"), clip("c")])
    first, *_ = all_tasks(db, "r1")
    end(db, "r1", first, CLEAN)
    with db.write() as session:
        assert ledger.drop_unfinished(session, "r1") == 2
    assert scan(db, "r2", [clip("a"), clip("b"), clip("c")], CLEAN) == 2


def test_a_turn_ends_once(db: Database):
    start(db, "r1")
    take(db, "r1", [clip("a")])
    (task,) = all_tasks(db, "r1")
    end(db, "r1", task, CLEAN)
    with pytest.raises(ValueError, match="already has an outcome"):
        end(db, "r1", task, CLEAN)


def test_trouble_that_may_pass_is_tried_again_with_growing_waits(db: Database):
    trouble = Verdict(Outcome.UNSCANNABLE, Reason.STORAGE_ERROR, 0.0)
    clips, now = [clip("a")], NOW
    looks = []
    for n in range(12):
        if scan(db, f"r{n}", clips, trouble, now):
            looks.append((now - NOW) / timedelta(minutes=30))
        now += timedelta(minutes=30)
    assert looks == [0, 1, 3]  # waits of one and two half-hours, then three looks are enough


def test_trouble_that_will_not_pass_is_not_tried_again(db: Database):
    trouble = Verdict(Outcome.UNSCANNABLE, Reason.NOT_MEDIA, 0.0)
    assert scan(db, "r1", [clip("a")], trouble) == 1
    assert scan(db, "r2", [clip("a")], trouble, NOW + timedelta(days=30)) == 0


def test_a_changed_clip_starts_its_tries_anew(db: Database):
    trouble = Verdict(Outcome.UNSCANNABLE, Reason.DECODER_CRASHED, 0.0)
    for n in range(3):
        scan(db, f"r{n}", [clip("a")], trouble, NOW + timedelta(days=n))
    assert scan(db, "r4", [clip("a")], trouble, NOW + timedelta(days=9)) == 0
    assert scan(db, "r5", [clip("a", "v2")], trouble, NOW + timedelta(days=9)) == 1
    with db.read() as session:
        assert session.query(ClipRow).one().attempts == 1


def test_a_clock_that_goes_back_does_not_hide_a_clip(db: Database):
    """A retry that was set by a clock far ahead would otherwise wait for years."""
    trouble = Verdict(Outcome.UNSCANNABLE, Reason.STORAGE_ERROR, 0.0)
    scan(db, "r1", [clip("a")], trouble, NOW + timedelta(days=3650))
    assert scan(db, "r2", [clip("a")], trouble, NOW) == 1


def test_outcomes_are_counted_from_the_ledger(db: Database):
    start(db, "r1")
    take(db, "r1", [clip("a"), clip("b"), clip("c")])
    verdicts = [CLEAN, CLEAN, Verdict(Outcome.UNSCANNABLE, Reason.DAMAGED, 0.0)]
    for task, verdict in zip(all_tasks(db, "r1"), verdicts, strict=True):
        end(db, "r1", task, verdict)
    with db.read() as session:
        counted = ledger.outcomes(session, "r1")
        assert ledger.unscannable_by_reason(session, "r1") == {"damaged": 1}
    assert counted[Outcome.CLEAN] == 2
    assert counted[Outcome.UNSCANNABLE] == 1
    assert sum(counted.values()) == 3


def test_what_a_blind_run_said_is_due_again_but_not_what_it_matched(db: Database):
    start(db, "r1")
    take(db, "r1", [clip("a"), clip("b")])
    for task in all_tasks(db, "r1"):
        matched = task.clip.key == "a"
        end(db, "r1", task, Verdict(Outcome.MATCHED, None, 1.0) if matched else CLEAN)
    with db.write() as session:
        assert ledger.distrust(session, "r1") == 1
    start(db, "r2")
    take(db, "r2", [clip("a"), clip("b")])
    assert [task.clip.key for task in all_tasks(db, "r2")] == ["b"]


def compare(db: Database, run: str, clips: list[int], verdict: Verdict, **more: bool) -> None:
    """End the turns of clips that were compared from what is stored."""
    with db.write() as session:
        for task in ledger.take_found(session, run, clips, 0):
            ledger.finish(
                session, task, run_id=run, verdict=verdict, etag="v1", size=100,
                list_set="newer", seconds=0.0, now=NOW, retry=None, **more,
            )  # fmt: skip


def ids(db: Database) -> dict[str, int]:
    with db.read() as session:
        return {row.key: row.id for row in session.query(ClipRow)}


def test_clips_are_behind_until_they_know_the_lists(db: Database):
    scan(db, "r1", [clip("a"), clip("b"), clip("c")], CLEAN)
    start(db, "r2")
    take(db, "r2", [clip("new")])  # listed, never scanned
    known = ids(db)
    with db.write() as session:
        assert (ledger.scanned_clips(session), ledger.behind(session, "newer")) == (3, 3)
        assert ledger.states_behind(session, "newer") == ["lists"]
        assert ledger.keep(session, known["a"], known["b"], "newer") == 2
        assert ledger.behind(session, "newer") == 1
        assert ledger.keep(session, None, None, "newer") == 1
        assert ledger.states_behind(session, "newer") == []
        assert ledger.distrust_lists(session, "newer") == 3
        assert ledger.states_behind(session, "newer") == [None]
        assert ledger.behind(session, "newer") == 3


def test_a_shard_counts_the_clips_that_kept_their_outcome(db: Database):
    scan(db, "r1", [clip("a"), clip("b"), clip("c"), clip("d")], CLEAN)
    start(db, "r2")
    compare(db, "r2", [ids(db)["b"]], Verdict(Outcome.UNSCANNABLE, Reason.OTHER_RECIPE, 0.0))
    with db.write() as session:
        session.add(
            ShardRow(
                run_id="r2", number=0, first_clip=1, last_clip=4, clips=4, digest="",
                kept={"clean": 2, "unscannable": 1}, reasons={"damaged": 1}, done_at=NOW,
            )
        )  # fmt: skip
    with db.read() as session:
        counted = ledger.outcomes(session, "r2")
        reasons = ledger.unscannable_by_reason(session, "r2")
    assert (counted[Outcome.CLEAN], counted[Outcome.UNSCANNABLE]) == (2, 2)
    assert reasons == {"damaged": 1, "other-recipe": 1}


def test_a_comparison_of_what_is_stored_leaves_a_newer_version_due(db: Database):
    scan(db, "r1", [clip("a")], CLEAN)
    start(db, "r2")
    take(db, "r2", [clip("a", "v2")])  # listed, not yet scanned
    start(db, "r3")
    compare(db, "r3", [ids(db)["a"]], CLEAN)
    assert scan(db, "r4", [clip("a", "v2")], CLEAN) == 1


def test_a_comparison_that_lacked_hashes_makes_the_clip_due_whatever_it_said(db: Database):
    scan(db, "r1", [clip("a"), clip("b")], CLEAN)
    start(db, "r2")
    known = ids(db)
    compare(db, "r2", [known["a"]], Verdict(Outcome.REVIEW, None, 1.0), due=True)
    compare(db, "r2", [known["b"]], Verdict(Outcome.REVIEW, None, 1.0))
    start(db, "r3")
    take(db, "r3", [clip("a"), clip("b")])
    assert [task.clip.key for task in all_tasks(db, "r3")] == ["a"]


def test_what_the_feed_says_is_kept(db: Database):
    scan(db, "r1", [clip("a", channel="news", views=7, created=NOW)], CLEAN)
    with db.read() as session:
        row = session.query(ClipRow).one()
    assert (row.channel, row.views, row.created) == ("news", 7, NOW)


@given(
    looks=st.integers(1, 60),
    attempts=st.integers(1, 60),
    minutes=st.integers(0, 10_000),
    reason=st.sampled_from(Reason),
)
def test_retries_end_and_never_wait_longer_than_a_day(
    looks: int, attempts: int, minutes: int, reason: Reason
):
    again = Retry(attempts, timedelta(minutes=minutes)).next(looks, reason, NOW)
    if again is None:
        assert looks >= attempts or not reason.retryable
    else:
        assert NOW <= again <= NOW + LONGEST_WAIT
