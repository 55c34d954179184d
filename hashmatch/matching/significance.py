"""How much a run of agreeing frames says: that it is no chance, and that it is a copy.

    chance(distance)                    # probability that an unrelated frame is this near
    beyond(distance, others)            # the same, of another moment of the listed video
    combined(total, count)              # many such probabilities as one, in decades

Two things can make frames of a clip lie near those of a listed video without the clip holding it.

Chance: the clip shows something else. Distances of unrelated frames are normal, a little wider than
256 coins' (`UNRELATED_MEAN`, `UNRELATED_SD`; `scripts/bench_recall` fits them anew and prints them).

The same room at another moment: same person, camera and background. Then the clip's frames resemble
the listed ones whatever the alignment. How near two moments of that room come to each other is
told by the listed video itself, and by what else is in the clip; a copy is nearer to the moment it
was taken from than to those. A video in which nothing moves cannot tell the two apart, by itself.

Source of the combination: R. A. Fisher, "Statistical Methods for Research Workers", 1925, 21.1: the
product of n independent p-values has -2 ln p chi-squared with 2n degrees of freedom.
"""

from __future__ import annotations

import math
from typing import Any

from hashmatch.matching.popcount import kernel

# Fitted to 4.4 million pairs of frames of fourteen videos of different scenes.
UNRELATED_MEAN = 127.7
UNRELATED_SD = 8.2
# Bits. No frame varies less than 256 independent bits do.
LEAST_SD = 8.0
# No single frame is taken for rarer than this: that far out, the fit is not known to hold.
LEAST_PROBABILITY = 1e-4


@kernel
def chance(distance: Any) -> Any:
    """Probability that two unrelated frames are within so many bits."""
    return _normal(distance + 0.5, UNRELATED_MEAN, UNRELATED_SD)


@kernel
def beyond(distance: Any, total: Any, squares: Any, nearer: Any, count: Any) -> Any:
    """Probability that another moment is within so many bits, from `count` other moments.

    total, squares: of their distances; nearer: how many of them are within `distance`. Normal, and
    never less than the share of them that is as near; 1 where there are no other moments.
    """
    if count == 0:
        return 1.0
    mean = total / count
    deviation = math.sqrt(max(squares / count - mean * mean, LEAST_SD * LEAST_SD))
    fitted = _normal(distance + 0.5, mean, deviation)
    return min(1.0, max(fitted, nearer / count, LEAST_PROBABILITY))


@kernel
def combined(total: Any, count: Any) -> Any:
    """Fisher's combination of `count` p-values whose -ln add up to `total`: -log10 of its p-value.

    P(Gamma(count) >= total) = exp(-total) * sum of total**k / k! for k < count.
    """
    if count == 0:
        return 0.0
    logarithm, term = 0.0, 0.0  # of the sum so far, of its last term
    for k in range(1, count):
        term += math.log(total / k) if total > 0 else -math.inf
        larger = max(logarithm, term)
        logarithm = larger + math.log(math.exp(logarithm - larger) + math.exp(term - larger))
    return (total - logarithm) / math.log(10.0)


@kernel
def _normal(value: Any, mean: Any, deviation: Any) -> Any:
    return 0.5 * math.erfc((mean - value) / (deviation * math.sqrt(2.0)))
