"""Up to 65,536 rows, looked up by sixteen values of 16 bits: a few million queries a second.

A row within 31 bits of a query is within one bit of it in some of sixteen chunks: were it two bits
off in each, it would be 32 away. So each row is entered under its own value of each chunk and under
the sixteen values a bit beside it, and a query looks at sixteen lists, one after the other in
memory. That costs 544 bytes a row, which is why larger sets are looked up the other way round, by
the neighbours of the query (`multi_index`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.popcount import distance_of, frozen, kernel, popcount, prefetch, scan

MOST_ROWS = 1 << 16
CHUNKS = 16
# Ids are copied this many at a time, needed or not: a list has fewer up to 30,000 rows, and a copy
# that never branches is three times as fast as one that counts.
PIECE = 8

_LOW = np.uint64(0xFFFF)


class Neighbours(NamedTuple):
    """list_at: (16, 65537) uint32, where a chunk's list of a value begins in list_ids, and ends;
    list_ids: rows, uint16, and PIECE more so that the last list can be copied like the others.
    """

    list_at: NDArray[np.uint32]
    list_ids: NDArray[np.uint16]


def build_neighbours(rows: NDArray[np.uint64]) -> Neighbours:
    """rows: (n, 4), n up to MOST_ROWS."""
    list_at = np.zeros((CHUNKS, MOST_ROWS + 1), np.uint32)
    list_ids = np.zeros(CHUNKS * 17 * len(rows) + PIECE, np.uint16)
    _fill(rows, list_at, list_ids)
    return Neighbours(frozen(list_at), frozen(list_ids))


@kernel
def _value(row: Any, chunk: Any) -> Any:
    return (row[chunk >> 2] >> np.uint64((chunk & 3) * 16)) & _LOW


@kernel
def _fill(rows: Any, list_at: Any, list_ids: Any) -> None:
    one = np.uint64(1)
    total = np.uint32(0)
    cursor = np.empty(MOST_ROWS, np.uint32)
    for c in range(CHUNKS):
        for i in range(len(rows)):
            value = _value(rows[i], c)
            list_at[c, value + one] += np.uint32(1)
            for bit in range(16):
                list_at[c, (value ^ (one << np.uint64(bit))) + one] += np.uint32(1)
        list_at[c, 0] = total
        for value in range(MOST_ROWS):
            cursor[value] = total
            total += list_at[c, value + 1]
            list_at[c, value + 1] = total
        for i in range(len(rows)):
            value = _value(rows[i], c)
            list_ids[cursor[value]] = i
            cursor[value] += np.uint32(1)
            for bit in range(16):
                beside = value ^ (one << np.uint64(bit))
                list_ids[cursor[beside]] = i
                cursor[beside] += np.uint32(1)


@kernel
def look_up_all(
    rows: Any,
    queries: Any,
    first: Any,
    reach: Any,
    neighbours: Any,
    most: Any,
    query: Any,
    row: Any,
    distance: Any,
) -> Any:
    """As `popcount.scan_all`, complete up to 31 bits; beyond, what is in the same lists.

    most: candidates from which on a query is compared with every row instead.
    """
    one = np.uint64(1)
    list_at, list_ids = neighbours
    begin = np.empty(CHUNKS, np.uint64)
    count = np.empty(CHUNKS, np.uint64)
    end = np.empty(CHUNKS, np.uint64)
    candidates = np.empty(most + PIECE, np.uint16)
    limit = np.uint64(reach)
    at = 0
    for q in range(first, len(queries)):
        seen = queries[q]
        total = np.uint64(0)
        for c in range(CHUNKS):
            value = _value(seen, c)
            begin[c] = list_at[c, value]
            count[c] = np.uint64(list_at[c, value + one]) - begin[c]
            total += count[c]
            end[c] = total
            prefetch(list_ids, begin[c])
        if total > most:
            after = scan(rows, seen, reach, at, row, distance)
            if after < 0:
                return q, at
        else:
            _gather(list_ids, begin, count, candidates)
            after = at
            for j in range(total):
                i = np.uint64(candidates[j])
                d = distance_of(rows, i, seen)
                if d <= limit and _is_first(rows[i], seen, j, end):
                    if after == len(row):
                        return q, at
                    row[after] = i
                    distance[after] = d
                    after += 1
        query[at:after] = q
        at = after
    return len(queries), at


@kernel
def _gather(list_ids: Any, begin: Any, count: Any, candidates: Any) -> None:
    """Copy the lists, one after the other."""
    to = np.uint64(0)
    for c in range(CHUNKS):
        for k in range(PIECE):
            candidates[to + np.uint64(k)] = list_ids[begin[c] + np.uint64(k)]
        if count[c] > PIECE:
            for k in range(PIECE, count[c]):
                candidates[to + np.uint64(k)] = list_ids[begin[c] + np.uint64(k)]
        to += count[c]


@kernel
def _is_first(row: Any, query: Any, j: Any, end: Any) -> Any:
    """Whether candidate j, which is this row, is from the first of the lists that the row is in."""
    before = np.uint64(0)
    for c in range(CHUNKS):
        if popcount(_value(row, c) ^ _value(query, c)) <= np.uint64(1):
            return before <= np.uint64(j) < end[c]
        before = end[c]
    return False
