"""What a decoder says of its clip, checked as one checks a witness who may have been bribed.

    testimony = Testimony({Algorithm.PDQ}, Orientations.MIRRORED)
    for header, payload in messages:
        testimony.hear(header, payload)
    testimony.conclude()
    testimony.fingerprint(digests, size)

A process that was taken over can at most say that its own clip looks like something else: nothing
it says is out of range, of another recipe, or about where the clip is stored.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashmatch.hashing.packing import FingerprintDamaged, unpack
from hashmatch.hashing.recipes import recipe
from hashmatch.model import (
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Orientations,
    Reason,
    Sampling,
    Variant,
)

_LONGEST = 1e7  # seconds of presentation time that any clip may name

# Of all reasons, those that a look at the bytes can end with.
_TROUBLES = frozenset(
    {
        Reason.EMPTY_FILE,
        Reason.NOT_MEDIA,
        Reason.PLAYLIST,
        Reason.DAMAGED,
        Reason.NO_VIDEO_STREAM,
        Reason.UNSUPPORTED_CODEC,
        Reason.TOO_MANY_PIXELS,
        Reason.NO_USABLE_FRAMES,
        Reason.TRUNCATED,
        Reason.UNKNOWN_PARTS,
        Reason.TIME_LIMIT,
        Reason.MEMORY_LIMIT,
    }
)

_Kind = TypeVar("_Kind", Sampling, Reason)


class Implausible(Exception):
    """The decoder says what no decoder would."""


@dataclass(frozen=True, slots=True)
class _Progress:
    duration: float | None = None
    seen: float = 0.0
    sampling: Sampling | None = None
    trouble: Reason | None = None

    @classmethod
    def of(cls, said: Any) -> _Progress:
        if not isinstance(said, dict):
            raise Implausible
        duration = said.get("duration")
        return cls(
            duration=None if duration is None else _seconds(duration),
            seen=_seconds(said.get("seen")),
            sampling=_one_of(Sampling, said.get("sampling")),
            trouble=_trouble(said.get("trouble")),
        )


class Testimony:
    """What one clip's decoder said so far. algorithms, orientations: those it was asked for."""

    def __init__(self, algorithms: Collection[Algorithm], orientations: Orientations) -> None:
        self._batches: dict[Algorithm, list[FrameHashes]] = {a: [] for a in sorted(algorithms)}
        self._orientations = orientations
        self._cut: list[tuple[int, FrameHashes]] = []
        self._times: NDArray[np.float64] | None = None
        self._progress = _Progress()
        self._opened = False
        self._over = False

    def hear(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Take one message, as `decoder_task.hash_frames` describes them. Raises Implausible."""
        kind = header.get("kind")
        if self._over:
            raise Implausible
        if kind == "batch":
            self._batch(header, payload)
        elif kind == "cut":
            self._cut_again(header, payload)
        elif kind == "end":
            self._end(header)
        elif kind == "unseeable" and not self._opened:
            self._unseeable(header)
        else:
            raise Implausible

    def conclude(self) -> None:
        """There is no more. Raises Implausible if the last message was none to end with."""
        if not self._over:
            raise Implausible

    def break_off(self, reason: Reason) -> None:
        """The decoder was ended, or ended itself, for this reason. What was heard stands."""
        self._progress = replace(self._progress, trouble=reason)

    def _batch(self, header: Mapping[str, Any], payload: bytes) -> None:
        progress = _Progress.of(header.get("progress"))
        hashes = _hashes(payload)
        if (
            self._times is not None
            or hashes.algorithm not in self._batches
            or hashes.variants != _variants(hashes.algorithm, self._orientations)
        ):
            raise Implausible
        self._batches[hashes.algorithm].append(hashes)
        self._progress = progress
        self._opened = True

    def _cut_again(self, header: Mapping[str, Any], payload: bytes) -> None:
        """What is inside the bars of frames that were told before, now that these are known."""
        hashes, first = _hashes(payload), header.get("first")
        if self._times is None:
            batches = self._batches.get(Algorithm.PDQ, ())
            self._times = np.concatenate([np.empty(0), *(batch.t for batch in batches)])
        if (
            isinstance(first, bool)
            or not isinstance(first, int)
            or not 0 <= first < len(self._times)
            or hashes.algorithm is not Algorithm.PDQ
            or hashes.variants != self._orientations.inner
            or not np.array_equal(hashes.t, self._times[first : first + len(hashes)])
        ):
            raise Implausible
        self._cut.append((first, hashes))

    def _end(self, header: Mapping[str, Any]) -> None:
        progress = _Progress.of(header.get("progress"))
        hashed = header.get("hashed")
        if any(sum(map(len, batches)) != hashed for batches in self._batches.values()):
            raise Implausible
        self._progress = progress
        self._opened = self._over = True

    def _unseeable(self, header: Mapping[str, Any]) -> None:
        reason = _trouble(header.get("reason"))
        if reason is None:
            raise Implausible
        self._progress = _Progress(trouble=reason)
        self._over = True

    def fingerprint(self, digests: Digests | None, size: int) -> Fingerprint:
        frames = [self._joined(algorithm) for algorithm in self._batches]
        return Fingerprint(
            digests=digests,
            size=size,
            duration=self._progress.duration,
            seen=self._progress.seen,
            sampling=self._progress.sampling,
            frames=tuple(frames) if self._opened else (),
            trouble=self._progress.trouble,
        )

    def _joined(self, algorithm: Algorithm) -> FrameHashes:
        """All batches as one, ordered by time."""
        batches, variants = self._batches[algorithm], _variants(algorithm, self._orientations)
        none = np.empty((0, len(variants), algorithm.bits // 8), np.uint8)
        t = np.concatenate([np.empty(0), *(batch.t for batch in batches)])
        quality = np.concatenate([np.empty(0, np.uint8), *(batch.quality for batch in batches)])
        bits = np.concatenate([none, *(batch.bits for batch in batches)])
        if algorithm is Algorithm.PDQ:
            outer = len(variants) // 2
            for first, cut in self._cut:
                bits[first : first + len(cut), outer:] = cut.bits
            if (bits[:, outer:] == bits[:, :outer]).all():
                # No frame has bars, so the picture inside them is the whole.
                bits, variants = bits[:, :outer], variants[:outer]
        order = np.argsort(t, kind="stable")
        return FrameHashes(
            recipe(algorithm), algorithm, t[order], quality[order], bits[order], variants
        )


def _variants(algorithm: Algorithm, orientations: Orientations) -> tuple[Variant, ...]:
    return orientations.variants if algorithm is Algorithm.PDQ else (Variant.ORIGINAL,)


def _hashes(payload: bytes) -> FrameHashes:
    """Frame hashes, at least one, by the current recipe and at times of a clip."""
    try:
        hashes = unpack(payload)
    except FingerprintDamaged:
        raise Implausible from None
    if (
        len(hashes) == 0
        or hashes.recipe != recipe(hashes.algorithm)
        or (np.abs(hashes.t) > _LONGEST).any()
    ):
        raise Implausible
    return hashes


def _seconds(said: Any) -> float:
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= _LONGEST:
        raise Implausible
    return float(said)


def _trouble(said: Any) -> Reason | None:
    reason = _one_of(Reason, said)
    if reason is not None and reason not in _TROUBLES:
        raise Implausible
    return reason


def _one_of(kind: type[_Kind], said: Any) -> _Kind | None:
    if said is None:
        return None
    try:
        return kind(said)
    except ValueError:
        raise Implausible from None
