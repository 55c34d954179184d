"""Where a JPEG picture ends: its markers are walked from the first to the last.

    end, whole = extent(file, 0, size)

Source: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from typing import BinaryIO

from hashmatch.media.structure.window import find_all, read_at

_SOI, _EOI, _SOS = 0xD8, 0xD9, 0xDA
# Within coded data, what is no marker: a stuffed zero, a restart, a filling byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))


def extent(file: BinaryIO, start: int, size: int) -> tuple[int, bool]:
    """The first byte behind the picture at `start`, and whether its own end was found there."""
    at = start + 2
    while at < size:
        head = read_at(file, at, 4)
        if len(head) < 2 or head[0] != 0xFF:
            return at, False
        kind = head[1]
        if kind == 0xFF:
            at += 1
        elif kind == _EOI:
            return at + 2, True
        elif kind == _SOI:
            return at, False
        elif kind in _ALONE:
            at += 2
        else:
            length = int.from_bytes(head[2:4], "big")
            if len(head) < 4 or length < 2:
                return at, False
            at += 2 + length
            if kind == _SOS:
                found = next(find_all(file, _MARKER, at, size, 2), None)
                if found is None:
                    return size, False
                at = found[0]
    return min(at, size), False
