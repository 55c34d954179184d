"""Whether an MP4 or MOV file lists all its samples in one place, told from its boxes alone.

    if has_whole_index(file):
        ...                                     # the demuxer's index is all there is to read

Where it does not (fragments, a movie header that is compressed, a track whose codec's parameters
change midway, boxes that go beyond the file's end) the file has to be read from start to end.
Source: ISO/IEC 14496-12; Apple, QuickTime File Format.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from hashmatch.media.structure.window import read_at

# At the top of a file that is one movie. Fragments would be moof, and sidx or styp before them.
_WHOLE = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"udta", b"meta", b"uuid")
)
_CONTENTS = frozenset((b"moov", b"mdat", b"moof", b"meta"))
_FRAGMENTED_OR_COMPRESSED = frozenset((b"mvex", b"cmov"))
_TO_DESCRIPTIONS = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_TO_COMPRESSED = (b"cmov", b"cmvd")

_MOST_BOXES = 64
_LONGEST_HEADER = 16
# A movie header at a file's end is mostly shorter, and so comes with its first bytes.
_AHEAD = 256 * 1024
_LARGEST_MOVIE_HEADER = 64 * 2**20


class Malformed(Exception):
    """These are no boxes."""


class Box(NamedTuple):
    """body, end: where its contents begin and end."""

    kind: bytes
    body: int
    end: int


class Top(NamedTuple):
    """end: the first byte behind the movie; whole: its boxes reach to there; embedded: start and end
    of a movie in a box of a picture (mpvd, as phones write); fragments: whether it has some.
    """

    end: int
    whole: bool
    embedded: tuple[tuple[int, int], ...]
    fragments: bool


def walk(file: BinaryIO, start: int, size: int) -> Top:
    """The boxes of the movie at `start`, up to where another one begins.

    A second ftyp or moov is the beginning of another: demuxers pass over it, and over what belongs
    to it.
    """
    at, kinds, embedded = start, set[bytes](), list[tuple[int, int]]()
    whole = True
    while at < size:
        head = read_at(file, at, _LONGEST_HEADER)
        length = int.from_bytes(head[:4], "big")
        try:
            box = _box(head, at, 0, size)
        except Malformed:
            # What names a kind and goes beyond the end was cut off; anything else is no box.
            whole = False
            if length > 7 and head[4:8].isalnum():
                at = size
            break
        if not _is_kind(box.kind):
            whole = False
            break
        another = box.kind == b"ftyp" and kinds & _CONTENTS
        if another or (box.kind == b"moov" and b"moov" in kinds):
            break
        kinds.add(box.kind)
        if box.kind == b"mpvd":
            embedded.append((box.body, box.end))
        at = box.end
    return Top(at, whole, tuple(embedded), b"moof" in kinds)


def _is_kind(kind: bytes) -> bool:
    return all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in kind)


def has_whole_index(file: BinaryIO) -> bool:
    """Leaves the file's position anywhere."""
    try:
        return _describes_all(_movie_header(file))
    except Malformed:
        return False


def _movie_header(file: BinaryIO) -> bytes:
    """The contents of the file's only moov box. Raises Malformed."""
    size = file.seek(0, os.SEEK_END)
    headers: list[bytes] = []
    at = 0
    for _ in range(_MOST_BOXES):
        if at == size:
            break
        file.seek(at)
        start = file.read(_AHEAD if at > _AHEAD else _LONGEST_HEADER)
        box = _box(start, at, 0, size)
        if box.kind not in _WHOLE:
            raise Malformed
        if box.kind == b"moov":
            if headers or box.end - box.body > _LARGEST_MOVIE_HEADER:
                raise Malformed
            file.seek(box.body)
            headers.append(file.read(box.end - box.body))
        at = box.end
    if at != size or not headers:
        raise Malformed
    return headers[0]


def has_movie(file: BinaryIO) -> bool:
    """Whether there is a movie in it, or fragments of one."""
    return any(box.kind in (b"moov", b"moof") for box in _top(file, file.seek(0, os.SEEK_END)))


def several_codecs(file: BinaryIO) -> bool:
    """Whether a track of the movie is described as more than one codec, whatever else is in the file.

    FFmpeg's demuxer gives the samples of the first of them and leaves out the others. Where a movie
    header cannot be read for its size, it may be.
    """
    size = file.seek(0, os.SEEK_END)
    for box in _top(file, size):
        if box.kind == b"moov":
            if box.end - box.body > _LARGEST_MOVIE_HEADER:
                return True
            if _has_several(read_at(file, box.body, box.end - box.body)):
                return True
    return False


def _top(file: BinaryIO, size: int) -> Iterator[Box]:
    """The boxes at the top of a file, up to what is none."""
    at = 0
    while at < size:
        try:
            box = _box(read_at(file, at, _LONGEST_HEADER), at, 0, size)
        except Malformed:
            return
        yield box
        at = box.end


def _has_several(moov: bytes) -> bool:
    """The same of the contents of a movie header; compressed ones, as QuickTime has them, too."""
    try:
        for table in _descend(moov, 0, len(moov), _TO_DESCRIPTIONS):
            kinds = set()
            try:
                for box in _boxes(moov, table.body + 8, table.end):
                    kinds.add(box.kind)
            except Malformed:
                pass
            if len(kinds) > 1:
                return True
        for packed in _descend(moov, 0, len(moov), _TO_COMPRESSED):
            inner = zlib.decompressobj().decompress(
                moov[packed.body + 4 : packed.end], _LARGEST_MOVIE_HEADER
            )
            if any(_has_several(inner[box.body : box.end]) for box in _boxes(inner, 0, len(inner))):
                return True
    except (Malformed, zlib.error):
        return False
    return False


def _describes_all(moov: bytes) -> bool:
    """Whether there is nothing but it, and each track is described once."""
    if any(box.kind in _FRAGMENTED_OR_COMPRESSED for box in _boxes(moov, 0, len(moov))):
        return False
    tables = list(_descend(moov, 0, len(moov), _TO_DESCRIPTIONS))
    # Version and flags, then how many descriptions there are.
    return all(moov[table.body + 4 : table.body + 8] == b"\0\0\0\1" for table in tables)


def _descend(moov: bytes, start: int, end: int, path: tuple[bytes, ...]) -> Iterator[Box]:
    for box in _boxes(moov, start, end):
        if box.kind == path[0]:
            if path[1:]:
                yield from _descend(moov, box.body, box.end, path[1:])
            else:
                yield box


def _boxes(moov: bytes, start: int, end: int) -> Iterator[Box]:
    """Raises Malformed. Up to seven bytes may be left over: QuickTime ends lists with four zeros."""
    while end - start >= 8:
        box = _box(moov, 0, start, end)
        yield box
        start = box.end


def _box(data: bytes, offset: int, start: int, end: int) -> Box:
    """The box at data[start:], where data begins at `offset` of what ends at `end`."""
    length, kind = int.from_bytes(data[start : start + 4], "big"), data[start + 4 : start + 8]
    header = 8
    if length == 1:
        length, header = int.from_bytes(data[start + 8 : start + 16], "big"), 16
    at = offset + start
    if length == 0:
        length = end - at
    if len(kind) < 4 or length < header or at + length > end:
        raise Malformed
    return Box(kind, at + header, at + length)
