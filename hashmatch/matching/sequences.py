"""Listed videos: how much of one is in a clip, and whether what is there is a copy of it.

    videos = Videos(runs, index_rows, references)
    compared = videos.look(entry, limit=31, quality=50)

The index nominates entries; here all frames of a nominated one are compared with all of the clip,
so nothing depends on which of their hits the index happened to meet beyond its exact radius.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.alignment import (
    LEAST_PAIRS,
    MOMENT,
    REACH,
    SAME_PICTURE,
    Segment,
    align,
    distances,
)
from hashmatch.matching.popcount import kernel
from hashmatch.matching.tally import References, Runs

# Listed frames of one entry that are aligned, evenly taken where there are more: 16 minutes at a
# frame a second. Fewer against a very long clip, so that there are no more pairs than MOST_PAIRS.
MOST_LISTED, FEWEST_LISTED = 1000, 50
MOST_PAIRS = 1 << 24
# Seconds, of clip and listed video. Longer ones are compared frame by frame only.
LONGEST = 86_400.0
# A listed video of fewer frames, or of fewer seconds, is a few images: it has no other moment.
FEWEST_FRAMES, SHORTEST = 5, 2 * MOMENT
# Different pictures from which their order can tell a copy from another moment of the same room.
FEWEST_PICTURES = 5
# Decades by which the alignment of a clip that shows something else must be unlikely, with all
# hashes it was compared with taken into account: one in a million clips.
LEAST_CHANCE = 6.0


class Compared(NamedTuple):
    """One listed video and one clip, in the variant that speaks most for it.

    listed: its frames that were compared; found: those with a frame of the clip within the list's
    distance, and those in a segment; shows: how many different pictures they are worth; covered: the
    share of those that the former are, reached: that both are (0..1); brief, moves: as in `Match`; variant:
    of the segments; segments: the stretches that agree, the one with the most evidence first, without
    those that may be chance; times: (listed,) of the listed frames, seconds.
    """

    listed: int
    found: int
    shows: int
    covered: float
    reached: float
    brief: bool
    moves: bool
    variant: int
    segments: tuple[Segment, ...]
    times: NDArray[np.float64]


class Videos:
    """Looks at the listed videos of one index, for one clip."""

    def __init__(self, runs: Runs, rows: NDArray[np.uint64], references: References) -> None:
        self._runs = runs
        self._rows = rows
        self._references = references
        pairs = len(runs.bits) * max(len(references.entry), 1)
        self._least_chance = LEAST_CHANCE + math.log10(max(pairs, 1))

    def look(self, entry: int, *, limit: int, quality: int) -> Compared | None:
        """None for an entry with too few timed frames to be aligned (LEAST_PAIRS).

        limit: bits within which a frame is near; quality: the least that a listed frame must have.
        """
        times, bits = self._listed(entry, quality)
        if len(times) < LEAST_PAIRS:
            return None
        queries = self._runs.bits.view("<u8")
        table = distances(bits, queries, self._runs.variants)
        own = distances(bits, bits, 1)[0]
        near = (table <= limit).any(axis=(0, 2))
        long = max(times[-1] - times[0], self._runs.end[-1] - self._runs.start[0])
        pictures = _pictures(own)
        shows = math.ceil(pictures.sum())
        brief = _is_brief(len(times), float(times[-1] - times[0]))
        moves = shows >= FEWEST_PICTURES
        covered = float(pictures[near].sum() / pictures.sum())
        best: tuple[float, int, tuple[Segment, ...], NDArray[np.bool_]] | None = None
        for variant in range(self._runs.variants):
            if long > LONGEST or (table[variant] <= REACH).any(axis=1).sum() < LEAST_PAIRS:
                continue
            aligned = align(table[variant], own, times, self._runs.start, self._runs.end)
            sure = [one for one in aligned if one[0].chance >= self._least_chance]
            if not sure:
                continue
            sure.sort(key=lambda one: -one[0].copy)
            if best is None or sure[0][0].copy > best[0]:
                paired = np.logical_or.reduce([pairs for _, pairs in sure])
                segments = tuple(segment for segment, _ in sure)
                best = (segments[0].copy, variant, segments, paired)
        if best is None:
            return Compared(
                len(times), int(near.sum()), shows, covered, covered, brief, moves, 0, (), times
            )
        _, variant, segments, paired = best
        found = near | paired
        reached = float(pictures[found].sum() / pictures.sum())
        return Compared(
            len(times),
            int(found.sum()),
            shows,
            covered,
            reached,
            brief,
            moves,
            variant,
            segments,
            times,
        )

    def timed(
        self, entries: NDArray[np.int64], quality: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """How many timed frames each entry has that are to be compared, and over how many seconds."""
        of = self._references
        listed, seconds = _timed(of.entry, of.by_entry, of.timestamp, of.quality, entries, quality)
        return listed, seconds

    def _listed(self, entry: int, quality: int) -> tuple[NDArray[np.float64], NDArray[np.uint64]]:
        """Times and bits of an entry's timed frames, in their order."""
        of = self._references
        first, last = _span(of.entry, of.by_entry, entry)
        positions = of.by_entry[first:last]
        times = of.timestamp[positions]
        usable = np.isfinite(times) & (of.quality[positions] >= quality)
        positions, times = positions[usable], times[usable]
        most = min(max(MOST_PAIRS // len(self._runs.bits), FEWEST_LISTED), MOST_LISTED)
        if len(positions) > most:
            some = np.linspace(0, len(positions) - 1, most).astype(np.int64)
            positions, times = positions[some], times[some]
        rows = np.searchsorted(of.first, positions, side="right") - 1
        return np.ascontiguousarray(times), np.ascontiguousarray(self._rows[rows])


def unseen(listed: int, seconds: float) -> Compared:
    """Of a listed video that was not looked at: how many frames it has, and none found."""
    brief = _is_brief(listed, seconds)
    return Compared(listed, 0, listed, 0, 0, brief, True, 0, (), np.empty(0))


def _is_brief(listed: int, seconds: float) -> bool:
    return listed < FEWEST_FRAMES or seconds < SHORTEST


def _pictures(own: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(m,) how much each listed frame adds to those before it: 0 for a picture that was shown, up to
    1 for one that would not match any. own: (m, m) bits between them.
    """
    before = np.where(np.tri(len(own), k=-1, dtype=np.bool_), own, np.uint8(255)).min(axis=1)
    added: NDArray[np.float64] = np.minimum(1.0, before / SAME_PICTURE)
    added[0] = 1.0
    return added


@kernel
def _span(entry: Any, by_entry: Any, wanted: Any) -> Any:
    """Where in by_entry the references of an entry begin and end, by bisection."""
    first, last = 0, len(by_entry)
    while first < last:
        middle = (first + last) // 2
        if entry[by_entry[middle]] < wanted:
            first = middle + 1
        else:
            last = middle
    begin = first
    last = len(by_entry)
    while first < last:
        middle = (first + last) // 2
        if entry[by_entry[middle]] <= wanted:
            first = middle + 1
        else:
            last = middle
    return begin, first


@kernel
def _timed(
    entry: Any, by_entry: Any, timestamp: Any, quality: Any, entries: Any, least: Any
) -> Any:
    listed = np.zeros(len(entries), np.int64)
    seconds = np.zeros(len(entries), np.float64)
    for i in range(len(entries)):
        begin, end = _span(entry, by_entry, entries[i])
        earliest, latest = np.inf, -np.inf
        for k in range(begin, end):
            r = by_entry[k]
            if quality[r] >= least and np.isfinite(timestamp[r]):
                listed[i] += 1
                earliest, latest = min(earliest, timestamp[r]), max(latest, timestamp[r])
        if listed[i]:
            seconds[i] = latest - earliest
    return listed, seconds
