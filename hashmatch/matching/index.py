"""Exact Hamming search: every row within a radius, none missed.

    index = HashIndex.build(rows)                # (n, 32) or (n, 8) uint8
    hits = index.search(queries, radius=31)      # hits.query, hits.row, hits.distance
    for hits in index.batches(queries, radius=31, reach=64):
        ...

Sets of 256-bit hashes are looked up: up to 65,536 rows by lists of neighbours (`small_index`), larger
ones by chunks (`multi_index`). Very small sets, 64-bit hashes, and queries with too many candidates
(lists full of near-identical frames) are compared row by row (`popcount`): the answer is the same,
and no query costs much more than that scan.

Within `radius` the answer is complete. Between `radius` and `reach` it holds what is met on the way:
each pair given is real and given once, and some are not given. A row that is compared anyway costs
nothing more, and rows a little beyond the radius are good evidence when several agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.multi_index import STORED, Plan, Tables, build_tables, layout, probe_all
from hashmatch.matching.popcount import frozen, scan_all
from hashmatch.matching.small_index import MOST_ROWS, Neighbours, build_neighbours, look_up_all

MAX_RADIUS = 31
MAX_REACH = 64
# Measured on random hashes: a scan of 256 rows takes 0.3 us, a look at the lists of neighbours 0.1.
SCAN_ROWS = 256
# Rows up to which that many chunks answer fastest: narrow chunks have fewer neighbours to look up,
# wide ones fewer rows to compare.
CHUNKS = ((200_000, 14), (600_000, 13), (1_200_000, 12))
MOST_CHUNKS = 11
# A candidate costs 3 (in the cache) to 40 times (among 10 million rows) what a row of a scan does.
LISTED_COST = 4
CANDIDATE_COST = 16
BATCH_HITS = 1 << 18


class Hits(NamedTuple):
    """k pairs within the radius or reach, ordered by query.

    query: (k,) int32; row: (k,) uint32; distance: (k,) uint8, in bits.
    """

    query: NDArray[np.int32]
    row: NDArray[np.uint32]
    distance: NDArray[np.uint8]


class HashIndex:
    """Rows of packed bits, searchable. Read-only and free of state: threads may share one."""

    def __init__(self, rows: NDArray[np.uint64], tables: Tables | Neighbours | None) -> None:
        self._rows = rows
        self._tables = tables

    @classmethod
    def build(cls, rows: NDArray[np.uint8]) -> HashIndex:
        """rows: (n, 32) or (n, 8) uint8, n below 2**28. Equal rows are allowed."""
        words = _words(rows)
        if words.shape[1] != 4 or len(words) <= SCAN_ROWS:
            return cls(words, None)
        if len(words) <= MOST_ROWS:
            return cls(words, build_neighbours(words))
        return cls(words, build_tables(words, chunk_count(len(words))))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> HashIndex:
        """The index that gave `arrays`, on the same memory."""
        rows = frozen(arrays["rows"])
        if Neighbours._fields[0] in arrays:
            return cls(rows, Neighbours(*(frozen(arrays[name]) for name in Neighbours._fields)))
        if STORED[0] in arrays:
            stored: list[Any] = [frozen(arrays[name]) for name in STORED]
            return cls(rows, Tables(*layout(len(arrays["ids"]) // len(rows)), *stored))
        return cls(rows, None)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` needs, without a copy."""
        named = {} if self._tables is None else self._tables._asdict()
        kept = (*STORED, *Neighbours._fields)
        return {"rows": self._rows} | {name: named[name] for name in kept if name in named}

    @property
    def rows(self) -> NDArray[np.uint64]:
        """(n, words), read-only."""
        return self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def search(self, queries: NDArray[np.uint8], radius: int, reach: int | None = None) -> Hits:
        """Every (query, row) within radius bits. queries: (k, bytes of a row) uint8."""
        found = list(self.batches(queries, radius, reach))
        if not found:
            return _room(0)
        query, row, distance = zip(*found, strict=True)
        return Hits(np.concatenate(query), np.concatenate(row), np.concatenate(distance))

    def batches(
        self,
        queries: NDArray[np.uint8],
        radius: int,
        reach: int | None = None,
        room: int = BATCH_HITS,
    ) -> Iterator[Hits]:
        """As `search`, in pieces of whole queries: at most `room` hits, or a single query's.

        radius: 0 to 31, reach: radius (where None) to 64.
        """
        reach = radius if reach is None else reach
        if not 0 <= radius <= MAX_RADIUS:
            raise ValueError(f"a radius is 0 to {MAX_RADIUS} bits, not {radius}")
        if not radius <= reach <= MAX_REACH:
            raise ValueError(f"a reach is the radius to {MAX_REACH} bits, not {reach}")
        words = _words(queries)
        if words.shape[1] != self._rows.shape[1]:
            raise ValueError("the queries are not as long as the rows")
        if not len(self):
            return
        first, out = 0, _room(min(room, len(self) * len(words)))
        while first < len(words):
            after, count = self._some(words, first, radius, reach, out)
            if after == first:
                out = _room(min(4 * len(out.query), len(self)))
                continue
            if count:
                yield Hits(
                    out.query[:count].copy(), out.row[:count].copy(), out.distance[:count].copy()
                )
            first = after

    def _some(
        self, words: NDArray[np.uint64], first: int, radius: int, reach: int, out: Hits
    ) -> tuple[int, int]:
        """Answer queries from `first` on while there is room.

        Returns the first query that was not finished, and the number of hits of those before it.
        """
        size = len(self)
        done: tuple[int, int]
        match self._tables:
            case None:
                done = scan_all(self._rows, words, first, reach, *out)
            case Neighbours() as lists:
                most = size // LISTED_COST
                done = look_up_all(self._rows, words, first, reach, lists, most, *out)
            case Tables() as tables:
                plan, most = Plan.of(len(tables.start), radius), size // CANDIDATE_COST
                done = probe_all(self._rows, words, first, reach, tables, plan, most, *out)
        return done


def chunk_count(rows: int) -> int:
    """Into how many chunks that many rows are best cut."""
    return next((chunks for most, chunks in CHUNKS if rows <= most), MOST_CHUNKS)


def _room(hits: int) -> Hits:
    return Hits(np.empty(hits, np.int32), np.empty(hits, np.uint32), np.empty(hits, np.uint8))


def _words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, bytes) uint8 as (n, bytes / 8) uint64, the same memory."""
    if packed.ndim != 2 or packed.shape[1] not in (8, 32) or packed.dtype != np.uint8:
        raise ValueError("hashes are rows of 8 or 32 bytes")
    return frozen(np.ascontiguousarray(packed).view("<u8"))
