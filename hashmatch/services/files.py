"""A look at files that are not clips in storage: decode, hash, compare; nothing is recorded."""

from __future__ import annotations

import re
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from hashmatch.access import account
from hashmatch.audit.names import KeyedNames
from hashmatch.config import Settings
from hashmatch.db.session import Database
from hashmatch.freetext import hashlike
from hashmatch.lists.activation import activate
from hashmatch.lists.compiled.building import compile_lists
from hashmatch.lists.imports import Delivery, import_list
from hashmatch.lists.trust import TrialResult
from hashmatch.model import Algorithm, Fingerprint, Sampling, Verdict
from hashmatch.runs.job import now
from hashmatch.runs.worker import open_scanner
from hashmatch.scanning.fingerprinting import Fingerprinter
from hashmatch.scanning.local_file import spooled
from hashmatch.scanning.scanner import Scanner


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


@contextmanager
def check_with(settings: Settings, lists: Sequence[Path]) -> Iterator[Check]:
    """Compare files with lists that are given as files, each read as `import_list` reads it.

    They are a throw-away installation's, which is gone afterwards; a list is called as its file is.
    Raises ListError.
    """
    with tempfile.TemporaryDirectory(prefix="hashmatch-") as folder:
        apart = settings.run.model_copy(update={"state": folder})
        settings = settings.model_copy(update={"run": apart})
        with closing(Database.connect("sqlite:///lists.db", Path(folder))) as db:
            db.upgrade()
            names, by = KeyedNames(secrets.token_bytes(32)), account()
            for name, path in _named(lists):
                limit = settings.lists.max_rejected
                delivery = Delivery([path])
                done = import_list(db, names, name, delivery, by=by, at=now(), max_rejected=limit)
                activate(db, name, done.version, by=by, at=now(), trial=_untried, max_shrink=1)
            with check(settings, db) as looks:
                yield looks


def _named(lists: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    taken: set[str] = set()
    for number, path in enumerate(lists, 1):
        name = re.sub(r"[^a-z0-9]+", "-", path.stem.lower())[:40].strip("-")
        if not name or hashlike(name) or name in taken:
            name = f"list-{number}"
        taken.add(name)
        yield name, path


def _untried(*_: object) -> TrialResult:
    """There is nothing to try it on."""
    return TrialResult(0, 0)


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
