"""What the matcher is given of a list: its active version, and its entries in blocks.

    ActiveList("partner", version=3, action=Action.QUARANTINE, entries=stored_entries())

Entries come one by one (`Entry`) or, for lists of millions, as `EntryBlock`s of arrays. Either way
they are streamed: nothing here holds more than a block of them as objects.

Imports refuse what cannot be compared with clips. Should some get here all the same, because the
database was changed or damaged since, the hash in question is left out and said to be (`LeftOut`);
everything else acts. A list that does not act for one bad entry would be the worse failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.model import Action, Algorithm, Entry, EntryHash, Media, Orientations

# A quality that its list does not give; it counts as good.
UNKNOWN_QUALITY = 255
# Seconds. A listed time beyond it is no time of a video.
MAX_TIME = 1e7
BLOCK = 20_000


class LeftOut(NamedTuple):
    """A hash of an entry, or all of one, that cannot be compared with clips. Carries no hash."""

    list: str
    entry: str
    problem: str


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

    def taken(self, which: NDArray[Any]) -> HashColumn:
        """Those hashes only: which is a mask (k,), or positions."""
        return HashColumn(
            self.algorithm,
            self.entry[which],
            self.bits[which],
            self.timestamp[which],
            self.quality[which],
        )


@dataclass(frozen=True, slots=True, eq=False)
class EntryBlock:
    """Some entries of one list, in columns. ids, media, classification: one each an entry.

    unusable: entries, and what of them could not be put into the columns.
    """

    ids: Sequence[str]
    media: Sequence[Media]
    classification: Sequence[str | None]
    hashes: Sequence[HashColumn]
    unusable: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, eq=False)
class ActiveList:
    """A list version that acts.

    entries: read once; distance: bits for PDQ, None for the configured one; orientations: in which
    PDQ hashes of clips are compared; disabled: ids of entries that must not act; origin: what the
    version was made from, the same for two versions with the same entries and for no others.
    """

    name: str
    version: int
    action: Action
    entries: Iterable[Entry | EntryBlock]
    distance: int | None = None
    imported_at: datetime | None = None
    disabled: frozenset[str] = field(default=frozenset())
    origin: str = ""
    orientations: Orientations = Orientations.MIRRORED

    def blocks(self) -> Iterator[EntryBlock]:
        """The entries in blocks, of hashes that can be compared with clips."""
        single: list[Entry] = []
        for given in self.entries:
            if isinstance(given, EntryBlock):
                yield _sound(given)
                continue
            single.append(given)
            if len(single) == BLOCK:
                yield _sound(_block(single))
                single = []
        if single:
            yield _sound(_block(single))


def _block(entries: Sequence[Entry]) -> EntryBlock:
    columns: dict[Algorithm, list[tuple[int, EntryHash]]] = {}
    unusable: list[tuple[str, str]] = []
    for position, entry in enumerate(entries):
        for listed in entry.hashes:
            if len(listed.bits) * 8 != listed.algorithm.bits:
                unusable.append((entry.id, f"a {listed.algorithm} of the wrong length"))
            elif listed.quality is not None and not 0 <= listed.quality <= 100:
                unusable.append((entry.id, "a quality outside 0 to 100"))
            else:
                columns.setdefault(listed.algorithm, []).append((position, listed))
    return EntryBlock(
        [entry.id for entry in entries],
        [entry.media for entry in entries],
        [entry.classification for entry in entries],
        [_column(algorithm, hashes) for algorithm, hashes in columns.items()],
        unusable,
    )


def _sound(block: EntryBlock) -> EntryBlock:
    """The block without the hashes whose values cannot be. Its shapes are its maker's to get right."""
    if not len(block.ids) == len(block.media) == len(block.classification):
        raise ValueError("the columns of a block differ in length")
    unusable = list(block.unusable)
    columns = []
    for column in block.hashes:
        size = len(column.entry)
        shapes = (column.bits.shape, column.timestamp.shape, column.quality.shape)
        if shapes != ((size, column.algorithm.bits // 8), (size,), (size,)):
            raise ValueError("the columns of a block differ in length")
        if size and not 0 <= column.entry.min() <= column.entry.max() < len(block.ids):
            raise ValueError("a hash of a block belongs to none of its entries")
        late = np.abs(column.timestamp) > MAX_TIME
        graded = (column.quality <= 100) | (column.quality == UNKNOWN_QUALITY)
        for bad, problem in (
            (late, "a timestamp that no video has"),
            (~late & ~graded, "a quality outside 0 to 100"),
        ):
            unusable += [(block.ids[i], problem) for i in column.entry[bad].tolist()]
        columns.append(column.taken(~late & graded))
    return replace(block, hashes=columns, unusable=unusable)


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
