"""What a file is made of: one format after the other, each to where it really ends.

    for section in sections(file).found:
        section.format, section.start, section.end

The first bytes say how a file begins, and not that this is all of it. Phones put a video behind a
picture, recorders one recording behind the other, and players differ in which of them they show.
"""

from __future__ import annotations

import re
from os import SEEK_END
from typing import BinaryIO, NamedTuple

from hashmatch.media.probe import HEAD, Format, Kind, known, sniff
from hashmatch.media.structure import boxes, ebml, flv, gif, jpeg, mpegts, png, riff
from hashmatch.media.structure.window import blank, find_all, read_at
from hashmatch.media.unseeable import Unseeable

# More than a file has that was put together by a camera or a recorder.
MOST_SECTIONS = 64
# Of a run of JPEG pictures, so many are looked at as pictures; a longer one is a video of them.
_MOST_JPEGS = 4
# A picture that is large enough to be hashed takes more.
_SMALLEST_FILE = 128
_SIGNS = re.compile(
    rb"\xff\xd8\xff | \x89PNG\r\n\x1a\n | GIF8[79]a | RIFF....(?:WEBP|AVI\ ) | FLV\x01[\x01-\x05]\0\0\0"
    rb"| \x1a\x45\xdf\xa3 | \0\0[\0-\xff]{2}(?:ftyp|moov) | \x47[\0-\xff]{187}\x47",
    re.VERBOSE | re.DOTALL,
)
_LONGEST_SIGN = 189
_PICTURES = Format(Kind.VIDEO, "mjpeg")


class Section(NamedTuple):
    """Bytes start..end of a file, which are of one format."""

    format: Format
    start: int
    end: int


class Sections(NamedTuple):
    """unknown: there is more in the file, of no known format, or more sections than are looked at."""

    found: tuple[Section, ...]
    unknown: bool


def sections(file: BinaryIO) -> Sections:
    """The sections of a file, at least one. Raises Unseeable, as `probe.sniff` does."""
    format, start = sniff(file), 0
    size = file.seek(0, SEEK_END)
    found: list[Section] = []
    unknown = False
    while True:
        extent = _extent(file, format, start, size)
        following, skipped = _next(file, extent.end, size)
        unknown |= skipped
        end = extent.end
        if format.kind is Kind.VIDEO:
            # A demuxer finds its way past what is damaged, and what looks like another file there
            # may be none.
            ends = extent.whole and following is not None
            end = following[1] if ends and following is not None else size
        _add(found, Section(format, start, end))
        for inner_start, inner_end in extent.embedded:
            inner = _known(file, inner_start)
            unknown |= inner is None
            if inner is not None:
                found.append(Section(inner, inner_start, inner_end))
        if following is None:
            break
        if len(found) >= MOST_SECTIONS:
            unknown = True
            break
        format, start = following
    return Sections(tuple(found), unknown)


def _add(found: list[Section], section: Section) -> None:
    """One more; a long run of JPEG pictures becomes one section, a video of them."""
    found.append(section)
    run = found[-_MOST_JPEGS - 1 :]
    if section.format.name != "JPEG":
        return
    if len(found) > 1 and found[-2].format == _PICTURES:
        found[-2:] = [Section(_PICTURES, found[-2].start, section.end)]
    elif len(run) > _MOST_JPEGS and all(one.format.name == "JPEG" for one in run):
        found[-len(run) :] = [Section(_PICTURES, run[0].start, section.end)]


class _Extent(NamedTuple):
    """whole: it ends there, and not in the middle; embedded: start and end of what is within it."""

    end: int
    whole: bool = True
    embedded: tuple[tuple[int, int], ...] = ()


def _extent(file: BinaryIO, format: Format, start: int, size: int) -> _Extent:
    """Where what is at `start` ends."""
    match format.name:
        case "mov" | "AVIF":
            top = boxes.walk(file, start, size)
            return _Extent(max(top.end, start + 8), top.whole, top.embedded)
        case "JPEG":
            return _Extent(max(jpeg.extent(file, start, size)[0], start + 1))
        case "PNG":
            return _Extent(png.extent(file, start, size))
        case "GIF":
            return _Extent(gif.look(file, start, size).end)
        case "matroska":
            end, whole = ebml.extent(file, start, size)
            return _Extent(max(end, start + 1), whole)
        case "flv":
            tags = flv.walk(file, start, size)
            return _Extent(max(tags.end, start + 1), tags.whole)
        case "mpegts":
            return _Extent(max(mpegts.extent(file, start, size), start + 1))
    return _Extent(max(riff.extent(file, start, size)[0], start + 1))


def _next(file: BinaryIO, end: int, size: int) -> tuple[tuple[Format, int] | None, bool]:
    """What begins at `end` or later, and where; and whether bytes of no known kind lie before it."""
    if size - end < _SMALLEST_FILE:
        return None, False
    for at, _ in find_all(file, _SIGNS, end, size, _LONGEST_SIGN):
        format = _known(file, at)
        if format is not None:
            skipped = at - end >= _SMALLEST_FILE and not blank(file, end, at)
            return (format, at), skipped
    return None, not blank(file, end, size)


def _known(file: BinaryIO, at: int) -> Format | None:
    try:
        return known(read_at(file, at, HEAD))
    except Unseeable:
        return None
