"""The active lists, compiled: what clips are compared with.

    lists = ListSet.build(active_lists)
    lists.save(file)
    lists = ListSet.open(mmap)                     # shared by all workers of a host
    lists.match(fingerprint, distance=31, quality=50, review_score=1)

A list set never changes. Two hosts with the same active lists make the same, with the same `id`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching import sections
from hashmatch.matching.alignment import REACH
from hashmatch.matching.compilation import compile_lists
from hashmatch.matching.index import SCAN_ROWS, HashIndex
from hashmatch.matching.listed import ActiveList, EntryBlock, HashColumn
from hashmatch.matching.policy import COVERED
from hashmatch.matching.popcount import frozen
from hashmatch.matching.sequences import Compared, Videos
from hashmatch.matching.tally import References, Runs, Tally
from hashmatch.model import (
    VARIANTS,
    Action,
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Match,
    MatchKind,
    Media,
    Stretch,
)

# Frames of a clip within reach of a listed video from which the two are compared in full.
NOMINATING = 2
# Entries that one clip is recorded to match: the strongest. More than a handful means a list full
# of the same picture, and a record of each would be a way to fill the database.
MAX_MATCHES = 1000
# Listed videos that are compared with one clip in full: those with the most frames near it.
MAX_COMPARED = 200

_ACTIONS = (Action.QUARANTINE, Action.REVIEW, Action.LOG)
_KINDS = (MatchKind.FILE, MatchKind.SEQUENCE, MatchKind.FRAMES)
_DIGESTS = (Algorithm.SHA256, Algorithm.SHA1, Algorithm.MD5)
_ALGORITHMS = (*_DIGESTS, *(a for a in Algorithm if a.perceptual))

# What speaks for one entry; kind and algorithm are positions in the tuples above, sequence one in the
# clip's list of them counted from 1, 0 for none.
EVIDENCE = np.dtype(
    [
        ("entry", "u4"),
        ("kind", "u1"),
        ("frames", "i8"),
        ("distance", "u1"),
        ("algorithm", "u1"),
        ("variant", "u1"),
        ("start", "f8"),
        ("end", "f8"),
        ("sequence", "i4"),
    ]
)


@dataclass(frozen=True, slots=True)
class CompiledList:
    """A list of the set. distance: bits for PDQ, None for the configured one."""

    name: str
    version: int
    action: Action
    distance: int | None
    imported_at: datetime | None
    entries: int


class ListSet:
    """Read-only and free of state: threads may share one."""

    def __init__(self, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
        """For `build` and `open`."""
        self._meta = meta
        self._arrays = {name: frozen(array) for name, array in arrays.items()}
        self.id: str = meta["id"]
        self.lists = tuple(_compiled(one) for one in meta["lists"])
        self.algorithms = frozenset(a for a in Algorithm if f"{a}.rows" in arrays)
        self._indexes = {
            a: HashIndex.from_arrays(self._of(a)) for a in self.algorithms if a.perceptual
        }

    @classmethod
    def build(cls, lists: Iterable[ActiveList]) -> ListSet:
        """Compile. Raises EntryUnusable for an entry that imports should have refused."""
        return cls(*compile_lists(lists))

    @classmethod
    def open(cls, buffer: Any) -> ListSet:
        """The set in a buffer (bytes, mmap), without a copy. Raises ListSetDamaged."""
        return cls(*sections.read(buffer))

    def save(self, file: BinaryIO) -> None:
        """Write the set from the file's position on."""
        sections.write(file, self._meta, self._arrays)

    @property
    def versions(self) -> dict[str, int]:
        return {one.name: one.version for one in self.lists}

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._arrays["list_of"])

    def match(
        self, fingerprint: Fingerprint, *, distance: int, quality: int, review_score: float
    ) -> tuple[Match, ...]:
        """The entries a clip matches, one `Match` each, the strongest first.

        distance: bits that PDQ hashes may differ by (0..31) where the list does not say otherwise;
        quality: PDQ quality below which neither a frame nor a listed hash is compared; review_score:
        decades of evidence for a copy (`significance`) from which frames that are all further away
        than `distance` count, where they do not cover most of the video.
        """
        found = [self._files(fingerprint)]
        sequences: list[Compared] = []
        poor = _poor_times(fingerprint, quality)
        for frames in fingerprint.frames:
            if frames.algorithm not in self._indexes:
                continue
            if frames.algorithm is Algorithm.PDQ:
                usable = frames.quality >= quality
                limits = [distance if o.distance is None else o.distance for o in self.lists]
            else:
                usable = ~np.isin(frames.t, poor)
                limits = [scaled(distance)] * len(self.lists)
            runs = Runs.of(frames, usable)
            evidence = self._frames(frames.algorithm, runs, limits, quality, sequences)
            found.append(evidence[_counts(evidence, sequences, review_score)])
        strongest = self._strongest(np.concatenate(found))
        return tuple(self._match(evidence, sequences) for evidence in strongest)

    def _files(self, fingerprint: Fingerprint) -> NDArray[Any]:
        """The entries whose digest is the clip's."""
        found = [np.empty(0, EVIDENCE)]
        for algorithm in _DIGESTS:
            if algorithm not in self.algorithms:
                continue
            rows, first, entry = (
                self._arrays[f"{algorithm}.{n}"] for n in ("rows", "first", "entry")
            )
            digest = bytes.fromhex(getattr(fingerprint.digests, algorithm.value))
            at = bisect_left(range(len(rows)), digest, key=lambda i: rows[i].tobytes())
            if at == len(rows) or rows[at].tobytes() != digest:
                continue
            entries = entry[int(first[at]) : int(first[at + 1])]
            evidence = np.zeros(len(entries), EVIDENCE)
            evidence["entry"] = entries
            evidence["kind"] = _KINDS.index(MatchKind.FILE)
            evidence["algorithm"] = _ALGORITHMS.index(algorithm)
            evidence["end"] = (
                fingerprint.seen if fingerprint.duration is None else fingerprint.duration
            )
            found.append(evidence)
        return np.concatenate(found)

    def _frames(
        self,
        algorithm: Algorithm,
        runs: Runs,
        limits: Sequence[int],
        quality: int,
        sequences: list[Compared],
    ) -> NDArray[Any]:
        """The entries that frames hit; appends to `sequences`."""
        index = self._indexes[algorithm]
        reach = REACH if algorithm is Algorithm.PDQ else None
        tally: Tally | None = None
        columns: list[Any] = [self._arrays[f"{algorithm}.{n}"] for n in References._fields]
        references = References(*columns)
        list_of = self._arrays["list_of"]
        for hits in index.batches(runs.bits, max(limits), reach):
            if tally is None:
                held_to = np.array(limits, np.int16)
                tally = Tally(runs, index.rows, references, list_of, held_to, quality=quality)
            tally.add(hits)
        if tally is None:
            return np.empty(0, EVIDENCE)
        counts = tally.counts()
        evidence = np.zeros(len(counts.entry), EVIDENCE)
        for name in ("entry", "frames", "distance", "variant", "start", "end"):
            evidence[name] = getattr(counts, name)
        evidence["kind"] = _KINDS.index(MatchKind.FRAMES)
        evidence["algorithm"] = _ALGORITHMS.index(algorithm)
        if algorithm is Algorithm.PDQ:
            videos = Videos(runs, index.rows, references)
            nominated = np.flatnonzero((counts.frames > 0) | (counts.reached >= NOMINATING))
            by_strength = np.lexsort((-counts.reached[nominated], -counts.frames[nominated]))
            for rank, at in enumerate(nominated[by_strength]):
                entry = int(counts.entry[at])
                limit = limits[list_of[entry]]
                if rank < MAX_COMPARED:
                    compared = videos.look(entry, limit=limit, quality=quality)
                else:
                    compared = videos.glance(entry, quality=quality)
                if compared is not None:
                    sequences.append(compared)
                    _add(evidence[at : at + 1], compared, len(sequences))
        return evidence

    def _strongest(self, evidence: NDArray[Any]) -> NDArray[Any]:
        """The best evidence of each entry, of at most MAX_MATCHES entries, the strongest first."""
        actions = np.array([_ACTIONS.index(one.action) for one in self.lists], np.uint8)
        action = actions[self._arrays["list_of"][evidence["entry"]]]
        order = np.lexsort(
            (
                evidence["entry"],
                evidence["algorithm"],
                evidence["distance"],
                -evidence["frames"],
                evidence["kind"],
                action,
            )
        )
        _, first = np.unique(evidence["entry"][order], return_index=True)
        return evidence[order[np.sort(first)[:MAX_MATCHES]]]

    def _match(self, evidence: Any, sequences: Sequence[Compared]) -> Match:
        sequence = sequences[evidence["sequence"] - 1] if evidence["sequence"] else None
        entry = int(evidence["entry"])
        listed = self.lists[self._arrays["list_of"][entry]]
        text = self._arrays["id_text"]
        begin, end = (int(at) for at in self._arrays["id_at"][entry : entry + 2])
        return Match(
            list=listed.name,
            version=listed.version,
            entry=text[begin:end].tobytes().decode("utf-8", "surrogatepass"),
            kind=_KINDS[evidence["kind"]],
            action=listed.action,
            distance=int(evidence["distance"]),
            start=float(evidence["start"]),
            end=float(evidence["end"]),
            frames=int(evidence["frames"]),
            variant=VARIANTS[evidence["variant"]],
            algorithm=_ALGORITHMS[evidence["algorithm"]],
            classification=self._meta["classes"][self._arrays["class_of"][entry]],
            **({} if sequence is None else _described_sequence(sequence)),
        )

    def _of(self, algorithm: Algorithm) -> dict[str, NDArray[Any]]:
        prefix = f"{algorithm}."
        return {n.removeprefix(prefix): a for n, a in self._arrays.items() if n.startswith(prefix)}


def warm() -> None:
    """Compile what matching needs and keep it on disk: seconds now, not in a run's first clip."""
    count = SCAN_ROWS + 1
    bits = np.random.default_rng(0).integers(0, 256, (count, 32), np.uint8)
    places, times = np.arange(count), np.arange(count, dtype=np.float64)
    column = HashColumn(Algorithm.PDQ, places, bits, times, np.full(count, 100, np.uint8))
    ids = [str(i) for i in range(count)]
    block = EntryBlock(ids, [Media.VIDEO] * count, [None] * count, [column])
    few = EntryBlock(ids[:1], [Media.IMAGE], [None], [_first(column, Algorithm.PHASH)])
    for blocks in ([block], [few]):
        lists = ListSet.build([ActiveList("warm", 1, Action.LOG, blocks)])
        for algorithm in lists.algorithms:
            hashes = bits[:1, None, : algorithm.bits // 8]
            frames = FrameHashes("warm", algorithm, times[:1], np.array([100], np.uint8), hashes)
            clip = Fingerprint(Digests("", "", ""), 0, frames=(frames,))
            lists.match(clip, distance=31, quality=0, review_score=1)


def _first(column: HashColumn, algorithm: Algorithm) -> HashColumn:
    """The first hash of a column, cut to another algorithm's length."""
    bits = np.ascontiguousarray(column.bits[:1, : algorithm.bits // 8])
    return HashColumn(algorithm, column.entry[:1], bits, column.timestamp[:1], column.quality[:1])


def scaled(distance: int) -> int:
    """The radius for 64-bit hashes (pHash, dHash, wHash) that goes with PDQ's for 256: 8 for 31.

    A quarter, rounded up. 8 lies within the 10 bits up to which Krawetz takes two pictures for
    variations of one another ("Looks Like It", hackerfactor.com, 2011).
    """
    return -(-distance * 64 // 256)


def _poor_times(fingerprint: Fingerprint, quality: int) -> NDArray[np.float64]:
    """When the clip shows frames whose PDQ quality is too low.

    The other hashes have no quality of their own, and any two flat pictures resemble each other.
    """
    pdq = [f for f in fingerprint.frames if f.algorithm is Algorithm.PDQ]
    return np.concatenate([np.empty(0), *(f.t[f.quality < quality] for f in pdq)])


def _add(evidence: NDArray[Any], compared: Compared, place: int) -> None:
    """Put what the comparison in full says to one row of evidence."""
    evidence["sequence"] = place
    if not compared.segments:
        return
    starts = [segment.start for segment in compared.segments]
    ends = [segment.end for segment in compared.segments]
    if evidence["frames"][0]:
        starts.append(evidence["start"][0])
        ends.append(evidence["end"][0])
    else:
        evidence["distance"] = compared.segments[0].distance
    evidence["variant"] = compared.variant
    evidence["kind"] = _KINDS.index(MatchKind.SEQUENCE)
    evidence["start"], evidence["end"] = min(starts), max(ends)


def _counts(
    evidence: NDArray[Any], sequences: Sequence[Compared], review_score: float
) -> NDArray[np.bool_]:
    """Which evidence counts: frames within the distance, or an alignment that says enough."""
    kept = evidence["frames"] > 0
    for at in np.flatnonzero(~kept & (evidence["sequence"] > 0)):
        one = sequences[evidence["sequence"][at] - 1]
        kept[at] = bool(one.segments) and (
            one.segments[0].copy >= review_score or one.found >= COVERED * one.listed
        )
    return kept


def _described_sequence(one: Compared) -> dict[str, Any]:
    """What `Match` says of a listed video."""
    said: dict[str, Any] = {"listed": one.listed, "near": one.near, "found": one.found}
    if one.segments:
        best = one.segments[0]
        said |= {"pictures": best.pictures, "typical": best.distance, "copy": best.copy}
        said["stretches"] = tuple(
            Stretch(s.start, s.end, float(one.times[s.first]), float(one.times[s.last]), s.speed)
            for s in one.segments
        )
    return said


def _compiled(one: Mapping[str, Any]) -> CompiledList:
    at = one["imported_at"]
    return CompiledList(
        one["name"],
        one["version"],
        Action(one["action"]),
        one["distance"],
        None if at is None else datetime.fromisoformat(at),
        one["entries"],
    )
