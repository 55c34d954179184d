"""Distances between the frames of a clip and the listed frames of a video, by plain NumPy.

    between = distances(clip, listed)
    by_frame(between, 31)                 # (n,) bool: which listed frames some frame of the clip is near
    at_instants(between, clip, listed, pieces)      # (n,) the least bits at the instants where they are

Independent of `hashmatch.matching`, which it is there to judge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recall.edits import Piece
from recall.listing import TimedHashes

# Seconds around the instant at which a listed frame is shown in the edit.
INSTANT = 0.3
# In place of bits, for listed frames that the edit does not show.
NOT_THERE = -1


def distances(clip: TimedHashes, listed: TimedHashes) -> NDArray[np.uint16]:
    """(frames of the clip, variants, frames of the listed video) bits."""
    left = np.ascontiguousarray(clip.bits).view("<u8")
    right = np.ascontiguousarray(listed.bits[:, 0]).view("<u8")
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


def at_instants(
    between: NDArray[np.uint16],
    clip: TimedHashes,
    listed: TimedHashes,
    pieces: tuple[Piece, ...],
) -> list[int | None]:
    """The least bits to each listed frame where the edit shows it; None where no frame was taken
    there, NOT_THERE where the edit does not show it."""
    found: list[int | None] = []
    for at, t in enumerate(listed.t):
        shown = [p.scale * t + p.offset for p in pieces if p.start <= t < p.end]
        if not shown:
            found.append(NOT_THERE)
            continue
        taken = np.zeros(len(clip), np.bool_)
        for instant in shown:
            taken |= abs(clip.t - instant) <= INSTANT
        found.append(int(between[taken, :, at].min()) if taken.any() else None)
    return found
