"""The probabilities behind a match of a listed video, against SciPy's."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hashmatch.matching.significance import (
    LEAST_PROBABILITY,
    LEAST_SD,
    UNRELATED_MEAN,
    UNRELATED_SD,
    beyond,
    chance,
    combined,
)


@given(st.integers(0, 256))
def test_chance_is_the_fitted_normal_distribution(distance: int) -> None:
    expected = stats.norm.cdf(distance + 0.5, UNRELATED_MEAN, UNRELATED_SD)
    assert chance(distance) == pytest.approx(expected, rel=1e-6, abs=1e-300)


@given(st.lists(st.floats(1e-4, 1), min_size=1, max_size=60))
def test_probabilities_combine_as_fishers(probabilities: list[float]) -> None:
    expected = stats.combine_pvalues(probabilities, method="fisher").pvalue
    total = -math.fsum(math.log(p) for p in probabilities)
    assert combined(total, len(probabilities)) == pytest.approx(-math.log10(expected), abs=1e-6)


def test_no_probabilities_are_no_evidence() -> None:
    assert combined(0.0, 0) == 0


@given(st.lists(st.integers(0, 200), min_size=1, max_size=40), st.integers(0, 200))
def test_another_moment_is_never_rarer_than_the_other_moments_show(
    others: list[int], distance: int
) -> None:
    nearer = sum(other <= distance for other in others)
    total, squares = float(sum(others)), float(sum(other * other for other in others))
    found = beyond(float(distance), total, squares, nearer, len(others))
    fitted = stats.norm.cdf(distance + 0.5, np.mean(others), max(np.std(others), LEAST_SD))
    expected = min(1.0, max(fitted, nearer / len(others), LEAST_PROBABILITY))
    assert found == pytest.approx(expected, rel=1e-4)


def test_without_other_moments_nothing_can_be_said() -> None:
    assert beyond(0.0, 0.0, 0.0, 0, 0) == 1
