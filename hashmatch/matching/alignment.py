"""Aligning a clip with one listed video: which stretches of the one are stretches of the other.

    table = distances(listed_bits, clip_bits, variants)
    for segment, found in align(table[v], own, listed_times, clip_start, clip_end):
        ...

Pairs of frames within `REACH` bits vote for a line: clip time = offset + speed * listed time. Around
the line with the most votes every listed frame is paired with the nearest of the clip's frames that
are shown when it should be; a segment is the stretch of the line where those pairs agree. The time
of the clip that it takes up is taken out and the rest is searched again, so excerpts may come in
any order. What a segment says is weighed by `significance`.

The clip's frames are `tally.Runs`: a picture and the time for which it is shown.
Source of the voting: A. Wang, "An Industrial-Strength Audio Search Algorithm", 2003, with speeds.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.popcount import kernel, popcount
from hashmatch.matching.significance import beyond, chance, combined

# Bits. Unrelated frames come this near once in 10**14 pairs, edited copies (a logo over a tenth of
# the picture, a crop by 5 %) often do.
REACH = 64
# Bits from which two listed frames are two pictures: they would not match. Nearer, they are as much
# less than two.
SAME_PICTURE = 31
# Playback speeds that are voted for; the fit is then exact. Between two of them a line of 30 s is
# off by 0.35 s at its ends.
SLOWEST, FASTEST = 0.8, 1.25
SPEEDS = np.array(sorted(np.geomspace(SLOWEST, FASTEST, 21), key=lambda s: abs(math.log(s))))
# Another speed than one that is nearer to 1 has to win by this much: short lines fit many.
PREFERENCE = 1.05
# Seconds. A sampled frame may be this far from the listed instant: the gap that sampling may leave
# (decode.max_gap_seconds), and rounding.
TOLERANCE = 0.3
# Seconds around an instant that may be the same moment, of somebody who moves slowly.
MOMENT = 2.0
# Times a line is fitted to its pairs, and pairs found for the line. More move nothing.
FITS = 4
# Pairs that make a segment, and segments of one entry in one variant.
LEAST_PAIRS = 2
MOST_SEGMENTS = 8
# A listed frame that should be there and is not, against one that is.
MISS = 0.5
# The least that one pair's distance counts for as chance: 10**-30, where the fit ends anyway.
_RAREST = 1e-30


class Segment(NamedTuple):
    """A stretch of a clip that agrees with a stretch of a listed video.

    start, end: seconds of the clip; speed: its seconds for one of the listed video; first, last:
    positions of the listed frames; pairs: how many of those between were found; pictures: how many
    different pictures the found ones are worth; distance: median of the pairs, in bits; copy: decades of
    evidence that it is no other moment of the same room; chance: that it is no unrelated clip.
    """

    start: float
    end: float
    speed: float
    first: int
    last: int
    pairs: int
    pictures: int
    distance: int
    copy: float
    chance: float


class _View(NamedTuple):
    """What the kernels look at. Times are from the first frame of either.

    table: (m, n) bits; own: (m, m) bits between the listed frames; listed: (m,) seconds, ascending;
    start, end: (n,) seconds of the clip's runs; free: (n,) not yet in a segment.
    """

    table: NDArray[np.uint8]
    own: NDArray[np.uint8]
    listed: NDArray[np.float64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    free: NDArray[np.bool_]


def distances(
    listed: NDArray[np.uint64], clip: NDArray[np.uint64], variants: int
) -> NDArray[np.uint8]:
    """Bits between each listed frame (m, words) and each of the clip's (n * variants, words).

    (variants, m, n) uint8; 256 is written as 255.
    """
    table = np.empty((variants, len(listed), len(clip) // variants), np.uint8)
    _fill(listed, clip, table)
    return table


def align(
    table: NDArray[np.uint8],
    own: NDArray[np.uint8],
    listed: NDArray[np.float64],
    start: NDArray[np.float64],
    end: NDArray[np.float64],
) -> list[tuple[Segment, NDArray[np.bool_]]]:
    """The segments of a clip in one variant, the one with the most votes first.

    table: (m, n) from `distances`; own: (m, m) between the listed frames; listed: (m,) seconds,
    ascending; start, end: (n,) seconds. With each segment the listed frames it found, (m,).
    """
    begin = start[0]
    view = _View(
        table, own, listed - listed[0], start - begin, end - begin, np.ones(len(start), np.bool_)
    )
    speeds = 1 + min(view.end.max(), view.listed[-1]) * (FASTEST - SLOWEST) / (2 * TOLERANCE)
    offsets = 1 + (view.end.max() + view.listed[-1]) / (2 * TOLERANCE)
    choice = math.log10(offsets * speeds)  # lines that differ: the best of them was chosen
    found: list[tuple[Segment, NDArray[np.bool_]]] = []
    while len(found) < MOST_SEGMENTS:
        pairs, offset, speed = _line(view, _cells(view), SPEEDS)
        if pairs < LEAST_PAIRS:
            break
        offset, speed, pair = _fit(view, offset, speed)
        paired = pair >= 0
        if paired.sum() < LEAST_PAIRS:
            break
        at = np.flatnonzero(paired)
        pictures, copy, rare = _weigh(view, pair, offset, speed)
        first, last = int(at[0]), int(at[-1])
        segment = Segment(
            start=float(start[pair[at]].min()),
            end=float(end[pair[at]].max()),
            speed=speed,
            first=first,
            last=last,
            pairs=len(at),
            pictures=pictures,
            distance=int(np.median(table[at, pair[at]])),
            copy=copy - choice,
            chance=rare,
        )
        found.append((segment, paired))
        low, high = offset + speed * view.listed[first], offset + speed * view.listed[last]
        view.free[(view.end >= low - TOLERANCE) & (view.start <= high + TOLERANCE)] = False
    return found


@kernel
def _fill(listed: Any, clip: Any, table: Any) -> None:
    variants, m, n = table.shape
    for j in range(m):
        for i in range(n):
            for v in range(variants):
                bits = np.uint64(0)
                for w in range(listed.shape[1]):
                    bits += popcount(listed[j, w] ^ clip[i * variants + v, w])
                table[v, j, i] = min(bits, np.uint64(255))


@kernel
def _cells(view: Any) -> Any:
    """(m, cells) the nearest free run to each listed frame in every TOLERANCE of the clip."""
    m, n = view.table.shape
    cells = np.full((m, int(view.end.max() / TOLERANCE) + 1), np.uint8(255))
    for i in range(n):
        if not view.free[i]:
            continue
        for c in range(int(view.start[i] / TOLERANCE), int(view.end[i] / TOLERANCE) + 1):
            for j in range(m):
                cells[j, c] = min(cells[j, c], view.table[j, i])
    return cells


@kernel
def _line(view: Any, cells: Any, speeds: Any) -> Any:
    """Pairs, offset and speed of the line with the most votes.

    A pair's vote is the larger the nearer it is; a listed frame votes once for a line.
    """
    m, width = cells.shape
    lowest = -FASTEST * view.listed[m - 1] - TOLERANCE
    bins = int((width * TOLERANCE - lowest) / TOLERANCE) + 3
    votes = np.empty(bins, np.float64)
    pairs = np.empty(bins, np.int64)
    best, best_pairs, best_offset, best_speed = 0.0, 0, 0.0, 1.0
    for speed in speeds:
        votes[:] = 0.0
        pairs[:] = 0
        for j in range(m):
            # Cell c is c cells further than where a line with offset 0 has the listed frame.
            shift = (-speed * view.listed[j] - lowest) / TOLERANCE
            bin_ = int(shift)
            before = 255
            for c in range(width):
                # A cell's frame may be anywhere in it, so the line may be in this bin or the next.
                here = cells[j, c]
                nearest = min(before, here)
                if nearest <= REACH:
                    votes[bin_ + c] += 1.0 + (REACH - nearest) / REACH
                    pairs[bin_ + c] += 1
                before = here
            if before <= REACH:
                votes[bin_ + width] += 1.0 + (REACH - before) / REACH
                pairs[bin_ + width] += 1
        for b in range(bins):
            if votes[b] > best * (PREFERENCE if best > 0.0 and speed != best_speed else 1.0):
                best, best_pairs = votes[b], pairs[b]
                best_offset, best_speed = lowest + (b + 0.5) * TOLERANCE, speed
    return best_pairs, best_offset, best_speed


@kernel
def _fit(view: Any, offset: Any, speed: Any) -> Any:
    """The line fitted to its pairs by least squares, and each listed frame's run, -1 for none.

    Only pairs of the stretch that has the most of them and the fewest misses are kept.
    """
    for turn in range(FITS):
        pair = _pair_up(view, offset, speed, 2 * TOLERANCE if turn == 0 else TOLERANCE)
        weight = sum_x = sum_y = sum_xx = sum_xy = 0.0
        for j in range(len(pair)):
            if pair[j] < 0:
                continue
            x, expected = view.listed[j], offset + speed * view.listed[j]
            y = min(max(expected, view.start[pair[j]]), view.end[pair[j]])
            w = 1.0 + (REACH - view.table[j, pair[j]]) / 8.0
            weight += w
            sum_x += w * x
            sum_y += w * y
            sum_xx += w * x * x
            sum_xy += w * x * y
        if weight == 0.0:
            break
        spread = sum_xx - sum_x * sum_x / weight
        if spread > weight:  # a standard deviation of a second: enough to tell a speed
            speed = min(max((sum_xy - sum_x * sum_y / weight) / spread, SLOWEST), FASTEST)
        offset = (sum_y - speed * sum_x) / weight
    pair = _pair_up(view, offset, speed, TOLERANCE)
    first, last = _stretch(view, offset, speed, pair)
    pair[:first] = -1
    pair[last + 1 :] = -1
    return offset, speed, pair


@kernel
def _pair_up(view: Any, offset: Any, speed: Any, tolerance: Any) -> Any:
    """The nearest of the free runs shown around the instant where each listed frame should be."""
    n = len(view.start)
    pair = np.full(len(view.listed), -1, np.int64)
    low = 0
    for j in range(len(pair)):
        expected = offset + speed * view.listed[j]
        while low < n and view.end[low] < expected - tolerance:
            low += 1
        least = REACH + 1
        for i in range(low, n):
            if view.start[i] > expected + tolerance:
                break
            if view.free[i] and view.end[i] >= expected - tolerance and view.table[j, i] < least:
                least = view.table[j, i]
                pair[j] = i
    return pair


@kernel
def _stretch(view: Any, offset: Any, speed: Any, pair: Any) -> Any:
    """First and last listed frame of the stretch with the most pairs and the fewest misses.

    A listed frame whose instant was not sampled is neither.
    """
    n = len(view.start)
    best, best_first, best_last = 0.0, 0, -1
    total, first = 0.0, 0
    low = 0
    for j in range(len(pair)):
        expected = offset + speed * view.listed[j]
        while low < n and view.end[low] < expected - TOLERANCE:
            low += 1
        if pair[j] >= 0:
            total += 1.0
        elif low < n and view.start[low] <= expected + TOLERANCE:
            total -= MISS
        if total <= 0.0:
            total, first = 0.0, j + 1
        elif total > best and pair[j] >= 0:
            best, best_first, best_last = total, first, j
    return best_first, best_last


@kernel
def _weigh(view: Any, pair: Any, offset: Any, speed: Any) -> Any:
    """Different pictures among the pairs, and what they say: copy, chance (decades).

    A frame that resembles the one before adds little: as much of a picture as it has moved.
    """
    pictures, before = 0.0, -1
    surprise, rare = 0.0, 0.0
    for j in range(len(pair)):
        if pair[j] < 0:
            continue
        new = 1.0 if before < 0 else min(1.0, view.own[j, before] / SAME_PICTURE)
        before = j
        pictures += new
        bits = float(view.table[j, pair[j]])
        by_listed = _of_listed(view, j, bits)
        by_clip = _of_clip(view, j, offset + speed * view.listed[j], bits)
        surprise -= new * math.log(max(by_listed, by_clip))
        rare -= new * math.log10(max(chance(bits), _RAREST))
    count = math.ceil(pictures)
    return count, combined(surprise, count), rare


@kernel
def _of_listed(view: Any, j: Any, bits: Any) -> Any:
    """Probability that another moment of the listed video is as near to its frame j."""
    count, nearer, total, squares = 0, 0, 0.0, 0.0
    for k in range(len(view.listed)):
        if abs(view.listed[k] - view.listed[j]) < MOMENT:
            continue
        d = float(view.own[j, k])
        count += 1
        nearer += d <= bits
        total += d
        squares += d * d
    return beyond(bits, total, squares, nearer, count)


@kernel
def _of_clip(view: Any, j: Any, expected: Any, bits: Any) -> Any:
    """Probability that another moment of the clip is as near to listed frame j.

    A moment is as long as the pairing looks around an instant, and counts with its nearest frame.
    """
    n = len(view.start)
    count, nearer, total, squares = 0, 0, 0.0, 0.0
    window, least = -1, 256.0
    for i in range(n + 1):
        here = -1
        if i < n:
            if view.end[i] > expected - MOMENT and view.start[i] < expected + MOMENT:
                continue
            here = int(view.start[i] / (2 * TOLERANCE))
        if here != window:
            if window >= 0:
                count += 1
                nearer += least <= bits
                total += least
                squares += least * least
            window, least = here, 256.0
        if i < n:
            least = min(least, float(view.table[j, i]))
    return beyond(bits, total, squares, nearer, count)
