"""Exact Hamming search: every row within a radius, none missed.

    index = HashIndex.build(rows)              # (n, 32) or (n, 8) uint8
    hits = index.search(queries, radius=31)    # hits.query, hits.row, hits.distance

Large sets of 256-bit hashes are looked up by chunks (`chunks`). Small sets, 64-bit hashes, and
queries with too many candidates (lists full of near-identical frames) are compared row by row
(`popcount`): the answer is the same, and no query costs much more than that scan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.chunks import STORED, Plan, Tables, build_tables, layout, probe_all
from hashmatch.matching.popcount import frozen, scan_all

MAX_RADIUS = 31
# Measured on random hashes: a scan of 4,000 rows takes 5 us, as long as looking up 12 chunks; above
# 200,000 rows the shorter buckets of 11 wider chunks outweigh their additional lookups.
SCAN_ROWS = 4_000
FEW_ROWS = 200_000
# A candidate costs 3 (in the cache) to 40 times (among 10 million rows) what a row of a scan does.
CANDIDATE_COST = 16
BATCH_HITS = 1 << 18


class Hits(NamedTuple):
    """k pairs within the radius, ordered by query.

    query: (k,) int32; row: (k,) uint32; distance: (k,) uint8, in bits.
    """

    query: NDArray[np.int32]
    row: NDArray[np.uint32]
    distance: NDArray[np.uint8]


class HashIndex:
    """Rows of packed bits, searchable. Read-only and free of state: threads may share one."""

    def __init__(self, rows: NDArray[np.uint64], tables: Tables | None) -> None:
        self._rows = rows
        self._tables = tables

    @classmethod
    def build(cls, rows: NDArray[np.uint8]) -> HashIndex:
        """rows: (n, 32) or (n, 8) uint8, n below 2**32. Equal rows are allowed."""
        words = _words(rows)
        chunks = chunk_count(*words.shape)
        return cls(words, build_tables(words, chunks) if chunks else None)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> HashIndex:
        """The index that gave `arrays`, on the same memory."""
        rows = arrays["rows"]
        if "ids" not in arrays:
            return cls(frozen(rows), None)
        stored: list[Any] = [frozen(arrays[name]) for name in STORED]
        return cls(frozen(rows), Tables(*layout(len(arrays["ids"])), *stored))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` needs, without a copy."""
        if self._tables is None:
            return {"rows": self._rows}
        named = self._tables._asdict()
        return {"rows": self._rows} | {name: named[name] for name in STORED}

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, queries: NDArray[np.uint8], radius: int) -> Hits:
        """Every (query, row) within radius bits. queries: (k, bytes of a row) uint8."""
        found = list(self.batches(queries, radius))
        if not found:
            return _room(0)
        query, row, distance = zip(*found, strict=True)
        return Hits(np.concatenate(query), np.concatenate(row), np.concatenate(distance))

    def batches(
        self, queries: NDArray[np.uint8], radius: int, room: int = BATCH_HITS
    ) -> Iterator[Hits]:
        """As `search`, in pieces of whole queries: at most `room` hits, or a single query's."""
        if not 0 <= radius <= MAX_RADIUS:
            raise ValueError(f"a radius is 0 to {MAX_RADIUS} bits, not {radius}")
        words = _words(queries)
        if words.shape[1] != self._rows.shape[1]:
            raise ValueError("the queries are not as long as the rows")
        if not len(self):
            return
        plan = None if self._tables is None else Plan.of(self._tables.width, radius)
        # A query that is cut short at this many candidates is compared row by row.
        candidates = np.empty(0 if plan is None else len(self) // CANDIDATE_COST, np.uint32)
        first, out = 0, _room(min(room, len(self) * len(words)))
        while first < len(words):
            if self._tables is None or plan is None:
                after, count = scan_all(self._rows, words, first, radius, *out)
            else:
                after, count = probe_all(
                    self._rows, words, first, radius, self._tables, plan, candidates, *out
                )
            if after == first:
                out = _room(min(4 * len(out.query), len(self)))
                continue
            if count:
                yield Hits(
                    out.query[:count].copy(), out.row[:count].copy(), out.distance[:count].copy()
                )
            first = after


def chunk_count(rows: int, words: int) -> int:
    """Into how many chunks that many rows are best cut; 0 for a scan."""
    if words != 4 or rows <= SCAN_ROWS:
        return 0
    return 12 if rows <= FEW_ROWS else 11


def _room(hits: int) -> Hits:
    return Hits(np.empty(hits, np.int32), np.empty(hits, np.uint32), np.empty(hits, np.uint8))


def _words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, bytes) uint8 as (n, bytes / 8) uint64, the same memory."""
    if packed.ndim != 2 or packed.shape[1] not in (8, 32) or packed.dtype != np.uint8:
        raise ValueError("hashes are rows of 8 or 32 bytes")
    return frozen(np.ascontiguousarray(packed).view("<u8"))
