"""The nouns: what a clip is, what is remembered of it, and what can be said of it.

Frozen dataclasses without any input or output. Times are aware datetimes in UTC, times within a clip
are seconds of presentation time, hashes are packed big-endian bits (`pdq`: 32 bytes a row).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# What JSON can hold.
Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"


class Outcome(StrEnum):
    """What a scan says of one clip. Every clip that a run lists ends it with exactly one."""

    MATCHED = "matched"
    REVIEW = "review"
    CLEAN = "clean"
    PARTIAL = "partial"
    UNSCANNABLE = "unscannable"


class Action(StrEnum):
    """What a match on a list may do."""

    QUARANTINE = "quarantine"
    REVIEW = "review"
    LOG = "log"


class Algorithm(StrEnum):
    """A hash that a list may hold."""

    PDQ = "pdq"
    PHASH = "phash"
    DHASH = "dhash"
    WHASH = "whash"
    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"

    @property
    def bits(self) -> int:
        return {"pdq": 256, "md5": 128, "sha1": 160, "sha256": 256}.get(self.value, 64)

    @property
    def perceptual(self) -> bool:
        """Compared by distance, frame by frame; the others are digests of a whole file."""
        return self in (Algorithm.PDQ, Algorithm.PHASH, Algorithm.DHASH, Algorithm.WHASH)


class Media(StrEnum):
    """What an entry of a list describes."""

    IMAGE = "image"
    VIDEO = "video"
    FILE = "file"


class Variant(StrEnum):
    """What of a picture is hashed: turned or mirrored in one of the eight ways there are, whole or
    without the bars around it (inner). Rotations are counter-clockwise, a flip is upside down,
    transpose and transverse mirror at the falling and at the rising diagonal.
    """

    ORIGINAL = "original"
    MIRROR = "mirror"
    ROTATE_90 = "rotate-90"
    ROTATE_180 = "rotate-180"
    ROTATE_270 = "rotate-270"
    FLIP = "flip"
    TRANSPOSE = "transpose"
    TRANSVERSE = "transverse"
    INNER = "inner"
    INNER_MIRROR = "inner-mirror"
    INNER_ROTATE_90 = "inner-rotate-90"
    INNER_ROTATE_180 = "inner-rotate-180"
    INNER_ROTATE_270 = "inner-rotate-270"
    INNER_FLIP = "inner-flip"
    INNER_TRANSPOSE = "inner-transpose"
    INNER_TRANSVERSE = "inner-transverse"

    @property
    def inner(self) -> bool:
        return self.startswith("inner")

    @property
    def turned(self) -> bool:
        """One of the six beyond the picture and its mirror image: hashed where a list asks."""
        return self.removeprefix("inner-") not in ("original", "mirror", "inner")


class Orientations(StrEnum):
    """In which orientations clips are compared with a list: as they are and mirrored, or in all
    eight that turning and mirroring give.
    """

    MIRRORED = "mirrored"
    ALL = "all"

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What is hashed of a picture, in the order of `Variant`: all of outer, then all of inner."""
        return tuple(v for v in Variant if self is Orientations.ALL or not v.turned)

    @property
    def outer(self) -> tuple[Variant, ...]:
        return tuple(v for v in self.variants if not v.inner)

    @property
    def inner(self) -> tuple[Variant, ...]:
        return tuple(v for v in self.variants if v.inner)


class Sampling(StrEnum):
    """Which frames of a video are looked at."""

    KEYFRAMES = "keyframes"
    REFERENCE = "reference"
    EVERY = "every"


class Reason(StrEnum):
    """Why a clip could not be seen, or not in full. The text tells an operator what to do."""

    EMPTY_FILE = "empty-file"
    NOT_MEDIA = "not-media"
    PLAYLIST = "playlist"
    DAMAGED = "damaged"
    NO_VIDEO_STREAM = "no-video-stream"
    UNSUPPORTED_CODEC = "unsupported-codec"
    TOO_MANY_PIXELS = "too-many-pixels"
    TOO_LARGE = "too-large"
    NO_USABLE_FRAMES = "no-usable-frames"
    TRUNCATED = "truncated"
    UNKNOWN_PARTS = "unknown-parts"
    TIME_LIMIT = "time-limit"
    DECODER_CRASHED = "decoder-crashed"
    DECODER_HUNG = "decoder-hung"
    MEMORY_LIMIT = "memory-limit"
    WORKER_DIED = "worker-died"
    VANISHED = "vanished"
    CHANGED = "changed-while-read"
    STORAGE_DENIED = "storage-denied"
    STORAGE_ERROR = "storage-error"
    SPOOL_FULL = "spool-full"
    ARCHIVED = "archived"
    OTHER_RECIPE = "other-recipe"

    @property
    def text(self) -> str:
        return _REASONS[self][0]

    @property
    def retryable(self) -> bool:
        """A later look at the same bytes may end better."""
        return _REASONS[self][1]


_REASONS: Mapping[Reason, tuple[str, bool]] = {
    Reason.EMPTY_FILE: ("the file is empty", False),
    Reason.NOT_MEDIA: ("not a media format that clips may have", False),
    Reason.PLAYLIST: ("a playlist that names other files or hosts, not a clip", False),
    Reason.DAMAGED: ("the container cannot be read; look at how the clip was written", False),
    Reason.NO_VIDEO_STREAM: ("there is no video in it", False),
    Reason.UNSUPPORTED_CODEC: ("the video's codec cannot be decoded here", False),
    Reason.TOO_MANY_PIXELS: ("a frame is larger than decode.max_pixels", False),
    Reason.TOO_LARGE: ("the file is larger than clips.max_bytes", False),
    Reason.NO_USABLE_FRAMES: ("no usable frames: all are black, flat or too small to hash", False),
    Reason.TRUNCATED: ("the stream breaks off or is damaged before its end", False),
    Reason.UNKNOWN_PARTS: (
        "not all parts of the file can be looked at: some are damaged, unknown, or too many",
        False,
    ),
    Reason.TIME_LIMIT: ("decoding reached decode.max_seconds; raise it to see the rest", False),
    Reason.DECODER_CRASHED: ("the decoder crashed on it", True),
    Reason.DECODER_HUNG: ("the decoder stopped answering and was ended", True),
    Reason.MEMORY_LIMIT: ("decoding needs more than decode.max_memory", True),
    Reason.WORKER_DIED: ("the worker that looked at it died", True),
    Reason.VANISHED: ("it was gone from storage when it was to be read", True),
    Reason.CHANGED: ("it changed while it was being read", True),
    Reason.STORAGE_DENIED: ("storage refused to give it; check the scanner's permissions", True),
    Reason.ARCHIVED: ("it is in an archive tier of storage; restore it there", True),
    Reason.STORAGE_ERROR: ("storage failed while it was being read", True),
    Reason.SPOOL_FULL: ("this host's disk of run.state has no room for it; free some space", True),
    Reason.OTHER_RECIPE: ("what is stored of it lacks hashes that a list needs; scan it", True),
}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the platform's feed says of a clip."""

    id: str | None = None
    created: datetime | None = None
    channel: str | None = None
    visibility: str | None = None
    views: int | None = None


@dataclass(frozen=True, slots=True)
class Rendition:
    """One of the heights, in pixels, at which storage holds one clip. of: what its keys share."""

    of: str
    height: int


@dataclass(frozen=True, slots=True)
class Clip:
    """One media object in clip storage, as it was listed. rendition: None if it stands alone."""

    key: str
    etag: str
    size: int
    modified: datetime
    metadata: Metadata = Metadata()
    rendition: Rendition | None = None


@dataclass(frozen=True, slots=True)
class Digests:
    """Digests of a whole file, lower-case hex."""

    md5: str
    sha1: str
    sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class FrameHashes:
    """The frame hashes of one clip by one recipe: n rows, ordered by time.

    t: (n,) float64, seconds; quality: (n,) uint8, 0..100; bits: (n, variants, bytes) uint8;
    variants: what the second axis of bits is, in the order of `Variant`.
    """

    recipe: str
    algorithm: Algorithm
    t: NDArray[np.float64]
    quality: NDArray[np.uint8]
    bits: NDArray[np.uint8]
    variants: tuple[Variant, ...]

    def __len__(self) -> int:
        return len(self.t)


@dataclass(frozen=True, slots=True, eq=False)
class Fingerprint:
    """All that a clip is remembered by.

    digests: None where the file was not read whole; duration: seconds that the container claims, None
    where it says nothing; seen: seconds that were decoded; sampling: the way that was really taken;
    trouble: why seeing ended early, if it did; bytes_read: from storage, None where nobody counted.
    """

    digests: Digests | None
    size: int
    duration: float | None = None
    seen: float = 0.0
    sampling: Sampling | None = None
    frames: tuple[FrameHashes, ...] = ()
    trouble: Reason | None = None
    bytes_read: int | None = None

    @property
    def coverage(self) -> float:
        """Decoded over probed seconds, 0..1. Without a probed duration: 1 if the stream ended well.

        0 where a container claims a duration that is no number.
        """
        if not math.isfinite(self.seen):
            return 0.0
        if self.duration is None or self.duration <= 0:
            return 1.0 if self.seen > 0 and self.trouble is None else 0.0
        share = self.seen / self.duration
        return min(1.0, share) if share > 0 else 0.0


class MatchKind(StrEnum):
    FILE = "file"
    FRAMES = "frames"
    SEQUENCE = "sequence"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a clip that agrees with a stretch of a listed video, in seconds of each.

    speed: seconds of the clip for a second of the listed video, 0.8 to 1.25.
    """

    start: float
    end: float
    listed_start: float
    listed_end: float
    speed: float


@dataclass(frozen=True, slots=True)
class Match:
    """One clip on one entry of one list. Carries no hash.

    distance: the nearest hit's, in bits (0 for a digest); start, end: seconds in the clip; frames:
    how many distinct frames are within the list's distance (none, where only the agreement of many
    that are further away speaks for it).

    Of a listed video also: listed: how many of its frames were compared; found: how many of those
    have a frame of the clip within the list's distance, or are in a stretch; shows: how many
    different pictures they are worth; covered: share of those that is within the distance, 0..1;
    brief: so few or so close together that they are a few images; moves: enough does that their order
    can tell a copy from the same room;
    pictures: how many the first stretch is worth; typical: median bits of its pairs; copy: decades of
    evidence that it is a copy, and no other moment of the same room; stretches: the first has the
    most evidence.
    """

    list: str
    version: int
    entry: str
    kind: MatchKind
    action: Action
    distance: int
    start: float
    end: float
    frames: int
    variant: Variant = Variant.ORIGINAL
    algorithm: Algorithm = Algorithm.PDQ
    classification: str | None = None
    listed: int = 0
    found: int = 0
    shows: int = 0
    covered: float = 0.0
    brief: bool = False
    moves: bool = False
    pictures: int = 0
    typical: int | None = None
    copy: float | None = None
    stretches: tuple[Stretch, ...] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """One clip's outcome, why, and on what evidence.

    rejected: (list, entry) of what was found too, and a person had said is wrong.
    """

    outcome: Outcome
    reason: Reason | None
    coverage: float
    matches: tuple[Match, ...] = ()
    notes: tuple[str, ...] = field(default=())
    rejected: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class EntryHash:
    """One hash of one entry, as a list gives it. timestamp: seconds in the listed video."""

    algorithm: Algorithm
    bits: bytes
    timestamp: float | None = None
    quality: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One record of a list version: an image, a whole file, or a video of timed frame hashes."""

    id: str
    media: Media
    hashes: tuple[EntryHash, ...]
    classification: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
