"""The blocks of a GIF picture: where it ends, and how many pictures it has.

    found = look(file, 0, size)
    found.end, found.whole, found.frames

Source: CompuServe, Graphics Interchange Format, version 89a, 1990.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from hashmatch.media.structure.window import read_at

_HEADER = 13
_EXTENSION, _IMAGE, _TRAILER = 0x21, 0x2C, 0x3B
_AHEAD = 1 << 16


class Blocks(NamedTuple):
    """end: the first byte behind it; whole: it ends with its trailer; frames: how many begin."""

    end: int
    whole: bool
    frames: int


def look(file: BinaryIO, start: int, size: int) -> Blocks:
    """The blocks of the picture at `start`."""
    text = _Text(file, size)
    at = start + _HEADER + _table(text.byte(start + 10))
    frames = 0
    while True:
        kind = text.byte(at)
        if kind == _EXTENSION:
            at = text.past_blocks(at + 2)
        elif kind == _IMAGE:
            frames += 1
            at = text.past_blocks(at + 10 + _table(text.byte(at + 9)) + 1)
        else:
            whole = kind == _TRAILER
            return Blocks(min(at + whole, size), whole, frames)


def _table(flags: int | None) -> int:
    """Bytes of the colour table that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags is not None and flags & 0x80 else 0


class _Text:
    """Single bytes of a file, read ahead."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size = file, size
        self._first, self._held = 0, b""

    def byte(self, at: int) -> int | None:
        """None beyond the end."""
        if at >= self._size:
            return None
        if not self._first <= at < self._first + len(self._held):
            self._first, self._held = at, read_at(self._file, at, _AHEAD)
        return self._held[at - self._first] if self._held else None

    def past_blocks(self, at: int) -> int:
        """Past sub-blocks, each with its length before it and an empty one at the end."""
        while length := self.byte(at):
            at += 1 + length
        return at + 1
