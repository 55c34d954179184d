"""What a comparison of stored hashes may say when some that a list needs are missing."""

from __future__ import annotations

import pytest

from hashmatch.db.archive import Known
from hashmatch.model import Orientations, Outcome, Reason, Verdict
from hashmatch.runs.archive_filter import Sifted
from hashmatch.runs.rematch import Needs, lacks, not_for_custody_yet, not_fully_compared

CLEAN = Verdict(Outcome.CLEAN, None, 1.0)
MIRRORED, ALL = Orientations.MIRRORED, Orientations.ALL


def known(*recipes: str, borrowed: bool = False) -> Known:
    return Known(1, "a.mp4", "e", "clean", None, 1.0, False, recipes, borrowed)


def needs(*recipes: str, turned: bool = False, digests: bool = False) -> Needs:
    return Needs(frozenset(recipes), ALL if turned else MIRRORED, digests)


@pytest.mark.parametrize("outcome", [Outcome.MATCHED, Outcome.REVIEW])
def test_what_matched_still_counts(outcome):
    verdict = Verdict(outcome, None, 1.0)
    assert not_fully_compared(verdict) == verdict


@pytest.mark.parametrize("outcome", [Outcome.CLEAN, Outcome.PARTIAL, Outcome.UNSCANNABLE])
def test_a_clip_that_was_not_fully_compared_is_never_clean(outcome):
    verdict = not_fully_compared(Verdict(outcome, None, 1.0))
    assert (verdict.outcome, verdict.reason) == (Outcome.UNSCANNABLE, Reason.OTHER_RECIPE)


@pytest.mark.parametrize(
    ("unturned", "turned", "lacking"),
    [(True, False, False), (True, True, True), (False, False, False), (False, True, False)],
)
def test_a_clip_that_was_not_hashed_in_all_that_a_list_asks_for_lacks_hashes(
    unturned, turned, lacking
):
    sifted = Sifted(unturned={1} if unturned else set())
    assert lacks(known("pdq/1"), sifted, needs("pdq/1", turned=turned), CLEAN) is lacking


def test_a_clip_without_hashes_of_a_recipe_lacks_them():
    assert lacks(known("pdq/1"), Sifted(), needs("pdq/2"), CLEAN)
    assert lacks(known(), Sifted(), needs("pdq/1"), CLEAN)


def test_a_clip_that_was_read_in_parts_lacks_digests_where_a_list_has_some():
    in_parts = Sifted(undigested={1})
    assert lacks(known("pdq/1"), in_parts, needs("pdq/1", digests=True), CLEAN)
    assert not lacks(known("pdq/1"), in_parts, needs("pdq/1"), CLEAN)


def test_a_rendition_that_was_not_decoded_lacks_nothing_of_its_own():
    assert not lacks(known("none", borrowed=True), Sifted(), needs("pdq/1"), CLEAN)


def test_a_clip_that_could_not_be_seen_lacks_nothing_that_another_comparison_could_give():
    unseen = Verdict(Outcome.UNSCANNABLE, Reason.DAMAGED, 0.0)
    assert not lacks(known(), Sifted(), needs("pdq/1", turned=True), unseen)


def test_a_match_without_digests_waits_in_review_for_the_next_scan():
    verdict = not_for_custody_yet(Verdict(Outcome.MATCHED, None, 1.0))
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.OTHER_RECIPE)
