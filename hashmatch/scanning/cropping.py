"""Cutting off a clip's bars: the hashes of what is inside them, also where they were known too late.

    bars = ClipBars()
    box = bars.look(frame.luma, quality)
    inside(frame, box, orientations)              # what is in the box, None if there is none
    yield from cut_again(open_again, bars.corrections(), orientations)

Part of the task in the sandbox (`decoder_task`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashmatch.errors import FrameTooSmall
from hashmatch.hashing.bars import Bars, Correction
from hashmatch.hashing.borders import Box
from hashmatch.hashing.jarosz import SIDE
from hashmatch.hashing.packing import pack
from hashmatch.hashing.pdq import PdqHash, pdq
from hashmatch.hashing.recipes import recipe
from hashmatch.media.frame import Frame
from hashmatch.media.reader import Reader
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Algorithm, FrameHashes, Orientations

# PDQ's own advice: a hash of less quality says nothing. The frame's quality is that of the whole.
_LEAST_QUALITY = 50
# A message has no more than this many.
_MOST_FRAMES = 256

Message: TypeAlias = tuple[dict[str, Any], bytes]


class ClipBars:
    """The clip's bars, and which of its frames are worth another reading because of them."""

    def __init__(self) -> None:
        self._bars = Bars()
        self._usable: list[bool] = []

    def __len__(self) -> int:
        """How many frames were hashed."""
        return len(self._usable)

    def look(self, luma: NDArray[np.uint8], quality: int) -> Box | None:
        self._usable.append(quality >= _LEAST_QUALITY)
        return self._bars.look(luma)

    def corrections(self) -> list[Correction]:
        """A frame that says nothing, as in a black intro, is left as it is."""
        return [
            correction
            for correction in self._bars.corrections()
            if any(self._usable[correction.first : correction.end])
        ]


def cut_again(
    open_again: Callable[[], Reader], corrections: list[Correction], orientations: Orientations
) -> Generator[Message, None, bool]:
    """What is inside the bars of these frames, now that they are known. Reads no further than needed.

    Returns False if the time did not suffice for all of them.
    """
    waiting = deque(corrections)
    number = 0
    cut = _Cut(0, orientations)
    try:
        reader = open_again()
    except Unseeable:  # it was seen a moment ago: it is the time that was too short
        return False
    with reader:
        for frame in reader:
            if min(frame.luma.shape) < SIDE:
                continue
            if number >= waiting[0].first:
                if len(cut) == 0:
                    cut = _Cut(number, orientations)
                cut.add(frame, waiting[0].box)
            number += 1
            if number >= waiting[0].end or len(cut) >= _MOST_FRAMES:
                yield from cut.messages()
            if number >= waiting[0].end:
                waiting.popleft()
                if not waiting:
                    return True
    yield from cut.messages()
    return False


class _Cut:
    """Inner variants of frames that follow each other, not yet sent. first: the first one's number."""

    def __init__(self, first: int, orientations: Orientations) -> None:
        self._first = first
        self._orientations = orientations
        self._t: list[float] = []
        self._bits: list[NDArray[np.uint8]] = []

    def __len__(self) -> int:
        return len(self._t)

    def add(self, frame: Frame, box: Box) -> None:
        bits = inside(frame, box, self._orientations)
        if bits is None:
            bits = hashed(frame.luma, frame.full_range, self._orientations).bits
        self._t.append(frame.t)
        self._bits.append(bits)

    def messages(self) -> Iterator[Message]:
        if self._t:
            hashes = FrameHashes(
                recipe(Algorithm.PDQ),
                Algorithm.PDQ,
                np.array(self._t, np.float64),
                np.zeros(len(self._t), np.uint8),
                np.array(self._bits, np.uint8),
                self._orientations.inner,
            )
            yield {"kind": "cut", "first": self._first}, pack(hashes)
            self._t, self._bits = [], []


def hashed(luma: NDArray[np.uint8], full_range: bool, orientations: Orientations) -> PdqHash:
    number: Literal[2, 8] = 8 if orientations is Orientations.ALL else 2
    return pdq(luma, full_range=full_range, orientations=number)


def inside(frame: Frame, box: Box | None, orientations: Orientations) -> NDArray[np.uint8] | None:
    """The hashes of what is in the box; None if that is all, too small, or shows nothing."""
    if box is None:
        return None
    top, bottom, left, right = box
    try:
        inside = hashed(frame.luma[top:bottom, left:right], frame.full_range, orientations)
    except FrameTooSmall:
        return None
    return inside.bits if inside.quality >= _LEAST_QUALITY else None
