"""Borders: the bars that players, editors and re-uploaders put around a picture.

    top, bottom, left, right = inner(luma)
    luma[top:bottom, left:right]              # the picture without its bars

A PDQ hash of a picture with bars is far from that of the picture alone (62 bits and more on public
clips that have both), and within 4 to 18 bits of it once the bars are off.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashmatch.hashing.kernels import compiled, flat

# Luma that a bar may vary by on either side of its outermost line: an encoder's ringing and noise.
TOLERANCE = 12
# Share of a line's pixels, in 1/64, that are of the bar's colour: a few specks do not end a bar.
FLAT_IN_64 = 62
# Pixels of a line that are read, where it has twice as many: reading all costs as much as the hash.
SAMPLES = 120
# A bar is at least this share of the side: a line or two at the edge are an encoder's padding.
LEAST_IN_64 = 1
# What is left must be a picture: at least this share of each side.
LEAST_INNER_IN_64 = 20

Box = tuple[int, int, int, int]


def inner(luma: NDArray[np.uint8]) -> Box | None:
    """The picture inside flat bars, as (top, bottom, left, right); None where there are no bars.

    luma: (height, width), rows may be apart. Bars are of any one colour each, on any of the four
    sides. Top and bottom are looked for first, then left and right of what is between them.
    """
    height, width = luma.shape
    pixels, stride = flat(luma)
    last = (height - 1) * stride
    top = _bar(pixels, 0, stride, height, 1, width)
    bottom = height - _bar(pixels, last, -stride, height, 1, width)
    if bottom - top < height * LEAST_INNER_IN_64 // 64:
        top, bottom = 0, height
    first, rows = top * stride, bottom - top
    left = _bar(pixels, first, 1, width, stride, rows)
    right = width - _bar(pixels, first + width - 1, -1, width, stride, rows)
    if right - left < width * LEAST_INNER_IN_64 // 64:
        left, right = 0, width
    box = (top, bottom, left, right)
    return None if box == (0, height, 0, width) else box


def warm() -> None:
    """Compile the kernel, or load it from numba's cache."""
    inner(np.zeros((64, 64), np.uint8))


def _bar(
    pixels: NDArray[np.uint8], first: int, to_next: int, lines: int, step: int, length: int
) -> int:
    """How many of the first lines are a bar; 0 where they are too few to be one."""
    count = _flat_lines(pixels, first, to_next, lines, step, length, TOLERANCE, FLAT_IN_64)
    return count if 64 * count >= LEAST_IN_64 * lines else 0


@compiled
def _flat_lines(
    pixels: NDArray[np.uint8],
    first: int,
    to_next: int,
    lines: int,
    step: int,
    length: int,
    tolerance: int,
    flat_in_64: int,
) -> int:
    """How many of the first lines are all of one colour, the mean of the first one.

    first: where the first line begins; to_next: from a line to the next; step: from a pixel of a
    line to the next; lines, length: how many there are. Of long lines every nth pixel is read.
    """
    every = max(1, length // SAMPLES)
    step, length = step * every, length // every
    total = 0
    for x in range(length):
        total += pixels[first + x * step]
    colour = total // length
    allowed = length - length * flat_in_64 // 64
    for line in range(lines):
        others = 0
        for x in range(length):
            if abs(np.int64(pixels[first + line * to_next + x * step]) - colour) > tolerance:
                others += 1
                if others > allowed:
                    return line
    return lines
