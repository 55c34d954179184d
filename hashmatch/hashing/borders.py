"""Borders: the bars that players, editors and re-uploaders put around a picture.

    top, bottom, left, right = inner(luma)
    luma[top:bottom, left:right]              # the picture without its bars

A PDQ hash of a picture with bars is far from that of the picture alone (62 bits and more on public
clips that have both), and within 4 to 18 bits of it once the bars are off. Bars are of any one
colour each; a logo, a caption or subtitles may lie in them. One picture says little of bars around
a dark scene: `bars` gathers what all pictures of a clip say.

Not found: bars that are no one colour (a blurred copy of the picture, a gradient), and bars whose
outermost line is covered by what lies in them.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashmatch.compiledcode import compiled
from hashmatch.hashing.kernels import flat

# Luma that a bar may vary by on either side of its colour: an encoder's ringing and noise.
TOLERANCE = 12
# Share of a line's pixels, in 1/64, that are of the bar's colour where nothing lies in the bar.
FLAT = 62
# The same beside a logo or text, as long as the bar goes on behind it.
MARKED = 16
# The same beside a logo that reaches the picture, and where the picture begins: there the bar ends
# with a step, which a dark part of a picture has not.
MOST, PICTURE = 48, 8
# Lines that such a step may take.
BLURRED = 3
# Of a side's lines, one in this many may be covered by a logo or text without a line between.
COVERED = 8
# Pixels of a line that are read, where it has twice as many: reading all costs as much as the hash.
SAMPLES = 120
# A bar is at least this share of the side: a line or two at the edge are an encoder's padding.
LEAST = 1 / 96
# What is left must be a picture: at least this share of each side.
LEAST_INNER_IN_64 = 20
# Of this many pictures, one may have noise in a line that is flat in the others.
NOISY_ONE_IN = 32

# top, bottom, left, right
Box: TypeAlias = tuple[int, int, int, int]


class Side(NamedTuple):
    """What one picture shows at one side.

    colour: luma of the outermost line, None where that is not of one colour; shares: (n,) uint8, of
    each line from the edge inwards, how much is of this colour, in 1/64, up to where that is little;
    lines: how many there are up to the opposite edge; depth: how many of them this picture alone
    would take for bar.
    """

    colour: int | None
    shares: NDArray[np.uint8]
    lines: int
    depth: int


def inner(luma: NDArray[np.uint8]) -> Box | None:
    """The picture inside flat bars, as far as this picture tells; None where there are no bars.

    luma: (height, width), rows may be apart. Bars may be on any of the four sides.
    """
    return boxed([side.depth for side in sides(luma)], luma.shape)


def sides(luma: NDArray[np.uint8]) -> tuple[Side, Side, Side, Side]:
    """Top, bottom, left and right of a picture (height, width).

    The lines of left and right are read between the bars at top and bottom; those of a top or
    bottom that is not of one colour, again between the bars at left and right.
    """
    height, width = luma.shape
    pixels, stride = flat(luma)

    def across(left: int, right: int) -> tuple[Side, Side]:
        last = (height - 1) * stride
        return (
            _side(pixels, left, stride, height, 1, right - left),
            _side(pixels, last + left, -stride, height, 1, right - left),
        )

    top, bottom = across(0, width)
    above, below, *_ = boxed([top.depth, bottom.depth, 0, 0], luma.shape) or (0, height)
    first, rows = above * stride, below - above
    left = _side(pixels, first, 1, width, stride, rows)
    right = _side(pixels, first + width - 1, -1, width, stride, rows)
    if (top.colour is None or bottom.colour is None) and (
        box := boxed([0, 0, left.depth, right.depth], luma.shape)
    ):
        again = across(*box[2:])
        top = again[0] if top.colour is None else top
        bottom = again[1] if bottom.colour is None else bottom
    return top, bottom, left, right


def depth(
    flat_in: NDArray[np.int64],
    shares: NDArray[np.int64],
    lines: int,
    pictures: int = 1,
    *,
    step: bool = True,
) -> int:
    """How many of a side's lines are bar, as so many pictures tell.

    flat_in: (n,) in how many each line is of the bar's colour; shares: (n,) the sums of
    `Side.shares`, from the edge inwards; step: whether a bar may end with one beside a logo.
    """
    return int(_depth(flat_in, shares, lines, pictures, step))


def boxed(depths: list[int], shape: tuple[int, ...]) -> Box | None:
    """The box inside bars of so many lines at top, bottom, left and right; None where none counts.

    Bars that are too thin do not count, nor those that leave too little between them.
    """
    box: list[int] = []
    for before, after, lines in ((*depths[:2], shape[0]), (*depths[2:], shape[1])):
        first, last = (n if n >= LEAST * lines else 0 for n in (before, after))
        if lines - first - last < lines * LEAST_INNER_IN_64 // 64:
            first = last = 0
        box += [first, lines - last]
    found = (box[0], box[1], box[2], box[3])
    return None if found == (0, shape[0], 0, shape[1]) else found


def warm() -> None:
    """Compile the kernels, or load them from numba's cache."""
    inner(np.zeros((64, 64), np.uint8))


def _side(
    pixels: NDArray[np.uint8], first: int, to_next: int, lines: int, step: int, length: int
) -> Side:
    """first: where the outermost line begins; to_next: from a line to the next inwards; step: from a
    pixel of a line to the next; lines, length: how many there are.
    """
    shares = np.empty(lines, np.uint8)
    colour, count = _shares(pixels, first, to_next, step, length, shares)
    if not count:
        return Side(None, shares[:0], lines, 0)
    shares = shares[:count]
    alone = depth((shares >= FLAT).astype(np.int64), shares.astype(np.int64), lines)
    return Side(colour, shares, lines, alone)


@compiled
def _shares(
    pixels: NDArray[np.uint8],
    first: int,
    to_next: int,
    step: int,
    length: int,
    shares: NDArray[np.uint8],
) -> tuple[int, int]:
    """Fills in the shares of lines from the edge on. Returns the bar's colour and how many lines.

    Of long lines every nth pixel is read. It ends two lines after the first that has less than
    MARKED of the colour, and begins only if the first line is FLAT.
    """
    every = max(1, length // SAMPLES)
    step, length = step * every, length // every
    total = 0
    for x in range(length):
        total += int(pixels[first + x * step])
    rough = total // length
    total = count = 0
    for x in range(length):  # without the specks that have moved the mean
        value = int(pixels[first + x * step])
        if abs(value - rough) <= 2 * TOLERANCE:
            total += value
            count += 1
    if 64 * count < FLAT * length:
        return 0, 0
    colour = total // count
    end = len(shares)
    line = 0
    while line < end:
        same = 0
        for x in range(length):
            value = int(pixels[first + line * to_next + x * step])
            same += abs(value - colour) <= TOLERANCE
        shares[line] = 64 * same // length
        if line == 0 and shares[0] < FLAT:
            return 0, 0
        if shares[line] < MARKED:
            end = min(end, line + 3)
        line += 1
    return colour, end


@compiled
def _depth(
    flat_in: NDArray[np.int64], shares: NDArray[np.int64], lines: int, pictures: int, step: bool
) -> int:
    most = pictures - pictures // NOISY_ONE_IN
    depth = run = 0
    less = -1  # where less than MOST began, since depth
    for line in range(len(shares)):
        if flat_in[line] >= most:
            run += 1
            if depth == line or run == 2:
                depth, less = line + 1, -1
            continue
        run = 0
        if less < 0 and shares[line] < MOST * pictures:
            less = line
        if shares[line] < MARKED * pictures:
            after = shares[min(line + 2, len(shares) - 1)]
            if step and line - less <= BLURRED and after < PICTURE * pictures:
                depth = less
            break
        if line - depth > lines // COVERED:
            break
    return depth
