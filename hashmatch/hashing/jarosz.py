"""The Jarosz filter and the decimation of PDQ along one side of a picture, as one banded matrix.

    bands = decimation(1920)
    bands.weights[5, : bands.length[5]] @ line[bands.start[5] :][: bands.length[5]]

The reference runs a box filter over rows and columns twice, then picks 64x64 samples. All of that
is linear and separable, so one 64xn matrix a side says the same, and it depends on n alone. Each of
its rows has at most 2w-1 weights other than zero (w: width of the box), about n/64.
Source: Meta, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019, and
the reference's `downscaling.cpp`, whose windows are cut, not padded, at the edges.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 64


class Bands(NamedTuple):
    """Row i of the matrix is weights[i, :length[i]] from column start[i] on, and zero elsewhere.

    start, length: (64,) int64; weights: (64, widest) float32, each row adds up to 1.
    """

    start: NDArray[np.int64]
    length: NDArray[np.int64]
    weights: NDArray[np.float32]


@lru_cache(maxsize=128)
def decimation(length: int) -> Bands:
    """The bands that take `length` pixels (64 or more) to 64. Kept for the last 128 lengths."""
    rows = [_band(length, int((i + 0.5) * length / SIDE)) for i in range(SIDE)]
    weights = np.zeros((SIDE, max(len(band) for _, band in rows)), np.float32)
    for i, (_, band) in enumerate(rows):
        weights[i, : len(band)] = band
    return Bands(
        np.array([start for start, _ in rows], np.int64),
        np.array([len(band) for _, band in rows], np.int64),
        weights,
    )


def _band(length: int, sample: int) -> tuple[int, NDArray[np.float64]]:
    """Where the twice-filtered `sample` begins to look at the line, and its weights from there."""
    outer = _window(length, sample)
    start, stop = _window(length, outer.start).start, _window(length, outer.stop - 1).stop
    weights = np.zeros(stop - start)
    for i in outer:
        inner = _window(length, i)
        weights[inner.start - start : inner.stop - start] += 1 / (len(outer) * len(inner))
    return start, weights


def _window(length: int, i: int) -> range:
    """What the box filter averages for pixel i. Boxes of an even width reach further right."""
    width = -(-length // (2 * SIDE))
    ahead = (width + 2) // 2
    return range(max(0, i + ahead - width), min(length, i + ahead))
