"""How far apart frames of unrelated videos are: what `hashmatch.matching.significance` rests on.

distances = Unrelated()
distances.add(between)            # of `frames.distances`, of a clip and a video unrelated to it
distances.summary()
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.significance import UNRELATED_MEAN, UNRELATED_SD, chance

# As it is and mirrored; the others of a frame without bars say the same again.
_VARIANTS = 2
TAILS = (31, 48, 64, 72, 80, 88, 96)


@dataclass
class Unrelated:
    """counts: (257,) pairs of frames at so many bits."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(257, np.int64))

    def add(self, between: NDArray[np.uint16]) -> None:
        some = between[:, :_VARIANTS].ravel()
        self.counts += np.bincount(some, minlength=257)

    def summary(self) -> dict[str, Any] | None:
        """None without pairs. expected: pairs within so many bits, by the model that is in use."""
        pairs = int(self.counts.sum())
        if not pairs:
            return None
        bits = np.arange(257)
        mean = float((bits * self.counts).sum() / pairs)
        deviation = float(np.sqrt(((bits - mean) ** 2 * self.counts).sum() / pairs))
        nearest = np.repeat(bits, np.minimum(self.counts, 5))[:5]
        return {
            "pairs": pairs,
            "mean": mean,
            "standard_deviation": deviation,
            "model_mean": UNRELATED_MEAN,
            "model_standard_deviation": UNRELATED_SD,
            "nearest": nearest.tolist(),
            "within": {
                str(tail): {
                    "pairs": int(self.counts[: tail + 1].sum()),
                    "expected": pairs * float(chance(float(tail))),
                }
                for tail in TAILS
            },
        }
