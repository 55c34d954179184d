"""One row of a list, checked before anything is done with it.

    row = make_row(17, id="e-1", algorithm="pdq", hash="f8f8…", timestamp="1.5", group="video-9")

Partners' lists reach the scanner through here only, so it is strict. A row that cannot be used
raises BadRow with a Fault: a fixed text, because one that quoted its row would print a listed hash.

An algorithm that is not given is told from the length: 32 digits are MD5, 40 SHA-1, 64 PDQ. 64 may
be SHA-256 as well: such rows are marked `assumed`, and `trust` looks at their bits. 16 may be any
of three hashes that must not be compared with each other, so they need an algorithm.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import NamedTuple

from hashmatch.freetext import hashlike
from hashmatch.lists.formats.kinds import kind_by_length, kind_of
from hashmatch.model import Algorithm, Media

MAX_TEXT = 200
MAX_TIMESTAMP = 1e7


class Fault(StrEnum):
    """Why a row cannot be used. The text is all that is ever said of the row."""

    NO_HASH = "no hash"
    NOT_HEX = "not hexadecimal"
    LENGTH = "the hash has the wrong length for its algorithm"
    CONSTANT = "a constant or nearly constant hash, which would match featureless pictures"
    EMPTY_FILE = "the digest of an empty file"
    UNKNOWN_ALGORITHM = "unknown algorithm"
    NO_ALGORITHM = "the algorithm is not given and the hash's length does not tell it"
    MEDIA = "media is not image, video or file"
    CONTRADICTION = "media contradicts the algorithm or the group"
    TIMESTAMP = "the timestamp is not a number of seconds"
    QUALITY = "the quality is not a whole number from 0 to 100"
    ID = "the id or group is too long or has characters that cannot be printed"
    CLASSIFICATION = "the classification is too long, cannot be printed or holds a hash"
    TEXT = "text that cannot be stored"
    COLUMNS = "not the columns that the file has"
    QUOTE = "a quoted field does not end where it should"
    NOT_JSON = "not a JSON object"
    DUPLICATE = "the same id and algorithm as an earlier row"
    CONFLICT = "media or classification differs from an earlier row of the same id"
    BLANK_VIDEO = "a video without any usable frame"
    FEATURELESS_FRAME = "a featureless frame of a video"
    REPEATED = "the same hash as an earlier row, without an id"
    INCOMPARABLE = "a kind of hash that hashmatch cannot compare"

    @property
    def harmless(self) -> bool:
        """Left out and counted, but no sign of a damaged list: black frames, repeated lines, kinds
        of hashes that are for others.
        """
        return self in (Fault.FEATURELESS_FRAME, Fault.REPEATED, Fault.INCOMPARABLE)


class BadRow(Exception):
    """A row cannot be used. Caught by the reader of its file; never shown."""

    def __init__(self, fault: Fault, group: str | None = None, *, kind: str | None = None) -> None:
        super().__init__(fault.value)
        self.fault = fault
        self.group = group
        self.kind = kind


class Row(NamedTuple):
    """One usable row. `timestamp` only where `group` or a video's entry makes it a frame.

    media: as the list states it, None where it says nothing. assumed: PDQ for its length only.
    """

    line: int
    id: str | None
    algorithm: Algorithm
    bits: bytes
    media: Media | None = None
    group: str | None = None
    timestamp: float | None = None
    quality: int | None = None
    classification: str | None = None
    extra: dict[str, str] | None = None
    assumed: bool = False


class Rejected(NamedTuple):
    """A row that was left out, and why. group: the video that a featureless frame is of; kind: what
    an incomparable hash is.
    """

    line: int
    fault: Fault
    group: str | None = None
    kind: str | None = None


_ALGORITHMS = {name.value: name for name in Algorithm}
_BY_LENGTH = {32: Algorithm.MD5, 40: Algorithm.SHA1, 64: Algorithm.PDQ}
_MEDIA = {name.value: name for name in Media}
_BYTES = {name: name.bits // 8 for name in Algorithm}
_PERCEPTUAL = frozenset(name for name in Algorithm if name.perceptual)
_EMPTY = frozenset(
    bytes.fromhex(digest)
    for digest in (
        "d41d8cd98f00b204e9800998ecf8427e",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    )
)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,18})?", re.ASCII)
_WHOLE = re.compile(r"\d{1,3}", re.ASCII)


def make_row(
    line: int,
    *,
    hash: object,
    id: object = None,
    algorithm: object = None,
    media: object = None,
    group: object = None,
    timestamp: object = None,
    quality: object = None,
    classification: object = None,
    extra: dict[str, str] | None = None,
    default: Algorithm | None = None,
) -> Row:
    """A row of fields as a file gives them: text, JSON values, or None for what is missing.

    default: the algorithm of rows that name none. Raises BadRow.
    """
    digits = hash.strip() if isinstance(hash, str) else ""
    if not digits:
        # Partners deliver some kinds by a link of their own: the row is there, its hash is not.
        if isinstance(algorithm, str):
            _known(algorithm)
        raise BadRow(Fault.NO_HASH)
    kind, assumed = _algorithm(algorithm, default, digits)
    bits = _bits(kind, digits)
    name, part_of = _text(id), _text(group)
    described = _media(media)
    if kind in _PERCEPTUAL:
        if described is Media.VIDEO and part_of is None:
            part_of = name  # the rows of one id are one video
            if part_of is None:
                raise BadRow(Fault.CONTRADICTION)
        elif described is Media.FILE:
            raise BadRow(Fault.CONTRADICTION)
    if part_of is not None and described not in (None, Media.VIDEO):
        raise BadRow(Fault.CONTRADICTION)
    at, good = _timestamp(timestamp), _quality(quality)
    if constant(kind, bits):
        if part_of is not None and kind in _PERCEPTUAL:
            raise BadRow(Fault.FEATURELESS_FRAME, part_of)
        raise BadRow(Fault.CONSTANT)
    if bits in _EMPTY and kind not in _PERCEPTUAL:
        raise BadRow(Fault.EMPTY_FILE)
    return Row(
        line,
        name,
        kind,
        bits,
        described,
        part_of,
        at if part_of is not None else None,
        good,
        _classification(classification),
        extra,
        assumed,
    )


def constant(algorithm: Algorithm, bits: bytes) -> bool:
    """Whether a hash is too regular to be the hash of anything in particular.

    Any algorithm: a pattern of 1, 2, 4 or 8 bytes repeated. Perceptual ones: less than an eighth of
    the bits set, or of the bits clear; such a PDQ hash (fewer than 32 of 256) is within the largest
    distance of the hash that every featureless frame has. A PDQ hash is split at its median: of the
    5,872 that the reference implementation gives for Meta's sample videos, each has exactly 128.
    """
    size = len(bits)
    if any(bits == bits[:period] * (size // period) for period in (1, 2, 4, 8) if period < size):
        return True
    if algorithm not in _PERCEPTUAL:
        return False
    count = int.from_bytes(bits).bit_count()
    return not size <= count <= 7 * size


def _algorithm(given: object, default: Algorithm | None, digits: str) -> tuple[Algorithm, bool]:
    if given is None or given == "":
        if default is not None:
            return default, False
        told = _BY_LENGTH.get(len(digits))
        if told is not None:
            return told, told is Algorithm.PDQ
        if (kind := kind_by_length(digits)) is not None:
            raise BadRow(Fault.INCOMPARABLE, kind=kind)
        raise BadRow(Fault.NO_ALGORITHM)
    if not isinstance(given, str):
        raise BadRow(Fault.UNKNOWN_ALGORITHM)
    known = _ALGORITHMS.get(given) or _known(given)
    if known is None:
        raise BadRow(Fault.UNKNOWN_ALGORITHM)
    return known, False


def _known(name: str) -> Algorithm | None:
    """The algorithm of this name, None if nobody knows it. Raises BadRow for other known kinds."""
    kind = kind_of(name)
    if kind is None or isinstance(kind, Algorithm):
        return kind
    raise BadRow(Fault.INCOMPARABLE, kind=kind)


def _bits(algorithm: Algorithm, digits: str) -> bytes:
    size = _BYTES[algorithm]
    if len(digits) != 2 * size:
        raise BadRow(Fault.LENGTH)
    try:
        bits = bytes.fromhex(digits)
    except ValueError:
        raise BadRow(Fault.NOT_HEX) from None
    if len(bits) != size:  # fromhex skips spaces
        raise BadRow(Fault.NOT_HEX)
    return bits


def _text(given: object) -> str | None:
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool):
        return str(given)
    if not isinstance(given, str):
        raise BadRow(Fault.ID)
    text = given.strip()
    if len(text) > MAX_TEXT or not text.isprintable():
        raise BadRow(Fault.ID)
    return text or None


def _classification(given: object) -> str | None:
    if given is None:
        return None
    try:
        text = _text(given)
    except BadRow:
        raise BadRow(Fault.CLASSIFICATION) from None
    if text is not None and hashlike(text):
        raise BadRow(Fault.CLASSIFICATION)
    return text


def _media(given: object) -> Media | None:
    if given is None or given == "":
        return None
    known = _MEDIA.get(given.strip().lower()) if isinstance(given, str) else None
    if known is None:
        raise BadRow(Fault.MEDIA)
    return known


def _timestamp(given: object) -> float | None:
    if given is None or given == "":
        return None
    if isinstance(given, str):
        if _NUMBER.fullmatch(given.strip()) is None:
            raise BadRow(Fault.TIMESTAMP)
        given = float(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise BadRow(Fault.TIMESTAMP)
    if not 0 <= given <= MAX_TIMESTAMP:
        raise BadRow(Fault.TIMESTAMP)
    return float(given)


def _quality(given: object) -> int | None:
    if given is None or given == "":
        return None
    if isinstance(given, str):
        if _WHOLE.fullmatch(given.strip()) is None:
            raise BadRow(Fault.QUALITY)
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= 100:
        raise BadRow(Fault.QUALITY)
    return given
