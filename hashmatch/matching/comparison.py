"""Comparing one clip with the parts of a list set: digests, frames, and listed videos in full.

    comparison = Comparison(lists, parts, distance=31, quality=50, review_score=1)
    comparison.matches(fingerprint)

What speaks for each entry is gathered as arrays, as there may be millions of hits; only the
strongest become `Match`es.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashmatch.matching.alignment import LEAST_PAIRS, REACH
from hashmatch.matching.compiled_part import CompiledList, Part
from hashmatch.matching.policy import COVERED
from hashmatch.matching.sequences import Compared, Videos, unseen
from hashmatch.matching.tally import Counts, Runs, Tally
from hashmatch.model import (
    Action,
    Algorithm,
    Fingerprint,
    FrameHashes,
    Match,
    MatchKind,
    Orientations,
    Stretch,
    Variant,
)

# Frames of a clip within reach of a listed video from which the two are compared in full.
NOMINATING = 2
# Listed videos that are compared with one clip in full: those with the most frames near it.
MAX_COMPARED = 200
# Entries that one clip is recorded to match: the strongest. More than a handful means a list full
# of the same picture, and a record of each would be a way to fill the database.
MAX_MATCHES = 1000

_ACTIONS = (Action.QUARANTINE, Action.REVIEW, Action.LOG)
# A limit within which nothing is.
NEVER = -1

_VARIANTS = tuple(Variant)
_KINDS = (MatchKind.FILE, MatchKind.SEQUENCE, MatchKind.FRAMES)
DIGESTS = (Algorithm.SHA256, Algorithm.SHA1, Algorithm.MD5)
_ALGORITHMS = (*DIGESTS, *(a for a in Algorithm if a.perceptual))

# What speaks for one entry; kind, algorithm and variant are positions in the tuples above, sequence
# one in the clip's list of them counted from 1, 0 for none.
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


class Comparison:
    """Of one clip. `ListSet.match` says what the arguments mean."""

    def __init__(
        self,
        lists: Sequence[CompiledList],
        parts: Sequence[Part],
        *,
        distance: int,
        quality: int,
        review_score: float,
        orientations: Orientations,
    ) -> None:
        self._lists = lists
        self._parts = parts
        self._distance = distance
        self._quality = quality
        self._review_score = review_score
        self._orientations = orientations
        self._sequences: list[Compared] = []

    def matches(self, fingerprint: Fingerprint) -> tuple[Match, ...]:
        """The entries the clip matches, one `Match` each, the strongest first."""
        found = [np.empty(0, EVIDENCE)]
        found += [self._files(part, fingerprint) for part in self._parts]
        poor = _poor_times(fingerprint, self._quality)
        for frames in fingerprint.frames:
            algorithm = frames.algorithm
            if algorithm is Algorithm.PDQ:
                usable = frames.quality >= self._quality
            else:
                usable = ~np.isin(frames.t, poor)
            limits = distances_of(self._lists, algorithm, self._distance)
            searched = [part for part in self._parts if algorithm in part.indexes]
            for turned in (False, True):
                some = _only(frames, turned=turned)
                within = self._held_to(limits, turned)
                if searched and some.variants and within.max() > NEVER:
                    runs = Runs.of(some, usable)
                    found += [self._frames(part, some, runs, within) for part in searched]
        return tuple(self._match(evidence) for evidence in self._strongest(np.concatenate(found)))

    def _held_to(self, limits: Sequence[int], turned: bool) -> NDArray[np.int16]:
        """The limit of each list, and one more: of entries that belong to none."""
        if not turned or self._orientations is Orientations.ALL:
            return np.array([*limits, NEVER], np.int16)
        asked = (one.orientations is Orientations.ALL for one in self._lists)
        held = [limit if asks else NEVER for limit, asks in zip(limits, asked, strict=True)]
        return np.array([*held, NEVER], np.int16)

    def _files(self, part: Part, fingerprint: Fingerprint) -> NDArray[Any]:
        """The entries whose digest is the clip's; none where the clip has no digests."""
        found = [np.empty(0, EVIDENCE)]
        for algorithm in DIGESTS:
            if algorithm not in part.algorithms or fingerprint.digests is None:
                continue
            rows, first, entry = (
                part.arrays[f"{algorithm}.{n}"] for n in ("rows", "first", "entry")
            )
            digest = bytes.fromhex(getattr(fingerprint.digests, algorithm.value))
            at = bisect_left(range(len(rows)), digest, key=lambda i: rows[i].tobytes())
            if at == len(rows) or rows[at].tobytes() != digest:
                continue
            entries = entry[int(first[at]) : int(first[at + 1])]
            entries = entries[part.list_of[entries] < len(self._lists)]
            evidence = np.zeros(len(entries), EVIDENCE)
            evidence["entry"] = part.first + entries
            evidence["kind"] = _KINDS.index(MatchKind.FILE)
            evidence["algorithm"] = _ALGORITHMS.index(algorithm)
            evidence["end"] = (
                fingerprint.seen if fingerprint.duration is None else fingerprint.duration
            )
            found.append(evidence)
        return np.concatenate(found)

    def _frames(
        self, part: Part, frames: FrameHashes, runs: Runs, limits: NDArray[np.int16]
    ) -> NDArray[Any]:
        """The entries that frames hit, and listed videos that agree with the clip."""
        algorithm = frames.algorithm
        index = part.indexes[algorithm]
        references = part.references(algorithm)
        tally: Tally | None = None
        reach = REACH if algorithm is Algorithm.PDQ else None
        for hits in index.batches(runs.bits, int(limits.max()), reach):
            if tally is None:
                quality = self._quality
                tally = Tally(runs, index.rows, references, part.list_of, limits, quality=quality)
            tally.add(hits)
        if tally is None:
            return np.empty(0, EVIDENCE)
        counts = tally.counts()
        evidence = np.zeros(len(counts.entry), EVIDENCE)
        for name in ("entry", "frames", "distance", "variant", "start", "end"):
            evidence[name] = getattr(counts, name)
        evidence["entry"] += part.first
        evidence["kind"] = _KINDS.index(MatchKind.FRAMES)
        evidence["algorithm"] = _ALGORITHMS.index(algorithm)
        if algorithm is Algorithm.PDQ:
            videos = Videos(runs, index.rows, references)
            self._compare_videos(part, videos, counts, limits, evidence)
        named = np.array([_VARIANTS.index(variant) for variant in frames.variants], np.uint8)
        evidence["variant"] = named[evidence["variant"]]
        return evidence[self._counts(evidence)]

    def _compare_videos(
        self,
        part: Part,
        videos: Videos,
        counts: Counts,
        limits: NDArray[np.int16],
        evidence: NDArray[Any],
    ) -> None:
        """Compare the clip in full with the listed videos it comes near; adds to their evidence."""
        nominated = np.flatnonzero((counts.frames > 0) | (counts.reached >= NOMINATING))
        listed, seconds = videos.timed(counts.entry[nominated], self._quality)
        several = listed >= LEAST_PAIRS
        nominated, listed, seconds = nominated[several], listed[several], seconds[several]
        by_strength = np.lexsort((-counts.reached[nominated], -counts.frames[nominated]))
        for rank, n in enumerate(by_strength):
            at = nominated[n]
            entry = int(counts.entry[at])
            compared: Compared | None = None
            if rank < MAX_COMPARED:
                limit = int(limits[part.list_of[entry]])
                compared = videos.look(entry, limit=limit, quality=self._quality)
            self._sequences.append(compared or unseen(int(listed[n]), float(seconds[n])))
            _add(evidence[at : at + 1], self._sequences[-1], len(self._sequences))

    def _counts(self, evidence: NDArray[Any]) -> NDArray[np.bool_]:
        """Which evidence counts: frames within the distance, or an alignment that says enough."""
        kept = evidence["frames"] > 0
        for at in np.flatnonzero(~kept & (evidence["sequence"] > 0)):
            one = self._sequences[evidence["sequence"][at] - 1]
            kept[at] = bool(one.segments) and (
                one.segments[0].copy >= self._review_score or one.reached >= COVERED
            )
        return kept

    def _strongest(self, evidence: NDArray[Any]) -> NDArray[Any]:
        """The best evidence of each entry, of at most MAX_MATCHES entries, the strongest first."""
        actions = np.array([_ACTIONS.index(one.action) for one in self._lists], np.uint8)
        action = np.empty(len(evidence), np.uint8)
        for part in self._parts:
            own = (evidence["entry"] >= part.first) & (evidence["entry"] < part.first + len(part))
            action[own] = actions[part.list_of[evidence["entry"][own] - part.first]]
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

    def _match(self, evidence: Any) -> Match:
        entry = int(evidence["entry"])
        part = next(part for part in reversed(self._parts) if entry >= part.first)
        entry -= part.first
        listed = self._lists[part.list_of[entry]]
        sequence = self._sequences[evidence["sequence"] - 1] if evidence["sequence"] else None
        return Match(
            list=listed.name,
            version=listed.version,
            entry=part.entry_id(entry),
            kind=_KINDS[evidence["kind"]],
            action=listed.action,
            distance=int(evidence["distance"]),
            start=float(evidence["start"]),
            end=float(evidence["end"]),
            frames=int(evidence["frames"]),
            variant=_VARIANTS[evidence["variant"]],
            algorithm=_ALGORITHMS[evidence["algorithm"]],
            classification=part.classification(entry),
            **({} if sequence is None else _described(sequence)),
        )


def _only(frames: FrameHashes, *, turned: bool) -> FrameHashes:
    """The frames in their turned variants alone, or in the others."""
    which = [n for n, variant in enumerate(frames.variants) if variant.turned is turned]
    if len(which) == len(frames.variants):
        return frames
    kept = tuple(frames.variants[n] for n in which)
    return replace(frames, bits=np.ascontiguousarray(frames.bits[:, which]), variants=kept)


def distances_of(lists: Sequence[CompiledList], algorithm: Algorithm, distance: int) -> list[int]:
    """Each list's, in bits of this algorithm. distance: where a list does not say otherwise."""
    if algorithm is Algorithm.PDQ:
        return [distance if one.distance is None else one.distance for one in lists]
    return [scaled(distance)] * len(lists)


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


def _described(one: Compared) -> dict[str, Any]:
    """What `Match` says of a listed video."""
    said: dict[str, Any] = {
        name: getattr(one, name)
        for name in ("listed", "found", "shows", "covered", "brief", "moves")
    }
    if one.segments:
        best = one.segments[0]
        said |= {"pictures": best.pictures, "typical": best.distance, "copy": best.copy}
        said["stretches"] = tuple(
            Stretch(s.start, s.end, float(one.times[s.first]), float(one.times[s.last]), s.speed)
            for s in one.segments
        )
    return said
