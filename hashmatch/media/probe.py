"""What a file is, by its first bytes and never by its name.

    sniff(file)                   # Format(kind=Kind.VIDEO, name='mov')

Only the formats of `VIDEO` and `STILL` are ever handed to a decoding library, and always by name: a
library that guesses for itself opens playlists, which name other files and hosts.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import BinaryIO, NamedTuple

from hashmatch.media.structure import mpegts
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason

HEAD = 64 * 1024

# FFmpeg's names of demuxers, Pillow's names of formats.
VIDEO = ("mov", "matroska", "flv", "mpegts", "avi", "mjpeg")
STILL = ("PNG", "JPEG", "GIF", "WEBP", "AVIF")

_BOXES = frozenset(
    (b"ftyp", b"moov", b"mdat", b"moof", b"styp", b"sidx", b"free", b"skip", b"wide", b"pnot")
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1")
)

_PLAYLISTS = re.compile(
    rb"""\#EXTM3U | \#EXT-X- | ffconcat\s+version | \[playlist\] | \[reference\] | rtsptext
       | (<\?xml.*)? <(mpd|smoothstreamingmedia|smil|asx|playlist|manifest)\b
       | <\?wpl | v=0\s+o= | (file|url)\s+['"]?[^\n]+\n | [a-z]{3,8}://""",
    re.VERBOSE | re.IGNORECASE | re.DOTALL,
)


class Kind(StrEnum):
    VIDEO = "video"
    STILL = "still"


class Format(NamedTuple):
    """name: the demuxer's, or the picture format's, of `VIDEO` or `STILL`."""

    kind: Kind
    name: str


def sniff(file: BinaryIO) -> Format:
    """The format of `file`, which is left at its start.

    Raises Unseeable: EMPTY_FILE, PLAYLIST, UNSUPPORTED_CODEC (HEIF pictures), NOT_MEDIA.
    """
    file.seek(0)
    head = file.read(HEAD)
    file.seek(0)
    if not head:
        raise Unseeable(Reason.EMPTY_FILE, "0 bytes")
    if (format := known(head)) is not None:
        return format
    if _is_playlist(head):
        raise Unseeable(Reason.PLAYLIST, "text that names other files or hosts")
    raise Unseeable(Reason.NOT_MEDIA, "the first bytes are those of no known format")


def known(head: bytes) -> Format | None:
    """The format of what begins like this; None for no known one.

    Raises Unseeable: UNSUPPORTED_CODEC (HEIF pictures).
    """
    for kind, formats in ((Kind.STILL, _STILL_SIGNS), (Kind.VIDEO, _VIDEO_SIGNS)):
        for name, fits in formats:
            if fits(head):
                return Format(kind, name)
    return _boxed_format(head) if _boxed(head) else None


def _boxed(head: bytes) -> bool:
    """ISO base media (MP4, MOV, AVIF): a length, then the type of the first box."""
    return head[4:8] in _BOXES


def is_avif(head: bytes) -> bool:
    """Whether it says, among other things that it may be, that it is an AVIF picture."""
    size = int.from_bytes(head[:4], "big")
    brands = {head[at : at + 4] for at in (8, *range(16, min(size, len(head)), 4))}
    return head[4:8] == b"ftyp" and bool(brands & _AVIF_BRANDS)


def _boxed_format(head: bytes) -> Format:
    if head[4:8] != b"ftyp":
        return Format(Kind.VIDEO, "mov")
    brand = head[8:12]
    if brand in _AVIF_BRANDS or (brand in _HEIF_BRANDS and is_avif(head)):
        return Format(Kind.STILL, "AVIF")
    if brand in _HEIF_BRANDS:
        raise Unseeable(Reason.UNSUPPORTED_CODEC, "a HEIF picture")
    return Format(Kind.VIDEO, "mov")


def _is_transport_stream(head: bytes) -> bool:
    return mpegts.packet_length(head) is not None


def _is_playlist(head: bytes) -> bool:
    text = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")
    return _PLAYLISTS.match(text) is not None


def _riff(kind: bytes) -> Callable[[bytes], bool]:
    return lambda head: head[:4] == b"RIFF" and head[8:12] == kind


def _starts(*signs: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(signs)


_STILL_SIGNS = (
    ("PNG", _starts(b"\x89PNG\r\n\x1a\n")),
    ("JPEG", _starts(b"\xff\xd8\xff")),
    ("GIF", _starts(b"GIF87a", b"GIF89a")),
    ("WEBP", _riff(b"WEBP")),
)
_VIDEO_SIGNS = (
    ("matroska", _starts(b"\x1a\x45\xdf\xa3")),
    ("flv", _starts(b"FLV\x01")),
    ("avi", _riff(b"AVI ")),
    ("mpegts", _is_transport_stream),
)
