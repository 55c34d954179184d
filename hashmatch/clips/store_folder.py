"""A folder as clip storage, through directory handles.

    store = FolderStore(Path("/srv/clips"))
    store.write("2026/11/a.mp4", chunks)

Names are any bytes (`clips.keys`). Nothing is reached through a symbolic link below the root, so a
link that somebody leaves there leads nowhere. Links whose target is in the folder are passed over,
as the target is listed itself; a link that leads out of it makes the listing incomplete, and says
so. Sockets, pipes and devices are no objects. No name is passed over for what it looks like, not
even this module's own partial files: that would be a place to hide.

A version is told by inode, modification time, change time and size. A file whose times are new is
read only after a moment without a change, because a write sets them when it begins, and two writes
in one tick of the file system's clock give the same. Not noticed: a change in place that keeps the
size and is one single write of longer than that moment.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hashmatch.clips.folder_writing import discard, link, make_folder, named, new_file, write_all
from hashmatch.clips.keys import to_key, to_name
from hashmatch.clips.store import (
    CHUNK,
    Deletion,
    KeyRefused,
    ListingIncomplete,
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
)
from hashmatch.errors import StorageError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Without O_NONBLOCK, opening a pipe that nobody writes to would wait forever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Longer than a tick of the kernel's clock, which is 10 ms at most.
_SETTLE_NS = 12_000_000
_LAST = 253_402_300_799_000_000  # microseconds to the end of the year 9999


@dataclass
class _Walk:
    """A listing under way: folders still to open, and what could not be looked into."""

    prefix: str
    pending: list[bytes] = field(default_factory=lambda: [b""])
    unseen: list[str] = field(default_factory=list)


class FolderStore:
    def __init__(self, root: Path) -> None:
        self._root = root
        self.url = str(root)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        walk = _Walk(prefix)
        while walk.pending:
            yield from self._list_folder(walk.pending.pop(), walk)
        if walk.unseen:
            problem = f"{len(walk.unseen)} folders or links were not looked into: {walk.unseen[0]}"
            raise ListingIncomplete(url=self.url, problem=problem)

    def head(self, key: str) -> ObjectInfo:
        *folders, name = self._names(key)
        with self._folder(key, folders) as folder, self._errors(key):
            return self._info(key, os.stat(name, dir_fd=folder, follow_symlinks=False))

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        return self._read(key, etag, 0, None)

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        return self._read(key, etag, start, stop)

    def _read(self, key: str, etag: str | None, start: int, stop: int | None) -> Iterator[bytes]:
        *folders, name = self._names(key)
        with self._folder(key, folders) as folder, self._errors(key):
            fd = os.open(name, _FILE, dir_fd=folder)
        try:
            before = self._settled(key, fd)
            if etag not in (None, before.etag):
                raise ObjectChanged(url=self.url, key=key)
            at = start
            while stop is None or at < stop:
                with self._errors(key):
                    chunk = os.pread(fd, CHUNK if stop is None else min(CHUNK, stop - at), at)
                if not chunk:
                    break
                at += len(chunk)
                yield chunk
            after = self._info(key, os.fstat(fd))
            if after.etag != before.etag or at != (before.size if stop is None else stop):
                raise ObjectChanged(url=self.url, key=key)
        finally:
            os.close(fd)

    def write(self, key: str, chunks: Iterable[bytes], *, over: str | None = None) -> ObjectInfo:
        """As `Store.write`. The file is flushed, and so is every folder down to it.

        For a free key the file system must know hard links: linking is the one way to put a
        finished file under a name that must still be free. A crash can leave a
        `.hashmatch-….partial` behind where the system has no unnamed files (O_TMPFILE), or within
        the moment of replacing.

        Not guaranteed: that a version which takes the name between the last look, just before the
        rename, and the rename itself is not replaced.
        """
        *folders, name = self._names(key)
        with self._folder(key, folders, make=True) as folder:
            with self._errors(key, writing=True):
                self._look(key, name, folder, over)
                fd, partial = new_file(folder)
            try:
                try:
                    for chunk in chunks:
                        with self._errors(key, writing=True):
                            write_all(fd, chunk)
                    with self._errors(key, writing=True):
                        os.fsync(fd)
                        if over is None:
                            link(fd, partial, name, folder)
                        else:
                            with named(fd, partial, folder) as source:
                                self._look(key, name, folder, over)
                                os.replace(source, name, src_dir_fd=folder, dst_dir_fd=folder)
                finally:
                    discard(partial, folder)
                # Only now: losing its other name gave the file another change time.
                with self._errors(key, writing=True):
                    os.fsync(folder)
                    return self._info(key, os.fstat(fd))
            finally:
                os.close(fd)

    def delete(self, key: str, etag: str) -> Deletion:
        """As `Store.delete`; folders that are left empty stay.

        Not guaranteed: that a file which takes the name between the last look and the removal
        stays.
        """
        *folders, name = self._names(key)
        with self._folder(key, folders) as folder, self._errors(key):
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if self._info(key, found).etag != etag:
                raise ObjectChanged(url=self.url, key=key)
            os.unlink(name, dir_fd=folder)
            os.fsync(folder)
        return Deletion(versions=1, others=0)

    def _look(self, key: str, name: bytes, folder: int, over: str | None) -> None:
        """Raises ObjectExists or ObjectChanged unless the name may be written to now."""
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            if over is not None:
                raise ObjectChanged(url=self.url, key=key) from None
            return
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if over is None:
            raise ObjectExists(url=self.url, key=key)
        if not stat.S_ISREG(found.st_mode) or self._info(key, found).etag != over:
            raise ObjectChanged(url=self.url, key=key)

    def _list_folder(self, path: bytes, walk: _Walk) -> Iterator[ObjectInfo]:
        """The files of one folder; its folders go to pending, what cannot be seen to unseen."""
        try:
            folder = self._open_folder(path.split(b"/") if path else [], make=False)
        except FileNotFoundError:
            return
        except OSError as error:
            walk.unseen.append(f"{to_key(path)!r}: {error.strerror}")
            return
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    inner = path + b"/" + name if path else name
                    key = to_key(inner)
                    try:
                        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    if stat.S_ISDIR(found.st_mode):
                        if f"{key}/".startswith(walk.prefix) or walk.prefix.startswith(f"{key}/"):
                            walk.pending.append(inner)
                    elif key.startswith(walk.prefix) and stat.S_ISREG(found.st_mode):
                        yield self._info(key, found)
                    elif stat.S_ISLNK(found.st_mode) and self._leads_out(inner):
                        walk.unseen.append(f"the link {key!r} leads out of the folder")
        except OSError as error:
            walk.unseen.append(f"{to_key(path)!r}: {error.strerror}")
        finally:
            os.close(folder)

    def _leads_out(self, path: bytes) -> bool:
        """Whether a link leads to something that is there, but not in this folder."""
        root = os.path.realpath(os.fsencode(self._root))
        target = os.path.realpath(root + b"/" + path)
        return os.path.lexists(target) and os.path.commonpath([root, target]) != root

    def _names(self, key: str) -> Sequence[bytes]:
        """The key's segments as file names. Raises KeyRefused where one cannot be."""
        try:
            names = to_name(key).split(b"/")
        except ValueError:
            raise KeyRefused(url=self.url, key=key, problem="it is the key of no name") from None
        if any(name in (b"", b".", b"..") or b"\0" in name for name in names):
            problem = "a segment of it is empty, '.', '..' or has a NUL"
            raise KeyRefused(url=self.url, key=key, problem=problem)
        return names

    def _info(self, key: str, found: os.stat_result) -> ObjectInfo:
        if not stat.S_ISREG(found.st_mode):
            raise ObjectNotFound(url=self.url, key=key)
        times = f"{found.st_mtime_ns:x}-{found.st_ctime_ns:x}"
        # fromtimestamp would fail on times before 1901 or after 9999, which file systems can hold.
        microseconds = min(max(found.st_mtime_ns // 1000, 0), _LAST)
        return ObjectInfo(
            key=key,
            etag=f"{found.st_ino:x}-{found.st_size:x}-{times}",
            size=found.st_size,
            modified=_EPOCH + timedelta(microseconds=microseconds),
        )

    def _settled(self, key: str, fd: int) -> ObjectInfo:
        """The version of an open file, once a change that is under way would show in its times."""
        found = os.fstat(fd)
        before = self._info(key, found)
        if time.time_ns() - found.st_ctime_ns < _SETTLE_NS:
            time.sleep(_SETTLE_NS / 1e9)
            if self._info(key, os.fstat(fd)).etag != before.etag:
                raise ObjectChanged(url=self.url, key=key)
        return before

    @contextmanager
    def _folder(self, key: str, names: Sequence[bytes], *, make: bool = False) -> Iterator[int]:
        """A handle on the folder that holds the key; its opening fails as this store's error."""
        with self._errors(key, writing=make):
            fd = self._open_folder(names, make=make)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open_folder(self, names: Sequence[bytes], *, make: bool) -> int:
        """A folder below the root, opened step by step and never through a link.

        make: make what is missing, and flush all of it: a folder may be there, but not yet on disk.
        """
        try:
            fd = os.open(self._root, _DIRECTORY)
        except OSError as error:
            problem = f"the folder cannot be opened ({error.strerror})."
            raise StorageUnavailable(url=self.url, problem=problem) from None
        try:
            for name in names:
                if make:
                    make_folder(name, fd)
                    os.fsync(fd)
                inner = os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=fd)
                os.close(fd)
                fd = inner
        except BaseException:
            os.close(fd)
            raise
        return fd

    @contextmanager
    def _errors(self, key: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise self._error(error, key, writing) from None

    def _error(self, error: OSError, key: str, writing: bool) -> StorageError:
        problem = error.strerror or str(error)
        match error.errno:
            case errno.ELOOP | errno.ENOTDIR | errno.EISDIR if writing:
                problem = "a file or a link is where it needs a folder, or the reverse"
                return KeyRefused(url=self.url, key=key, problem=problem)
            case errno.EEXIST:
                return ObjectExists(url=self.url, key=key)
            case errno.ENOENT | errno.ELOOP | errno.ENOTDIR:
                return ObjectNotFound(url=self.url, key=key)
            case errno.ENAMETOOLONG | errno.EINVAL:
                return KeyRefused(url=self.url, key=key, problem=problem)
            case errno.EACCES | errno.EPERM | errno.EROFS:
                return ObjectDenied(url=self.url, key=key, problem=problem)
            case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
                return StorageFull(url=self.url, problem=f"{problem}, while {key!r} was written.")
            case _:
                return StorageUnavailable(url=self.url, problem=f"{problem}, at {key!r}.")
