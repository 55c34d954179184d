"""The elements of a Matroska or WebM file: where it ends, and where another one follows it.

    end, whole = extent(file, 0, size)

A recorder that is started anew writes a further file behind the first; a live one does not know how
long anything will be, so the end of a segment is where something begins that cannot be in it.
Source: RFC 8794 (EBML), 4 to 6; RFC 9559 (Matroska), 5.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from hashmatch.media.structure.window import read_at

_FILE, _SEGMENT, _CLUSTER = 0x1A45DFA3, 0x18538067, 0x1F43B675
# SeekHead, Info, Tracks, Cues, Chapters, Attachments, Tags, Cluster.
_IN_SEGMENT = frozenset(
    (
        0x114D9B74,
        0x1549A966,
        0x1654AE6B,
        0x1C53BB6B,
        0x1043A770,
        0x1941A469,
        0x1254C367,
        _CLUSTER,
    )
)
_ANYWHERE = frozenset((0xEC, 0xBF))  # Void, CRC-32
# Timestamp, SilentTracks, Position, PrevSize, SimpleBlock, BlockGroup, EncryptedBlock.
_IN_CLUSTER = frozenset((0xE7, 0x5854, 0xA7, 0xAB, 0xA3, 0xA0, 0xAF))
# A cluster of unknown size is walked through with what is in it.
_KNOWN = _IN_SEGMENT | _ANYWHERE | _IN_CLUSTER


class _Element(NamedTuple):
    """size: bytes of its contents, None where the writer did not know."""

    id: int
    body: int
    size: int | None


def extent(file: BinaryIO, start: int, size: int) -> tuple[int, bool]:
    """The first byte behind the elements of the file at `start`, and whether it ends there.

    Where it does not, something damages it, and it may go on behind that.
    """
    at = start
    within: int | None = None  # where the segment ends, if it says so
    while at < size:
        element = _element(file, at)
        if element is None:
            return at, at == within
        if element.id == _FILE:
            if at > start:
                return at, True
        elif element.id == _SEGMENT:
            if within is not None:
                return at, True
            at, within = (
                element.body,
                element.body + (size if element.size is None else element.size),
            )
            continue
        elif element.id not in _KNOWN:
            return at, at == within
        if element.size is None:
            at = element.body
        elif element.body + element.size > size:
            return size, False
        else:
            at = element.body + element.size
    return size, True


def _element(file: BinaryIO, at: int) -> _Element | None:
    """The element that begins there; None where none can."""
    head = read_at(file, at, 12)
    width = _width(head, 4)
    if width is None:
        return None
    of_size = _width(head[width:], 8)
    if of_size is None:
        return None
    size = int.from_bytes(head[width : width + of_size], "big") & ((1 << 7 * of_size) - 1)
    unknown = size == (1 << 7 * of_size) - 1
    id = int.from_bytes(head[:width], "big")
    return _Element(id, at + width + of_size, None if unknown else size)


def _width(text: bytes, most: int) -> int | None:
    """How many bytes a number has, by the first bit that is set."""
    if not text or not text[0]:
        return None
    width = 9 - text[0].bit_length()
    return width if width <= most and len(text) >= width else None
