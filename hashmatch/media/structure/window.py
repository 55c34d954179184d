"""A part of a file as a file of its own.

    clip = Window(file, start=4096, end=size, prefix=b"FLV...")
    clip.read(16)                               # the prefix, then what is at 4096

Windows of one file may be read in turn: each keeps its own place.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_STEP = 1 << 20


class Window(io.RawIOBase, BinaryIO):
    """Bytes start..end of `file`, after `prefix`. Neither is closed here."""

    def __init__(self, file: BinaryIO, start: int, end: int, prefix: bytes = b"") -> None:
        self._file, self._start, self._prefix = file, start, prefix
        self.size = len(prefix) + max(0, end - start)
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        part = self._part(self._at, min(self.size, self._at + len(view)))
        view[: len(part)] = part
        self._at += len(part)
        return len(part)

    def read(self, size: int | None = -1) -> bytes:
        stop = self.size if size is None or size < 0 else min(self.size, self._at + size)
        parts = []
        while self._at < stop and (part := self._part(self._at, stop)):
            parts.append(part)
            self._at += len(part)
        return b"".join(parts)

    def _part(self, start: int, stop: int) -> bytes:
        """Some of start..stop, from its start; nothing only where there is nothing."""
        if stop <= start:
            return b""
        if start < len(self._prefix):
            return self._prefix[start:stop]
        self._file.seek(self._start + start - len(self._prefix))
        return self._file.read(stop - start)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self.size}[whence]
        if start + offset < 0:
            raise ValueError("a place before the start of the file")
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        return self._at


def read_at(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def find_all(
    file: BinaryIO, pattern: re.Pattern[bytes], start: int, end: int, longest: int
) -> Iterator[tuple[int, bytes]]:
    """Where in start..end the pattern stands, and what stands there. longest: bytes of a find."""
    at = start
    while at < end:
        text = read_at(file, at, min(_STEP + longest - 1, end - at))
        if not text:
            return
        for found in pattern.finditer(text):
            if found.start() < _STEP:
                yield at + found.start(), found.group()
        at += _STEP


def blank(file: BinaryIO, start: int, end: int) -> bool:
    """Whether start..end holds nothing but padding: zeros, ones, spaces, ends of lines."""
    at = start
    while at < end and (text := read_at(file, at, min(_STEP, end - at))):
        if text.strip(b"\0\xff \t\r\n"):
            return False
        at += len(text)
    return True
