"""The chunk tables of multi-index hashing, and looking queries up in them.

A row within radius bits of a query is within r_i bits of it in some chunk i, when the radii add up
to sum(r_i + 1) = radius + 1: were it further in every chunk, it would be radius + 1 bits away or
more. So looking up each chunk's neighbours within its radius finds every row.
Source: Norouzi, Punjani, Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing",
2014; uneven radii: Qin et al., "GPH: Similarity Search in Hamming Space", 2018.

A chunk's table starts with a bitmap of the values that occur. The 64 values that differ in their
six lowest bits only are one word of it, so neighbours are looked up by the word: one load and one
mask for all of them. What then is looked at lies all over the memory, hence the passes of
`_look_up`: each makes a list of places and has them fetched, and only the next one reads them.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from math import comb
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.popcount import distance_of, frozen, kernel, popcount, prefetch, scan

# What a file keeps of Tables; the rest follows from the number of chunks.
STORED = ("words", "bucket", "ids")
# Rows of the tables are numbered with 32 bits, over all chunks.
MOST_ENTRIES = (1 << 32) - 1


class Tables(NamedTuple):
    """The chunks' tables, one after the other.

    start, width: (m,) bit positions; word_at: (m,) where a chunk begins in words; words: (w, 2)
    64 values as one bit each, set where a row has the value, and the set bits of all words before;
    bucket: for each set bit where its rows begin in ids, and one more; ids: (m * n,) rows.
    """

    start: NDArray[np.int64]
    width: NDArray[np.int64]
    word_at: NDArray[np.int64]
    words: NDArray[np.uint64]
    bucket: NDArray[np.uint32]
    ids: NDArray[np.uint32]


class Plan(NamedTuple):
    """What to look up for one radius.

    radii: (m,); turns: bits of a word's number to turn, for all chunks; turns_at: (m, longest + 1),
    chunk c's that turn t bits are turns[turns_at[c, t] : turns_at[c, t + 1]]; near: (k, 64) masks
    of the values within k bits of one in their six lowest; values: looked up, in all.
    """

    radii: NDArray[np.int64]
    turns: NDArray[np.uint64]
    turns_at: NDArray[np.int64]
    near: NDArray[np.uint64]
    values: int

    @classmethod
    @lru_cache
    def of(cls, chunks: int, radius: int) -> Plan:
        radii = chunk_radii(chunks, radius)
        widths = layout(chunks)[1].tolist()
        turns: list[int] = []
        turns_at = np.zeros((chunks, max(radii) + 2), np.int64)
        for c, (width, most) in enumerate(zip(widths, radii, strict=True)):
            turns_at[c] = len(turns)
            for turned in range(most + 1):
                bits = combinations(range(width - 6), turned)
                turns += [sum(1 << bit for bit in some) for some in bits]
                turns_at[c, turned + 1] = len(turns)
        near = [
            [sum(1 << v for v in range(64) if (v ^ low).bit_count() <= k) for low in range(64)]
            for k in range(max(radii) + 1)
        ]
        values = sum(comb(w, t) for w, r in zip(widths, radii, strict=True) for t in range(r + 1))
        return cls(
            np.array(radii, np.int64),
            np.array(turns, np.uint64),
            turns_at,
            np.array(near, np.uint64),
            values,
        )


def chunk_radii(chunks: int, radius: int) -> list[int]:
    """Radii that miss nothing: sum(r + 1) = radius + 1. A chunk of -1 need not be looked at."""
    each, more = divmod(radius + 1, chunks)
    return [each - 1 + (i < more) for i in range(chunks)]


@lru_cache
def layout(chunks: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """start, width and word_at of `Tables`: wide chunks first, they get the larger radii."""
    width = np.array([256 // chunks + (i < 256 % chunks) for i in range(chunks)], np.int64)
    start = np.concatenate(([0], np.cumsum(width[:-1])))
    word_at = np.concatenate(([0], np.cumsum(1 << (width[:-1] - 6))))
    return frozen(start), frozen(width), frozen(word_at)


def words_of(chunks: int) -> int:
    """How many words the chunks have."""
    _, width, word_at = layout(chunks)
    return int(word_at[-1]) + (1 << int(width[-1] - 6))


def build_tables(rows: NDArray[np.uint64], chunks: int) -> Tables:
    """rows: (n, 4), chunks * n up to MOST_ENTRIES."""
    if chunks * len(rows) > MOST_ENTRIES:
        raise ValueError(f"{len(rows)} rows are too many for one index")
    start, width, word_at = layout(chunks)
    words = np.empty((words_of(chunks), 2), np.uint64)
    ids = np.empty(chunks * len(rows), np.uint32)
    buckets: list[NDArray[np.uint32]] = []
    taken = 0
    for c in range(chunks):
        first = int(word_at[c])
        bucket = _fill_chunk(
            rows,
            int(start[c]),
            int(width[c]),
            words[first : first + (1 << int(width[c] - 6))],
            taken,
            ids,
            c * len(rows),
        )
        taken += len(bucket)
        buckets.append(bucket)
    buckets.append(np.array([len(ids)], np.uint32))
    stored: list[Any] = [words, np.concatenate(buckets), ids]
    return Tables(start, width, word_at, *map(frozen, stored))


@kernel
def _value(row: Any, start: Any, width: Any) -> Any:
    """The width bits of a row from bit start on."""
    word = start >> 6
    shift = start & 63
    value = row[word] >> np.uint64(shift)
    if shift + width > 64:
        value |= row[word + 1] << np.uint64(64 - shift)
    return value & np.uint64((1 << width) - 1)


@kernel
def _fill_chunk(
    rows: Any, start: Any, width: Any, words: Any, before: Any, ids: Any, first: Any
) -> Any:
    """Sort all rows by their chunk's value into ids[first:]; returns bucket.

    before: set bits of the chunks before.
    """
    values = 1 << width
    at = np.zeros(values + 1, np.uint32)
    for i in range(len(rows)):
        at[_value(rows[i], start, width) + np.uint64(1)] += np.uint32(1)
    occupied = 0
    for w in range(len(words)):
        bits = np.uint64(0)
        words[w, 1] = before + occupied
        for b in range(64):
            if at[w * 64 + b + 1]:
                bits |= np.uint64(1) << np.uint64(b)
                occupied += 1
        words[w, 0] = bits
    bucket = np.empty(occupied, np.uint32)
    k = 0
    total = np.uint32(first)
    for v in range(values):
        count = at[v + 1]
        at[v] = total
        if count:
            bucket[k] = total
            k += 1
            total += count
    for i in range(len(rows)):
        value = _value(rows[i], start, width)
        ids[at[value]] = i
        at[value] += np.uint32(1)
    return bucket


@kernel
def probe_all(
    rows: Any,
    queries: Any,
    first: Any,
    reach: Any,
    tables: Any,
    plan: Any,
    most: Any,
    query: Any,
    row: Any,
    distance: Any,
) -> Any:
    """As `popcount.scan_all`, complete up to the plan's radius; beyond, what is in its buckets.

    most: candidates from which on a query is compared with every row instead.
    """
    at = 0
    chunks = len(plan.radii)
    values = np.empty(chunks, np.uint64)
    ends = np.empty(chunks, np.int64)
    found = np.empty((2, len(plan.turns) + 1), np.uint64)
    buckets = np.empty((2, plan.values + 1), np.uint64)
    candidates = np.empty(most, np.uint32)
    for q in range(first, len(queries)):
        if _look_up(queries[q], tables, plan, most, values, ends, found, buckets):
            _gather(rows, tables.ids, buckets, ends, candidates)
            end = _compare(
                rows,
                queries[q],
                reach,
                tables,
                plan.radii,
                values,
                ends,
                candidates,
                at,
                row,
                distance,
            )
        else:
            end = scan(rows, queries[q], reach, at, row, distance)
        if end < 0:
            return q, at
        query[at:end] = q
        at = end
    return len(queries), at


@kernel
def _look_up(
    query: Any,
    tables: Any,
    plan: Any,
    most: Any,
    values: Any,
    ends: Any,
    found: Any,
    buckets: Any,
) -> Any:
    """Find the query's buckets: chunk c's are buckets[:, ends[c - 1] : ends[c]], begin and end.

    False if more than `most` rows are in them. values: the query's own, of each chunk.
    """
    one = np.uint64(1)
    count = np.int64(0)
    for c in range(len(plan.radii)):
        values[c] = _value(query, tables.start[c], tables.width[c])
        low = values[c] & np.uint64(63)
        high = values[c] >> np.uint64(6)
        word_at = np.uint64(tables.word_at[c])
        for turned in range(plan.radii[c] + 1):
            near = plan.near[plan.radii[c] - turned, low]
            for j in range(plan.turns_at[c, turned], plan.turns_at[c, turned + 1]):
                word = word_at + (high ^ plan.turns[j])
                bits = tables.words[word, 0] & near
                found[0, count] = word
                found[1, count] = bits
                count += np.int64(bits != 0)
        ends[c] = count
    first = np.int64(0)
    count = np.int64(0)
    for c in range(len(ends)):
        for j in range(first, ends[c]):
            word, bits = found[0, j], found[1, j]
            all_bits, before = tables.words[word, 0], tables.words[word, 1]
            while bits != 0:
                bit = bits & (~bits + one)
                bits ^= bit
                bucket = before + popcount(all_bits & (bit - one))
                prefetch(tables.bucket, bucket)
                buckets[0, count] = bucket
                count += 1
        first = ends[c]
        ends[c] = count
    total = np.uint64(0)
    for j in range(count):
        bucket = buckets[0, j]
        begin = np.uint64(tables.bucket[bucket])
        end = np.uint64(tables.bucket[bucket + one])
        prefetch(tables.ids, begin)
        buckets[0, j] = begin
        buckets[1, j] = end
        total += end - begin
    return total <= np.uint64(most)


@kernel
def _gather(rows: Any, ids: Any, buckets: Any, ends: Any, candidates: Any) -> None:
    """The rows in the buckets, one chunk after the other; ends becomes theirs in candidates."""
    first = np.int64(0)
    count = np.int64(0)
    for c in range(len(ends)):
        for j in range(first, ends[c]):
            for k in range(buckets[0, j], buckets[1, j]):
                candidates[count] = ids[k]
                prefetch(rows, np.uint64(ids[k]) * np.uint64(4))
                count += 1
        first = ends[c]
        ends[c] = count


@kernel
def _compare(
    rows: Any,
    query: Any,
    reach: Any,
    tables: Any,
    radii: Any,
    values: Any,
    ends: Any,
    candidates: Any,
    at: Any,
    out_row: Any,
    out_distance: Any,
) -> Any:
    """Compare the query with its candidates; returns as `scan` does."""
    start, width = tables.start, tables.width
    limit = np.uint64(reach)
    first = np.int64(0)
    for c in range(len(ends)):
        for j in range(first, ends[c]):
            i = np.uint64(candidates[j])
            d = distance_of(rows, i, query)
            if d > limit:
                continue
            known = False
            for e in range(c):
                turned = popcount(_value(rows[i], start[e], width[e]) ^ values[e])
                if np.int64(turned) <= radii[e]:
                    known = True  # by an earlier chunk
                    break
            if not known:
                if at == len(out_row):
                    return -1
                out_row[at] = i
                out_distance[at] = d
                at += 1
        first = ends[c]
    return at
