"""The chunks of a PNG picture: where it ends, and whether what it shows is damaged.

    end = extent(file, 0, size)
    look(file, 0, size).whole

Decoders differ in what they make of a damaged chunk, and some say nothing. Each chunk has a checksum.
Source: W3C, Portable Network Graphics (PNG) Specification (third edition), 5 and 11.3.6.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from hashmatch.media.structure.window import read_at

_SIGNATURE = 8
_STEP = 1 << 20
_SIZE, _PLACE = struct.Struct(">II"), struct.Struct(">IIII")
_ANCILLARY = 0x20
# What the picture is made from. A damaged text or colour profile leaves it as it is.
_SHOWN = frozenset((b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"acTL", b"fcTL", b"fdAT"))


class Chunks(NamedTuple):
    """whole: it ends with its last chunk, and none that is shown is damaged or at a place where none
    can be; claimed, frames: of an animation, how many it says it has, and how many begin.
    """

    whole: bool
    claimed: int
    frames: int


class _Chunk(NamedTuple):
    """body, end: where its contents begin, and the first byte behind its checksum."""

    kind: bytes
    body: int
    end: int


def extent(file: BinaryIO, start: int, size: int) -> int:
    """The first byte behind the picture at `start`."""
    end = start + _SIGNATURE
    for chunk in _chunks(file, start, size):
        end = chunk.end
    return min(end, size)


def look(file: BinaryIO, start: int, size: int) -> Chunks:
    """The chunks of the picture at `start`, each compared with its checksum."""
    whole, ended, claimed, frames = True, False, 0, 0
    size_shown = (0, 0)
    pixels = False
    for kind, body, end in _chunks(file, start, size):
        if kind in _SHOWN or not kind[0] & _ANCILLARY:
            whole = whole and end <= size and _checked(file, body - 4, end - 4)
        if kind == b"acTL":
            claimed = int.from_bytes(read_at(file, body, 4), "big")
        elif kind == b"IHDR":
            size_shown = _SIZE.unpack(read_at(file, body, _SIZE.size).ljust(_SIZE.size, b"\0"))
        elif kind == b"fcTL":
            frames += 1
            whole = whole and _fits(read_at(file, body, 20), size_shown, first=not pixels)
        pixels |= kind == b"IDAT"
        ended = kind == b"IEND"
    return Chunks(whole and ended, claimed, frames)


def _chunks(file: BinaryIO, start: int, size: int) -> Iterator[_Chunk]:
    """Up to the last, or to what is no chunk; the end of the last may lie beyond that of the file."""
    at = start + _SIGNATURE
    while at < size:
        head = read_at(file, at, 8)
        kind = head[4:]
        if len(head) < 8 or not kind.isalpha():
            return
        chunk = _Chunk(kind, at + 8, at + 12 + int.from_bytes(head[:4], "big"))
        yield chunk
        if kind == b"IEND":
            return
        at = chunk.end


def _fits(control: bytes, size: tuple[int, int], *, first: bool) -> bool:
    """Whether a frame lies within the picture, and fills it if it is the one before all others, which is
    shown as a still too. Browsers show no animation in which one does not.
    """
    if len(control) < 20:
        return False
    width, height, left, top = _PLACE.unpack_from(control, 4)
    if first:
        return bool((width, height, left, top) == (*size, 0, 0))
    return bool(0 < width <= size[0] - left and 0 < height <= size[1] - top)


def _checked(file: BinaryIO, start: int, end: int) -> bool:
    """Whether bytes start..end have the CRC-32 that follows them."""
    crc = 0
    while start < end:
        text = read_at(file, start, min(_STEP, end - start))
        crc = zlib.crc32(text, crc)
        start += len(text)
    return read_at(file, end, 4) == crc.to_bytes(4, "big")
