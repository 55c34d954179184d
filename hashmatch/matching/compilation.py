"""Lists to arrays: sorted, without repetitions, the same on every host.

The order in which lists, entries and hashes arrive makes no difference: lists are sorted by name,
entries by id, hashes by their bits. Equal hashes become one row with a reference to each entry that
has it, so that a picture listed a thousand times is compared once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.index import HashIndex
from hashmatch.matching.list_input import ActiveList, HashColumn, LeftOut
from hashmatch.model import Algorithm, Media

Arrays = dict[str, NDArray[Any]]


class Compilation(NamedTuple):
    """Lists as `compiled_part.Part` holds them.

    sizes: entries of each list, by the lists' names; classes: the names of classifications;
    arrays: class_of (entries,), id_at (entries + 1,) and id_text (UTF-8 bytes) for the entries;
    "ALGORITHM.NAME" for hashes.
    """

    sizes: list[int]
    classes: list[str | None]
    arrays: Arrays
    left_out: list[LeftOut]


def compile_lists(lists: Iterable[ActiveList]) -> Compilation:
    """Read the lists, each once, in the order of their names."""
    classes: dict[str | None, int] = {None: 0}
    collected = [_Collected(active, classes) for active in lists]
    class_names = sorted(name for name in classes if name is not None)
    renumbered = np.zeros(len(classes), np.uint32)
    for position, name in enumerate(class_names, 1):
        renumbered[classes[name]] = position
    sizes = [len(c.ids) for c in collected]
    arrays: Arrays = {
        "class_of": renumbered[_joined([c.class_of for c in collected], np.uint32)],
        **_text([i for c in collected for i in c.ids]),
    }
    bases = np.cumsum([0, *sizes])
    columns: dict[Algorithm, list[HashColumn]] = {}
    for base, one in zip(bases, collected, strict=False):
        for algorithm, column in one.columns():
            column.entry[:] += base
            columns.setdefault(algorithm, []).append(column)
    left_out = [one for c in collected for one in c.left_out]
    del collected
    for algorithm in sorted(columns):
        compiled = _perceptual if algorithm.perceptual else _digests
        arrays |= {
            f"{algorithm}.{name}": array
            for name, array in compiled(_merged(columns.pop(algorithm))).items()
        }
    return Compilation(sizes, [None, *class_names], arrays | _indexes(arrays), left_out)


class _Collected:
    """One list's entries, read and sorted by id, without the disabled ones."""

    def __init__(self, active: ActiveList, classes: dict[str | None, int]) -> None:
        self.ids: list[str] = []
        self.left_out: list[LeftOut] = []
        self._columns: dict[Algorithm, list[HashColumn]] = {}
        class_of: list[int] = []
        for block in active.blocks():
            base = len(self.ids)
            self.ids.extend(block.ids)
            self.left_out += [
                LeftOut(active.name, entry, problem)
                for entry, problem in block.unusable
                if entry not in active.disabled
            ]
            class_of.extend(classes.setdefault(name, len(classes)) for name in block.classification)
            video = np.array([media is Media.VIDEO for media in block.media], np.bool_)
            for column in block.hashes:
                self._columns.setdefault(column.algorithm, []).append(
                    HashColumn(
                        column.algorithm,
                        column.entry + base,
                        column.bits,
                        # Only a video's times say where in it a frame is.
                        np.where(video[column.entry], column.timestamp, np.nan),
                        column.quality,
                    )
                )
        order = sorted(
            (i for i, entry in enumerate(self.ids) if entry not in active.disabled),
            key=self.ids.__getitem__,
        )
        twice = {after for before, after in pairwise(order) if self.ids[before] == self.ids[after]}
        self.left_out += [
            LeftOut(active.name, self.ids[i], "it is there twice") for i in sorted(twice)
        ]
        order = [i for i in order if i not in twice]
        self._place = np.full(len(self.ids), -1, np.int64)
        self._place[order] = np.arange(len(order))
        self.class_of = np.array(class_of, np.uint32)[order]
        self.ids = [self.ids[i] for i in order]
        self.left_out.sort()

    def columns(self) -> Iterable[tuple[Algorithm, HashColumn]]:
        """The hashes, by entry's place; read once."""
        while self._columns:
            algorithm, parts = self._columns.popitem()
            merged = _merged(parts)
            entry = self._place[merged.entry]
            kept = entry >= 0
            if kept.any():
                yield algorithm, replace(merged.taken(kept), entry=entry[kept])


def _merged(parts: Sequence[HashColumn]) -> HashColumn:
    if len(parts) == 1:
        return parts[0]
    return HashColumn(
        parts[0].algorithm,
        np.concatenate([p.entry for p in parts]),
        np.concatenate([p.bits for p in parts]),
        np.concatenate([p.timestamp for p in parts]),
        np.concatenate([p.quality for p in parts]),
    )


def _perceptual(column: HashColumn) -> Arrays:
    """rows: (n, words) different hashes; the rest: `References`."""
    order, starts = _grouped(column)
    entry, timestamp = column.entry[order].astype(np.uint32), column.timestamp[order]
    return {
        "rows": column.bits[order[starts]].view("<u8"),
        "first": np.append(starts, len(order)).astype(np.uint32),
        "entry": entry,
        "timestamp": timestamp,
        "quality": column.quality[order],
        "by_entry": np.lexsort((timestamp, entry)).astype(np.uint32),
    }


def _digests(column: HashColumn) -> Arrays:
    """rows: (n, bytes) different digests, sorted; first, entry: as for perceptual hashes."""
    order, starts = _grouped(column)
    return {
        "rows": column.bits[order[starts]],
        "first": np.append(starts, len(order)).astype(np.uint32),
        "entry": column.entry[order].astype(np.uint32),
    }


def _grouped(column: HashColumn) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order by bits (as bytes), entry, time, quality; and where in it each new hash starts."""
    size = len(column.entry)
    padded = np.zeros((size, -(-column.bits.shape[1] // 8) * 8), np.uint8)
    padded[:, : column.bits.shape[1]] = column.bits
    words = padded.view(">u8").astype(np.uint64)
    order = np.argsort(words[:, 0])
    # Few hashes share their first word unless they are equal: only those need a longer comparison.
    tied = np.zeros(size, np.bool_)
    same = words[order[1:], 0] == words[order[:-1], 0]
    tied[1:] |= same
    tied[:-1] |= same
    some = order[tied]
    least_first = [column.quality[some], column.timestamp[some], column.entry[some]]
    by_bits = [words[some, w] for w in reversed(range(words.shape[1]))]
    order[tied] = some[np.lexsort((*least_first, *by_bits))]
    new = np.ones(size, np.bool_)
    new[1:] = (words[order[1:]] != words[order[:-1]]).any(axis=1)
    return order, np.flatnonzero(new)


def _indexes(arrays: Arrays) -> Arrays:
    """What searching needs besides the rows; it follows from them."""
    return {
        f"{algorithm}.{name}": array
        for algorithm in Algorithm
        if algorithm.perceptual and f"{algorithm}.rows" in arrays
        for name, array in HashIndex.build(arrays[f"{algorithm}.rows"].view("u1")).arrays().items()
        if name != "rows"
    }


def _text(ids: Sequence[str]) -> Arrays:
    encoded = [text.encode("utf-8", "surrogatepass") for text in ids]
    at = np.zeros(len(ids) + 1, np.uint64)
    np.cumsum([len(text) for text in encoded], out=at[1:], dtype=np.uint64)
    return {"id_at": at, "id_text": np.frombuffer(b"".join(encoded), np.uint8)}


def _joined(parts: Sequence[NDArray[Any]], kind: type[np.generic]) -> NDArray[Any]:
    return np.concatenate([np.empty(0, kind), *parts])
