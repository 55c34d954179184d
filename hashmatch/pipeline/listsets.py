"""The active lists as one file, compiled when they change and mapped by every worker.

    compiled = compile_lists(db, settings, now())
    lists = open_lists(compiled.path)

The file is named after what it was made from, so a change of lists is a new file, and a run that is
going on keeps the one it opened.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from hashmatch import __version__
from hashmatch.config import Settings
from hashmatch.db.session import Database
from hashmatch.errors import NoActiveList
from hashmatch.lists import trust
from hashmatch.lists.active import ActiveVersion, active_lists, active_versions
from hashmatch.matching.listset import ListSet
from hashmatch.matching.sections import VERSION, ListSetDamaged
from hashmatch.model import Algorithm
from hashmatch.pipeline import canary


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled state of the lists. `versions`: of the partners' lists, without the canary's."""

    path: Path
    id: str
    versions: dict[str, int]
    perceptual: tuple[Algorithm, ...]


def compile_lists(db: Database, settings: Settings, at: datetime) -> Compiled:
    """The active lists, compiled now if they changed since the last time.

    Raises NoActiveList, ListTooOld.
    """
    with db.read() as session:
        versions = active_versions(session)
        if not versions:
            raise NoActiveList()
        for version in versions:
            trust.check_age(version.name, version.imported_at, at, settings.lists.max_age_days)
        folder = settings.path(settings.run.state) / "lists"
        path = folder / f"{_state_of(versions)}.lists"
        lists = _open_if_sound(path) or _build(session, path)
    for old in folder.glob("*.lists"):
        if old != path:
            old.unlink(missing_ok=True)  # who has it mapped keeps it
    perceptual = tuple(sorted(name for name in lists.algorithms if name.perceptual))
    named = {version.name: version.version for version in versions}
    return Compiled(path, lists.id, named, perceptual)


def open_lists(path: Path) -> ListSet:
    """Map a compiled file; its pages are shared by all who do. Raises ListSetDamaged."""
    with path.open("rb") as file:
        return ListSet.open(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _build(session: Session, path: Path) -> ListSet:
    lists = ListSet.build([*active_lists(session), canary.active_list()])
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent)
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            lists.save(file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return lists


def _open_if_sound(path: Path) -> ListSet | None:
    try:
        return open_lists(path)
    except (FileNotFoundError, ListSetDamaged, ValueError):
        return None  # ValueError: an empty file cannot be mapped


def _state_of(versions: list[ActiveVersion]) -> str:
    """A name for what a compiled file is made from, and how."""
    state = [
        [v.name, v.version, v.sha256, v.imported_at, v.action, v.distance, v.disabled]
        for v in versions
    ]
    told = json.dumps([__version__, VERSION, state], default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:32]
