"""What a comparison of stored hashes may say when some that a list needs are missing."""

from __future__ import annotations

import pytest

from hashmatch.model import Outcome, Reason, Verdict
from hashmatch.pipeline.turns import not_fully_compared


@pytest.mark.parametrize("outcome", [Outcome.MATCHED, Outcome.REVIEW])
def test_what_matched_still_counts(outcome):
    verdict = Verdict(outcome, None, 1.0)
    assert not_fully_compared(verdict) == verdict


@pytest.mark.parametrize("outcome", [Outcome.CLEAN, Outcome.PARTIAL, Outcome.UNSCANNABLE])
def test_a_clip_that_was_not_fully_compared_is_never_clean(outcome):
    verdict = not_fully_compared(Verdict(outcome, None, 1.0))
    assert (verdict.outcome, verdict.reason) == (Outcome.UNSCANNABLE, Reason.OTHER_RECIPE)
