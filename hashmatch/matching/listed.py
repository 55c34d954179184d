"""What the matcher is given of a list: its active version, and its entries in blocks.

    ActiveList("partner", version=3, action=Action.QUARANTINE, entries=stored_entries())

Entries come one by one (`Entry`) or, for lists of millions, as `EntryBlock`s of arrays. Either way
they are streamed: nothing here holds more than a block of them as objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from hashmatch.errors import ListError
from hashmatch.model import Action, Algorithm, Entry, EntryHash, Media

# A quality that its list does not give; it counts as good.
UNKNOWN_QUALITY = 255
# Seconds. A listed time beyond it is no time of a video.
MAX_TIME = 1e7
BLOCK = 20_000


class EntryUnusable(ListError):
    """{name}: entry {entry} of the active version cannot be compared with clips: {problem}.

    Imports check this, so the database has been changed since. Import the partner's file again and
    activate it, or disable the entry with `hashmatch lists disable {name} {entry}`.
    """

    exit_code = 35


@dataclass(frozen=True, slots=True, eq=False)
class HashColumn:
    """k hashes of one algorithm.

    entry: (k,) their entries' positions in the block; bits: (k, bytes) uint8; timestamp: (k,)
    seconds, NaN where there is none; quality: (k,) uint8, UNKNOWN_QUALITY where there is none.
    """

    algorithm: Algorithm
    entry: NDArray[np.int64]
    bits: NDArray[np.uint8]
    timestamp: NDArray[np.float64]
    quality: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class EntryBlock:
    """Some entries of one list, in columns. ids, media, classification: one each an entry."""

    ids: Sequence[str]
    media: Sequence[Media]
    classification: Sequence[str | None]
    hashes: Sequence[HashColumn]


@dataclass(frozen=True, slots=True, eq=False)
class ActiveList:
    """A list version that acts.

    entries: read once; distance: bits for PDQ, None for the configured one; disabled: ids of
    entries that must not act.
    """

    name: str
    version: int
    action: Action
    entries: Iterable[Entry | EntryBlock]
    distance: int | None = None
    imported_at: datetime | None = None
    disabled: frozenset[str] = field(default=frozenset())

    def blocks(self) -> Iterator[EntryBlock]:
        """The entries in blocks, each checked. Raises EntryUnusable."""
        single: list[Entry] = []
        for given in self.entries:
            if isinstance(given, EntryBlock):
                self._check(given)
                yield given
                continue
            single.append(given)
            if len(single) == BLOCK:
                yield self._block(single)
                single = []
        if single:
            yield self._block(single)

    def _block(self, entries: Sequence[Entry]) -> EntryBlock:
        columns: dict[Algorithm, list[tuple[int, EntryHash]]] = {}
        for position, entry in enumerate(entries):
            for listed in entry.hashes:
                if len(listed.bits) * 8 != listed.algorithm.bits:
                    raise self._unusable(entry.id, f"a {listed.algorithm} of the wrong length")
                if listed.quality is not None and not 0 <= listed.quality <= 100:
                    raise self._unusable(entry.id, "a quality outside 0 to 100")
                columns.setdefault(listed.algorithm, []).append((position, listed))
        block = EntryBlock(
            [entry.id for entry in entries],
            [entry.media for entry in entries],
            [entry.classification for entry in entries],
            [_column(algorithm, hashes) for algorithm, hashes in columns.items()],
        )
        self._check(block)
        return block

    def _check(self, block: EntryBlock) -> None:
        if not len(block.ids) == len(block.media) == len(block.classification):
            raise ValueError("the columns of a block differ in length")
        for column in block.hashes:
            shape = (len(column.entry), column.algorithm.bits // 8)
            if not len(column.entry):
                continue
            if column.entry.min() < 0 or column.entry.max() >= len(block.ids):
                raise ValueError("a hash of a block belongs to none of its entries")
            if column.bits.shape != shape or column.bits.dtype != np.uint8:
                first = block.ids[int(column.entry[0])]
                raise self._unusable(first, f"a {column.algorithm} of the wrong length")
            for array in (column.timestamp, column.quality):
                if array.shape != shape[:1]:
                    raise ValueError("the columns of a block differ in length")
            late = np.abs(column.timestamp) > MAX_TIME
            if late.any():
                first = block.ids[int(column.entry[late][0])]
                raise self._unusable(first, "a timestamp that no video has")

    def _unusable(self, entry: str, problem: str) -> EntryUnusable:
        return EntryUnusable(name=self.name, entry=entry, problem=problem)


def _column(algorithm: Algorithm, hashes: Sequence[tuple[int, EntryHash]]) -> HashColumn:
    bits = np.frombuffer(b"".join(listed.bits for _, listed in hashes), np.uint8)
    return HashColumn(
        algorithm,
        np.array([position for position, _ in hashes], np.int64),
        bits.reshape(len(hashes), algorithm.bits // 8),
        np.array([np.nan if h.timestamp is None else h.timestamp for _, h in hashes], np.float64),
        np.array(
            [UNKNOWN_QUALITY if h.quality is None else h.quality for _, h in hashes], np.uint8
        ),
    )
