"""One clip in, one outcome out. This is what a worker does, and nothing here writes anything.

    scanner = Scanner(store, lists, config)
    scanner.scan(clip).verdict.outcome

Where keyframes are all that is asked for, and no partner lists digests of files, a clip's index and
its keyframes are all that is read of it. Whatever then is not clean is read and looked at whole: a match
for its digests and for all evidence, anything else because more may be seen.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from hashmatch.clips.ranges import open_ranges
from hashmatch.clips.spool import ClipTooLarge, Spooled, SpoolFull, fetch
from hashmatch.clips.store import ObjectArchived, ObjectChanged, ObjectDenied, ObjectNotFound, Store
from hashmatch.errors import HashmatchError, StorageError
from hashmatch.matching.listset import ListSet
from hashmatch.model import (
    Clip,
    Fingerprint,
    Orientations,
    Outcome,
    Reason,
    Sampling,
    Verdict,
)
from hashmatch.scanning import canary
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import compare, judge
from hashmatch.scanning.fingerprinting import Fingerprinter

# Of a smaller clip the parts would be most of it, and their requests cost more than the rest.
LEAST_TO_READ_IN_PARTS = 1 << 20

# Outcomes that something was found by, and which is more.
_WEIGHT = {Outcome.REVIEW: 1, Outcome.MATCHED: 2}


@dataclass(frozen=True, slots=True, eq=False)
class Scanned:
    """What a look at one clip gave. etag, size: of the version that was really read; seen_by: the key
    of the rendition that was decoded in its place."""

    etag: str
    size: int
    verdict: Verdict
    fingerprint: Fingerprint | None
    seconds: float
    seen_by: str | None = None


class Scanner:
    """Looks at clips, one after the other, with one decoder process of its own."""

    def __init__(
        self,
        store: Store,
        lists: ListSet,
        config: ScanConfig,
        orientations: Orientations = Orientations.MIRRORED,
    ) -> None:
        """orientations: ALL compares every list with turned frames, also those that do not ask."""
        self._store = store
        self._lists = lists
        self._config = config
        self.orientations = orientations
        self._fingerprinter = Fingerprinter(config.decode)
        keyframes = config.decode.sampling is Sampling.KEYFRAMES
        # The canary's digest does not count: it is always read whole.
        self._in_parts = keyframes and lists.with_digests() <= {canary.LIST}

    def scan(self, clip: Clip) -> Scanned:
        """Look at one clip. Whatever is wrong with it or with storage is its outcome."""
        started = time.monotonic()
        scanned = self._by_parts(clip)
        if scanned is None or scanned.verdict.outcome is not Outcome.CLEAN:
            scanned = self._whole(clip, scanned)
        return replace(scanned, seconds=time.monotonic() - started)

    def look(
        self, spooled: Spooled, sampling: Sampling | None = None
    ) -> tuple[Fingerprint, Verdict]:
        """Fingerprint bytes that are at hand, compare them with the lists, and decide.

        sampling: in place of the settings'.
        """
        fingerprint = self.fingerprint(spooled, sampling)
        return fingerprint, judge(fingerprint, self._lists, self._config, self.orientations)

    def canary(self) -> str | None:
        """Look at the canary: None if it was seen, else what went wrong."""
        try:
            with canary.clip(self._config.spool) as spooled:
                fingerprint = self.fingerprint(spooled)
        except HashmatchError as error:
            return error.message
        return canary.problem(compare(fingerprint, self._lists, self._config))

    def close(self) -> None:
        """End the decoder."""
        self._fingerprinter.close()

    def _hashed_in(self) -> Orientations:
        asked = (self.orientations, self._lists.orientations)
        return Orientations.ALL if Orientations.ALL in asked else Orientations.MIRRORED

    def _by_parts(self, clip: Clip) -> Scanned | None:
        """What a clip's keyframes say, read alone; None where that is not to be, or storage fails."""
        if not self._in_parts or clip.size < LEAST_TO_READ_IN_PARTS:
            return None
        limit = self._config.max_bytes
        try:
            with open_ranges(self._store, clip, self._config.spool, limit) as parts:
                fingerprint = self._fingerprinter.fingerprint(
                    parts.file,
                    None,
                    parts.size,
                    self._lists.algorithms,
                    orientations=self._hashed_in(),
                    supply=parts.supply,
                )
        except StorageError:
            return None  # reading it whole finds a newer version, or says what is wrong
        fingerprint = replace(fingerprint, bytes_read=parts.bytes_read)
        verdict = judge(fingerprint, self._lists, self._config, self.orientations)
        return Scanned(clip.etag, clip.size, verdict, fingerprint, 0.0)

    def _whole(self, clip: Clip, before: Scanned | None) -> Scanned:
        """A look at all of a clip. before: what its parts said, which stands if it is more."""
        found = before if before and before.verdict.outcome in _WEIGHT else None
        try:
            with self.fetch(clip) as spooled:
                sampling = Sampling.REFERENCE if found else None
                fingerprint, verdict = self.look(spooled, sampling)
        except StorageError as error:
            verdict = unread(error)
            if found is None:
                return Scanned(clip.etag, clip.size, verdict, None, 0.0)
            # Without its digests it cannot be taken into custody. The reason has it tried again.
            matches = found.verdict.matches
            verdict = replace(verdict, outcome=Outcome.REVIEW, matches=matches)
            return replace(found, verdict=verdict)
        if before is not None:
            read = (before.fingerprint.bytes_read or 0) if before.fingerprint else 0
            fingerprint = replace(fingerprint, bytes_read=read + spooled.size)
        if found is not None and spooled.etag == found.etag:
            verdict = max(verdict, found.verdict, key=lambda v: _WEIGHT.get(v.outcome, 0))
        return Scanned(spooled.etag, spooled.size, verdict, fingerprint, 0.0)

    def fingerprint(
        self, spooled: Spooled, sampling: Sampling | None = None, first: int | None = None
    ) -> Fingerprint:
        """What a clip at hand is to be remembered by.

        sampling: in place of the settings'; first: only so many frames from its start.
        """
        fingerprint = self._fingerprinter.fingerprint(
            spooled.file,
            spooled.digests,
            spooled.size,
            self._lists.algorithms,
            sampling,
            self._hashed_in(),
            first=first,
        )
        return replace(fingerprint, bytes_read=spooled.size)

    def fetch(self, clip: Clip) -> Spooled:
        """Read a clip whole. Raises StorageError."""
        return fetch(self._store, clip, self._config.spool, self._config.max_bytes)


def unread(error: StorageError) -> Verdict:
    """The outcome of a clip that could not be read."""
    return Verdict(Outcome.UNSCANNABLE, _why(error), 0.0, notes=(error.message,))


def _why(error: StorageError) -> Reason:
    match error:
        case ClipTooLarge():
            return Reason.TOO_LARGE
        case SpoolFull():
            return Reason.SPOOL_FULL
        case ObjectNotFound():
            return Reason.VANISHED
        case ObjectChanged():
            return Reason.CHANGED
        case ObjectDenied():
            return Reason.STORAGE_DENIED
        case ObjectArchived():
            return Reason.ARCHIVED
        case _:
            return Reason.STORAGE_ERROR
