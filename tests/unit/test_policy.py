"""Exactly one outcome, and clean only for what was seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.matching.policy import COVERED, Breaker, Rules, conclusive, decide
from hashmatch.model import (
    Action,
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Match,
    MatchKind,
    Orientations,
    Outcome,
    Reason,
    Verdict,
)

RULES = Rules(min_frames=2, copy_score=4)
DIGESTS = Digests("0" * 32, "0" * 40, "0" * 64)


def hashes(qualities: list[int], algorithm: Algorithm = Algorithm.PDQ) -> FrameHashes:
    count = len(qualities)
    return FrameHashes(
        "recipe",
        algorithm,
        np.arange(count, dtype=np.float64),
        np.array(qualities, np.uint8),
        np.zeros((count, 2, algorithm.bits // 8), np.uint8),
        Orientations.MIRRORED.outer,
    )


def fingerprint(
    qualities: list[int] | None = None,
    *,
    duration: float | None = 10.0,
    seen: float = 10.0,
    trouble: Reason | None = None,
) -> Fingerprint:
    frames = hashes([100, 100] if qualities is None else qualities)
    return Fingerprint(DIGESTS, 1, duration, seen, None, (frames,), trouble)


def match(
    action: Action = Action.QUARANTINE,
    frames: int = 5,
    kind: MatchKind = MatchKind.FRAMES,
    entry: str = "e1",
    list_name: str = "partner",
) -> Match:
    return Match(list_name, 1, entry, kind, action, 3, 0.0, 1.0, frames)


def outcome(seen: Fingerprint, *matches: Match) -> tuple[Outcome, Reason | None]:
    verdict = decide(seen, matches, RULES, min_coverage=0.95, quality=50)
    assert verdict.matches == matches
    return verdict.outcome, verdict.reason


fingerprints = st.builds(
    fingerprint,
    st.lists(st.integers(0, 100), max_size=4),
    duration=st.none() | st.floats(),
    seen=st.floats(),
    trouble=st.none() | st.sampled_from(Reason),
)
matches = st.builds(match, st.sampled_from(Action), st.integers(0, 5), st.sampled_from(MatchKind))


@given(
    fingerprints,
    st.lists(matches, max_size=3),
    st.floats(0.01, 1),
    st.integers(1, 4),
    st.integers(1, 100),
)
def test_clean_is_impossible_without_coverage_and_a_usable_frame(
    seen: Fingerprint, found: list[Match], min_coverage: float, min_frames: int, quality: int
) -> None:
    verdict = decide(seen, found, Rules(min_frames, 4), min_coverage=min_coverage, quality=quality)
    if verdict.outcome is Outcome.CLEAN:
        assert max(seen.frames[0].quality) >= quality
        assert seen.trouble is None
        assert all(m.action is Action.LOG for m in found)
        assert math.isfinite(seen.seen)
        if seen.duration is None or seen.duration <= 0:
            assert seen.seen > 0
        else:
            assert seen.seen >= min_coverage * seen.duration * (1 - 1e-9)


@given(fingerprints, st.lists(matches, max_size=3))
def test_every_clip_has_an_outcome_and_the_unseen_a_reason(
    seen: Fingerprint, found: list[Match]
) -> None:
    verdict = decide(seen, found, RULES, min_coverage=0.95, quality=50)
    assert verdict.outcome in Outcome
    assert (verdict.reason is not None) == (
        verdict.outcome in (Outcome.PARTIAL, Outcome.UNSCANNABLE)
    )
    assert 0 <= verdict.coverage <= 1


@given(fingerprints)
def test_evidence_of_a_listed_clip_outweighs_all_trouble(seen: Fingerprint) -> None:
    assert outcome(seen, match())[0] is Outcome.MATCHED


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_duration_that_is_no_number_covers_nothing(bad: float) -> None:
    assert outcome(fingerprint(seen=bad)) == (Outcome.PARTIAL, Reason.TRUNCATED)
    if bad != -math.inf:
        assert outcome(fingerprint(duration=bad)) == (Outcome.PARTIAL, Reason.TRUNCATED)


def test_a_clip_that_was_seen_and_matches_nothing_is_clean() -> None:
    assert outcome(fingerprint()) == (Outcome.CLEAN, None)


@pytest.mark.parametrize("qualities", [[], [0], [49, 49, 0]])
def test_a_black_or_featureless_clip_is_unscannable(qualities: list[int]) -> None:
    assert outcome(fingerprint(qualities)) == (Outcome.UNSCANNABLE, Reason.NO_USABLE_FRAMES)


def test_a_usable_frame_of_another_hash_is_not_enough() -> None:
    seen = Fingerprint(DIGESTS, 1, 10.0, 10.0, None, (hashes([100], Algorithm.PHASH),))
    assert outcome(seen) == (Outcome.UNSCANNABLE, Reason.NO_USABLE_FRAMES)


def test_a_clip_that_breaks_off_is_partial() -> None:
    assert outcome(fingerprint(seen=9.4)) == (Outcome.PARTIAL, Reason.TRUNCATED)


# What was given is good, and the rest is missing.
MISSING = (Reason.TRUNCATED, Reason.UNKNOWN_PARTS, Reason.TIME_LIMIT)


@pytest.mark.parametrize("reason", MISSING)
def test_trouble_that_ended_seeing_early_is_partial_even_at_full_coverage(reason: Reason) -> None:
    assert outcome(fingerprint(trouble=reason)) == (Outcome.PARTIAL, reason)


def test_a_clip_that_breaks_off_before_its_first_frame_says_so() -> None:
    seen = fingerprint([], seen=0.0, trouble=Reason.TRUNCATED)
    assert outcome(seen) == (Outcome.UNSCANNABLE, Reason.TRUNCATED)


@pytest.mark.parametrize("reason", [r for r in Reason if r not in MISSING])
def test_any_other_trouble_is_unscannable_with_its_reason(reason: Reason) -> None:
    assert outcome(fingerprint(trouble=reason)) == (Outcome.UNSCANNABLE, reason)


def test_what_was_seen_before_a_crash_counts() -> None:
    seen = fingerprint(seen=1.0, trouble=Reason.DECODER_CRASHED)
    verdict = decide(seen, [match()], RULES, min_coverage=0.95, quality=50)
    assert verdict.outcome is Outcome.MATCHED
    assert verdict.notes == ("not seen in full: the decoder crashed on it",)


def test_a_file_digest_alone_makes_a_match() -> None:
    assert outcome(fingerprint(), match(frames=0, kind=MatchKind.FILE))[0] is Outcome.MATCHED


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (match(Action.REVIEW), "the list's action is review: partner/e1"),
        (match(frames=1), "single frame: partner/e1"),
        (match(frames=0), "near match: frames that are only alike"),
        (replace(match(), listed=60, moves=True, copy=1.0), "the same room at another moment"),
        (replace(match(), listed=60, covered=0.2), "too little of a listed video"),
    ],
)
def test_what_is_for_review_says_why(found: Match, why: str) -> None:
    verdict = decide(fingerprint(), [found], RULES, min_coverage=0.95, quality=50)
    assert verdict.outcome is Outcome.REVIEW
    (note,) = verdict.notes
    assert why in note
    assert note.endswith(": partner/e1")


def test_each_cause_of_a_review_names_its_first_entries() -> None:
    found = [match(frames=1, entry=f"e{i}") for i in range(5)]
    found += [match(Action.REVIEW), match(Action.LOG, entry="x")]
    verdict = decide(fingerprint(), found, RULES, min_coverage=0.95, quality=50)
    assert verdict.notes == (
        "single frame: partner/e0, partner/e1, partner/e2 and 2 more",
        "the list's action is review: partner/e1",
    )


def test_what_the_caller_holds_is_not_called_the_lists_action() -> None:
    held = {("partner", "e1")}
    verdict = decide(
        fingerprint(), [match(Action.REVIEW)], RULES, min_coverage=0.95, quality=50, held=held
    )
    assert (verdict.outcome, verdict.notes) == (Outcome.REVIEW, ())


def test_too_few_frames_are_for_review() -> None:
    assert outcome(fingerprint(), match(frames=1))[0] is Outcome.REVIEW


def test_a_list_for_review_never_quarantines() -> None:
    found = match(Action.REVIEW, 500), match(Action.REVIEW, 0, MatchKind.FILE)
    assert outcome(fingerprint(), *found)[0] is Outcome.REVIEW


def test_a_list_that_only_logs_changes_nothing_and_is_recorded() -> None:
    assert outcome(fingerprint(), match(Action.LOG, 500)) == (Outcome.CLEAN, None)
    assert outcome(fingerprint([]), match(Action.LOG))[0] is Outcome.UNSCANNABLE


def test_frames_of_two_entries_are_not_added_up() -> None:
    found = match(frames=1, entry="a"), match(frames=1, entry="b")
    assert outcome(fingerprint(), *found)[0] is Outcome.REVIEW


@given(matches, st.integers(1, 4))
def test_only_lists_that_quarantine_are_conclusive(found: Match, min_frames: int) -> None:
    if conclusive(found, Rules(min_frames, 4)):
        assert found.action is Action.QUARANTINE
        assert found.kind is MatchKind.FILE or found.frames >= min_frames


def of_a_video(
    frames: int = 9,
    covered: float = 0.1,
    copy: float | None = None,
    moves: bool = True,
    brief: bool = False,
) -> Match:
    kind = MatchKind.FRAMES if copy is None else MatchKind.SEQUENCE
    return replace(
        match(frames=frames, kind=kind),
        listed=30,
        moves=moves,
        brief=brief,
        covered=covered,
        copy=copy,
    )


def test_a_handful_of_still_frames_of_a_longer_listed_video_is_for_review() -> None:
    assert outcome(fingerprint(), of_a_video(covered=0.3))[0] is Outcome.REVIEW
    assert outcome(fingerprint(), of_a_video(covered=0.49, copy=3.9))[0] is Outcome.REVIEW


def test_a_copy_of_a_stretch_of_a_listed_video_is_matched_whatever_its_share() -> None:
    assert outcome(fingerprint(), of_a_video(covered=0.2, copy=4.0))[0] is Outcome.MATCHED
    assert outcome(fingerprint(), of_a_video(frames=0, covered=0.0, copy=4.0))[0] is Outcome.MATCHED


def test_a_video_in_which_nothing_moves_is_matched_by_half_of_what_it_shows() -> None:
    still = of_a_video(moves=False, covered=COVERED, copy=-2.0)
    assert outcome(fingerprint(), still)[0] is Outcome.MATCHED
    for less in (
        replace(still, covered=COVERED - 0.01),
        replace(still, frames=1),
        replace(still, moves=True, covered=1.0),
    ):
        assert outcome(fingerprint(), less)[0] is Outcome.REVIEW


def test_a_brief_listed_video_keeps_the_frame_rule() -> None:
    brief = of_a_video(frames=2, brief=True)
    assert outcome(fingerprint(), brief)[0] is Outcome.MATCHED
    assert outcome(fingerprint(), replace(brief, frames=1))[0] is Outcome.REVIEW
    assert outcome(fingerprint(), replace(brief, brief=False))[0] is Outcome.REVIEW


def test_a_copy_on_a_list_for_review_is_for_review() -> None:
    found = replace(of_a_video(copy=50.0), action=Action.REVIEW)
    assert outcome(fingerprint(), found)[0] is Outcome.REVIEW


def matched(*found: Match) -> Verdict:
    return Verdict(Outcome.MATCHED, None, 1.0, found or (match(),))


def outcomes(breaker: Breaker, verdict: Verdict, times: int) -> list[Outcome]:
    return [breaker.apply(verdict)[0].outcome for _ in range(times)]


def test_an_entry_beyond_its_number_of_clips_goes_to_review() -> None:
    found = outcomes(Breaker(3, 1.0, 1000, RULES), matched(), 5)
    assert found == [Outcome.MATCHED] * 3 + [Outcome.REVIEW] * 2


def test_an_entry_beyond_its_share_of_the_run_goes_to_review() -> None:
    found = outcomes(Breaker(50, 0.2, 20, RULES), matched(), 5)
    assert found == [Outcome.MATCHED] * 4 + [Outcome.REVIEW]


def test_a_share_of_a_small_run_says_nothing() -> None:
    assert outcomes(Breaker(50, 0.2, 19, RULES), matched(), 19) == [Outcome.MATCHED] * 19


def test_a_file_digest_goes_through_the_breaker_too() -> None:
    verdict = matched(match(frames=0, kind=MatchKind.FILE))
    assert outcomes(Breaker(1, 1.0, 100, RULES), verdict, 2) == [Outcome.MATCHED, Outcome.REVIEW]


def test_each_entry_that_trips_is_told_once() -> None:
    breaker = Breaker(2, 1.0, 100, RULES)
    told = [breaker.apply(matched())[1] for _ in range(6)]
    assert told == [(), (), ("partner/e1",), (), (), ()]


def test_a_verdict_that_is_held_back_says_why_and_keeps_its_evidence() -> None:
    breaker = Breaker(1, 1.0, 100, RULES)
    breaker.apply(matched())
    verdict, _ = breaker.apply(matched())
    assert verdict.matches == matched().matches
    assert "circuit breaker" in verdict.notes[-1]
    assert "partner/e1" in verdict.notes[-1]


def test_another_entry_still_quarantines() -> None:
    breaker = Breaker(1, 1.0, 100, RULES)
    outcomes(breaker, matched(), 5)
    verdict, _ = breaker.apply(matched(match(), match(entry="e2")))
    assert verdict.outcome is Outcome.MATCHED


def test_an_entry_with_too_few_frames_does_not_stand_in_for_one_that_tripped() -> None:
    breaker = Breaker(1, 1.0, 100, RULES)
    both = matched(match(), match(entry="e2", frames=1))
    assert outcomes(breaker, both, 2) == [Outcome.MATCHED, Outcome.REVIEW]


def test_the_same_entry_id_on_two_lists_is_two_entries() -> None:
    breaker = Breaker(1, 1.0, 100, RULES)
    outcomes(breaker, matched(), 2)
    verdict, _ = breaker.apply(matched(match(list_name="other")))
    assert verdict.outcome is Outcome.MATCHED


@pytest.mark.parametrize("other", [o for o in Outcome if o is not Outcome.MATCHED])
def test_other_outcomes_pass_and_do_not_count(other: Outcome) -> None:
    breaker = Breaker(1, 1.0, 100, RULES)
    verdict = Verdict(other, None, 1.0, (match(),))
    for _ in range(3):
        assert breaker.apply(verdict) == (verdict, ())
    assert breaker.apply(matched())[0].outcome is Outcome.MATCHED


@given(st.lists(st.sampled_from(["a", "b", "c"]), max_size=40), st.integers(0, 40))
def test_a_run_that_is_resumed_goes_on_as_if_it_had_not_stopped(
    entries: list[str], stop: int
) -> None:
    verdicts = [matched(match(entry=entry)) for entry in entries]
    whole = Breaker(4, 0.2, 40, RULES)
    expected = [whole.apply(verdict) for verdict in verdicts]
    before = Breaker(4, 0.2, 40, RULES)
    found = [before.apply(verdict) for verdict in verdicts[:stop]]
    counts = {("partner", e): entries[:stop].count(e) for e in entries[:stop]}
    after = Breaker(4, 0.2, 40, RULES, counts=counts)
    found += [after.apply(verdict) for verdict in verdicts[stop:]]
    assert found == expected
