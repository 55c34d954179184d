"""Opening a container so that it can reach nothing but the one file it is given.

    with open_container(file, "mov", limits) as container:
        stream = video_stream(container)

The demuxer is named, so nothing is guessed; no protocol is allowed and a nested open is refused, so
external references (MOV data references, playlists) lead nowhere.
"""

from __future__ import annotations

import errno
import re
from collections import Counter
from collections.abc import Iterator
from os import SEEK_END, SEEK_SET
from typing import BinaryIO, NamedTuple, NoReturn

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
from hashmatch.media.structure.window import Window
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason

# After so many failing reads without a packet in between nothing more will come.
_DEMUX_ERRORS = 16

# Read ahead: nearly free from a file at hand, and of little use where each part is asked for.
_BUFFER, _BUFFER_RANGED = 256 * 1024, 32 * 1024

# Edit lists hide samples that other players show: all of them are looked at.
_OPTIONS = {"mov": {"ignore_editlist": "1"}}

_CLOCK = re.compile(r"(\d{1,4}):(\d\d):(\d\d(?:\.\d+)?)")


class Opened(NamedTuple):
    """A container, and what had been complained of before it was opened."""

    container: av.container.InputContainer
    heard: Counter[str]


class _Source:
    """What the container sees of the file: no name, no fileno, no close, and a place of its own."""

    def __init__(self, file: BinaryIO) -> None:
        window = Window(file, 0, file.seek(0, SEEK_END))
        self._window = window
        self.read = window.read
        self.tell = window.tell

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        """An exception would come out of the library as if the disk, or this program, were at fault."""
        try:
            return self._window.seek(offset, whence)
        except (ValueError, KeyError):  # before the start, or what is no place
            return -errno.EINVAL


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
                **_OPTIONS.get(demuxer, {}),
            },
            metadata_errors="replace",
            buffer_size=_BUFFER_RANGED if isinstance(file, RangedFile) else _BUFFER,
            io_open=_refuse,
        )
    except av.error.MemoryError:
        raise
    except (av.error.FFmpegError, PermissionError) as error:
        raise Unseeable(Reason.DAMAGED, _said(error)) from None


def is_attached(stream: VideoStream) -> bool:
    """A picture beside the video, which is no stream of its own: cover art, an attachment."""
    return bool(stream.disposition & Disposition.attached_pic)


def number_of(stream: VideoStream, demuxer: str) -> int:
    """What a stream is called in all of its file: its PID in a transport stream, else its place."""
    return int(stream.id if demuxer == "mpegts" else stream.index)


def video_stream(
    container: av.container.InputContainer, demuxer: str, number: int | None, limits: Limits
) -> VideoStream:
    """The video stream of that number; None: the first that there is.

    Raises Unseeable: NO_VIDEO_STREAM, UNSUPPORTED_CODEC, TOO_MANY_PIXELS.
    """
    streams = [stream for stream in container.streams.video if not is_attached(stream)]
    if not streams:
        raise Unseeable(Reason.NO_VIDEO_STREAM, f"{len(container.streams)} other streams")
    if number is not None:
        streams = [stream for stream in streams if number_of(stream, demuxer) == number]
    if not streams or streams[0].codec_context is None:
        raise Unseeable(Reason.UNSUPPORTED_CODEC, "no decoder for it")
    stream = streams[0]
    if stream.width * stream.height > limits.max_pixels:
        raise Unseeable(Reason.TOO_MANY_PIXELS, f"{stream.width}x{stream.height}")
    return stream


def attached_picture(container: av.container.InputContainer, index: int) -> bytes:
    """The file of a picture beside the video. Raises Unseeable(DAMAGED) if it is not there."""
    stream = container.streams[index]
    packet = next(iter(Packets(container, (stream,))), None)
    if packet is None or packet.stream_index != index:
        raise Unseeable(Reason.DAMAGED, "an attached picture without bytes")
    return bytes(packet)


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


def stream_duration(container: av.container.InputContainer, stream: VideoStream) -> float | None:
    """Seconds that the container claims for this very stream."""
    if stream.duration is not None and stream.duration > 0 and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Matroska has no duration of a track, but the usual writers tag it: 00:00:04.000000000. Tags are
    # copied from file to file: one that names more than the container does is another file's.
    tagged = _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))
    if tagged is None:
        return None
    hours, minutes, rest = tagged.groups()
    seconds = int(hours) * 3600 + int(minutes) * 60 + float(rest)
    whole = file_duration(container)
    return seconds if whole is not None and 0 < seconds <= whole else None


def file_duration(container: av.container.InputContainer) -> float | None:
    """Seconds that the container claims for the longest of its streams."""
    return container.duration / 1_000_000 if container.duration else None


def end_of(packet: Packet[Stream]) -> float:
    """Seconds from the start of the file to where the packet ends; 0 if it does not say."""
    start = packet.dts if packet.pts is None else packet.pts
    return 0.0 if start is None else float((start + (packet.duration or 0)) * packet.time_base)
