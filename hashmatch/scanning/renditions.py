"""All renditions of one clip in, one outcome for each out; of them one is decoded.

    scanner = RenditionScanner(Scanner(store, lists, config), lists, config)
    for scanned in scanner.scan(clips, remembered):
        scanned.verdict.outcome, scanned.seen_by

Decoded is the smallest rendition of at least `clips.rendition_height`. What it shows is believed of the
others after a glance at each: as long, and its first keyframes in there. One that differs is decoded too
and stands for itself; one that shows nothing is unscannable. All are read whole and digested, and what
any of them matches, all of them match.

Not guaranteed here: that a rendition shows the same behind its first keyframes. That renditions are made
from one upload, by the platform and not by whoever uploads, is what `clips.renditions` says.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hashmatch.clips.spool import Spooled
from hashmatch.errors import StorageError
from hashmatch.matching.comparison import MAX_MATCHES
from hashmatch.matching.listset import ListSet
from hashmatch.model import (
    Action,
    Algorithm,
    Clip,
    Digests,
    Fingerprint,
    Match,
    MatchKind,
    Outcome,
    Sampling,
    Verdict,
)
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import compare, verdict_of
from hashmatch.scanning.scanner import Scanned, Scanner, unread

# Seconds by which the durations of renditions may differ: their last frames and audio end as their frame
# rates and codecs have it. Keyframes of a glance. Bits by which a keyframe may differ from what was
# decoded: at a lower frame rate, with some frames left out, its like may be 50 ms away (42 bits in fast
# motion); unrelated frames of twelve public videos were never closer than 78.
DURATION_SLACK = 1.0
GLANCE = 3
LIKENESS = 64

_ACTIONS = (Action.QUARANTINE, Action.REVIEW, Action.LOG)
_KINDS = (MatchKind.FILE, MatchKind.SEQUENCE, MatchKind.FRAMES)


@dataclass(slots=True, eq=False)
class _Look:
    """What is known of one rendition. fingerprint: its own; seen_by: who was decoded in its place.

    apart: it differs from the others, so what it shows is said of itself only.
    """

    clip: Clip
    spooled: Spooled | None = None
    problem: Verdict | None = None
    fingerprint: Fingerprint | None = None
    seen_by: _Look | None = None
    apart: bool = False
    seconds: float = 0.0

    @property
    def shown(self) -> Fingerprint:
        """Its digests, with what was seen of it."""
        assert self.spooled is not None
        seen = self.fingerprint if self.seen_by is None else self.seen_by.fingerprint
        assert seen is not None
        return replace(seen, digests=self.spooled.digests, size=self.spooled.size)


class RenditionScanner:
    """Looks at one clip, or at all renditions of one, at a time."""

    def __init__(self, scanner: Scanner, lists: ListSet, config: ScanConfig) -> None:
        self._scanner = scanner
        self._lists = lists
        self._config = config

    def scan(self, clips: Sequence[Clip], remembered: Sequence[Digests]) -> tuple[Scanned, ...]:
        """One result for each of `clips`, in their order. remembered: digests of further renditions."""
        if len(clips) == 1 and not remembered:
            return (self._scanner.scan(clips[0]),)
        looks = [_Look(clip) for clip in clips]
        with ExitStack() as stack:
            for look in looks:
                self._fetch(look, stack)
            self._see([look for look in looks if look.spooled is not None])
            return self._judge(looks, remembered)

    def canary(self) -> str | None:
        return self._scanner.canary()

    def close(self) -> None:
        self._scanner.close()

    def _fetch(self, look: _Look, stack: ExitStack) -> None:
        started = time.monotonic()
        try:
            look.spooled = stack.enter_context(self._scanner.fetch(look.clip))
        except StorageError as error:
            look.problem = unread(error)
        look.seconds += time.monotonic() - started

    def _see(self, looks: list[_Look]) -> None:
        """Decode one rendition after the other until one was seen in full, and glance at the rest."""
        waiting = sorted(looks, key=self._rank)
        while waiting:
            look = waiting.pop(0)
            self._decode(look)
            if self._settles(look):
                break
        for other in waiting:
            if self._resembles(other, look):
                other.seen_by = look
            else:
                self._decode(other)
                other.apart = _anything(other.shown)

    def _rank(self, look: _Look) -> tuple[bool, int, str]:
        """From the wanted height upwards, then downwards."""
        assert look.clip.rendition is not None
        height, wanted = look.clip.rendition.height, self._config.rendition_height
        low = height < wanted
        return low, -height if low else height, look.clip.key

    def _decode(self, look: _Look) -> None:
        assert look.spooled is not None
        started = time.monotonic()
        look.fingerprint = self._scanner.fingerprint(look.spooled)
        look.seconds += time.monotonic() - started

    def _settles(self, look: _Look) -> bool:
        """Whether another rendition could show no more: this one was seen in full, or it matched."""
        if verdict_of(look.shown, (), self._config).outcome is Outcome.CLEAN:
            return True
        found = self._compare(look.shown)
        return verdict_of(look.shown, found, self._config).outcome is Outcome.MATCHED

    def _resembles(self, other: _Look, decoded: _Look) -> bool:
        """Whether a glance at a rendition shows what was decoded of another."""
        assert other.spooled is not None
        assert decoded.fingerprint is not None
        started = time.monotonic()
        glance = self._scanner.fingerprint(other.spooled, Sampling.KEYFRAMES, first=GLANCE)
        other.seconds += time.monotonic() - started
        if not _anything(glance):
            return False
        return resemble(glance, decoded.fingerprint, self._config.match.quality)

    def _judge(self, looks: list[_Look], remembered: Sequence[Digests]) -> tuple[Scanned, ...]:
        read = [look for look in looks if look.spooled is not None]
        together = [look for look in read if not look.apart]
        shown = [look.shown if look.seen_by is None else _digests_of(look) for look in together]
        if shown:
            shown += [replace(shown[0], digests=known, frames=()) for known in remembered]
        ours = _merged(match for fingerprint in shown for match in self._compare(fingerprint))
        own = {id(look): self._compare(look.shown) for look in read if look.apart}
        apart = [match for found in own.values() for match in found]
        results = []
        for look in looks:
            if look.problem is not None:
                results.append(
                    Scanned(look.clip.etag, look.clip.size, look.problem, None, look.seconds)
                )
                continue
            # Of what only its name says it is the same clip, a person decides.
            matches = own.get(id(look), ours)
            hearsay = apart + list(ours) if look.apart else apart
            matches = _merged([*matches, *(_for_review(match) for match in hearsay)])
            results.append(self._scanned(look, verdict_of(look.shown, matches, self._config)))
        return tuple(results)

    def _compare(self, fingerprint: Fingerprint) -> tuple[Match, ...]:
        return compare(fingerprint, self._lists, self._config, self._scanner.orientations)

    def _scanned(self, look: _Look, verdict: Verdict) -> Scanned:
        assert look.spooled is not None
        spooled, seen_by = look.spooled, look.seen_by
        remembered = look.fingerprint or Fingerprint(spooled.digests, spooled.size)
        return Scanned(
            spooled.etag,
            spooled.size,
            verdict,
            remembered,
            look.seconds,
            seen_by.clip.key if seen_by is not None else None,
        )


def _digests_of(look: _Look) -> Fingerprint:
    return replace(look.shown, frames=())


def _anything(fingerprint: Fingerprint) -> bool:
    return any(len(hashes) for hashes in fingerprint.frames)


def resemble(glance: Fingerprint, decoded: Fingerprint, quality: int) -> bool:
    """Whether what a glance gave is of what was decoded: as long, and each usable frame in there."""
    if not _as_long(glance.duration, decoded.duration):
        return False
    these, those = _usable(glance, quality), _usable(decoded, quality)
    if not len(these):
        return True
    if not len(those):
        return False
    return all(np.unpackbits(those ^ one, axis=1).sum(axis=1).min() <= LIKENESS for one in these)


def _as_long(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= DURATION_SLACK


def _usable(fingerprint: Fingerprint, quality: int) -> NDArray[np.uint8]:
    """(n, 32) PDQ bits of the frames that are good enough to be compared."""
    pdq = (hashes for hashes in fingerprint.frames if hashes.algorithm is Algorithm.PDQ)
    rows = [hashes.bits[hashes.quality >= quality, 0] for hashes in pdq]
    return np.concatenate([np.empty((0, 32), np.uint8), *rows])


def _merged(matches: Iterable[Match]) -> tuple[Match, ...]:
    """The strongest match on each entry, the strongest first."""
    best: dict[tuple[str, int, str], Match] = {}
    for match in sorted(matches, key=_strength):
        best.setdefault((match.list, match.version, match.entry), match)
    return tuple(best.values())[:MAX_MATCHES]


def _strength(match: Match) -> tuple[int, int, int, int, str, str]:
    action, kind = _ACTIONS.index(match.action), _KINDS.index(match.kind)
    return action, kind, -match.frames, match.distance, match.list, match.entry


def _for_review(match: Match) -> Match:
    return replace(match, action=Action.REVIEW) if match.action is Action.QUARANTINE else match
