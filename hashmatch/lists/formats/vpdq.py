"""The text files of the vPDQ tools: one file is one listed video, one line is one frame.

    frame number,quality,PDQ hash,seconds

A file's name without `.txt` is its entry's id.
Source: ThreatExchange, vpdq/cpp, io/vpdqio.cpp.
"""

from __future__ import annotations

import re

from hashmatch.lists.formats.rows import BadRow, Fault, Row, make_row
from hashmatch.model import Algorithm, Media

_LINE = re.compile(r"\s*\d+\s*,\s*\d+\s*,\s*[0-9A-Fa-f]{64}\s*,\s*\d+(\.\d+)?\s*", re.ASCII)


def looks_like(line: str) -> bool:
    return _LINE.fullmatch(line) is not None


def row(number: int, line: str, video: str) -> Row:
    """video: the entry that the frame belongs to."""
    fields = line.split(",")
    if len(fields) != 4 or not (fields[0].strip().isascii() and fields[0].strip().isdecimal()):
        raise BadRow(Fault.COLUMNS)
    _, quality, digits, seconds = fields
    if not quality.strip():
        raise BadRow(Fault.QUALITY)
    if not seconds.strip():
        raise BadRow(Fault.TIMESTAMP)
    return make_row(
        number,
        hash=digits,
        algorithm=Algorithm.PDQ.value,
        media=Media.VIDEO.value,
        group=video,
        timestamp=seconds,
        quality=quality,
    )
