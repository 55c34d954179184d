"""The active lists as files, compiled when they change and mapped by every worker.

    compiled = compile_lists(db, settings, now())
    lists = open_lists(compiled.file)

A file is named after what it was made from, so a change of lists is a new file, and a run that is
going on keeps the one it opened. Where little changed, the new file is a small one on top of a
complete one that stays; where much did, it is complete. A file is locked, shared, as long as
somebody has it mapped, and only files that nobody has are removed.

Whoever compiles, or finds compiled what it needs, reads the files whole and checks them. Workers,
which start right after, are told the checksum: they check header and table, and need not read a
gigabyte each.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from hashmatch import __version__
from hashmatch.config import Settings
from hashmatch.counting import counted
from hashmatch.db.session import Database
from hashmatch.errors import NoActiveList, StorageError
from hashmatch.lists import trust
from hashmatch.lists.active import ActiveVersion, active_lists, active_versions
from hashmatch.lists.compiled import changes
from hashmatch.matching.array_file import VERSION, ListSetDamaged
from hashmatch.matching.compiled_file import (
    CompiledFile,
    check_lists,
    current_recipes,
    open_unnamed,
)
from hashmatch.matching.listset import MEANING, Base, ListSet
from hashmatch.model import Algorithm
from hashmatch.scanning import canary

# Up to this many entries are compiled in a second or two. More, up to a sixteenth of the base, make
# a search at most a quarter longer (83 us among 10 million, about 20 among 600,000), and compiling
# all anew takes minutes.
FEW_ENTRIES = 20_000
SHARE = 16
# Entries named in the alarms; a list of which more are damaged has to be imported again anyway.
NAMED = 20
# Seconds after which a file that is still not finished was left by somebody who was killed.
ABANDONED = 3600
# What files that this program can use are called: by it, its format and what matching means to it.
_MADE = hashlib.sha256(f"{__version__} {VERSION} {MEANING}".encode()).hexdigest()[:8]

logger = logging.getLogger(__name__)


class StateUnusable(StorageError):
    message = "run.state: {folder} cannot be used: {problem}."
    remedy = (
        "The compiled lists are kept there. Free some space, or let run.state name a folder in "
        "which the account that scans may write."
    )


@dataclass(frozen=True, slots=True)
class Compiled:
    """A compiled state of the lists. `acting`: the partners' lists, without the canary's.

    lists: the set itself; its files stay as long as it is open. alarms: what of the lists cannot be
    compared, for people.
    """

    file: CompiledFile
    id: str
    acting: tuple[ActiveVersion, ...]
    perceptual: tuple[Algorithm, ...]
    lists: ListSet
    alarms: tuple[str, ...]

    @property
    def versions(self) -> dict[str, int]:
        return {version.name: version.version for version in self.acting}


def compile_lists(db: Database, settings: Settings, at: datetime) -> Compiled:
    """The active lists, compiled now if they changed since the last time.

    Raises NoActiveList, ListTooOld, StateUnusable.
    """
    with db.read() as session:
        versions = active_versions(session)
        if not versions:
            raise NoActiveList()
        for version in versions:
            trust.check_age(version.name, version.imported_at, at, settings.lists.max_age_days)
        folder = settings.path(settings.run.state) / "lists"
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            name = f"{_MADE}-{_state_of(versions)}"
            found = (_open_if_sound(path) for path in sorted(folder.glob(f"{name}*.lists")))
            file, lists = next((one for one in found if one), None) or _compile(
                session, folder / name, versions
            )
            _tidy(folder)
        except OSError as error:
            problem = error.strerror or type(error).__name__
            raise StateUnusable(folder=folder, problem=problem) from error
    perceptual = tuple(sorted(name for name in lists.algorithms if name.perceptual))
    return Compiled(file, lists.id, tuple(versions), perceptual, lists, tuple(_alarms(lists)))


def _compile(
    session: Session, path: Path, versions: list[ActiveVersion]
) -> tuple[CompiledFile, ListSet]:
    """Compile to a file whose name begins like that."""
    # Compiled each time: it is small, and the database has no versions of it to compare.
    of_canary = canary.active_list()
    if base := _newest_complete(path.parent):
        file, lists = base
        before = [one for one in lists.lists if one.name != canary.LIST]
        room = max(FEW_ENTRIES, len(lists) // SHARE)
        changed = changes.since(session, before, versions, room)
        if changed is not None:
            below = Base(lists, file.path.name, file.checksum, changed.without)
            small = ListSet.build([*changed.lists, of_canary], below, current_recipes())
            return _store(small, path.with_name(f"{path.name}-{file.checksum[:16]}.lists"))
    whole = ListSet.build([*active_lists(session), of_canary], None, current_recipes())
    return _store(whole, path.with_name(f"{path.name}.lists"))


def _store(lists: ListSet, path: Path) -> tuple[CompiledFile, ListSet]:
    """Write, read back and map a set. It appears under its name whole, and locked."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".unfinished")
    unfinished = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            checksum = lists.save(file)
            file.flush()
            os.fsync(file.fileno())
        stored = open_unnamed(unfinished, path, checksum)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return CompiledFile(path, checksum), stored


def _newest_complete(folder: Path) -> tuple[CompiledFile, ListSet] | None:
    """The last set that was compiled whole, if it is sound."""
    complete = [path for path in folder.glob(f"{_MADE}-*.lists") if path.stem.count("-") == 1]
    for path in sorted(complete, key=lambda path: path.stat().st_mtime, reverse=True):
        if found := _open_if_sound(path):
            return found
    return None


def _open_if_sound(path: Path) -> tuple[CompiledFile, ListSet] | None:
    """A set, read whole and checked, and so is what it is built on."""
    try:
        return check_lists(path)
    except FileNotFoundError:
        return None  # removed meanwhile, as nobody had it
    except ListSetDamaged as error:
        logger.warning("%s It is compiled again.", error.message)
        return None


def _tidy(folder: Path) -> None:
    """Remove the files that nobody has mapped, and those that a killed process did not finish."""
    for path in folder.glob("*.lists"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    for path in folder.glob("*.unfinished"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED:
                path.unlink()


def _alarms(lists: ListSet) -> Iterator[str]:
    for name, entry, problem in lists.left_out[:NAMED]:
        yield f"{name}: entry {entry} has {problem}; it is left out, everything else acts"
    if (more := len(lists.left_out) - NAMED) > 0:
        have = counted(more, "more entry of the lists has", "more entries of the lists have")
        yield f"{have} something that cannot be compared"


def _state_of(versions: list[ActiveVersion]) -> str:
    """A name for what is compiled: the versions, and the rules for each."""
    state = [
        [
            *(v.name, v.version, v.origin, v.imported_at, v.action),
            *(v.distance, v.orientations, v.disabled),
        ]
        for v in versions
    ]
    return hashlib.sha256(json.dumps(state, default=str).encode()).hexdigest()[:32]
