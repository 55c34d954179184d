"""Opening a container so that it can reach nothing but the one file it is given.

    with open_container(file, "mov", limits) as container:
        stream = video_stream(container)

The demuxer is named, so nothing is guessed; no protocol is allowed and a nested open is refused, so
external references (MOV data references, playlists) lead nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from os import SEEK_END
from typing import BinaryIO, NoReturn

import av
import av.container
import av.error
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from hashmatch.media import complaints
from hashmatch.media.limits import Limits
from hashmatch.media.probe import VIDEO
from hashmatch.media.ranged import RangedFile
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason

# After so many failing reads without a packet in between nothing more will come.
_DEMUX_ERRORS = 16

_NOT_SHOWN = Disposition.attached_pic | Disposition.timed_thumbnails
# Read ahead: nearly free from a file at hand, and of little use where each part is asked for.
_BUFFER, _BUFFER_RANGED = 256 * 1024, 32 * 1024

_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")


class _Source:
    """What the container sees of the file: no name, no fileno, no close."""

    def __init__(self, file: BinaryIO) -> None:
        file.seek(0)
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("a clip may not open other files")


def open_container(file: BinaryIO, demuxer: str, limits: Limits) -> av.container.InputContainer:
    """Raises Unseeable(DAMAGED) if the demuxer cannot make sense of the file."""
    complaints.listen()
    try:
        return av.open(
            _Source(file),
            mode="r",
            format=demuxer,
            options={"max_pixels": str(limits.max_pixels)},
            container_options={
                "protocol_whitelist": "none",
                "format_whitelist": ",".join(VIDEO),
            },
            metadata_errors="replace",
            buffer_size=_BUFFER_RANGED if isinstance(file, RangedFile) else _BUFFER,
            io_open=_refuse,
        )
    except av.error.MemoryError:
        raise
    except (av.error.FFmpegError, PermissionError) as error:
        raise Unseeable(Reason.DAMAGED, _said(error)) from None


def video_stream(container: av.container.InputContainer, limits: Limits) -> VideoStream:
    """The stream that players show: the default one, else the largest; never cover art.

    Raises Unseeable: NO_VIDEO_STREAM, UNSUPPORTED_CODEC, TOO_MANY_PIXELS.
    """
    streams = [s for s in container.streams.video if not s.disposition & _NOT_SHOWN]
    if not streams:
        raise Unseeable(Reason.NO_VIDEO_STREAM, f"{len(container.streams)} other streams")
    decodable = [s for s in streams if s.codec_context is not None]
    if not decodable:
        raise Unseeable(Reason.UNSUPPORTED_CODEC, "no decoder for it")
    stream = max(decodable, key=_prominence)
    if stream.width * stream.height > limits.max_pixels:
        raise Unseeable(Reason.TOO_MANY_PIXELS, f"{stream.width}x{stream.height}")
    return stream


def _prominence(stream: VideoStream) -> tuple[bool, int, int]:
    return (
        bool(stream.disposition & Disposition.default),
        stream.width * stream.height,
        -stream.index,
    )


class Packets:
    """The packets of some streams. Reading goes on after a bad one, which `damaged` then tells."""

    def __init__(self, container: av.container.InputContainer, streams: tuple[Stream, ...]) -> None:
        self._container = container
        self._streams = streams
        self.damaged = False

    def __iter__(self) -> Iterator[Packet[Stream]]:
        errors = 0
        while errors < _DEMUX_ERRORS:
            try:
                for packet in self._container.demux(*self._streams):
                    errors = 0
                    # PyAV ends with empty packets, one a stream, and counts badly where streams
                    # appeared while it read. Any other empty one would end the decoder's work.
                    if packet.size:
                        yield packet
                    elif packet.pts is None and packet.dts is None:
                        return
            except av.error.MemoryError:
                raise
            except av.error.FFmpegError:
                self.damaged = True
                errors += 1
            else:
                return


def is_cut_off(file: BinaryIO, demuxer: str) -> bool:
    """Whether the file is shorter than its first bytes say. Only AVI's demuxer overlooks that."""
    if demuxer != "avi":
        return False
    file.seek(4)
    claimed = int.from_bytes(file.read(4), "little") + 8
    return file.seek(0, SEEK_END) < claimed


def _said(error: Exception) -> str:
    """The library's own words, without the name and the log line that it adds."""
    return str(getattr(error, "strerror", None) or type(error).__name__)


def stream_duration(stream: VideoStream) -> float | None:
    """Seconds that the container claims for this very stream."""
    if stream.duration is not None and stream.duration > 0 and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Matroska has no duration of a track, but the usual writers tag it: 00:00:04.000000000
    tagged = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if tagged is None:
        return None
    hours, minutes, seconds = tagged.groups()
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds) or None


def file_duration(container: av.container.InputContainer) -> float | None:
    """Seconds that the container claims for the longest of its streams."""
    return container.duration / 1_000_000 if container.duration else None


def end_of(packet: Packet[Stream]) -> float:
    """Seconds from the start of the file to where the packet ends; 0 if it does not say."""
    start = packet.dts if packet.pts is None else packet.pts
    return 0.0 if start is None else float((start + (packet.duration or 0)) * packet.time_base)
