"""What a partner would list of a video, and what vPDQ itself makes of a clip.

    reference = Reference(folder)
    reference.look(Path("chair.mp4")).frames      # the reference `vpdq` package, one frame a second
    active_list([frames.good()])                  # as hashmatch has it

Partners list frames of quality 50 and better; so does this.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.list_input import ActiveList
from hashmatch.model import Action, Algorithm, Entry, EntryHash, Media
from recall.processor import cpu_seconds

LIST = "recall"
QUALITY = 50
DISTANCE = 31
USUAL_SHARE = 0.8


class VpdqUnable(Exception):
    """vPDQ cannot read a video."""


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


@dataclass(frozen=True, eq=False)
class ReferenceLook:
    """cpu_seconds: what it cost; earlier: whether that was in another run."""

    frames: TimedHashes
    cpu_seconds: float
    earlier: bool


class Reference:
    """The `vpdq` package at one frame a second, on one thread. What it says is kept in a folder."""

    def __init__(self, folder: Path, *, again: bool = False) -> None:
        """again: pay attention to nothing that was kept before this run."""
        self._folder = folder
        self._again = again
        self._looks: dict[str, ReferenceLook] = {}

    def look(self, path: Path) -> ReferenceLook:
        """Raises VpdqUnable."""
        stamp = path.stat()
        made_from = repr((path.name, stamp.st_size, stamp.st_mtime_ns))
        key = hashlib.sha256(made_from.encode()).hexdigest()[:16]
        if key not in self._looks:
            kept = self._folder / f"vpdq-{key}.npz"
            if kept.exists() and not self._again:
                self._looks[key] = _read(kept, path.stem)
            else:
                self._looks[key] = look = _look(path)
                _write(kept, look)
        return self._looks[key]


def _look(path: Path) -> ReferenceLook:
    import vpdq

    before = cpu_seconds()
    try:
        frames = vpdq.computeHash(str(path), seconds_per_hash=1.0, thread_count=1)
    except Exception as error:
        raise VpdqUnable(f"{path.name}: {error}") from error
    spent = cpu_seconds() - before
    bits = np.frombuffer(bytes.fromhex("".join(frame.hex for frame in frames)), np.uint8)
    hashes = TimedHashes(
        path.stem,
        np.array([frame.timestamp for frame in frames], np.float64),
        np.array([frame.quality for frame in frames], np.uint8),
        bits.reshape(len(frames), 1, 32),
    )
    return ReferenceLook(hashes, spent, earlier=False)


def _write(kept: Path, look: ReferenceLook) -> None:
    frames = look.frames
    unfinished = kept.with_suffix(f".part-{os.getpid()}.npz")
    np.savez(unfinished, t=frames.t, quality=frames.quality, bits=frames.bits, cpu=look.cpu_seconds)
    unfinished.rename(kept)


def _read(kept: Path, name: str) -> ReferenceLook:
    with np.load(kept) as stored:
        frames = TimedHashes(name, stored["t"], stored["quality"], stored["bits"])
        return ReferenceLook(frames, float(stored["cpu"]), earlier=True)


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
