"""What a comparison of stored hashes may say when some that a list needs are missing."""

from __future__ import annotations

import numpy as np
import pytest

from hashmatch.model import (
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Orientations,
    Outcome,
    Reason,
    Verdict,
)
from hashmatch.pipeline.turns import lacks, not_for_custody_yet, not_fully_compared

CLEAN = Verdict(Outcome.CLEAN, None, 1.0)


def stored(orientations: Orientations, recipe: str = "pdq/1") -> Fingerprint:
    outer = orientations.outer
    bits = np.zeros((1, len(outer), 32), np.uint8)
    frames = FrameHashes(recipe, Algorithm.PDQ, np.zeros(1), np.full(1, 80, np.uint8), bits, outer)
    return Fingerprint(Digests("", "", ""), 1, frames=(frames,))


@pytest.mark.parametrize("outcome", [Outcome.MATCHED, Outcome.REVIEW])
def test_what_matched_still_counts(outcome):
    verdict = Verdict(outcome, None, 1.0)
    assert not_fully_compared(verdict) == verdict


@pytest.mark.parametrize("outcome", [Outcome.CLEAN, Outcome.PARTIAL, Outcome.UNSCANNABLE])
def test_a_clip_that_was_not_fully_compared_is_never_clean(outcome):
    verdict = not_fully_compared(Verdict(outcome, None, 1.0))
    assert (verdict.outcome, verdict.reason) == (Outcome.UNSCANNABLE, Reason.OTHER_RECIPE)


@pytest.mark.parametrize(
    ("have", "need", "lacking"),
    [
        (Orientations.MIRRORED, Orientations.MIRRORED, False),
        (Orientations.MIRRORED, Orientations.ALL, True),
        (Orientations.ALL, Orientations.MIRRORED, False),
        (Orientations.ALL, Orientations.ALL, False),
    ],
)
def test_a_clip_that_was_not_hashed_in_all_that_a_list_asks_for_lacks_hashes(have, need, lacking):
    assert lacks(stored(have), {"pdq/1"}, need, CLEAN, digests=False) is lacking


def test_a_clip_without_hashes_of_a_recipe_lacks_them():
    assert lacks(stored(Orientations.ALL), {"pdq/2"}, Orientations.MIRRORED, CLEAN, digests=False)
    assert lacks(None, {"pdq/1"}, Orientations.MIRRORED, CLEAN, digests=False)


def test_a_clip_that_could_not_be_seen_lacks_nothing_that_another_comparison_could_give():
    unseen = Verdict(Outcome.UNSCANNABLE, Reason.DAMAGED, 0.0)
    assert not lacks(None, {"pdq/1"}, Orientations.ALL, unseen, digests=False)


def test_a_match_without_digests_waits_in_review_for_the_next_scan():
    verdict = not_for_custody_yet(Verdict(Outcome.MATCHED, None, 1.0))
    assert (verdict.outcome, verdict.reason) == (Outcome.REVIEW, Reason.OTHER_RECIPE)
