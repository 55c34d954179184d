"""The share of a video's listed frames that a clip gives away, from frame hashes alone.

    by_frame(clip, listed, 31)            # (n,) bool: which listed frames some frame of the clip is near
    in_sequence(clip, listed, 64)         # ... within 64 bits, if at least three agree on time

Plain reference implementations, independent of `hashmatch.matching`, which they are there to judge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recall.edits import Piece
from recall.listing import TimedHashes

SEQUENCE_DISTANCE = 64
# Listed frames that agree on one line, at least; and how far off it they may be, in seconds.
AGREEING = 3
TOLERANCE = 0.15
# Clip seconds per listed second: played up to a quarter faster or slower, in steps of 1 %. The plain
# speed first, so that it wins where others explain as much.
SCALES = np.array(sorted(1.01 ** np.arange(-23, 24), key=lambda scale: abs(np.log(scale))))


def distances(clip: TimedHashes, listed: TimedHashes) -> NDArray[np.uint16]:
    """(frames of the clip, variants, frames of the listed video) bits."""
    left = clip.bits.view("<u8")
    right = listed.bits[:, 0].view("<u8")
    found = np.zeros((*left.shape[:2], len(right)), np.uint16)
    for word in range(left.shape[2]):
        found += np.bitwise_count(left[:, :, word, None] ^ right[None, None, :, word])
    return found


def in_clip(listed: TimedHashes, pieces: tuple[Piece, ...]) -> NDArray[np.bool_]:
    """Which listed frames are in the edit at all."""
    there = np.zeros(len(listed), np.bool_)
    for piece in pieces:
        there |= (listed.t >= piece.start) & (listed.t < piece.end)
    return there


def by_frame(between: NDArray[np.uint16], distance: int) -> NDArray[np.bool_]:
    """Which listed frames are hit by themselves. between: of `distances`."""
    return (between <= distance).any(axis=(0, 1))


def in_sequence(
    between: NDArray[np.uint16], clip: TimedHashes, listed: TimedHashes, distance: int
) -> NDArray[np.bool_]:
    """Which listed frames are on a line t_clip = scale * t_listed + offset of three and more.

    A clip may have pieces from several places: after each line its listed frames are taken out, and
    the next one is looked for.
    """
    near = (between <= distance).any(axis=1)
    at_clip, at_listed = np.nonzero(near)
    found = np.zeros(len(listed), np.bool_)
    while len(line := _best_line(clip.t[at_clip], listed.t[at_listed], at_listed)) >= AGREEING:
        found[line] = True
        left = ~found[at_listed]
        at_clip, at_listed = at_clip[left], at_listed[left]
    return found


def _best_line(
    clip: NDArray[np.float64], listed: NDArray[np.float64], which: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The different `which` of the pairs on the line that has most of them."""
    best = np.empty(0, np.int64)
    if len(np.unique(which)) < AGREEING:
        return best
    for scale in SCALES:
        offset = clip - scale * listed
        for shift in (0.0, 0.5):
            window = np.floor(offset / (2 * TOLERANCE) + shift).astype(np.int64)
            window -= window.min()
            pairs = np.unique(window * (which.max() + 1) + which)
            counts = np.bincount(pairs // (which.max() + 1))
            if counts.max() > len(best):
                best = pairs[pairs // (which.max() + 1) == counts.argmax()] % (which.max() + 1)
    return best
