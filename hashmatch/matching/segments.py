"""Hits to segments: what one clip's hits say of each entry, however many there are.

    runs = Runs.of(frames, usable)
    tally = Tally(runs, references, list_of, limits, quality=50, pairs=3)
    for hits in index.batches(runs.bits, radius):
        tally.add(hits)
    segments = tally.segments()

A still clip against a list full of the same picture gives a hit for every pair of frames. Hits are
therefore counted as they come, in the order of the clip, and never kept: memory grows with the
entries that are hit, time with the hits, a few nanoseconds each.

A listed video whose frames turn up in the clip in their order and at one time offset is a sequence.
Each pair of a frame's time and a listed time votes for the two offset windows it lies in; only a
pair later than the last one that voted, in both times, votes again. So a still scene that resembles
one listed frame for long has one vote, and a copy has as many as it has frames in common.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.index import Hits
from hashmatch.matching.popcount import kernel
from hashmatch.model import FrameHashes

# Seconds. Pairs whose offsets are this close share a window, and none in a window differ by twice
# as much. Frames are up to 0.25 s apart (decode.max_gap_seconds), so a copy's offsets are too.
OFFSET_TOLERANCE = 0.25
# Places for windows that have votes. A clip that fills three quarters of them is so still, against
# so many videos, that offsets say nothing: voting ends, hits still count.
WINDOWS = 1 << 20


class Runs(NamedTuple):
    """A clip's usable frames in time, those that repeat the previous one's bits taken together.

    bits: (n * variants, bytes), a run's variants one after the other; start, end: (n,) seconds;
    frames: (n,) how many frames, of different times.
    """

    bits: NDArray[np.uint8]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    frames: NDArray[np.int64]
    variants: int

    @classmethod
    def of(cls, frames: FrameHashes, usable: NDArray[np.bool_]) -> Runs:
        """usable: (n,) which frames to take."""
        order = np.flatnonzero(usable)
        order = order[np.argsort(frames.t[order], kind="stable")]
        t, bits = frames.t[order], frames.bits[order]
        changed = np.ones(len(t), np.bool_)
        changed[1:] = (bits[1:] != bits[:-1]).any(axis=(1, 2))
        later = np.ones(len(t), np.bool_)
        later[1:] = t[1:] > t[:-1]
        first = np.flatnonzero(changed)
        last = np.append(first[1:], len(t))[: len(first)] - 1
        # Two pictures of the same time are two frames, the same picture of the same time is one.
        count = np.add.reduceat(changed | later, first, dtype=np.int64) if len(t) else first
        queries = np.ascontiguousarray(bits[first]).reshape(-1, bits.shape[2])
        return cls(queries, t[first], t[last], count, bits.shape[1])


class References(NamedTuple):
    """What the rows of an index stand for: row i for the references first[i] to first[i + 1].

    entry: whose hash; timestamp: seconds in the listed video, NaN for others; quality: 0..100,
    above where the list gives none.
    """

    first: NDArray[np.uint32]
    entry: NDArray[np.uint32]
    timestamp: NDArray[np.float64]
    quality: NDArray[np.uint8]


class Segments(NamedTuple):
    """One row an entry that was hit. frames: of the clip, in any variant; variant: the one with the
    most; sequence: the entry's frames came in their order and at one offset.
    """

    entry: NDArray[np.int64]
    variant: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    frames: NDArray[np.int64]
    distance: NDArray[np.uint8]
    sequence: NDArray[np.bool_]


class _Counts(NamedTuple):
    """slot: (entries,) 1 + the entry's place in the other arrays, 0 for none.

    The others have a place for each entry that was hit; seen (the last run) and frames have one
    column for all variants together and one for each.
    """

    slot: NDArray[np.int32]
    entry: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    distance: NDArray[np.uint8]
    seen: NDArray[np.int64]
    frames: NDArray[np.int64]
    votes: NDArray[np.int64]


class _Windows(NamedTuple):
    """An open-addressed hash table. key: 0 for an empty place; t, timestamp: of the last vote."""

    key: NDArray[np.int64]
    votes: NDArray[np.int64]
    t: NDArray[np.float64]
    timestamp: NDArray[np.float64]


class Tally:
    """Counts one clip's hits by entry."""

    def __init__(
        self,
        runs: Runs,
        references: References,
        list_of: NDArray[np.uint16],
        limits: NDArray[np.uint8],
        *,
        quality: int,
        pairs: int,
    ) -> None:
        """list_of: (entries,); limits: (lists,) bits within which a hit counts; quality: the least
        that a listed hash must have; pairs: votes that make a sequence.
        """
        entries, columns = len(list_of), 1 + runs.variants
        self._runs = runs
        self._references = references
        self._list_of = list_of
        self._limits = limits
        self._quality = quality
        self._pairs = pairs
        self._used = 0
        self._open = 0
        # Room for all entries costs nothing before it is written to.
        self._counts = _Counts(
            np.zeros(entries, np.int32),
            np.empty(entries, np.int64),
            np.empty(entries, np.float64),
            np.empty(entries, np.float64),
            np.empty(entries, np.uint8),
            np.empty((entries, columns), np.int64),
            np.empty((entries, columns), np.int64),
            np.empty(entries, np.int64),
        )
        self._windows = _Windows(
            np.zeros(WINDOWS, np.int64),
            np.empty(WINDOWS, np.int64),
            np.empty(WINDOWS, np.float64),
            np.empty(WINDOWS, np.float64),
        )

    def add(self, hits: Hits) -> None:
        """Count hits. Those of later queries come in later calls."""
        self._used, self._open = _count(
            hits,
            self._runs,
            self._references,
            self._list_of,
            self._limits,
            self._quality,
            self._pairs,
            self._counts,
            self._used,
            self._windows,
            self._open,
        )

    def segments(self) -> Segments:
        """What was counted."""
        counts, used = self._counts, self._used
        return Segments(
            counts.entry[:used],
            np.argmax(counts.frames[:used, 1:], axis=1),
            counts.start[:used],
            counts.end[:used],
            counts.frames[:used, 0],
            counts.distance[:used],
            counts.votes[:used] >= self._pairs,
        )


@kernel
def _count(
    hits: Any,
    runs: Any,
    references: Any,
    list_of: Any,
    limits: Any,
    quality: Any,
    pairs: Any,
    counts: Any,
    used: Any,
    windows: Any,
    open_: Any,
) -> Any:
    """Count a batch. Returns how many places of counts and of windows are taken."""
    room = len(windows.key) // 4 * 3
    for h in range(len(hits.query)):
        run, variant = divmod(np.int64(hits.query[h]), runs.variants)
        distance = hits.distance[h]
        row = hits.row[h]
        for r in range(np.int64(references.first[row]), np.int64(references.first[row + 1])):
            entry = references.entry[r]
            if distance > limits[list_of[entry]] or references.quality[r] < quality:
                continue
            place = counts.slot[entry] - 1
            if place < 0:
                place = used
                used += 1
                counts.slot[entry] = used
                counts.entry[place] = entry
                counts.start[place] = runs.start[run]
                counts.distance[place] = distance
                counts.seen[place] = -1
                counts.frames[place] = 0
                counts.votes[place] = 0
            counts.distance[place] = min(counts.distance[place], distance)
            counts.end[place] = runs.end[run]
            for column in (0, 1 + variant):
                if counts.seen[place, column] != run:
                    counts.seen[place, column] = run
                    counts.frames[place, column] += runs.frames[run]
            if counts.votes[place] >= pairs or open_ > room:
                continue
            # False for NaN: images have no times.
            offset = runs.start[run] - references.timestamp[r]
            if abs(offset) < 1e8:
                track = place * runs.variants + variant
                window = np.int64(np.floor(offset / OFFSET_TOLERANCE))
                for w in (window - 1, window):
                    open_ = _vote(
                        windows,
                        (track << 32) + w + (1 << 31),
                        runs.start[run],
                        references.timestamp[r],
                        counts.votes,
                        place,
                        open_,
                    )
    return used, open_


@kernel
def _vote(windows: Any, key: Any, t: Any, timestamp: Any, most: Any, place: Any, open_: Any) -> Any:
    """One pair's vote for one window. Returns how many windows are open."""
    mask = len(windows.key) - 1
    at = np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(32)) & mask
    while windows.key[at] != key:
        if windows.key[at] == 0:
            open_ += 1
            windows.key[at] = key
            windows.votes[at] = 0
            windows.t[at] = -np.inf
            windows.timestamp[at] = -np.inf
            break
        at = (at + 1) & mask
    if t > windows.t[at] and timestamp > windows.timestamp[at]:
        windows.t[at] = t
        windows.timestamp[at] = timestamp
        windows.votes[at] += 1
        most[place] = max(most[place], windows.votes[at])
    return open_
