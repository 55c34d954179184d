"""One clip in, one outcome out. This is what a worker does, and nothing here writes anything.

scanner = Scanner(store, lists, settings)
scanner.scan(clip).verdict.outcome
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from hashmatch.clips.spool import ClipTooLarge, Spooled, fetch
from hashmatch.clips.store import ObjectChanged, ObjectDenied, ObjectNotFound, Store
from hashmatch.config import Settings
from hashmatch.errors import HashmatchError, StorageError
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import Rules, decide
from hashmatch.model import Clip, Fingerprint, Match, Orientations, Outcome, Reason, Verdict
from hashmatch.pipeline import canary
from hashmatch.pipeline.fingerprint import Fingerprinter


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """What a look at one clip gave. etag, size: of the version that was really read."""

    etag: str
    size: int
    verdict: Verdict
    fingerprint: Fingerprint | None
    seconds: float


class Scanner:
    """Looks at clips, one after the other, with one decoder process of its own."""

    def __init__(
        self,
        store: Store,
        lists: ListSet,
        settings: Settings,
        orientations: Orientations = Orientations.MIRRORED,
    ) -> None:
        """orientations: ALL compares every list with turned frames, also those that do not ask."""
        self._store = store
        self._lists = lists
        self._settings = settings
        self._orientations = orientations
        self._spool = settings.path(settings.run.state) / "spool"
        self._fingerprinter = Fingerprinter(settings.decode)

    def scan(self, clip: Clip) -> Scanned:
        """Look at one clip. Whatever is wrong with it or with storage is its outcome."""
        started = time.monotonic()
        etag, size, fingerprint = clip.etag, clip.size, None
        try:
            with self._fetch(clip) as spooled:
                etag, size = spooled.etag, spooled.size
                fingerprint, verdict = self.look(spooled)
        except StorageError as error:
            verdict = Verdict(Outcome.UNSCANNABLE, _why(error), 0.0, notes=(error.message,))
        return Scanned(etag, size, verdict, fingerprint, time.monotonic() - started)

    def look(self, spooled: Spooled) -> tuple[Fingerprint, Verdict]:
        """Fingerprint bytes that are at hand, compare them with the lists, and decide."""
        fingerprint = self._fingerprint(spooled)
        return fingerprint, judge(fingerprint, self._lists, self._settings, self._orientations)

    def canary(self) -> str | None:
        """Look at the canary: None if it was seen, else what went wrong."""
        try:
            with canary.clip(self._spool) as spooled:
                fingerprint = self._fingerprint(spooled)
        except HashmatchError as error:
            return error.message
        return canary.problem(compare(fingerprint, self._lists, self._settings))

    def close(self) -> None:
        """End the decoder."""
        self._fingerprinter.close()

    def _fingerprint(self, spooled: Spooled) -> Fingerprint:
        asked = (self._orientations, self._lists.orientations)
        return self._fingerprinter.fingerprint(
            spooled.file,
            spooled.digests,
            spooled.size,
            self._lists.algorithms,
            orientations=Orientations.ALL if Orientations.ALL in asked else Orientations.MIRRORED,
        )

    def _fetch(self, clip: Clip) -> Spooled:
        return fetch(self._store, clip, self._spool, self._settings.clips.max_bytes)


def _why(error: StorageError) -> Reason:
    match error:
        case ClipTooLarge():
            return Reason.TOO_LARGE
        case ObjectNotFound():
            return Reason.VANISHED
        case ObjectChanged():
            return Reason.CHANGED
        case ObjectDenied():
            return Reason.STORAGE_DENIED
        case _:
            return Reason.STORAGE_ERROR


def judge(
    fingerprint: Fingerprint,
    lists: ListSet,
    settings: Settings,
    orientations: Orientations = Orientations.MIRRORED,
) -> Verdict:
    """The one outcome of a fingerprint, fresh or stored, against the active lists."""
    found = compare(fingerprint, lists, settings, orientations)
    return decide(
        fingerprint,
        [match for match in found if match.list != canary.LIST],
        rules(settings),
        min_coverage=settings.decode.min_coverage,
        quality=settings.match.quality,
    )


def compare(
    fingerprint: Fingerprint,
    lists: ListSet,
    settings: Settings,
    orientations: Orientations = Orientations.MIRRORED,
) -> tuple[Match, ...]:
    """What of the lists is in a fingerprint, the canary's list among them."""
    asked = settings.match
    return lists.match(
        fingerprint,
        distance=asked.distance,
        quality=asked.quality,
        review_score=asked.review_score,
        orientations=orientations,
    )


def rules(settings: Settings) -> Rules:
    """What the settings say needs no second look."""
    return Rules(settings.match.min_frames, settings.match.copy_score)
