"""Ranged spooling: only those bytes of a clip that somebody asks for, at their places in a sparse file.

    with open_ranges(store, clip, Path("state/spool"), max_bytes) as ranges:
        ranges.supply(0, 65536)                 # now they can be read from ranges.file
        ranges.bytes_read, ranges.size

All of them are of one version, the one that was listed. What was not asked for reads as zeros, so
the file is no copy of the clip: it has no digests.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, Self

from hashmatch.clips.folder_writing import write_all
from hashmatch.clips.spool import ClipTooLarge, folder_errors, unnamed
from hashmatch.clips.store import ObjectChanged, Store
from hashmatch.errors import StorageError
from hashmatch.model import Clip

# Bytes come in whole blocks of this size.
BLOCK = 16 * 1024

# Requests that a clip may take: so many, and one more for every so many bytes of it. Smaller steps
# save nothing, and who asks may be a decoder that its clip has taken over.
_REQUESTS, _BYTES_A_REQUEST = 64, 64 * 1024


class TooManyParts(StorageError):
    message = "{url}: {key!r} was asked for in too many small parts."
    remedy = "It is read whole instead."


class Ranges:
    """One version of one clip, as far as it was asked for. For `open_ranges`."""

    def __init__(self, store: Store, clip: Clip, folder: Path) -> None:
        self._store, self._folder = store, folder
        self._key = clip.key
        self.etag, self.size = clip.etag, clip.size
        self.bytes_read = 0
        self.requests = 0
        self._there = bytearray(-(-clip.size // BLOCK))  # a flag for each block
        with folder_errors(folder, clip.key):
            self._writer, reader = unnamed(folder)
        self.file: BinaryIO = os.fdopen(reader, "rb")
        try:
            with folder_errors(folder, clip.key):
                os.ftruncate(self._writer, clip.size)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        self.file.close()
        os.close(self._writer)

    def supply(self, start: int, stop: int) -> None:
        """See that bytes start..stop are in the file. What is there is not read again.

        Raises TooManyParts, StorageFull, and what `Store.read_range` raises.
        """
        last = -(-stop // BLOCK)
        first = self._there.find(0, start // BLOCK, last)
        while first != -1:
            end = self._there.find(1, first, last)
            end = last if end == -1 else end
            self._read(first * BLOCK, min(end * BLOCK, self.size))
            self._there[first:end] = b"\1" * (end - first)
            first = self._there.find(0, end, last)

    def _read(self, start: int, stop: int) -> None:
        if self.requests == _REQUESTS + self.size // _BYTES_A_REQUEST:
            raise TooManyParts(url=self._store.url, key=self._key)
        self.requests += 1
        at = start
        for chunk in self._store.read_range(self._key, self.etag, start, stop):
            if at + len(chunk) > stop:
                raise ObjectChanged(url=self._store.url, key=self._key)
            with folder_errors(self._folder, self._key):
                os.lseek(self._writer, at, os.SEEK_SET)
                write_all(self._writer, chunk)
            at += len(chunk)
            self.bytes_read += len(chunk)
        if at != stop:
            raise ObjectChanged(url=self._store.url, key=self._key)


def open_ranges(store: Store, clip: Clip, folder: Path, max_bytes: int) -> Ranges:
    """Nothing of the clip is read yet. Raises ClipTooLarge, and what an unusable folder raises."""
    if clip.size > max_bytes:
        raise ClipTooLarge(url=store.url, key=clip.key, limit=max_bytes)
    return Ranges(store, clip, folder)
