"""A compiled list set as a file that processes map and share.

    lists = open_lists(file)
    lists.match(fingerprint, distance=31)

A file is locked, shared, as long as somebody has it mapped. It may stand on another one beside it
(`listset.Base`), which is then mapped too.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from dataclasses import dataclass
from pathlib import Path

from hashmatch.hashing.recipes import recipe
from hashmatch.matching.array_file import ListSetDamaged, checksum_of
from hashmatch.matching.listset import ListSet
from hashmatch.model import Algorithm


@dataclass(frozen=True, slots=True)
class CompiledFile:
    """A file that was checked, and the checksum that it was found to have."""

    path: Path
    checksum: str


def open_lists(file: CompiledFile) -> ListSet:
    """Map compiled lists; their pages are shared by all who do. Header and table are checked.

    Raises FileNotFoundError, ListSetDamaged.
    """
    return _open(_map(file.path), file.path, file.checksum, trusted=True)


def check_lists(path: Path) -> tuple[CompiledFile, ListSet]:
    """Read a file whole, and those it stands on, check every byte, and map them.

    Raises FileNotFoundError, ListSetDamaged.
    """
    mapped = _map(path)
    checksum = checksum_of(mapped, str(path))
    return CompiledFile(path, checksum), _open(mapped, path, checksum, trusted=False)


def open_unnamed(unfinished: Path, path: Path, checksum: str) -> ListSet:
    """As `check_lists`, of a file that gets the name `path` only when it is sound."""
    return _open(_map(unfinished), path, checksum, trusted=False)


def current_recipes() -> dict[str, str]:
    """By which the hashes must have been made that a set is compared with, by algorithm."""
    return {name.value: recipe(name) for name in Algorithm if name.perceptual}


def _open(mapped: mmap.mmap, path: Path, checksum: str, *, trusted: bool) -> ListSet:
    def below(name: str, checksum: str) -> ListSet:
        base = path.with_name(name)
        return _open(_map(base), base, checksum, trusted=trusted)

    lists = ListSet.open(mapped, str(path), checksum, trusted=trusted, open_base=below)
    recipes = current_recipes()
    if lists.recipes != {name: recipes[name] for name in lists.recipes}:
        raise ListSetDamaged(file=path, problem="it is for clips hashed by other recipes")
    return lists


def _map(path: Path) -> mmap.mmap:
    """A file's bytes, and a shared lock on it for as long as they are mapped.

    Raises FileNotFoundError, ListSetDamaged.
    """
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        about = os.fstat(file.fileno())
        if not about.st_nlink:
            raise FileNotFoundError(path)
        if not about.st_size:
            raise ListSetDamaged(file=path, problem="it is empty")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
