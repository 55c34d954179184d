"""Entries that were compiled together: their names, what is searched, and which list each acts for.

A list set has one part, or two: most entries in a base that stays as it is, and those that were
added or changed since. An entry of the base that no longer acts belongs to no list (`list_of`), and
whoever follows a hit to its entry must look there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.compilation import Arrays, Compilation
from hashmatch.matching.index import HashIndex
from hashmatch.matching.popcount import frozen
from hashmatch.matching.tally import References
from hashmatch.model import Action, Algorithm, Orientations


@dataclass(frozen=True, slots=True)
class CompiledList:
    """A list of the set.

    distance: bits for PDQ, None for the configured one; orientations: in which PDQ hashes of clips
    are compared with it; entries: that act.
    """

    name: str
    version: int
    action: Action
    distance: int | None
    orientations: Orientations
    imported_at: datetime | None
    entries: int
    origin: str
    disabled: frozenset[str]


@dataclass(frozen=True, slots=True, eq=False)
class Searched:
    """An index, and what its rows stand for. within: (rows,) bits within which a hit on the row
    counts for any entry, -1 for none.
    """

    index: HashIndex
    within: NDArray[np.int16]
    references: References


class Part:
    """Read-only and free of state: threads may share one.

    names, sizes: the lists it was compiled from, and how many entries each has, one list's after
    the other's; list_of: (entries,) uint16, position of an entry's list in the set, the number of
    lists for none; first: what its first entry is called in the set; indexes: by algorithm.
    """

    def __init__(
        self, names: Sequence[str], compiled: Compilation, list_of: NDArray[np.uint16], first: int
    ) -> None:
        self.names = tuple(names)
        self.compiled = compiled
        self.arrays: Arrays = {name: frozen(array) for name, array in compiled.arrays.items()}
        self.list_of = frozen(list_of)
        self.first = first
        self.algorithms = frozenset(a for a in Algorithm if f"{a}.rows" in self.arrays)
        self.indexes = {
            a: HashIndex.from_arrays(self._of(a)) for a in self.algorithms if a.perceptual
        }

    def __len__(self) -> int:
        """How many entries there are, acting or not."""
        return len(self.list_of)

    def entry_id(self, entry: int) -> str:
        begin, end = (int(at) for at in self.arrays["id_at"][entry : entry + 2])
        return self.arrays["id_text"][begin:end].tobytes().decode("utf-8", "surrogatepass")

    def classification(self, entry: int) -> str | None:
        return self.compiled.classes[int(self.arrays["class_of"][entry])]

    def references(self, algorithm: Algorithm) -> References:
        """What the rows of a perceptual algorithm's index stand for."""
        columns: list[Any] = [self.arrays[f"{algorithm}.{name}"] for name in References._fields]
        return References(*columns)

    def searched(self, algorithm: Algorithm, limits: NDArray[np.int16], quality: int) -> Searched:
        """limits: bits for each list, and -1 for entries that belong to none; quality: the least
        that a listed hash must have.
        """
        references = self.references(algorithm)
        limit = limits[self.list_of[references.entry]]
        limit = np.where(references.quality >= quality, limit, np.int16(-1))
        within = np.maximum.reduceat(limit, references.first[:-1].astype(np.int64))
        return Searched(self.indexes[algorithm], within, references)

    def acting(self, lists: int) -> frozenset[Algorithm]:
        """The algorithms of entries that belong to one of that many lists."""
        if (self.list_of < lists).all():
            return self.algorithms
        return frozenset(
            a for a in self.algorithms if (self.list_of[self.arrays[f"{a}.entry"]] < lists).any()
        )

    def assigned(
        self, positions: Mapping[str, int], without: Mapping[str, Collection[str]]
    ) -> NDArray[np.uint16]:
        """`list_of` for a set with lists at those positions.

        without: for each list of which entries go on acting, the ids of those that do not.
        """
        nowhere = len(positions)
        list_of = np.full(len(self), nowhere, np.uint16)
        end = 0
        for name, size in zip(self.names, self.compiled.sizes, strict=True):
            begin, end = end, end + size
            if name not in without or name not in positions:
                continue
            list_of[begin:end] = positions[name]
            for id in without[name]:
                at = bisect_left(range(end), id, begin, key=self.entry_id)
                if at < end and self.entry_id(at) == id:
                    list_of[at] = nowhere
        return list_of

    def _of(self, algorithm: Algorithm) -> dict[str, NDArray[Any]]:
        prefix = f"{algorithm}."
        return {n.removeprefix(prefix): a for n, a in self.arrays.items() if n.startswith(prefix)}
