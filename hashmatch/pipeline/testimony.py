"""What a decoder says of its clip, checked as one checks a witness who may have been bribed.

    testimony = Testimony({Algorithm.PDQ})
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

from hashmatch.hashing.packing import FingerprintDamaged, unpack
from hashmatch.hashing.recipes import recipe
from hashmatch.model import (
    VARIANTS,
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Reason,
    Sampling,
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
    """What one clip's decoder said so far. algorithms: those it was asked for."""

    def __init__(self, algorithms: Collection[Algorithm]) -> None:
        self._batches: dict[Algorithm, list[FrameHashes]] = {a: [] for a in sorted(algorithms)}
        self._progress = _Progress()
        self._opened = False
        self._over = False

    def hear(self, header: Mapping[str, Any], payload: bytes) -> None:
        """Take one message, as `frames.hash_frames` describes them. Raises Implausible."""
        kind = header.get("kind")
        if self._over:
            raise Implausible
        if kind == "batch":
            self._batch(header, payload)
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
        try:
            hashes = unpack(payload)
        except FingerprintDamaged:
            raise Implausible from None
        if (
            len(hashes) == 0
            or hashes.algorithm not in self._batches
            or hashes.recipe != recipe(hashes.algorithm)
            or hashes.bits.shape[1] != _variants(hashes.algorithm)
            or (np.abs(hashes.t) > _LONGEST).any()
        ):
            raise Implausible
        self._batches[hashes.algorithm].append(hashes)
        self._progress = progress
        self._opened = True

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

    def fingerprint(self, digests: Digests, size: int) -> Fingerprint:
        frames = [_joined(name, batches) for name, batches in self._batches.items()]
        return Fingerprint(
            digests=digests,
            size=size,
            duration=self._progress.duration,
            seen=self._progress.seen,
            sampling=self._progress.sampling,
            frames=tuple(frames) if self._opened else (),
            trouble=self._progress.trouble,
        )


def _variants(algorithm: Algorithm) -> int:
    return len(VARIANTS) if algorithm is Algorithm.PDQ else 1


def _joined(algorithm: Algorithm, batches: list[FrameHashes]) -> FrameHashes:
    """All batches as one, ordered by time."""
    none = np.empty((0, _variants(algorithm), algorithm.bits // 8), np.uint8)
    t = np.concatenate([np.empty(0), *(batch.t for batch in batches)])
    quality = np.concatenate([np.empty(0, np.uint8), *(batch.quality for batch in batches)])
    bits = np.concatenate([none, *(batch.bits for batch in batches)])
    if len(VARIANTS) == bits.shape[1] and (bits[:, 2:] == bits[:, :2]).all():
        bits = bits[:, :2]  # no frame has bars, so the picture inside them is the whole
    order = np.argsort(t, kind="stable")
    return FrameHashes(recipe(algorithm), algorithm, t[order], quality[order], bits[order])


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
