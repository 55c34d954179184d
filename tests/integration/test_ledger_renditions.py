"""The ledger of renditions: those of one clip are planned, leased and doubted together."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select

from hashmatch.db import fingerprints, ledger, renditions
from hashmatch.db.renditions import MOST_RENDITIONS, Gathered
from hashmatch.db.schema import ClipRow, RunRow, WorkRow
from hashmatch.db.session import Database
from hashmatch.model import (
    Algorithm,
    Clip,
    Digests,
    Fingerprint,
    FrameHashes,
    Metadata,
    Outcome,
    Reason,
    Variant,
    Verdict,
)
from hashmatch.renditions import Pattern
from hashmatch.runs.plan import Plan, Selection, plan_listing
from hashmatch.work import Retry, Task, Turn

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
RETRY = Retry(attempts=3, wait=timedelta(minutes=30))
CLEAN = Verdict(Outcome.CLEAN, None, 1.0)
PATTERN = Pattern("{id}/{height}.mp4")
A = ["a/360.mp4", "a/720.mp4", "a/1080.mp4"]
B = ["b/360.mp4", "b/1080.mp4"]


def clip(key: str, etag: str = "v1", created: datetime = NOW) -> Clip:
    return Clip(key, etag, 100, NOW, Metadata(created=created), PATTERN.of(key))


def clips(*keys: str) -> list[Clip]:
    return [clip(key) for key in keys]


def plan(
    db: Database, run: str, listing: list[Clip], shard_size: int = 4, **selection: object
) -> Plan:
    with db.write() as session:
        session.add(
            RunRow(
                id=run, kind="scan", selection={}, status="running", started_at=NOW,
                software="test", recipes={}, lists={},
            )
        )  # fmt: skip
    chosen = Selection(**selection)  # type: ignore[arg-type]
    return plan_listing(db, run, listing, chosen, shard_size=shard_size, clock=lambda: NOW)


def shards(db: Database, run: str) -> list[list[Turn]]:
    found = []
    while True:
        with db.write() as session:
            tasks = ledger.lease_shard(session, run, "w", NOW)
        if not tasks:
            return found
        found.append(renditions.turns_of(tasks, alone=2))


def turns(db: Database, run: str) -> list[list[str]]:
    """The keys of each turn."""
    every = [turn for shard in shards(db, run) for turn in shard]
    return sorted(sorted(clip.key for clip in turn.clips) for turn in every)


def finish(db: Database, run: str, verdict: Verdict = CLEAN) -> None:
    with db.write() as session:
        while tasks := ledger.lease_shard(session, run, "w", NOW):
            for task in tasks:
                ledger.finish(
                    session, task, run_id=run, verdict=verdict, etag=task.clip.etag, size=100,
                    list_set="lists", seconds=1.0, now=NOW, retry=RETRY,
                )  # fmt: skip


def test_renditions_of_one_clip_take_one_turn_and_others_their_own(db: Database):
    found = plan(db, "r1", clips(*A, "alone.mp4", *B, "a/cover.mp4"))
    assert found == Plan(listed=7, unchanged=0, siblings=3)
    assert found.turns == 4
    assert turns(db, "r1") == [sorted(A), ["a/cover.mp4"], ["alone.mp4"], sorted(B)]


@pytest.mark.parametrize("change", ["new", "changed", "due again"])
def test_one_rendition_that_is_due_takes_the_others_with_it(db: Database, change: str):
    plan(db, "r1", clips(*A, *B))
    finish(db, "r1")
    listing = clips(*B, *A)
    if change == "new":
        listing.append(clip("a/480.mp4"))
    elif change == "changed":
        listing[-1] = clip(A[-1], "v2")
    else:
        with db.write() as session:
            row = session.scalars(select(ClipRow).where(ClipRow.key == A[1])).one()
            row.retry_at, row.reason = NOW, Reason.STORAGE_ERROR
    found = plan(db, "r2", listing)
    keys = sorted({clip.key for clip in listing} - set(B))
    assert turns(db, "r2") == [keys]
    assert found == Plan(listed=len(listing), unchanged=2, siblings=len(keys) - 1)


def test_nothing_due_plans_nothing(db: Database):
    plan(db, "r1", clips(*A, *B))
    finish(db, "r1")
    assert plan(db, "r2", clips(*A, *B)) == Plan(listed=5, unchanged=5)
    assert turns(db, "r2") == []


def test_a_rendition_that_storage_has_no_longer_is_not_planned(db: Database):
    plan(db, "r1", clips(*A))
    finish(db, "r1")
    plan(db, "r2", [clip(A[0], "v2"), clip(A[2])])
    assert turns(db, "r2") == [sorted([A[0], A[2]])]


@pytest.mark.parametrize("seed", range(4))
def test_in_whatever_order_they_are_listed_no_renditions_are_parted(db: Database, seed: int):
    """Over several pages, with shards that would end within a clip's renditions."""
    rng = random.Random(seed)
    heights = (144, 240, 360, 480, 720, 1080)
    groups = {f"{n}": rng.sample(heights, rng.randrange(1, 6)) for n in range(250)}
    listing = clips(*(f"{name}/{h}.mp4" for name, of in groups.items() for h in of))
    listing += clips(*(f"single-{n}.mp4" for n in range(100)))
    rng.shuffle(listing)
    found = plan(db, "r1", listing, shard_size=7)
    assert found.planned == len(listing)
    assert found.turns == 350
    leased = shards(db, "r1")
    assert all(sum(len(turn.tasks) for turn in shard) < 7 + len(heights) for shard in leased)
    keys = [tuple(clip.key for clip in turn.clips) for shard in leased for turn in shard]
    expected = [{f"{name}/{h}.mp4" for h in of} for name, of in groups.items()]
    expected += [{f"single-{n}.mp4"} for n in range(100)]
    assert sorted(map(sorted, keys)) == sorted(map(sorted, expected))


def test_a_rescan_of_one_rendition_takes_all_that_storage_lists(db: Database):
    plan(db, "r1", clips(*A, *B))
    finish(db, "r1")
    found = plan(db, "r2", clips(*A, *B), force=True, clip=A[1])
    assert turns(db, "r2") == [sorted(A)]
    assert found == Plan(listed=3, unchanged=0, siblings=2)


def test_a_rescan_since_a_time_takes_older_renditions_with_newer_ones(db: Database):
    earlier = NOW - timedelta(days=9)
    listing = [clip(A[0], created=earlier), clip(A[1]), clip(B[0], created=earlier)]
    plan(db, "r1", listing)
    finish(db, "r1")
    found = plan(db, "r2", listing, force=True, since=NOW)
    assert turns(db, "r2") == [sorted(A[:2])]
    assert found == Plan(listed=2, unchanged=0, siblings=1)


def test_a_new_clip_beside_a_rescan_is_left_to_the_next_scan(db: Database):
    plan(db, "r1", clips(*A, *B), force=True, clip=A[0])
    assert turns(db, "r1") == [sorted(A)]
    finish(db, "r1")
    plan(db, "r2", clips(*A, *B))
    assert sorted(B) in turns(db, "r2")


def test_too_many_for_one_clip_are_no_renditions_and_said_so(db: Database):
    """A pattern that fits numbered clips must not make one clip of them, nor one turn."""
    numbered = [f"show/{number}.mp4" for number in range(100, 101 + MOST_RENDITIONS)]
    found = plan(db, "r1", clips(*numbered, *A))
    assert (found.oversized, found.siblings) == (len(numbered), 2)
    assert turns(db, "r1") == sorted([sorted(A), *([key] for key in numbered)])


def test_a_pattern_that_is_taken_away_makes_clips_of_renditions(db: Database):
    plan(db, "r1", clips(*A))
    finish(db, "r1")
    plan(db, "r2", [Clip(key, "v2", 100, NOW) for key in A])
    assert turns(db, "r2") == [[key] for key in sorted(A)]


def test_renditions_that_cost_two_workers_are_looked_at_one_by_one(db: Database):
    plan(db, "r1", clips(*A))
    for expected in ([sorted(A)], [sorted(A)], [[key] for key in sorted(A)]):
        leased = [turn for shard in shards(db, "r1") for turn in shard]
        assert sorted(sorted(clip.key for clip in turn.clips) for turn in leased) == expected
        with db.write() as session:
            for turn in leased:
                for task in turn.tasks:
                    ledger.give_back(session, task)


def test_work_on_renditions_that_a_killed_run_left_is_found_again(db: Database):
    plan(db, "r1", clips(*A, *B))
    with db.write() as session:
        ledger.lease_shard(session, "r1", "w", NOW)
        assert ledger.drop_unfinished(session, "r1") == 5
    plan(db, "r2", clips(*A, *B))
    assert turns(db, "r2") == [sorted(A), sorted(B)]


def remember(
    db: Database, key: str, digit: str, seen_by: str | None = None, frames: int = 0
) -> int:
    hashes = FrameHashes(
        "pdq/1", Algorithm.PDQ, np.arange(frames, dtype=np.float64),
        np.full(frames, 100, np.uint8), np.zeros((frames, 2, 32), np.uint8),
        (Variant.ORIGINAL, Variant.MIRROR),
    )  # fmt: skip
    seen = Fingerprint(
        Digests(digit * 32, digit * 40, digit * 64), 100, 2.0 if frames else None, float(frames),
        frames=(hashes,) if frames else (),
    )  # fmt: skip
    with db.write() as session:
        number = session.scalars(select(ClipRow.id).where(ClipRow.key == key)).one()
        fingerprints.save(session, number, "v1", seen, NOW, seen_by)
    return number


def test_a_rendition_that_was_not_decoded_has_its_own_digests_and_the_frames_that_were(
    db: Database,
):
    plan(db, "r1", clips(*A))
    decoded, other = remember(db, A[0], "1", frames=2), remember(db, A[1], "2", seen_by=A[0])
    with db.read() as session:
        one = fingerprints.load(session, decoded, {"pdq/1"})
        two = fingerprints.load(session, other, {"pdq/1"})
    assert one is not None
    assert two is not None
    assert (two.digests.md5, len(two.frames[0]), two.coverage) == ("2" * 32, 2, one.coverage)
    assert one.digests.md5 == "1" * 32


def test_frames_that_were_decoded_of_the_same_version_before_are_kept(db: Database):
    """When a pattern is set for clips that were looked at one by one."""
    plan(db, "r1", clips(*A))
    remember(db, A[0], "1", frames=1)
    remember(db, A[1], "2", frames=3)
    other = remember(db, A[1], "2", seen_by=A[0])
    with db.read() as session:
        kept = fingerprints.load(session, other, {"pdq/1"})
    assert kept is not None
    assert len(kept.frames[0]) == 3


def test_what_is_remembered_of_renditions_that_are_gone_goes_into_the_turn(db: Database):
    plan(db, "r1", clips(*A, *B))
    finish(db, "r1")
    remember(db, A[0], "1")
    remember(db, A[1], "2")
    remember(db, B[0], "3")
    plan(db, "r2", [clip(A[0], "v2"), clip("a/480.mp4")])
    ((turn,),) = shards(db, "r2")
    with db.read() as session:
        assert renditions.remembered(session, turn) == (Digests("2" * 32, "2" * 40, "2" * 64),)


def test_siblings_are_the_other_renditions_that_are_known(db: Database):
    plan(db, "r1", clips(*A, *B, "alone.mp4"))
    with db.read() as session:
        ids = {row.key: row.id for row in session.scalars(select(ClipRow))}
        assert renditions.siblings(session, ids[A[1]]) == sorted([ids[A[0]], ids[A[2]]])
        assert renditions.siblings(session, ids["alone.mp4"]) == []


def test_renditions_that_a_match_did_not_reach_are_due(db: Database):
    plan(db, "r1", clips(*A, *B))
    finish(db, "r1")
    with db.write() as session:
        tasks = ledger.lease_shard(session, "r1", "w", NOW)
        assert tasks == []
        rows = session.scalars(select(ClipRow).where(ClipRow.key == A[0])).all()
        task = Task(0, rows[0].id, ledger.as_clip(rows[0]))
        renditions.doubt_siblings(session, (task,), NOW)
    plan(db, "r2", clips(*A[1:], *B))
    assert turns(db, "r2") == [sorted(A[1:])]


def test_what_was_seen_by_another_rendition_is_counted(db: Database):
    plan(db, "r1", clips(*A))
    ((turn,),) = shards(db, "r1")
    with db.write() as session:
        for task in turn.tasks:
            ledger.finish(
                session, task, run_id="r1", verdict=CLEAN, etag="v1", size=100, list_set="lists",
                seconds=1.0, now=NOW, retry=RETRY, seen_by=None if task.clip.key == A[0] else A[0],
            )  # fmt: skip
    with db.read() as session:
        assert ledger.seen_by_rendition(session, "r1") == 2
        assert session.scalars(select(WorkRow.seen_by).where(WorkRow.seen_by == A[0])).all()


def test_gathering_nothing_finds_nothing(db: Database):
    plan(db, "r1", clips("x.mp4"))
    with db.write() as session:
        assert renditions.gather_renditions(session, "r1", shard_size=2, planned=1) == Gathered()
