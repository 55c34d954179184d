"""What a file shows: its pictures, and each of the video streams that a player might choose.

    openers, incomplete = shown(file, Sampling.REFERENCE, limits)

Which of several streams is played differs from player to player, so all are looked at. A demuxer
learns the streams from a file's first seconds; those that begin later are found by the file's own
structure, and are read from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from os import SEEK_END
from typing import BinaryIO, NamedTuple

from hashmatch.media import complaints
from hashmatch.media.clip import Opener, open_all
from hashmatch.media.container import (
    Opened,
    attached_picture,
    is_attached,
    number_of,
    open_container,
)
from hashmatch.media.limits import Limits
from hashmatch.media.probe import HEAD, Format, Kind, is_avif
from hashmatch.media.ranged import RangedFile
from hashmatch.media.reader import Reader
from hashmatch.media.sections import sections
from hashmatch.media.still import StillReader
from hashmatch.media.structure import boxes, flv, mpegts
from hashmatch.media.structure.window import Window, read_at
from hashmatch.media.unseeable import Unseeable
from hashmatch.media.video import VideoReader
from hashmatch.model import Reason, Sampling

# More than any player offers. What is beyond is told.
MOST_SHOWN = 64


class Shown(NamedTuple):
    """incomplete: there is more that no opener is for."""

    openers: list[Opener]
    incomplete: bool


class _Track(NamedTuple):
    """One video stream. number: as `container.number_of` counts, None for the first there is; sure:
    the file's own structure says that it has pictures.
    """

    file: BinaryIO
    number: int | None
    sure: bool = False


def shown(file: BinaryIO, sampling: Sampling, limits: Limits) -> Shown:
    """Everything that the file shows, in the order in which it stands there.

    Raises Unseeable if there is nothing at all, as `probe.sniff` does.
    """
    found = sections(file)
    size = file.seek(0, SEEK_END)
    openers: list[Opener] = []
    incomplete = found.unknown
    refused: Unseeable | None = None
    for format, start, end in found.found:
        part = file if (start, end) == (0, size) else Window(file, start, end)
        try:
            those, more = _of_section(part, format, sampling, limits)
        except Unseeable as unseeable:
            refused = refused or unseeable
            incomplete = True
            continue
        openers += those
        incomplete |= more
    if not openers:
        raise refused or Unseeable(Reason.NO_VIDEO_STREAM, "no stream with pictures")
    return Shown(openers[:MOST_SHOWN], incomplete or len(openers) > MOST_SHOWN)


def only_stream(file: RangedFile, sampling: Sampling, limits: Limits) -> Reader:
    """The one video stream of a movie that is not all at hand. Raises Unseeable for any other."""
    heard = complaints.heard()
    container = open_container(file, "mov", limits)
    if len(container.streams.video) != 1:
        container.close()
        raise Unseeable(Reason.DAMAGED, "several streams with pictures, or none")
    return VideoReader(file, "mov", sampling, limits, opened=Opened(container, heard))


def _of_section(
    file: BinaryIO, format: Format, sampling: Sampling, limits: Limits
) -> tuple[list[Opener], bool]:
    """What one section shows, and whether there is more. Raises Unseeable if it cannot be opened."""
    if format.name in ("AVIF", "mov"):
        return _of_boxes(file, sampling, limits)
    if format.kind is Kind.STILL:
        return [partial(StillReader, file, format.name)], False
    return _of_container(file, format.name, sampling, limits), False


def _of_boxes(file: BinaryIO, sampling: Sampling, limits: Limits) -> tuple[list[Opener], bool]:
    """What a file of boxes shows: its picture, its movie, or both, as one player or another has it."""
    openers: list[Opener] = []
    head = read_at(file, 0, HEAD)
    if is_avif(head):
        picture = file
        if head[8:12] not in (b"avif", b"avis"):  # Pillow goes by the first brand, browsers by any
            picture = Window(file, 12, file.seek(0, SEEK_END), head[:8] + b"avif")
        openers.append(partial(StillReader, picture, "AVIF"))
        # The image sequence is a movie as well, and need not show what the picture does.
        if not boxes.has_movie(file):
            return openers, False
    openers += _of_container(file, "mov", sampling, limits)
    return openers, boxes.several_codecs(file)


def _of_container(file: BinaryIO, demuxer: str, sampling: Sampling, limits: Limits) -> list[Opener]:
    """The video streams of a container, and the pictures attached to it."""
    heard = complaints.heard()
    container = open_container(file, demuxer, limits)
    opened: Opened | None = Opened(container, heard)
    pictures = [s.index for s in container.streams.video if is_attached(s)]
    numbers = [number_of(s, demuxer) for s in container.streams.video if not is_attached(s)]
    openers: list[Opener] = []
    for track in _tracks(file, demuxer, numbers):
        ours = opened if track.file is file else None
        openers.append(partial(_video, track, demuxer, sampling, opened=ours))
        if ours is not None:
            opened = None
    openers += [partial(_attached, file, demuxer, index, sampling) for index in pictures]
    if opened is not None:
        container.close()
    return openers


def _tracks(file: BinaryIO, demuxer: str, numbers: list[int]) -> Iterator[_Track]:
    """The video streams of a section. numbers: those of which its demuxer knew at its start."""
    size = file.seek(0, SEEK_END)
    if demuxer == "flv":
        codecs = flv.walk(file, 0, size).codecs
        if len(codecs) > 1 or (codecs and not numbers):
            ends = [start for start, _ in codecs[1:]] + [size]
            for (start, _), end in zip(codecs, ends, strict=True):
                yield _Track(Window(file, start, end, flv.HEADER), None, sure=True)
            return
    stretches = mpegts.videos(file, 0, size) if demuxer == "mpegts" else []
    within = [video.pid for video in stretches]
    for number in numbers:
        if within.count(number) < 2:
            yield _Track(file, number, sure=number in within)
    for position, video in enumerate(stretches):
        if video.pid not in numbers or within.count(video.pid) > 1:
            following = (
                later.start for later in stretches[position + 1 :] if later.pid == video.pid
            )
            part = Window(file, video.start, next(following, size))
            yield _Track(part, video.pid, sure=True)


def _video(
    track: _Track,
    demuxer: str,
    sampling: Sampling,
    limits: Limits,
    opened: Opened | None,
) -> Reader:
    try:
        return VideoReader(
            track.file, demuxer, sampling, limits, number=track.number, opened=opened
        )
    except Unseeable as unseeable:
        if track.sure and unseeable.reason is Reason.NO_VIDEO_STREAM:
            raise Unseeable(Reason.DAMAGED, "pictures that its demuxer does not find") from None
        raise


def _attached(
    file: BinaryIO, demuxer: str, index: int, sampling: Sampling, limits: Limits
) -> Reader:
    """A picture beside the video: cover art, an attachment."""
    with open_container(file, demuxer, limits) as container:
        picture = BytesIO(attached_picture(container, index))
    found = sections(picture)
    if found.found[0].format.kind is not Kind.STILL:
        raise Unseeable(Reason.UNSUPPORTED_CODEC, "an attached picture that is none")
    openers = [partial(StillReader, picture, found.found[0].format.name)]
    incomplete = found.unknown or len(found.found) > 1
    return open_all(openers, limits, incomplete=incomplete)
