"""Counting hits by entry: how many of one clip's frames lie near each entry, however many there are.

    runs = Runs.of(frames, usable)
    tally = Tally(runs, rows, references, list_of, limits, quality=50)
    for hits in index.batches(runs.bits, radius, reach):
        tally.add(hits)
    counts = tally.counts()

A still clip against a list full of the same picture gives a hit for every pair of frames. Hits are
therefore counted as they come, in the order of the clip, and never kept: memory grows with the
entries that are hit, time with the hits, a few nanoseconds each.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.index import Hits
from hashmatch.matching.popcount import kernel, popcount
from hashmatch.model import FrameHashes

# Bits up to which a frame repeats the last one that was kept, in every variant: what an encoder
# makes of a still picture. It is searched with that one, and counted by its own distance.
REPEATED = 2


class Runs(NamedTuple):
    """A clip's usable frames in time, those that repeat the last kept one taken together.

    bits: (n * variants, bytes), a run's first frame in its variants, one run after the other; start,
    end: (n,) seconds; frame_at: (n + 1,) where a run's frames begin in frame_bits: (frames *
    variants, bytes), and in new: (frames,) 1 for each that is not the same picture at the same time.
    """

    bits: NDArray[np.uint8]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    frame_at: NDArray[np.int64]
    frame_bits: NDArray[np.uint64]
    new: NDArray[np.int64]
    variants: int

    @classmethod
    def of(cls, frames: FrameHashes, usable: NDArray[np.bool_]) -> Runs:
        """usable: (n,) which frames to take."""
        order = np.flatnonzero(usable)
        order = order[np.argsort(frames.t[order], kind="stable")]
        t, bits = frames.t[order], np.ascontiguousarray(frames.bits[order])
        _, variants, size = bits.shape
        words = bits.reshape(len(t), variants * size).view("<u8")
        first = np.flatnonzero(_kept(words, variants, REPEATED))
        last = np.append(first[1:], len(t))[: len(first)] - 1
        # Two pictures of the same time are two frames, the same picture of the same time is one.
        new = np.ones(len(t), np.int64)
        new[1:] = (t[1:] > t[:-1]) | (words[1:] != words[:-1]).any(axis=1)
        return cls(
            np.ascontiguousarray(bits[first]).reshape(len(first) * variants, size),
            t[first],
            t[last],
            np.append(first, len(t)),
            words.reshape(len(t) * variants, size // 8),
            new,
            variants,
        )


@kernel
def _kept(words: Any, variants: Any, most: Any) -> Any:
    """(n,) which frames differ by more than `most` bits from the last kept, in some variant."""
    n, width = words.shape
    each = width // variants
    kept = np.zeros(n, np.bool_)
    last = 0
    for i in range(n):
        if i > 0:
            same = True
            for v in range(variants):
                bits = np.uint64(0)
                for w in range(v * each, (v + 1) * each):
                    bits += popcount(words[i, w] ^ words[last, w])
                if bits > np.uint64(most):
                    same = False
                    break
            if same:
                continue
        kept[i] = True
        last = i
    return kept


class References(NamedTuple):
    """What the rows of an index stand for: row i for the references first[i] to first[i + 1].

    entry: whose hash; timestamp: seconds in the listed video, NaN for others; quality: 0..100,
    above where the list gives none; by_entry: the references in the order of their entries, each
    entry's in the order of their times.
    """

    first: NDArray[np.uint32]
    entry: NDArray[np.uint32]
    timestamp: NDArray[np.float64]
    quality: NDArray[np.uint8]
    by_entry: NDArray[np.uint32]


class Counts(NamedTuple):
    """One row an entry that was hit.

    frames: of the clip, in any variant, within the list's distance; variant: the one with the most;
    start, end, distance: theirs (seconds, seconds, bits of the nearest); reached: runs within reach,
    those within the distance among them.
    """

    entry: NDArray[np.int64]
    variant: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    frames: NDArray[np.int64]
    distance: NDArray[np.uint8]
    reached: NDArray[np.int64]


class _Places(NamedTuple):
    """slot: (entries,) 1 + the entry's place in the other arrays, 0 for none.

    The others have a place for each entry that was hit; seen (the last run) and frames have one
    column for all variants together and one for each; reached_in: the last run that reached.
    """

    slot: NDArray[np.int32]
    entry: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    distance: NDArray[np.uint8]
    seen: NDArray[np.int64]
    frames: NDArray[np.int64]
    reached: NDArray[np.int64]
    reached_in: NDArray[np.int64]


class Tally:
    """Counts one clip's hits by entry."""

    def __init__(
        self,
        runs: Runs,
        rows: NDArray[np.uint64],
        references: References,
        list_of: NDArray[np.uint16],
        limits: NDArray[np.int16],
        *,
        quality: int,
    ) -> None:
        """rows: the index's, (n, words); list_of: (entries,); limits: (lists,) bits within which a
        frame counts, below 0 for a list that nothing is to match; quality: the least that a listed
        hash must have.
        """
        entries, columns = len(list_of), 1 + runs.variants
        self._runs = runs
        self._rows = rows
        self._references = references
        self._list_of = list_of
        self._limits = limits
        self._quality = quality
        self._used = 0
        # Room for all entries costs nothing before it is written to.
        self._places = _Places(
            np.zeros(entries, np.int32),
            np.empty(entries, np.int64),
            np.empty(entries, np.float64),
            np.empty(entries, np.float64),
            np.empty(entries, np.uint8),
            np.empty((entries, columns), np.int64),
            np.empty((entries, columns), np.int64),
            np.empty(entries, np.int64),
            np.empty(entries, np.int64),
        )

    def add(self, hits: Hits) -> None:
        """Count hits. Those of later queries come in later calls."""
        self._used = _count(
            hits,
            self._runs,
            self._rows,
            self._references,
            self._list_of,
            self._limits,
            self._quality,
            self._places,
            self._used,
        )

    def counts(self) -> Counts:
        places, used = self._places, self._used
        return Counts(
            places.entry[:used],
            np.argmax(places.frames[:used, 1:], axis=1),
            places.start[:used],
            places.end[:used],
            places.frames[:used, 0],
            places.distance[:used],
            places.reached[:used],
        )


@kernel
def _count(
    hits: Any,
    runs: Any,
    rows: Any,
    references: Any,
    list_of: Any,
    limits: Any,
    quality: Any,
    places: Any,
    used: Any,
) -> Any:
    """Count a batch. Returns how many places are taken."""
    for h in range(len(hits.query)):
        run, variant = divmod(np.int64(hits.query[h]), runs.variants)
        row = hits.row[h]
        for r in range(np.int64(references.first[row]), np.int64(references.first[row + 1])):
            entry = references.entry[r]
            if references.quality[r] < quality:
                continue
            limit = np.int64(limits[list_of[entry]])
            if limit < 0:
                continue
            place = places.slot[entry] - 1
            if place < 0:
                place = used
                used += 1
                places.slot[entry] = used
                places.entry[place] = entry
                places.distance[place] = 255
                places.seen[place] = -1
                places.frames[place] = 0
                places.reached[place] = 0
                places.reached_in[place] = -1
            if places.reached_in[place] != run:
                places.reached_in[place] = run
                places.reached[place] += 1
            distance = np.int64(hits.distance[h])
            if distance > limit + REPEATED:
                continue
            frames = 0
            if runs.frame_at[run + 1] - runs.frame_at[run] == 1:
                if distance <= limit:
                    frames = runs.new[runs.frame_at[run]]
            else:
                # Frames of a run differ a little, so each is held to the limit by itself.
                nearest = np.uint64(255)
                for f in range(runs.frame_at[run], runs.frame_at[run + 1]):
                    bits = np.uint64(0)
                    for w in range(rows.shape[1]):
                        bits += popcount(
                            rows[row, w] ^ runs.frame_bits[f * runs.variants + variant, w]
                        )
                    if np.int64(bits) <= limit:
                        frames += runs.new[f]
                        nearest = min(nearest, bits)
                distance = np.int64(nearest)
            if frames == 0:
                continue
            if places.frames[place, 0] == 0:
                places.start[place] = runs.start[run]
            places.distance[place] = min(np.int64(places.distance[place]), distance)
            places.end[place] = runs.end[run]
            for column in (0, 1 + variant):
                if places.seen[place, column] != run:
                    places.seen[place, column] = run
                    places.frames[place, column] += frames
    return used
