"""The child's view of a file that its parent fills in as it is asked to.

    file = RangedFile(descriptor, channel)
    file.seek(4096)
    file.read(512)                              # the parent was asked for 4096..4608

On the channel (packets): child -> parent REQUEST, start and stop; parent -> child GRANTED, once they
are in the file. A request that cannot be met is the end of the child.
"""

from __future__ import annotations

import io
import os
import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

REQUEST = struct.Struct(">QQ")
GRANTED = b"1"


class RangedFile(io.RawIOBase, BinaryIO):
    """descriptor: of the sparse file, which has its full size; it is not closed here."""

    def __init__(self, descriptor: int, channel: int) -> None:
        self._descriptor, self._channel = descriptor, channel
        self.size = os.lseek(descriptor, 0, os.SEEK_END)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Raises EOFError when the parent is gone."""
        view = memoryview(buffer).cast("B")
        stop = min(self.size, self._at + len(view))
        if stop <= self._at:
            return 0
        os.write(self._channel, REQUEST.pack(self._at, stop))
        if os.read(self._channel, len(GRANTED)) != GRANTED:
            raise EOFError
        part = os.pread(self._descriptor, stop - self._at, self._at)
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a place before the start of the file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at
