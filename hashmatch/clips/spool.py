"""Spooling: one version of a clip, copied to an unnamed local file and digested on the way.

    with fetch(store, clip, Path("state/spool"), max_bytes) as spooled:
        spooled.digests.sha256, spooled.size, spooled.etag
        decode(spooled.file)                    # positioned at 0, read-only

Folders are copied too: what is decoded, digested and recorded is then the same bytes, whatever
happens to the original. The file has no name once it has content, so a crash leaves nothing behind.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

from hashmatch.clips.folder_writing import write_all
from hashmatch.clips.store import ObjectChanged, StorageFull, Store
from hashmatch.errors import StorageError
from hashmatch.hashing.digests import Digester
from hashmatch.model import Clip, Digests

ATTEMPTS = 3


class ClipTooLarge(StorageError):
    message = "{url}: {key!r} has more than {limit} bytes, which is clips.max_bytes."
    remedy = "Raise clips.max_bytes, and see that the spool folder has room for it."


class SpoolFull(StorageFull):
    message = "{url}, this host's spool folder, is full: {problem}"
    remedy = (
        "Free some space there, or put run.state on a larger disk. The next run looks at the clip."
    )


@dataclass(frozen=True, slots=True, eq=False)
class Spooled:
    """A clip at hand. etag, size: of the version that was read, maybe newer than the listed one."""

    file: BinaryIO
    digests: Digests
    size: int
    etag: str

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.file.close()


def fetch(store: Store, clip: Clip, folder: Path, max_bytes: int) -> Spooled:
    """Copy the listed version; if there is a newer one, or it changes meanwhile, that one.

    Raises ObjectChanged when it keeps changing, ClipTooLarge, SpoolFull when the folder has no
    room, and what `Store.read` raises.
    """
    etag, size = clip.etag, clip.size
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _copy(store, clip.key, etag, size, folder, max_bytes)
        except ObjectChanged:
            if attempt == ATTEMPTS:
                raise
            found = store.head(clip.key)
            etag, size = found.etag, found.size
    raise AssertionError("unreachable")


def _copy(store: Store, key: str, etag: str, size: int, folder: Path, max_bytes: int) -> Spooled:
    if size > max_bytes:
        raise ClipTooLarge(url=store.url, key=key, limit=max_bytes)
    with folder_errors(folder, key):
        writer, reader = unnamed(folder)
    try:
        digester, count = Digester(), 0
        with folder_errors(folder, key):
            room = os.fstatvfs(writer)
            if room.f_bavail * room.f_frsize < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for chunk in store.read(key, etag):
            count += len(chunk)
            if count > size:
                raise ObjectChanged(url=store.url, key=key)
            digester.update(chunk)
            with folder_errors(folder, key):
                write_all(writer, chunk)
        if count != size:
            raise ObjectChanged(url=store.url, key=key)
        return Spooled(os.fdopen(reader, "rb"), digester.result(), size, etag)
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)


def unnamed(folder: Path) -> tuple[int, int]:
    """Two handles on a new file: one to write, one that can only read, as a decoder gets it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    writer, path = tempfile.mkstemp(prefix="clip-", dir=folder)
    try:
        reader = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        os.close(writer)
        raise
    finally:
        os.unlink(path)  # noqa: PTH108
    return writer, reader


@contextmanager
def folder_errors(folder: Path, key: str) -> Iterator[None]:
    """What the spool folder's file system refuses is not the clip store's fault."""
    try:
        yield
    except OSError as error:
        problem = f"{error.strerror}, while {key!r} was spooled there."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise SpoolFull(url=str(folder), problem=problem) from None
        raise StorageError(url=str(folder), problem=problem) from None
