"""What hashmatch sees of a file: the real decoder in its sandbox, the real decision, no list.

with Looker(Settings()) as looker:
    look = looker.look(data)
    look.outcome, look.t, look.bits
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from hashmatch.config import Settings
from hashmatch.model import Algorithm, Fingerprint, Outcome, Reason
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import verdict_of
from hashmatch.scanning.fingerprinting import Fingerprinter


@dataclass(frozen=True, eq=False)
class Look:
    """t: seconds (n,), ascending; bits: (n, variants, 32), of frames of every quality; took: seconds."""

    outcome: Outcome
    reason: Reason | None
    t: NDArray[np.float64]
    bits: NDArray[np.uint8]
    took: float


class Looks(Protocol):
    def look(self, data: bytes) -> Look: ...


class Looker:
    """One decoder process for all files, as a worker of a scan has it."""

    def __init__(self, settings: Settings) -> None:
        self._config = ScanConfig.of(settings)
        self._fingerprinter = Fingerprinter(settings.decode)

    def __enter__(self) -> Self:
        # Starting the process is not to count as the first file's time.
        assert self._fingerprinter.protections
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._fingerprinter.close()

    def look(self, data: bytes) -> Look:
        with tempfile.TemporaryFile() as file:
            file.write(data)
            file.flush()
            started = time.monotonic()
            fingerprint = self._fingerprinter.fingerprint(
                file, None, len(data), frozenset({Algorithm.PDQ})
            )
            took = time.monotonic() - started
        verdict = verdict_of(fingerprint, (), self._config)
        t, bits = _pdq(fingerprint)
        return Look(verdict.outcome, verdict.reason, t, bits, took)


def _pdq(fingerprint: Fingerprint) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    for frames in fingerprint.frames:
        if frames.algorithm is Algorithm.PDQ:
            return frames.t, frames.bits
    return np.empty(0), np.empty((0, 1, 32), np.uint8)
