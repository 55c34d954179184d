"""What hashmatch makes of a clip: the decoder in its sandbox, then the lists, as a scan does it.

with Looker(Settings(), list_set) as looker:
    look = looker.look(path, Sampling.REFERENCE)
    look.matches, look.cpu_seconds
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hashmatch.config import Settings
from hashmatch.hashing.digests import Digester
from hashmatch.matching.listset import ListSet
from hashmatch.model import Algorithm, Fingerprint, Match, Sampling
from hashmatch.pipeline.fingerprint import Fingerprinter
from hashmatch.pipeline.scan import compare
from recall.listing import TimedHashes

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, eq=False)
class Look:
    """frames: its PDQ hashes, those of poor quality among them; cpu_seconds: of all processes."""

    frames: TimedHashes
    matches: tuple[Match, ...]
    cpu_seconds: float


class Looker:
    """Looks at clips, one after the other, with one decoder process."""

    def __init__(self, settings: Settings, lists: ListSet) -> None:
        self._settings = settings
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
        matches = compare(fingerprint, self._lists, self._settings)
        spent = cpu_seconds() - before
        return Look(_pdq(path, fingerprint), matches, spent)


def cpu_seconds() -> float:
    """Of this process and all that it started, those still running included."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            # After the name in brackets: utime, stime, and both of its own children, are 11 to 14.
            stat = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in stat[11:15]) / _TICK
    return total


def _pdq(path: Path, fingerprint: Fingerprint) -> TimedHashes:
    for frames in fingerprint.frames:
        if frames.algorithm is Algorithm.PDQ:
            return TimedHashes(path.name, frames.t, frames.quality, frames.bits)
    raise RuntimeError(f"{path}: no frame was hashed: {fingerprint.trouble}")
