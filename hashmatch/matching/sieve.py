"""Many stored clips against the lists at once: which of them are worth a judgement of their own.

    sieve = Sieve(lists, distance=31, quality=50)
    for number, clip in enumerate(page):
        sieve.add_digests(number, clip.digests)
        sieve.add_frames(number, clip.frames)
    for number in sieve.sift():                    # those that match anything
        lists.match(page[number], ...)

A clip is let through if any frame is within the distance of a listed hash, or several are within
the reach of one entry: a sequence may have no frame that is nearer. So what matches is let through,
and a little more. The frames of many clips are
looked up together, and a frame that repeats the one before it is not looked up again.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.comparison import DIGESTS, NOMINATING
from hashmatch.matching.compiled_part import Searched
from hashmatch.matching.index import MAX_REACH, Hits
from hashmatch.matching.listset import ListSet
from hashmatch.matching.popcount import kernel
from hashmatch.matching.tally import References
from hashmatch.model import Algorithm, Digests, FrameHashes


class Sieve:
    """One page of clips at a time. Memory: the page's frame hashes once more, and its hits."""

    def __init__(self, lists: ListSet, *, distance: int, quality: int) -> None:
        """distance, quality: as for `ListSet.match`."""
        self._quality = quality
        self._searched = {
            algorithm: lists.searched(algorithm, distance=distance, quality=quality)
            for algorithm in lists.algorithms
            if algorithm.perceptual
        }
        self._queries = {algorithm: _Queries(algorithm) for algorithm in self._searched}
        self._digests = {
            algorithm: [_first_words(some) for some in lists.digests(algorithm)]
            for algorithm in DIGESTS
            if algorithm in lists.algorithms
        }
        self._named: dict[Algorithm, tuple[list[int], list[str]]]
        self._clear()

    def _clear(self) -> None:
        self._named = {algorithm: ([], []) for algorithm in self._digests}
        for queries in self._queries.values():
            queries.used = 0

    def add_digests(self, clip: int, digests: Digests) -> None:
        """clip: any number; the same in the call of `add_frames` for the same clip."""
        for algorithm, (clips, texts) in self._named.items():
            if text := getattr(digests, algorithm.value):
                clips.append(clip)
                texts.append(text)

    def add_frames(self, clip: int, frames: FrameHashes, *, every: bool = False) -> int:
        """every: whatever their quality. Returns how many frame hashes were usable.

        A frame hash is one frame in one variant.
        """
        queries = self._queries.get(frames.algorithm)
        if queries is None:
            return 0
        return queries.add(clip, frames, 0 if every else self._quality)

    def sift(self) -> set[int]:
        """The clips that were added since the last time and match something."""
        found: set[int] = set()
        for algorithm, queries in self._queries.items():
            for searched in self._searched[algorithm]:
                found.update(self._hit(algorithm, searched, queries))
        for algorithm, (clips, texts) in self._named.items():
            if texts:
                found.update(self._listed(algorithm, clips, texts))
        self._clear()
        return found

    def _hit(self, algorithm: Algorithm, searched: Searched, queries: _Queries) -> set[int]:
        within = searched.within
        radius = int(within.max(initial=-1))
        found: set[int] = set()
        if radius < 0:
            return found
        # 64-bit hashes that are further apart than their radius say nothing at all.
        reach = MAX_REACH if algorithm is Algorithm.PDQ else radius
        afar = _Afar(searched.references)
        for hits in searched.index.batches(queries.bits[: queries.used], radius, reach):
            limits = within[hits.row]
            near = hits.distance <= limits
            found.update(np.unique(queries.clip[hits.query[near]]).tolist())
            further = ~near & (limits >= 0)
            if further.any():
                found.update(afar.add(_some(hits, further), queries.clip))
        return found

    def _listed(self, algorithm: Algorithm, clips: list[int], texts: list[str]) -> set[int]:
        """By the first eight bytes: who shares those by accident is judged in full as well."""
        packed = np.frombuffer(bytes.fromhex("".join(texts)), np.uint8)
        words = _first_words(packed.reshape(len(texts), algorithm.bits // 8))
        found: set[int] = set()
        for known in self._digests[algorithm]:
            at = np.searchsorted(known, words)
            same = known[np.minimum(at, len(known) - 1)] == words
            found.update(np.array(clips, np.int64)[same].tolist())
        return found


class _Afar:
    """Counts the hits beyond the distance: of how many frame hashes of a clip, on each entry.

    Batches come in the order of the clips, so only the last clip's counts wait for the next batch.
    """

    def __init__(self, references: References) -> None:
        self._first = references.first.astype(np.int64)
        self._entry = references.entry
        self._clip = -1
        self._counts: Counter[int] = Counter()

    def add(self, hits: Hits, clip_of: NDArray[np.int64]) -> set[int]:
        """The clips of which NOMINATING hashes have hit one entry."""
        begin, end = self._first[hits.row], self._first[hits.row.astype(np.int64) + 1]
        size = end - begin
        before = np.cumsum(size) - size
        place = np.arange(size.sum()) - np.repeat(before - begin, size)
        # One hash counts once for an entry, however many of the entry's it hit.
        pairs = np.unique(np.stack([np.repeat(hits.query, size), self._entry[place]]), axis=1)
        found: set[int] = set()
        for query, entry in pairs.T.tolist():
            if (clip := int(clip_of[query])) != self._clip:
                self._clip = clip
                self._counts.clear()
            self._counts[entry] += 1
            if self._counts[entry] == NOMINATING:
                found.add(clip)
        return found


def _some(hits: Hits, which: NDArray[np.bool_]) -> Hits:
    return Hits(hits.query[which], hits.row[which], hits.distance[which])


class _Queries:
    """Frame hashes to look up. bits: (room, bytes); clip: (room,) whose; used: how many there are."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.bits: NDArray[np.uint8] = np.empty((1 << 16, algorithm.bits // 8), np.uint8)
        self.clip: NDArray[np.int64] = np.empty(len(self.bits), np.int64)
        self.used = 0

    def add(self, clip: int, frames: FrameHashes, quality: int) -> int:
        n, variants, _ = frames.bits.shape
        room = len(self.bits)
        while room < self.used + n * variants:
            room *= 2
        if room > len(self.bits):
            self.bits = np.resize(self.bits, (room, self.bits.shape[1]))
            self.clip = np.resize(self.clip, room)
        before = self.used
        usable, self.used = _take(frames.bits, frames.quality, quality, self.bits, self.used)
        self.clip[before : self.used] = clip
        return int(usable)


def warm() -> None:
    """Compile what sifting needs and keep it on disk."""
    _take(np.zeros((1, 1, 8), np.uint8), np.zeros(1, np.uint8), 0, np.empty((1, 8), np.uint8), 0)


def _first_words(digests: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, bytes) to the first eight bytes of each as a number; sorted if the digests are."""
    first = np.ascontiguousarray(digests[:, :8]).view(">u8")[:, 0]
    return first.astype(np.uint64)


@kernel
def _take(bits: Any, quality: Any, least: Any, out: Any, used: Any) -> Any:
    """Append the usable frames' hashes that differ from the same variant's before.

    Returns how many hashes are usable, repeated or not, and how many are in `out`.
    """
    usable = 0
    last = -1
    for i in range(bits.shape[0]):
        if quality[i] < least:
            continue
        for v in range(bits.shape[1]):
            usable += 1
            differs = np.uint8(1)
            if last >= 0:
                differs = np.uint8(0)
                for b in range(bits.shape[2]):
                    differs |= bits[i, v, b] ^ bits[last, v, b]
            if differs:
                for b in range(bits.shape[2]):
                    out[used, b] = bits[i, v, b]
                used += 1
        last = i
    return usable, used
