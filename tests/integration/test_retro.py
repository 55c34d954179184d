"""Retro-matching: what is new in the lists finds what is remembered, and nothing else is touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import rfc8785
from archive_parts import AT, Archive, drawn, near
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lists_parts import NO_TRIAL
from pymerkle import InmemoryTree
from sqlalchemy import func, select, text, update

from hashmatch.audit.commitments import commitment
from hashmatch.db import archive as pages
from hashmatch.db import fingerprints
from hashmatch.db.schema import CaseRow, ClipRow, FingerprintRow, LeafRow, ShardRow, WorkRow
from hashmatch.db.session import Database
from hashmatch.errors import CanaryFailed
from hashmatch.hashing.recipes import recipe
from hashmatch.lists.activation import deactivate, rollback, set_policy
from hashmatch.lists.disabled import disable, enable
from hashmatch.lists.trust import TrialResult, TrialTooWide
from hashmatch.matching.sieve import Sieve
from hashmatch.model import Action, Algorithm, Orientations, Outcome, Reason
from hashmatch.runs import rematch
from hashmatch.runs.trial import trial
from hashmatch.scanning.decision import judge

OLD, NEW, OTHER = drawn(1), drawn(2), drawn(3)


@pytest.fixture
def archive(tmp_path: Path, db: Database) -> Archive:
    """Both databases. One list, one entry that no clip has."""
    return started(tmp_path, db)


@pytest.fixture
def small(tmp_path: Path, sqlite_db: Database) -> Archive:
    """As `archive`, on SQLite, for what is not about databases."""
    return started(tmp_path, sqlite_db)


def started(home: Path, db: Database) -> Archive:
    made = Archive(home / "home", db)
    made.activate("partner", {"e-old": [OLD]})
    return made


def clips(archive: Archive, count: int = 10) -> None:
    """clip 3 has what NEW is, in two frames; the others have nothing."""
    for number in range(count):
        frames = [drawn(100 + 10 * number + n) for n in range(4)]
        if number == 3:
            frames[1:3] = [near(NEW, 31, seed=1), near(NEW, 20, seed=2)]
        archive.remember(f"{number}.mp4", frames)


def leaves(archive: Archive, kind: str) -> list[dict]:
    query = select(LeafRow.body).where(LeafRow.kind == kind).order_by(LeafRow.seq)
    with archive.db.read() as session:
        return [json.loads(body)["body"] for body in session.scalars(query)]


def test_a_new_version_finds_an_old_clip_and_takes_it_into_custody(archive):
    clips(archive)
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    summary = archive.compare()
    assert (summary.listed, summary.skipped_unchanged, summary.left) == (10, 0, 0)
    assert (summary.outcomes[Outcome.CLEAN], summary.outcomes[Outcome.MATCHED]) == (9, 1)
    assert (summary.quarantined, summary.behind, summary.exit_code) == (1, 0, 0)
    assert archive.matches() == [("3.mp4", "e-new")]
    assert archive.outcomes()["3.mp4"] == "matched"
    assert not (archive.home / "clips" / "3.mp4").exists()
    with archive.db.read() as session:
        assert session.scalars(select(CaseRow.state)).all() == ["removed"]


def commitments(archive: Archive, key: str) -> tuple[str, str]:
    """By which leaves name a clip and the version of it that was seen."""
    query = select(ClipRow.salt, ClipRow.scanned_etag, ClipRow.etag).where(ClipRow.key == key)
    with archive.db.read() as session:
        salt, seen, etag = session.execute(query).one()
    # What has left storage is no longer known as seen.
    return commitment("clip", salt, key), commitment("version", salt, seen or etag)


def root_by_hand(archive: Archive, clips: dict[str, str]) -> str:
    """Of clips and their outcomes, in RFC 6962's tree as others build it."""
    tree = InmemoryTree(algorithm="sha256")
    lines = []
    for key, outcome in clips.items():
        clip, version = commitments(archive, key)
        said = {"clip": clip, "version": version, "outcome": outcome, "reason": None}
        lines.append(rfc8785.dumps({**said, "recipes": [recipe(Algorithm.PDQ)]}))
    for line in sorted(lines):
        tree.append_entry(line)
    return tree.get_root().hex()


def test_only_what_changed_has_a_leaf_of_its_own_and_a_shard_accounts_for_the_rest(archive):
    clips(archive)
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    archive.compare()
    (own,) = leaves(archive, "clip-scanned")
    assert (own["clip"], own["version"]) == commitments(archive, "3.mp4")
    assert own["how"] == "stored"
    (shard,) = leaves(archive, "clips-compared")
    assert (shard["clips"], shard["recorded"]) == (10, 1)
    assert shard["outcomes"] == {"clean": 9, "matched": 1}
    assert shard["lists"]["partner"] == 2
    with archive.db.read() as session:
        row = session.scalars(select(ShardRow)).one()
        work = session.scalars(select(WorkRow)).one()
        leaf = session.get_one(LeafRow, work.leaf)
    assert (row.kept, row.digest) == ({"clean": 9}, shard["root"])
    assert json.loads(leaf.body)["body"] == own
    assert shard["root"] == root_by_hand(archive, archive.outcomes())
    assert {one["list_set"] for one in (own, shard)} == {archive.comparison().id}
    assert leaves(archive, "shard-scanned") == []


def test_clips_keep_their_salts_from_one_comparison_to_the_next(archive):
    clips(archive, 4)
    archive.activate("partner", {"e-old": [OLD], "e-other": [OTHER]})
    archive.compare()
    before = [commitments(archive, f"{n}.mp4") for n in range(4)]
    assert len({name for names in before for name in names}) == 8
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    archive.compare()
    assert [commitments(archive, f"{n}.mp4") for n in range(4)] == before
    first, second = leaves(archive, "clips-compared")
    assert first["outcomes"] == {"clean": 4}
    assert second["root"] == root_by_hand(archive, archive.outcomes())


def test_nothing_new_is_said_at_once(archive, caplog):
    clips(archive, 2)
    with caplog.at_level("INFO"):
        summary = archive.compare()
    assert (summary.listed, summary.skipped_unchanged) == (2, 2)
    assert "nothing in the lists is new" in caplog.text
    assert leaves(archive, "clips-compared") == leaves(archive, "nothing-new") == []


def test_entries_that_go_are_nothing_new_and_take_nothing_back(archive):
    clips(archive)
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    archive.compare()
    archive.remember("review.mp4", [OLD], outcome=Outcome.REVIEW)
    rollback(archive.db, "partner", trial=NO_TRIAL, by="test", at=AT)
    disable(archive.db, archive.names, "partner", "e-old", reason="ours", by="test", at=AT)
    archive.activate("second", {"e-second": [OTHER]})
    deactivate(archive.db, "second", by="test", at=AT)
    summary = archive.compare()
    assert (summary.skipped_unchanged, summary.behind) == (10, 0)
    assert leaves(archive, "nothing-new")[0]["clips"] == 10
    assert archive.outcomes()["review.mp4"] == "review"


def test_a_hit_on_a_new_entry_does_not_take_back_what_an_old_one_said(archive):
    """The entry that a clip was sent to review for is gone; the new one only logs."""
    archive.remember("a.mp4", [OLD, NEW], outcome=Outcome.REVIEW)
    archive.activate("partner", {"e-other": [OTHER]})
    archive.activate("logged", {"e-new": [NEW]})
    set_policy(archive.db, "logged", trial=NO_TRIAL, near=31, by="test", at=AT, action=Action.LOG)
    assert archive.compare().outcomes[Outcome.REVIEW] == 1
    assert archive.matches() == [("a.mp4", "e-new")]


def test_an_entry_that_is_enabled_again_finds_what_it_would_have_found(archive):
    disable(archive.db, archive.names, "partner", "e-old", reason="ours", by="test", at=AT)
    archive.activate("second", {f"other-{n}": [drawn(50 + n)] for n in range(5)})
    archive.remember("a.mp4", [OLD, near(OLD, 9)])
    assert archive.compare().skipped_unchanged == 1
    enable(archive.db, archive.names, "partner", "e-old", trial=NO_TRIAL, by="test", at=AT)
    assert archive.compare().outcomes[Outcome.MATCHED] == 1


def test_a_raised_distance_finds_what_was_too_far(archive):
    set_policy(archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, distance=10)
    archive.remember("a.mp4", [near(OLD, 12, seed=n) for n in range(3)])
    set_policy(archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, distance=11)
    assert archive.compare().outcomes[Outcome.CLEAN] == 1
    set_policy(archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, distance=12)
    assert archive.compare().outcomes[Outcome.MATCHED] == 1
    set_policy(archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, distance=3)
    assert archive.compare().skipped_unchanged == 0  # it has left storage, and the ledger's view


def test_a_stricter_action_judges_the_clips_it_concerns_again(archive):
    set_policy(archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, action=Action.LOG)
    archive.remember("a.mp4", [OLD, near(OLD, 1)])
    archive.remember("b.mp4", [OTHER])
    set_policy(
        archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, action=Action.REVIEW
    )
    archive.compare()
    assert archive.outcomes() == {"a.mp4": "review", "b.mp4": "clean"}
    set_policy(
        archive.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, action=Action.QUARANTINE
    )
    archive.compare()
    assert archive.outcomes() == {"a.mp4": "matched", "b.mp4": "clean"}


@pytest.mark.parametrize(
    ("before", "after"),
    [({"distance": 10}, {"distance": 20}), ({"quality": 90}, {"quality": 50}),
     ({"min_frames": 3}, {"min_frames": 2})],
    ids=["distance", "quality", "min_frames"],
)  # fmt: skip
def test_looser_settings_are_compared_with_all_entries(small, before, after):
    small.compare(**before)
    small.remember("a.mp4", [near(OLD, 15), near(OLD, 14)], quality=80, outcome=Outcome.CLEAN)
    assert small.compare(**after).outcomes[Outcome.MATCHED] == 1


def test_a_clip_whose_lists_nobody_remembers_is_compared_with_all_entries(archive):
    archive.remember("a.mp4", [OLD, near(OLD, 1)], known=False)
    assert archive.compare().outcomes[Outcome.MATCHED] == 1


def test_only_the_entry_that_has_other_hashes_is_new(archive):
    many = {f"e-{n}": [drawn(50 + n)] for n in range(6)}
    archive.activate("partner", many)
    archive.remember("a.mp4", [NEW, near(NEW, 1)])
    archive.activate("partner", {**many, "e-1": [NEW]})
    with mock.patch.object(Sieve, "__init__", autospec=True, side_effect=Sieve.__init__) as made:
        assert archive.compare().outcomes[Outcome.MATCHED] == 1
    (lists,) = [call.args[1] for call in made.call_args_list]
    assert lists.versions == {"partner": 3, "hashmatch-canary": 1}
    assert len(lists) == 1 + 2  # the entry, and the canary's two


def compared_with(archive: Archive) -> dict[str, int]:
    """Run, and say which lists the archive was streamed against."""
    with mock.patch.object(Sieve, "__init__", autospec=True, side_effect=Sieve.__init__) as made:
        archive.compare()
    return made.call_args.args[1].versions


def test_the_first_list_of_another_algorithm_is_all_that_is_new(small):
    small.activate("second", {f"e-{n}": [drawn(50 + n)] for n in range(5)})
    small.remember("a.mp4", [OTHER])
    small.activate("hashes", {"e-phash": [drawn(7, Algorithm.PHASH)]}, algorithm="phash")
    assert compared_with(small) == {"hashes": 1, "hashmatch-canary": 1}


def test_an_upgrade_that_changes_a_recipe_leaves_no_clip_clean(small, monkeypatch):
    small.remember("a.mp4", [OTHER])
    for module in ("lists.compiled.state", "runs.rematch", "runs.archive_filter"):
        monkeypatch.setattr(f"hashmatch.{module}.recipe", lambda name: f"{name}/new")
    assert small.compare().unscannable == {"other-recipe": 1}


def test_clips_that_know_different_states_are_compared_with_what_is_new_to_any(archive):
    base = {f"e-{n}": [drawn(50 + n)] for n in range(8)}
    archive.activate("partner", base)
    archive.remember("first.mp4", [OLD, near(OLD, 3)])
    archive.activate("partner", {**base, "e-old": [OLD]})
    archive.remember("second.mp4", [NEW, near(NEW, 3)])
    archive.activate("partner", {**base, "e-old": [OLD], "e-new": [NEW]})
    assert archive.compare().outcomes[Outcome.MATCHED] == 2
    assert archive.matches() == [("first.mp4", "e-old"), ("second.mp4", "e-new")]


def test_a_digest_that_is_new_finds_the_file(archive):
    archive.remember("a.mp4", [OTHER], quality=0)
    digest = hashlib.md5(b"a.mp4").digest()
    archive.activate("files", {"file": [digest], "none": [drawn(5)[:16]]}, algorithm="md5")
    assert archive.compare().outcomes[Outcome.MATCHED] == 1
    assert archive.matches() == [("a.mp4", "file")]


def test_hashes_of_64_bits_are_compared_too(archive):
    listed = drawn(7, Algorithm.PHASH)
    stored = [near(listed, 8), near(listed, 7)]
    archive.remember("a.mp4", [OTHER, drawn(8)], phash=stored)
    archive.remember("flat.mp4", [OTHER, drawn(9)], phash=stored, quality=10)
    archive.activate("hashes", {"e-phash": [listed]}, algorithm="phash")
    archive.compare()
    assert archive.matches() == [("a.mp4", "e-phash")]


def test_a_clip_without_hashes_that_a_list_needs_is_due_and_never_clean(archive):
    archive.remember("a.mp4", [OTHER])
    archive.remember("review.mp4", [OTHER], outcome=Outcome.REVIEW)
    trouble = Reason.NOT_MEDIA
    archive.remember("text.mp4", [OTHER], outcome=Outcome.UNSCANNABLE, reason=trouble)
    archive.activate("hashes", {"e-phash": [drawn(7, Algorithm.PHASH)]}, algorithm="phash")
    summary = archive.compare()
    assert summary.unscannable == {"other-recipe": 1, "not-media": 1}
    assert summary.outcomes[Outcome.REVIEW] == 1
    assert summary.exit_code == 10
    with archive.db.read() as session:
        due = session.scalars(select(ClipRow.key).where(ClipRow.retry_at.is_not(None)))
        assert sorted(due) == ["a.mp4", "review.mp4"]
    # Nothing is said of them a second time while they wait.
    archive.activate("second", {"e-second": [NEW]})
    assert archive.compare().unscannable == {"other-recipe": 1, "not-media": 1}
    assert len(leaves(archive, "clip-scanned")) == 2


def test_a_list_that_no_longer_needs_them_makes_the_clip_what_it_is(archive):
    archive.activate("hashes", {"e-phash": [drawn(7, Algorithm.PHASH)]}, algorithm="phash")
    archive.remember("a.mp4", [OTHER], outcome=Outcome.UNSCANNABLE, reason=Reason.OTHER_RECIPE)
    deactivate(archive.db, "hashes", by="test", at=AT)
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    assert archive.compare().outcomes[Outcome.CLEAN] == 1


def test_a_damaged_fingerprint_is_an_alarm_and_due_and_costs_no_other_clip(archive):
    clips(archive)
    broken = func.substr(FingerprintRow.frames, 1, 99)
    with archive.db.write() as session:
        id = session.scalar(select(ClipRow.id).where(ClipRow.key == "1.mp4"))
        session.execute(
            update(FingerprintRow).where(FingerprintRow.clip_id == id).values(frames=broken)
        )
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    summary = archive.compare()
    assert summary.unscannable == {"other-recipe": 1}
    assert (summary.outcomes[Outcome.CLEAN], summary.outcomes[Outcome.MATCHED]) == (8, 1)
    (alarm,) = summary.alarms
    assert archive.names.clip("1.mp4") in alarm
    assert archive.outcomes()["1.mp4"] == "unscannable"


class StopAfter:
    """Asked to stop after so many pages."""

    interrupted = False

    def __init__(self, pages: int) -> None:
        self._left = pages

    def __bool__(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_a_stopped_run_leaves_whole_pages_and_the_next_takes_the_rest(archive):
    clips(archive)
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    with mock.patch.object(pages, "PAGE_CLIPS", 3):
        first = archive.compare(StopAfter(2))
        assert (first.listed, first.left, first.behind) == (6, 4, 4)
        assert sum(first.outcomes.values()) == 6
        second = archive.compare()
    assert (second.listed, second.skipped_unchanged, second.left) == (9, 5, 0)  # one is removed
    assert sum(second.outcomes.values()) == 4
    assert archive.matches() == [("3.mp4", "e-new")]
    with archive.db.read() as session:
        assert session.scalars(select(ShardRow.clips).order_by(ShardRow.id)).all() == [3, 3, 3, 1]
        assert session.scalar(select(func.count()).select_from(WorkRow)) == 1


def test_lists_that_change_in_between_are_compared_with_all_that_do_not_know_them(archive):
    clips(archive)
    archive.remember("late.mp4", [OTHER, near(OTHER, 1)])
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    with mock.patch.object(pages, "PAGE_CLIPS", 3):
        archive.compare(StopAfter(1))
        archive.activate("partner", {"e-old": [OLD], "e-new": [NEW], "e-other": [OTHER]})
        assert archive.compare().outcomes[Outcome.MATCHED] == 2
    assert archive.matches() == [("3.mp4", "e-new"), ("late.mp4", "e-other")]


def test_pages_are_bounded_in_bytes_and_hold_every_clip_once(archive):
    clips(archive)
    size = 4 * (32 + 8 + 1)
    with mock.patch.object(pages, "PAGE_BYTES", 3 * size), archive.db.read() as session:
        seen, last = [], 0
        while page := pages.next_page(session, last, {recipe(Algorithm.PDQ)}, behind=None):
            seen.append([clip.key for clip in page])
            last = page[-1].id
    assert [key for page in seen for key in page] == [f"{n}.mp4" for n in range(10)]
    assert {len(page) for page in seen} == {2}
    with mock.patch.object(pages, "PAGE_BYTES", 1), archive.db.read() as session:
        assert len(pages.next_page(session, 0, {recipe(Algorithm.PDQ)}, behind=None)) == 1


def test_a_blind_search_ends_the_run_and_says_nothing_of_any_clip(small, monkeypatch):
    clips(small)
    small.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    monkeypatch.setattr(Sieve, "_hit", lambda *_: set())
    with pytest.raises(CanaryFailed):
        small.compare()
    assert leaves(small, "clips-compared") == []
    monkeypatch.undo()
    assert small.compare().outcomes[Outcome.MATCHED] == 1


def test_what_a_blind_run_compared_is_compared_again(small, monkeypatch):
    clips(small)
    small.activate("partner", {"e-old": [OLD], "e-new": [OTHER]})
    seen = iter([[], ["blind"]])
    with monkeypatch.context() as patched:
        patched.setattr("archive_parts.SeeingEngine.canary", lambda _self: next(seen))
        with pytest.raises(CanaryFailed):
            small.compare()
    small.activate("partner", {"e-old": [OLD], "e-new": [OTHER], "e-newer": [NEW]})
    assert small.compare().outcomes[Outcome.MATCHED] == 1


def test_promise_4_a_clip_between_the_distances_of_two_lists_leaves_no_trace(small):
    """Between the distances of two lists: the search meets it, no list does."""
    small.activate("wide", {"e-wide": [drawn(77)]})
    set_policy(small.db, "partner", trial=NO_TRIAL, near=31, by="test", at=AT, distance=5)
    small.remember("near.mp4", [near(NEW, 6)])
    small.remember("far.mp4", [OTHER])
    small.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    summary = small.compare()
    assert summary.outcomes[Outcome.CLEAN] == 2
    assert leaves(small, "clip-scanned") == small.matches() == []


def test_promise_4_a_near_clip_leaves_no_more_trace_than_any_other(small):
    """Near enough to a listed video for a full comparison, in which nothing is found."""
    video = [drawn(200 + n) for n in range(8)]
    small.remember("near.mp4", [near(video[n], 60, seed=n) for n in (6, 1)])
    small.remember("far.mp4", [OTHER])
    small.activate("partner", {"e-old": [OLD], "e-new": video})
    with mock.patch.object(rematch, "judge", wraps=judge) as judged:
        summary = small.compare()
    assert judged.call_count == 1
    assert summary.outcomes[Outcome.CLEAN] == 2
    assert leaves(small, "clip-scanned") == small.matches() == []


def test_a_trial_says_what_a_version_would_match(archive):
    clips(archive)
    archive.remember("once.mp4", [NEW])  # a single frame is not conclusive
    version = archive.activate("partner", {"e-old": [OLD], "e-new": [NEW]})
    result = trial(archive.db, archive.settings)("partner", version)
    assert (result.clips, result.matched, result.near) == (11, 1, 1)
    for action in (Action.REVIEW, Action.LOG):
        how = {"by": "test", "at": AT, "trial": NO_TRIAL, "near": 31}
        set_policy(archive.db, "partner", **how, action=action)
        assert trial(archive.db, archive.settings)("partner", version) == result


def looks_like_every_clip(archive: Archive) -> dict[str, Any]:
    """A version that acts on nothing as it is set up, and would match all of 25 clips."""
    for number in range(25):
        archive.remember(f"{number}.mp4", [near(NEW, 20, seed=number), near(OTHER, 20)])
    archive.activate("partner", {"e-old": [OLD], "e-new": [NEW, OTHER]})
    tried = trial(archive.db, archive.settings)
    return {"by": "test", "at": AT, "trial": tried, "max_trial": 0.2}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"action": Action.REVIEW}, {"action": Action.QUARANTINE}),
        ({"action": Action.LOG}, {"action": Action.REVIEW}),
        ({"distance": 3}, {"distance": 25}),
        ({"distance": 3}, {"default_distance": True}),
        ({}, {"orientations": Orientations.ALL}),
    ],
    ids=lambda changed: " ".join(map(str, changed.values())),
)
def test_promise_5_a_list_that_is_to_act_more_strictly_is_tried_like_that(small, before, after):
    wide = looks_like_every_clip(small)
    set_policy(small.db, "partner", **wide | {"trial": NO_TRIAL}, near=31, **before)
    state = small.comparison().id
    with pytest.raises(TrialTooWide) as refused:
        set_policy(small.db, "partner", **wide, near=31, **after)
    assert "would match 25 of 25" in refused.value.message
    assert small.comparison().id == state
    accepted = set_policy(small.db, "partner", **wide, near=31, accept_trial=True, **after)
    assert accepted.trial == TrialResult(25, 25, 0)
    assert small.comparison().id != state
    assert leaves(small, "list-set")[-1]["trial"] == {"clips": 25, "matched": 25}
    back = {"distance": 3, "action": Action.LOG, "orientations": Orientations.MIRRORED}
    assert set_policy(small.db, "partner", **wide, near=31, **back).trial is None


def test_promise_5_an_entry_that_is_to_act_again_is_tried_first(small):
    wide = looks_like_every_clip(small)
    by = {"by": "test", "at": AT}
    for entry in ("e-old", "e-new"):
        disable(small.db, small.names, "partner", entry, reason="wrong", **by)
    enable(small.db, small.names, "partner", "e-old", **wide)
    state = small.comparison().id
    with pytest.raises(TrialTooWide):
        enable(small.db, small.names, "partner", "e-new", **wide)
    assert small.comparison().id == state
    enabled = enable(small.db, small.names, "partner", "e-new", **wide, accept_trial=True)
    assert enabled.trial is not None
    assert enabled.trial.matched == 25


def test_promise_5_a_rollback_takes_back_and_is_no_way_past_the_trial(small):
    wide = looks_like_every_clip(small)
    by = {"by": "test", "at": AT}
    small.activate("partner", {"e-new": [NEW]})
    with pytest.raises(TrialTooWide):
        rollback(small.db, "partner", **wide)
    rollback(small.db, "partner", **wide, accept_trial=True)
    rollback(small.db, "partner", **wide)  # to a version that matches less
    rollback(small.db, "partner", **wide, accept_trial=True)
    deactivate(small.db, "partner", **by)
    with pytest.raises(TrialTooWide):
        rollback(small.db, "partner", **wide)


hashes = st.integers(0, 5).flatmap(
    lambda seed: st.tuples(st.just(seed), st.sampled_from([0, 1, 30, 31, 32, 40]))
)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    archived=st.lists(st.lists(hashes, min_size=1, max_size=4), min_size=1, max_size=5),
    before=st.sets(st.integers(0, 5), min_size=1, max_size=2),
    after=st.sets(st.integers(0, 5), max_size=4),
    distance=st.sampled_from([None, 0, 30]),
)
def test_streaming_says_what_judging_every_clip_would_say(
    tmp_path_factory, sqlite_template, archived, before, after, distance
):
    home = tmp_path_factory.mktemp("archive")
    (home / "hashmatch.db").write_bytes(sqlite_template.read_bytes())
    db = Database.connect("sqlite:///hashmatch.db", home)
    archive = Archive(home, db)
    archive.activate("partner", {f"e-{seed}": [drawn(seed)] for seed in before})
    set_policy(
        db,
        "partner",
        trial=NO_TRIAL,
        near=31,
        by="test",
        at=AT,
        distance=distance,
        default_distance=True,
    )
    ids = [
        archive.remember(
            f"{n}.mp4", [near(drawn(seed), far, seed=n) for seed, far in frames], known=False
        )
        for n, frames in enumerate(archived)
    ]
    archive.compare()
    with db.write() as session:  # as if nothing had been taken away since
        session.execute(text("update clip set scanned_etag = etag"))
    archive.activate("partner", {f"e-{seed}": [drawn(seed)] for seed in before | after})
    archive.compare()
    lists = archive.comparison().compiled.lists
    with db.read() as session:
        needed = {recipe(Algorithm.PDQ)}
        expected = {
            f"{n}.mp4": judge(stored, lists, archive.job.scan).outcome
            for n, id in enumerate(ids)
            if (stored := fingerprints.load(session, id, needed)) is not None
        }
    assert archive.outcomes() == expected
    db.close()
