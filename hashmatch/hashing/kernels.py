"""The inner loops of PDQ, compiled by numba.

Every sum has one fixed order and there is no fast-math: the same picture gives the same bits on
every processor, whatever its vector width. From the 64x64 block on, operations and their order are
those of the reference, in float32.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from hashmatch.compiledcode import compiled

_SCALE = float(np.float32(math.sqrt(2 / 64)))
# (64, 16): cosine j+1 of 16 at pixel k, the reference's matrix transposed.
COSINES = np.array(
    [
        [_SCALE * math.cos(math.pi / 128 * (j + 1) * (2 * k + 1)) for j in range(16)]
        for k in range(64)
    ],
    np.float32,
)


def flat(rows: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], int]:
    """The bytes of all rows and what lies between them, in one line, and the stride of a row.

    One type of array for the kernels, whatever the picture's layout: each would be compiled anew.
    """
    height, width = rows.shape
    if rows.strides[1] != 1 or rows.strides[0] < width:
        rows = np.ascontiguousarray(rows)
    stride = rows.strides[0]
    return as_strided(rows, ((height - 1) * stride + width,), (1,), writeable=False), stride


@compiled
def luma_of(rgb: NDArray[np.uint8], stride: int, rows: int, columns: int) -> NDArray[np.float32]:
    """Luma (rows * columns,) of interleaved RGB (flat, `stride` bytes a row), rounded once."""
    luma = np.empty(rows * columns, np.float32)
    for y in range(rows):
        for x in range(columns):
            i = y * stride + 3 * x
            luma[y * columns + x] = rgb[i] * 0.299 + rgb[i + 1] * 0.587 + rgb[i + 2] * 0.114
    return luma


@compiled
def shrink_rows(
    luma: NDArray[Any],
    first: int,
    stride: int,
    columns: int,
    start: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.float32],
    shrunk: NDArray[np.float32],
) -> None:
    """Take the rows of a picture (flat, `stride` pixels a row) to 64: fills `shrunk` (64, columns
    or more).

    first: where the first row begins; from the last one with a stride below 0, the picture is
    taken upside down. Four rows at a time, so that the sums are loaded and stored a quarter as
    often.
    """
    shrunk[:] = 0
    for i in range(64):
        out, n, top = shrunk[i, :columns], count[i], first + start[i] * stride
        k = 0
        while k + 4 <= n:
            a, b, c, d = weights[i, k], weights[i, k + 1], weights[i, k + 2], weights[i, k + 3]
            row = top + k * stride
            p = luma[row : row + columns]
            q = luma[row + stride : row + stride + columns]
            r = luma[row + 2 * stride : row + 2 * stride + columns]
            s = luma[row + 3 * stride : row + 3 * stride + columns]
            for x in range(columns):
                out[x] += (
                    a * np.float32(p[x])
                    + b * np.float32(q[x])
                    + c * np.float32(r[x])
                    + d * np.float32(s[x])
                )
            k += 4
        while k < n:
            a = weights[i, k]
            row = top + k * stride
            p = luma[row : row + columns]
            for x in range(columns):
                out[x] += a * np.float32(p[x])
            k += 1


@compiled
def shrink_columns(
    shrunk: NDArray[np.float32],
    start: NDArray[np.int64],
    count: NDArray[np.int64],
    weights: NDArray[np.float32],
    lines: NDArray[np.float32],
    blocks: NDArray[np.float32],
) -> None:
    """The block (64, columns or more) with its columns taken to 64: fills (2, 64, 64), [side,
    column, row].

    The second block is that of the mirrored picture, not the mirrored block: boxes of an even width
    and the rounding of sample positions are not symmetric, which moves the block by up to 3 pixels.
    Both see the same numbers in the same order, so mirroring is exact.
    lines: room for (columns, 64), eight by eight of which are transposed at a time.
    """
    columns = len(lines)
    tiled = columns // 8 * 8
    for x in range(0, tiled, 8):
        for y in range(0, 64, 8):
            for i in range(8):
                for j in range(8):
                    lines[x + i, y + j] = shrunk[y + j, x + i]
    for x in range(tiled, columns):
        for y in range(64):
            lines[x, y] = shrunk[y, x]
    blocks[:] = 0
    for i in range(64):
        n = count[i]
        for side in range(2):
            out = blocks[side, i]
            line = columns - 1 - start[i] if side else start[i]
            step = -1 if side else 1
            k = 0
            while k + 4 <= n:
                a, b, c, d = weights[i, k], weights[i, k + 1], weights[i, k + 2], weights[i, k + 3]
                p, q = lines[line], lines[line + step]
                r, s = lines[line + 2 * step], lines[line + 3 * step]
                for y in range(64):
                    out[y] += (a * p[y] + b * q[y]) + (c * r[y] + d * s[y])
                line += 4 * step
                k += 4
            while k < n:
                a = weights[i, k]
                p = lines[line]
                for y in range(64):
                    out[y] += a * p[y]
                line += step
                k += 1


@compiled
def quality_of(block: NDArray[np.float32], contrast: np.float32) -> int:
    """0..100: how much there is to see in the block, as the sum of its visible gradients / 90.

    contrast: what a difference of luma is multiplied with to be one of full range. Differences are
    cut to whole hundredths of the range, so that a soft gradient counts for nothing.
    """
    total = 0
    for x in range(64):
        for y in range(63):
            step = (block[x, y] - block[x, y + 1]) * contrast
            total += abs(int(step * np.float32(100) / np.float32(255)))
    for x in range(63):
        for y in range(64):
            step = (block[x, y] - block[x + 1, y]) * contrast
            total += abs(int(step * np.float32(100) / np.float32(255)))
    return min(total // 90, 100)


@compiled
def terms_of(block: NDArray[np.float32], cosines: NDArray[np.float32]) -> NDArray[np.float32]:
    """The 16x16 lowest cosine terms of a block (64, 64) but the constant ones, in one line."""
    half = np.zeros((16, 64), np.float32)
    for i in range(16):
        out = half[i]
        for y in range(0, 64, 4):
            a, b, c, d = cosines[y, i], cosines[y + 1, i], cosines[y + 2, i], cosines[y + 3, i]
            p, q, r, s = block[y], block[y + 1], block[y + 2], block[y + 3]
            for x in range(64):
                out[x] = (((out[x] + a * p[x]) + b * q[x]) + c * r[x]) + d * s[x]
    terms = np.zeros((16, 16), np.float32)
    for i in range(16):
        out, line = terms[i], half[i]
        for x in range(0, 64, 4):
            a, b, c, d = line[x], line[x + 1], line[x + 2], line[x + 3]
            p, q, r, s = cosines[x], cosines[x + 1], cosines[x + 2], cosines[x + 3]
            for j in range(16):
                out[j] = (((out[j] + a * p[j]) + b * q[j]) + c * r[j]) + d * s[j]
    return terms.ravel()


@compiled
def bits_of(
    blocks: NDArray[np.float32], cosines: NDArray[np.float32]
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Hashes (n, 32) of blocks (n, 64, 64): which cosine terms are above their median; and how far
    apart (n,) the terms are between which the median divides them.

    Of an even number of terms the reference takes the lower of the two in the middle.
    """
    hashes = np.zeros((len(blocks), 32), np.uint8)
    gaps = np.empty(len(blocks), np.float32)
    for n in range(len(blocks)):
        terms = terms_of(blocks[n], cosines)
        median = above = -np.float32(np.inf)
        for k in range(256):
            smaller = 0
            for j in range(256):
                smaller += terms[j] < terms[k]
            if smaller <= 127:
                median = max(median, terms[k])
            if smaller <= 128:
                above = max(above, terms[k])
        gaps[n] = above - median
        for k in range(256):
            if terms[k] > median:
                hashes[n, 31 - (k >> 3)] |= np.uint8(1 << (k & 7))
    return hashes, gaps
