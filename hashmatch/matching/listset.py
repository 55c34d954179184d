"""The active lists, compiled: what clips are compared with.

    lists = ListSet.build(active_lists)
    lists.save(file)
    lists = ListSet.open(mmap)                     # shared by all workers of a host
    lists.match(fingerprint, distance=31, quality=50, review_score=1)

A set never changes. When the lists do, a small set is built on top of a large one: it holds what
was added, and says which of the large one's entries still act, and for which list.

Its `id` says which versions act, with which action and distance, and without which entries: two
hosts with the same active lists have the same, whether they hold them in one part or in two.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching import array_file
from hashmatch.matching.array_file import ListSetDamaged
from hashmatch.matching.comparison import NEVER, Comparison, distances_of
from hashmatch.matching.compilation import Compilation, compile_lists
from hashmatch.matching.compiled_part import CompiledList, Part, Searched
from hashmatch.matching.index import SCAN_ROWS, HashIndex
from hashmatch.matching.list_input import ActiveList, EntryBlock, HashColumn, LeftOut
from hashmatch.matching.small_index import MOST_ROWS
from hashmatch.model import (
    Action,
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Match,
    Media,
    Orientations,
    Variant,
)

# Raise it when the same versions, with the same rules, can come to match something else.
MEANING = 1


class Base(NamedTuple):
    """A stored set that another is built on. file, checksum: where it is, and what `save` returned.

    without: for each of its lists of which entries go on acting, the ids of those that do not.
    """

    lists: ListSet
    file: str
    checksum: str
    without: Mapping[str, Collection[str]]


class ListSet:
    """Read-only and free of state: threads may share one.

    recipes: by algorithm, how the clips' hashes are made that it is for; left_out: what of the
    listed entries cannot be compared; base: the set that it is built on.
    """

    def __init__(
        self, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], base: ListSet | None
    ) -> None:
        """For `build` and `open`."""
        self._meta = meta
        self._arrays = arrays
        self.id: str = meta["id"]
        self.lists = tuple(_compiled(one) for one in meta["lists"])
        self.recipes: dict[str, str] = meta["recipes"]
        self.left_out = tuple(LeftOut(*one) for one in meta["left_out"])
        self.algorithms = frozenset(Algorithm(name) for name in meta["algorithms"])
        names, sizes, classes = (meta["own"][name] for name in ("names", "sizes", "classes"))
        own = {n: a for n, a in arrays.items() if n not in ("list_of", "base_list_of")}
        self.base = base
        self._parts: tuple[Part, ...] = ()
        if base is not None:
            (whole,) = base._parts
            self._parts = (Part(whole.names, whole.compiled, arrays["base_list_of"], 0),)
        compiled = Compilation(sizes, classes, own, [])
        self._parts += (Part(names, compiled, arrays["list_of"], sum(map(len, self._parts))),)

    @classmethod
    def build(
        cls,
        lists: Iterable[ActiveList],
        base: Base | None = None,
        recipes: Mapping[str, str] | None = None,
    ) -> ListSet:
        """Compile. With a base, the lists' entries are those that it lacks."""
        ordered = sorted(lists, key=lambda active: active.name)
        positions = {active.name: i for i, active in enumerate(ordered)}
        if len(positions) != len(ordered):
            raise ValueError("a list has one active version")
        compiled = compile_lists(ordered)
        list_of = np.repeat(np.arange(len(ordered), dtype=np.uint16), compiled.sizes)
        own = Part(list(positions), compiled, list_of, 0)
        arrays = dict(compiled.arrays) | {"list_of": list_of}
        counts, algorithms, left_out = np.array(compiled.sizes), own.algorithms, compiled.left_out
        if base is not None:
            (whole,) = base.lists._parts
            arrays["base_list_of"] = whole.assigned(positions, base.without)
            kept = Part(whole.names, whole.compiled, arrays["base_list_of"], 0)
            algorithms |= kept.acting(len(ordered))
            counts = counts + np.bincount(kept.list_of, minlength=len(ordered) + 1)[:-1]
            left_out = left_out + [
                one
                for one in base.lists.left_out
                if one.list in base.without and one.entry not in base.without[one.list]
            ]
        meta: dict[str, Any] = {
            "lists": [_described(*one) for one in zip(ordered, counts.tolist(), strict=True)],
            "algorithms": sorted(algorithms),
            "recipes": {name: how for name, how in (recipes or {}).items() if name in algorithms},
            "left_out": sorted(left_out),
            "own": {
                "names": list(positions),
                "sizes": compiled.sizes,
                "classes": compiled.classes,
            },
            "base": None if base is None else [base.file, base.checksum],
        }
        meta["id"] = _identity(meta)
        return cls(meta, arrays, None if base is None else base.lists)

    @classmethod
    def open(
        cls,
        buffer: Any,
        file: str = "a buffer",
        checksum: str | None = None,
        *,
        trusted: bool = False,
        open_base: Callable[[str, str], ListSet] | None = None,
    ) -> ListSet:
        """The set in a buffer (bytes, mmap), without a copy. Raises ListSetDamaged.

        file, checksum, trusted: as for `array_file.read`; open_base: opens the set it was built on,
        by file and checksum.
        """
        meta, arrays = array_file.read(buffer, file, checksum, trusted=trusted)
        base = None
        if meta["base"] is not None:
            if open_base is None:
                raise ListSetDamaged(file=file, problem="what it is built on is not there")
            base = open_base(*meta["base"])
        return cls(meta, arrays, base)

    def save(self, file: BinaryIO) -> str:
        """Write the set, without its base, from the file's position on. Returns its checksum."""
        return array_file.write(file, self._meta, self._arrays)

    @property
    def versions(self) -> dict[str, int]:
        return {one.name: one.version for one in self.lists}

    @property
    def orientations(self) -> Orientations:
        """What clips must be hashed in for all lists to see all that they ask for."""
        every = any(one.orientations is Orientations.ALL for one in self.lists)
        return Orientations.ALL if every else Orientations.MIRRORED

    def with_digests(self) -> frozenset[str]:
        """The names of the lists that hold digests of files."""
        places: set[int] = set()
        for part in self._parts:
            for algorithm in part.algorithms:
                if not algorithm.perceptual:
                    places.update(np.unique(part.list_of[part.arrays[f"{algorithm}.entry"]]))
        return frozenset(self.lists[at].name for at in places if at < len(self.lists))

    def __len__(self) -> int:
        """How many entries act."""
        return sum(one.entries for one in self.lists)

    def searched(self, algorithm: Algorithm, *, distance: int, quality: int) -> list[Searched]:
        """What a perceptual algorithm's hashes are searched in. distance, quality: as for `match`."""
        limits = np.array([*distances_of(self.lists, algorithm, distance), NEVER], np.int16)
        return [
            part.searched(algorithm, limits, quality)
            for part in self._parts
            if algorithm in part.indexes
        ]

    def digests(self, algorithm: Algorithm) -> list[NDArray[np.uint8]]:
        """(n, bytes) sorted, the digests that are listed; those of entries that are gone may be
        among them. One or two such arrays.
        """
        name = f"{algorithm}.rows"
        return [part.arrays[name] for part in self._parts if algorithm in part.algorithms]

    def match(
        self,
        fingerprint: Fingerprint,
        *,
        distance: int,
        quality: int,
        review_score: float,
        orientations: Orientations = Orientations.MIRRORED,
    ) -> tuple[Match, ...]:
        """The entries a clip matches, one `Match` each, the strongest first.

        distance: bits that PDQ hashes may differ by (0..31) where the list does not say otherwise;
        quality: PDQ quality below which neither a frame nor a listed hash is compared; review_score:
        decades of evidence for a copy (`significance`) from which frames that are all further away
        than `distance` count, where they do not cover a good part of the video; orientations: ALL
        compares every list with turned frames too, not only those that ask for it. What the
        fingerprint lacks is not compared.
        """
        comparison = Comparison(
            self.lists,
            self._parts,
            distance=distance,
            quality=quality,
            review_score=review_score,
            orientations=orientations,
        )
        return comparison.matches(fingerprint)


def warm() -> None:
    """Compile what matching needs and keep it on disk: seconds now, not in a run's first clip."""
    count = SCAN_ROWS + 1
    bits = np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8)
    places, times = np.arange(count), np.arange(count, dtype=np.float64)
    column = HashColumn(Algorithm.PDQ, places // 4, bits, times, np.full(count, 100, np.uint8))
    ids = [str(i) for i in range(count)]
    block = EntryBlock(ids, [Media.VIDEO] * count, [None] * count, [column])
    few = EntryBlock(ids[:1], [Media.IMAGE], [None], [_first(column, Algorithm.PHASH)])
    for blocks in ([block], [few]):
        lists = ListSet.build([ActiveList("warm", 1, Action.LOG, blocks)])
        for algorithm in lists.algorithms:
            # A whole listed video, and a frame that repeats the last.
            hashes = bits[[0, 1, 2, 3, 3], None, : algorithm.bits // 8]
            quality = np.full(5, 100, np.uint8)
            shown = (Variant.ORIGINAL,)
            frames = FrameHashes("warm", algorithm, times[:5], quality, hashes, shown)
            clip = Fingerprint(Digests("", "", ""), 0, frames=(frames,))
            lists.match(clip, distance=31, quality=0, review_score=1)
    many = np.random.default_rng(0).integers(0, 256, (MOST_ROWS + 1, 32), np.uint8)
    HashIndex.build(many).search(bits[:1], 31)


def _first(column: HashColumn, algorithm: Algorithm) -> HashColumn:
    """The first hash of a column, cut to another algorithm's length."""
    bits = np.ascontiguousarray(column.bits[:1, : algorithm.bits // 8])
    return HashColumn(algorithm, column.entry[:1], bits, column.timestamp[:1], column.quality[:1])


def _described(active: ActiveList, entries: int) -> dict[str, Any]:
    return {
        "name": active.name,
        "version": active.version,
        "action": active.action.value,
        "distance": active.distance,
        "orientations": active.orientations.value,
        "imported_at": None if active.imported_at is None else active.imported_at.isoformat(),
        "entries": entries,
        "origin": active.origin,
        "disabled": sorted(active.disabled),
    }


def _compiled(one: Mapping[str, Any]) -> CompiledList:
    at = one["imported_at"]
    return CompiledList(
        one["name"],
        one["version"],
        Action(one["action"]),
        one["distance"],
        Orientations(one["orientations"]),
        None if at is None else datetime.fromisoformat(at),
        one["entries"],
        one["origin"],
        frozenset(one["disabled"]),
    )


def _identity(meta: Mapping[str, Any]) -> str:
    """SHA-256 of all that can make a difference to what matches.

    When a version was imported makes none. That of its entries is in its origin, but for those that
    are damaged.
    """
    lists = [{k: v for k, v in one.items() if k != "imported_at"} for one in meta["lists"]]
    told = json.dumps([MEANING, lists, meta["left_out"]])
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()
