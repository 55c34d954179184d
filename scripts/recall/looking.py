"""What hashmatch makes of a clip: the decoder in its sandbox, then the lists, as a scan does it.

with Looker(Settings(), list_set) as looker:
    look = looker.look(path, Sampling.REFERENCE)
    look.matches, look.cpu_seconds
    looker.outcome(look, look.matches)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from hashmatch.config import Settings
from hashmatch.hashing.digests import Digester
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import conclusive
from hashmatch.model import Algorithm, Fingerprint, Match, Outcome, Sampling
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import compare, rules, verdict_of
from hashmatch.scanning.fingerprinting import Fingerprinter
from recall.listing import TimedHashes
from recall.processor import cpu_seconds


@dataclass(frozen=True, eq=False)
class Look:
    """frames: its PDQ hashes, those of poor quality among them; cpu_seconds: of all processes."""

    fingerprint: Fingerprint
    frames: TimedHashes
    matches: tuple[Match, ...]
    cpu_seconds: float


class Looker:
    """Looks at clips, one after the other, with one decoder process."""

    def __init__(self, settings: Settings, lists: ListSet) -> None:
        self._config = ScanConfig.of(settings)
        self._lists = lists
        self._fingerprinter = Fingerprinter(settings.decode)

    def __enter__(self) -> Self:
        # Starting the process is paid once a run, however many clips there are.
        assert self._fingerprinter.protections
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._fingerprinter.close()

    def look(self, path: Path, sampling: Sampling) -> Look:
        before = cpu_seconds()
        digester = Digester()
        with path.open("rb") as file:
            while chunk := file.read(2**20):
                digester.update(chunk)
            fingerprint = self._fingerprinter.fingerprint(
                file, digester.result(), file.tell(), frozenset({Algorithm.PDQ}), sampling
            )
        matches = compare(fingerprint, self._lists, self._config)
        spent = cpu_seconds() - before
        return Look(fingerprint, _pdq(path, fingerprint), matches, spent)

    def outcome(self, look: Look, matches: Sequence[Match]) -> Outcome:
        """What the clip's outcome would be if these were all its matches."""
        return verdict_of(look.fingerprint, matches, self._config).outcome

    def sure(self, match: Match) -> bool:
        """Whether this match alone makes a clip `matched`."""
        return conclusive(match, rules(self._config))


def _pdq(path: Path, fingerprint: Fingerprint) -> TimedHashes:
    """None at all where the clip could not be opened: its outcome says so."""
    for frames in fingerprint.frames:
        if frames.algorithm is Algorithm.PDQ:
            return TimedHashes(path.name, frames.t, frames.quality, frames.bits)
    nothing = np.empty((0, 1, 32), np.uint8)
    return TimedHashes(path.name, np.empty(0), np.empty(0, np.uint8), nothing)
