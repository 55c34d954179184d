"""The chunk tables of multi-index hashing, and looking queries up in them.

A row within radius bits of a query is within r_i bits of it in some chunk i, when the radii add up
to sum(r_i + 1) = radius + 1: were it further in every chunk, it would be radius + 1 bits away or
more. So looking up each chunk's neighbours within its radius finds every row.
Source: Norouzi, Punjani, Fleet, "Fast Exact Search in Hamming Space with Multi-Index Hashing",
2014; uneven radii: Qin et al., "GPH: Similarity Search in Hamming Space", 2018.

A chunk's table starts with a bitmap of the values that occur: most lookups find nothing and end
there, in the cache, and only values that occur take room.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.popcount import frozen, kernel, popcount, scan

# What a file keeps of Tables; the rest follows from the number of chunks.
STORED = ("bucket_at", "bitmap", "rank", "bucket", "ids")


class Tables(NamedTuple):
    """The chunks' tables, one after the other.

    start, width: (m,) bit positions; word_at, bucket_at: (m,) where a chunk begins in bitmap and
    bucket; bitmap: one bit a value, set where a row has it; rank: set bits of the chunk before
    each word; bucket: for each set bit where its rows begin in ids, and one more a chunk;
    ids: (m, n) rows.
    """

    start: NDArray[np.int64]
    width: NDArray[np.int64]
    word_at: NDArray[np.int64]
    bucket_at: NDArray[np.int64]
    bitmap: NDArray[np.uint64]
    rank: NDArray[np.uint32]
    bucket: NDArray[np.uint32]
    ids: NDArray[np.uint32]


class Plan(NamedTuple):
    """What to look up for one radius. radii, counts: (m,); masks: (m, longest) bits to turn."""

    radii: NDArray[np.int64]
    counts: NDArray[np.int64]
    masks: NDArray[np.uint64]

    @classmethod
    def of(cls, widths: NDArray[np.int64], radius: int) -> Plan:
        radii = chunk_radii(len(widths), radius)
        flips = [_flips(int(w), r) for w, r in zip(widths, radii, strict=True)]
        counts = np.array([len(f) for f in flips], np.int64)
        masks = np.zeros((len(flips), max(counts)), np.uint64)
        for i, flip in enumerate(flips):
            masks[i, : len(flip)] = flip
        return cls(np.array(radii, np.int64), counts, masks)


def chunk_radii(chunks: int, radius: int) -> list[int]:
    """Radii that miss nothing: sum(r + 1) = radius + 1. A chunk of -1 need not be looked at."""
    each, more = divmod(radius + 1, chunks)
    return [each - 1 + (i < more) for i in range(chunks)]


@lru_cache
def _flips(width: int, radius: int) -> tuple[int, ...]:
    """Every way to turn at most radius of width bits."""
    return tuple(
        sum(1 << bit for bit in bits)
        for turned in range(radius + 1)
        for bits in combinations(range(width), turned)
    )


def layout(chunks: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """start, width and word_at of `Tables`: wide chunks first, they get the larger radii."""
    width = np.array([256 // chunks + (i < 256 % chunks) for i in range(chunks)], np.int64)
    start = np.concatenate(([0], np.cumsum(width[:-1])))
    word_at = np.concatenate(([0], np.cumsum(1 << (width[:-1] - 6))))
    return frozen(start), frozen(width), frozen(word_at)


def build_tables(rows: NDArray[np.uint64], chunks: int) -> Tables:
    start, width, word_at = layout(chunks)
    bitmap = np.empty(int(word_at[-1]) + (1 << int(width[-1] - 6)), np.uint64)
    rank = np.empty(len(bitmap), np.uint32)
    ids = np.empty((chunks, len(rows)), np.uint32)
    buckets: list[NDArray[np.uint32]] = []
    for i in range(chunks):
        words = slice(int(word_at[i]), int(word_at[i]) + (1 << int(width[i] - 6)))
        buckets.append(
            _fill_chunk(rows, int(start[i]), int(width[i]), bitmap[words], rank[words], ids[i])
        )
    bucket_at = np.cumsum([0] + [len(b) for b in buckets[:-1]])
    stored: list[Any] = [bucket_at, bitmap, rank, np.concatenate(buckets), ids]
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
def _fill_chunk(rows: Any, start: Any, width: Any, bitmap: Any, rank: Any, ids: Any) -> Any:
    """Sort all rows by their chunk's value into ids; returns bucket."""
    values = 1 << width
    at = np.zeros(values + 1, np.uint32)
    for i in range(len(rows)):
        at[_value(rows[i], start, width) + np.uint64(1)] += np.uint32(1)
    occupied = 0
    for w in range(len(bitmap)):
        bits = np.uint64(0)
        rank[w] = occupied
        for b in range(64):
            if at[w * 64 + b + 1]:
                bits |= np.uint64(1) << np.uint64(b)
                occupied += 1
        bitmap[w] = bits
    bucket = np.empty(occupied + 1, np.uint32)
    k = 0
    total = np.uint32(0)
    for v in range(values):
        count = at[v + 1]
        at[v] = total
        if count:
            bucket[k] = total
            k += 1
            total += count
    bucket[k] = total
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
    radius: Any,
    tables: Any,
    plan: Any,
    candidates: Any,
    query: Any,
    row: Any,
    distance: Any,
) -> Any:
    """As scan_all, by looking up the chunks' neighbours."""
    at = 0
    values = np.empty(len(plan.counts), np.uint64)
    ends = np.empty(len(plan.counts), np.int64)
    slots = np.empty(plan.masks.size, np.uint64)
    for q in range(first, len(queries)):
        if _look_up(queries[q], tables, plan, len(candidates), values, ends, slots):
            end = _compare(
                rows,
                queries[q],
                radius,
                tables,
                plan.radii,
                candidates,
                values,
                ends,
                slots,
                at,
                row,
                distance,
            )
        else:
            end = scan(rows, queries[q], radius, at, row, distance)
        if end < 0:
            return q, at
        query[at:end] = q
        at = end
    return len(queries), at


@kernel
def _look_up(
    query: Any, tables: Any, plan: Any, most: Any, values: Any, ends: Any, slots: Any
) -> Any:
    """Find the query's buckets: chunk c's are slots[ends[c - 1] : ends[c]].

    False if more than `most` rows are in them. values: the query's own, of each chunk.
    """
    one = np.uint64(1)
    six = np.uint64(6)
    low = np.uint64(63)
    found = np.int64(0)
    for c in range(len(plan.counts)):
        values[c] = _value(query, tables.start[c], tables.width[c])
        word_at = tables.word_at[c]
        begin = found
        for j in range(plan.counts[c]):
            v = values[c] ^ plan.masks[c, j]
            slots[found] = v
            found += np.int64((tables.bitmap[word_at + np.int64(v >> six)] >> (v & low)) & one)
        for j in range(begin, found):
            v = slots[j]
            word = word_at + np.int64(v >> six)
            before = tables.bitmap[word] & ((one << (v & low)) - one)
            slots[j] = np.uint64(tables.bucket_at[c] + tables.rank[word]) + popcount(before)
        ends[c] = found
    total = np.int64(0)
    for j in range(found):
        total += np.int64(tables.bucket[slots[j] + one] - tables.bucket[slots[j]])
    return total <= most


@kernel
def _compare(
    rows: Any,
    query: Any,
    radius: Any,
    tables: Any,
    radii: Any,
    candidates: Any,
    values: Any,
    ends: Any,
    slots: Any,
    at: Any,
    out_row: Any,
    out_distance: Any,
) -> Any:
    """Compare the query with the rows in its buckets; returns as `scan` does.

    Gathering rows and comparing them are loops of their own: the processor then waits for many
    cache misses at a time instead of one after the other.
    """
    start, width = tables.start, tables.width
    first = np.int64(0)
    for c in range(len(ends)):
        count = 0
        for j in range(first, ends[c]):
            bucket = np.int64(slots[j])
            for k in range(np.int64(tables.bucket[bucket]), np.int64(tables.bucket[bucket + 1])):
                candidates[count] = tables.ids[c, k]
                count += 1
        first = ends[c]
        for j in range(count):
            i = candidates[j]
            d = np.uint64(0)
            for w in range(4):
                d += popcount(rows[i, w] ^ query[w])
            if d > np.uint64(radius):
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
    return at
