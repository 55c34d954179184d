"""New files and folders: written aside, named when they are whole, open to whom their folder is.

    fd, partial = new_file(folder)
    write_all(fd, chunk)
    link(fd, partial, b"a.mp4", folder)

What is made gets the mode of the folder it is in, whatever the process's umask: the accounts that
share a folder, and the platform that serves clips from it, must be able to use what any one of them
wrote. Only owner and group may write, even where everybody may write in the folder. Where the file
system keeps no modes, it decides.

Not guaranteed: the mode of a folder whose maker is killed before it has given it.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_FOLDER, _FILE = 0o7775, 0o664


def make_folder(name: bytes, folder: int) -> None:
    """A folder in a folder, unless it is there already."""
    mode = os.fstat(folder).st_mode & _FOLDER
    try:
        os.mkdir(name, mode, dir_fd=folder)
    except FileExistsError:
        return
    with suppress(OSError):  # mkdir has left out the umask's bits
        os.chmod(name, mode, dir_fd=folder)


def new_file(folder: int) -> tuple[int, bytes | None]:
    """A file to write, and its name if the file system cannot do without one."""
    try:
        flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
        fd, name = os.open(b".", flags, 0o600, dir_fd=folder), None
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL):
            raise
        name = _partial_name()
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        fd = os.open(name, flags, 0o600, dir_fd=folder)
    with suppress(OSError):
        os.fchmod(fd, os.fstat(folder).st_mode & _FILE)
    return fd, name


def _partial_name() -> bytes:
    return f".hashmatch-{secrets.token_hex(8)}.partial".encode()


@contextmanager
def named(fd: int, partial: bytes | None, folder: int) -> Iterator[bytes]:
    """The written file's name to rename from: only what has a name can be renamed over another."""
    if partial is not None:
        yield partial
        return
    source = _partial_name()
    link(fd, None, source, folder)
    try:
        yield source
    finally:
        discard(source, folder)


def discard(partial: bytes | None, folder: int) -> None:
    if partial is not None:
        with suppress(FileNotFoundError):
            os.unlink(partial, dir_fd=folder)


def link(fd: int, partial: bytes | None, name: bytes, folder: int) -> None:
    """Put the file under a free name. Raises FileExistsError."""
    if partial is None:
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder, follow_symlinks=True)
    else:
        os.link(partial, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)


def write_all(fd: int, chunk: bytes) -> None:
    """All of the chunk: a write may take a part only, on a nearly full disk for one."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(fd, rest) :]
