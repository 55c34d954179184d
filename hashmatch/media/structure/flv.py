"""The tags of an FLV file: where another one follows it, and where its video changes its codec.

    tags = walk(file, 0, size)
    tags.end, tags.codecs                       # [(13, b"\\x07")]

Source: Adobe, Flash Video File Format Specification 10.1, annex E; Veovera, Enhanced RTMP v2.
"""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from hashmatch.media.structure.window import read_at

HEADER = b"FLV\x01\x05\0\0\0\x09\0\0\0\0"
_SIGN = b"FLV\x01"
_AUDIO, _VIDEO, _SCRIPT = 8, 9, 18
_ENHANCED = 0x80
_AHEAD = 1 << 20


class Tags(NamedTuple):
    """end: the first byte behind those that could be followed; whole: the file ends there; codecs:
    where each stretch of video tags of one codec begins, and which.
    """

    end: int
    whole: bool
    codecs: list[tuple[int, bytes]]


def walk(file: BinaryIO, start: int, size: int) -> Tags:
    """The tags of the file at `start`."""
    codecs: list[tuple[int, bytes]] = []
    at = start + max(9, int.from_bytes(read_at(file, start + 5, 4), "big")) + 4
    first, held = at, b""
    while at < size:
        if not first <= at <= first + len(held) - 16:
            first, held = at, read_at(file, at, _AHEAD)
        head = held[at - first : at - first + 16]
        kind = head[0] & 0x1F if head else 0
        if kind not in (_AUDIO, _VIDEO, _SCRIPT) or head[8:11].strip(b"\0"):
            return Tags(at, head.startswith(_SIGN), codecs)
        length = int.from_bytes(head[1:4], "big")
        codec = _codec(head[11:]) if kind == _VIDEO and length else None
        if codec is not None and (not codecs or codecs[-1][1] != codec):
            codecs.append((at, codec))
        at += 11 + length + 4
    return Tags(size, at == size, codecs)


def _codec(head: bytes) -> bytes | None:
    """What decodes a video tag; None for one that shows nothing."""
    if not head or head[0] >> 4 & 7 == 5:  # a command
        return None
    if not head[0] & _ENHANCED:
        return bytes([head[0] & 0x0F])
    # Packet types: 4 metadata, 6 several tracks, 7 modifiers; their codec is not at this place.
    return None if head[0] & 0x0F in (4, 6, 7) else head[1:5]
