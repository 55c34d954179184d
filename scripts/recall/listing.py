"""What a partner would list of a video, and what vPDQ itself makes of a clip.

    listed = listing(Path("chair.mp4"))       # the reference `vpdq` package, one frame a second
    active_list([listed])                     # as hashmatch has it

Partners list frames of quality 50 and better; so does this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import vpdq
from numpy.typing import NDArray

from hashmatch.matching.listed import ActiveList
from hashmatch.model import Action, Algorithm, Entry, EntryHash, Media

LIST = "recall"
QUALITY = 50
DISTANCE = 31
USUAL_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class TimedHashes:
    """n frames of a video. t: (n,) seconds; quality: (n,); bits: (n, variants, 32) uint8."""

    name: str
    t: NDArray[np.float64]
    quality: NDArray[np.uint8]
    bits: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.t)

    def good(self) -> TimedHashes:
        """Those that are compared."""
        kept = self.quality >= QUALITY
        return TimedHashes(self.name, self.t[kept], self.quality[kept], self.bits[kept])


def by_vpdq(path: Path) -> TimedHashes:
    """One frame a second, in one variant, at native size and on one thread."""
    frames = vpdq.computeHash(str(path), seconds_per_hash=1.0, thread_count=1)
    bits = np.frombuffer(bytes.fromhex("".join(frame.hex for frame in frames)), np.uint8)
    return TimedHashes(
        path.stem,
        np.array([frame.timestamp for frame in frames], np.float64),
        np.array([frame.quality for frame in frames], np.uint8),
        bits.reshape(len(frames), 1, 32),
    )


def listing(path: Path) -> TimedHashes:
    """The frames of a video that are listed; there may be none."""
    return by_vpdq(path).good()


def active_list(listed: Iterable[TimedHashes]) -> ActiveList:
    """One video entry each, its id the video's name."""
    entries = [
        Entry(
            video.name,
            Media.VIDEO,
            tuple(
                EntryHash(Algorithm.PDQ, bits[0].tobytes(), float(t), int(quality))
                for t, quality, bits in zip(video.t, video.quality, video.bits, strict=True)
            ),
        )
        for video in listed
    ]
    return ActiveList(LIST, 1, Action.QUARANTINE, entries)
