"""A look at files that are not clips in storage: decode, hash, compare; nothing is recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hashmatch.config import Settings
from hashmatch.db.session import Database
from hashmatch.model import Algorithm, Fingerprint, Sampling, Verdict
from hashmatch.pipeline.fingerprint import Fingerprinter
from hashmatch.pipeline.job import now
from hashmatch.pipeline.listsets import compile_lists
from hashmatch.pipeline.localfile import spooled
from hashmatch.pipeline.scan import Scanner
from hashmatch.pipeline.worker import open_scanner


@dataclass(frozen=True, slots=True)
class Check:
    """`versions`: the lists that files are compared with, and their active versions."""

    scanner: Scanner
    versions: dict[str, int]
    max_bytes: int

    def verdict(self, path: Path) -> Verdict:
        """Raises StorageError for a file that cannot be read."""
        with spooled(path, Path(tempfile.gettempdir()), self.max_bytes) as file:
            return self.scanner.look(file)[1]


@contextmanager
def check(settings: Settings, db: Database) -> Iterator[Check]:
    """Compare files with the active lists. Raises NoActiveList, ListTooOld."""
    compiled = compile_lists(db, settings, now())
    scanner = open_scanner(settings, compiled.file)
    try:
        yield Check(scanner, compiled.versions, settings.clips.max_bytes)
    finally:
        scanner.close()


def fingerprint_of(settings: Settings, path: Path, *, every: bool) -> Fingerprint:
    """A file's digests and PDQ hashes, with the settings' sampling or of every frame."""
    sampling = Sampling.EVERY if every else None
    folder = Path(tempfile.gettempdir())
    with (
        Fingerprinter(settings.decode) as fingerprinter,
        spooled(path, folder, settings.clips.max_bytes) as file,
    ):
        return fingerprinter.fingerprint(
            file.file, file.digests, file.size, frozenset({Algorithm.PDQ}), sampling
        )
