"""The block of PDQ as the reference computes it, rounding for rounding.

    block = filtered(luma, 1920, 1080, 1920)

The reference filters with running sums in float32: what a sum rounds away at one pixel is still
missing at the next, so no other order of additions gives the same numbers. This is the reference's
order, only without what no sample of the 64x64 block depends on. It costs 15 to 20 times what
`kernels` take, and is for pictures whose bits hang on that rounding.
Source: the reference's `downscaling.cpp`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashmatch.compiledcode import compiled

# Rows summed at a time: one waits for its last addition while the others do theirs.
_ROWS = 16


@compiled
def filtered(luma: NDArray[Any], stride: int, rows: int, columns: int) -> NDArray[np.float32]:
    """The block (64, 64) of a picture (flat, `stride` pixels a row), uint8 or float32.

    Rows, columns, rows, columns: each pass reads what the one before has just made.
    """
    block = np.empty((64, 64), np.float32)
    if rows == 64 and columns == 64:
        for y in range(64):
            for x in range(64):
                block[y, x] = luma[y * stride + x]
        return block
    across, down = (columns + 127) // 128, (rows + 127) // 128
    ahead = (down + 2) // 2
    size = (down // _ROWS + 2) * _ROWS
    ring = np.empty((size, columns), np.float32)
    sums = np.empty((_ROWS, columns), np.float32)
    column_sums = np.zeros(columns, np.float32)
    twice = np.empty((_ROWS, columns), np.float32)
    thrice = np.empty((rows, 64), np.float32)
    for y in range(rows + ahead - 1):
        if y < rows and y % _ROWS == 0:
            _sums_along_rows(luma, y * stride, stride, rows - y, columns, across, sums)
            for r in range(_ROWS):
                out = ring[(y + r) % size]
                _means(sums[r], across, out)
        out = twice[(y - ahead + 1) % _ROWS]
        count = np.float32(min(y + 1, rows) - max(0, y + 1 - down))
        if y < down:
            entering = ring[y % size]
            for x in range(columns):
                column_sums[x] += entering[x]
                out[x] = column_sums[x] / count
        elif y < rows:
            entering, leaving = ring[y % size], ring[(y - down) % size]
            for x in range(columns):
                total = (column_sums[x] + entering[x]) - leaving[x]
                column_sums[x] = total
                out[x] = total / count
        else:
            leaving = ring[(y - down) % size]
            for x in range(columns):
                column_sums[x] -= leaving[x]
                out[x] = column_sums[x] / count
        done = y - ahead + 2
        if done == rows or (done > 0 and done % _ROWS == 0):
            first = (done - 1) // _ROWS * _ROWS
            _sums_along_rows(twice.ravel(), 0, columns, _ROWS, columns, across, sums)
            for j in range(64):
                x = int((j + 0.5) * columns / 64)
                end = x + (across + 2) // 2
                count = np.float32(min(end, columns) - max(0, end - across))
                for r in range(done - first):
                    thrice[first + r, j] = sums[r, x] / count
    _block(thrice, down, block)
    return block


@compiled
def _sums_along_rows(
    source: NDArray[Any],
    first: int,
    stride: int,
    rows: int,
    columns: int,
    width: int,
    sums: NDArray[np.float32],
) -> None:
    """The box filter's running sums along the first rows of `source`, _ROWS of them if there are."""
    ahead = (width + 2) // 2
    begin = np.empty(_ROWS, np.int64)
    for r in range(_ROWS):
        begin[r] = first + min(r, rows - 1) * stride
    total = np.zeros(_ROWS, np.float32)
    for x in range(ahead - 1):
        for r in range(_ROWS):
            total[r] += np.float32(source[begin[r] + x])
    for x in range(ahead - 1, width):
        for r in range(_ROWS):
            total[r] += np.float32(source[begin[r] + x])
            sums[r, x - ahead + 1] = total[r]
    for x in range(width, columns):
        for r in range(_ROWS):
            entering = np.float32(source[begin[r] + x])
            leaving = np.float32(source[begin[r] + x - width])
            total[r] = (total[r] + entering) - leaving
            sums[r, x - ahead + 1] = total[r]
    for x in range(columns, columns + ahead - 1):
        for r in range(_ROWS):
            total[r] -= np.float32(source[begin[r] + x - width])
            sums[r, x - ahead + 1] = total[r]


@compiled
def _means(sums: NDArray[np.float32], width: int, means: NDArray[np.float32]) -> None:
    """Each sum through the number of pixels in its window."""
    columns, ahead = len(sums), (width + 2) // 2
    for x in range(width - ahead):
        means[x] = sums[x] / np.float32(x + ahead)
    for x in range(width - ahead, columns - ahead + 1):
        means[x] = sums[x] / np.float32(width)
    for x in range(columns - ahead + 1, columns):
        means[x] = sums[x] / np.float32(columns - x - ahead + width)


@compiled
def _block(thrice: NDArray[np.float32], width: int, block: NDArray[np.float32]) -> None:
    """The last pass, down the 64 columns that are sampled: (rows, 64) to (64, 64)."""
    rows, ahead = len(thrice), (width + 2) // 2
    total = np.zeros(64, np.float32)
    i = 0
    for y in range(rows + ahead - 1):
        if y < rows:
            for j in range(64):
                total[j] += thrice[y, j]
        if y >= width:
            for j in range(64):
                total[j] -= thrice[y - width, j]
        if i < 64 and y - ahead + 1 == int((i + 0.5) * rows / 64):
            count = np.float32(min(y + 1, rows) - max(0, y + 1 - width))
            for j in range(64):
                block[i, j] = total[j] / count
            i += 1
