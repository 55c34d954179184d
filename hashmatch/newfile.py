"""A file that is new, whole, on disk and its owner's alone, or not there at all.

    with new_file(Path("case.zip")) as file:
        file.write(content)

Not guaranteed here: that a process which is killed leaves no hidden `.case.zip.*` beside it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from hashmatch.errors import HashmatchError


class OutputRefused(HashmatchError):
    message = "{file} cannot be written: {problem}"
    remedy = "Nothing is ever overwritten: name a new file, in a folder that exists and has space."
    exit_code = 15


@contextmanager
def new_file(path: Path) -> Iterator[BufferedRandom]:
    """Mode 0600, under its name when the block ends without an error. Raises OutputRefused."""
    if os.path.lexists(path):
        raise OutputRefused(file=path, problem="it exists.")
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
                sync(file)
            os.link(fresh, path)  # unlike rename, it does not replace what appeared meanwhile
        finally:
            fresh.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputRefused(file=path, problem=f"{error.strerror}.") from error


def sync(file: BufferedRandom) -> None:
    """All that was written so far is on disk."""
    file.flush()
    os.fsync(file.fileno())
