"""Whether a picture's file is whole, told apart from whether a decoder makes something of it.

    is_whole(file, "PNG")

Decoders show what they can of a damaged picture, and some do not say that it is not what was there:
so a picture is held against its own structure and checksums, and a JPEG, which has none, against a
second decoder that says what it does not understand.
"""

from __future__ import annotations

from os import SEEK_END
from typing import BinaryIO

import av
import av.error
from av.codec.context import CodecContext
from av.packet import Packet

from hashmatch.media import complaints
from hashmatch.media.structure import boxes, gif, jpeg, png, riff
from hashmatch.media.structure.window import read_at


def is_whole(file: BinaryIO, format: str) -> bool:
    """format: Pillow's name of it, of `probe.STILL`. Leaves the file's position anywhere."""
    size = file.seek(0, SEEK_END)
    match format:
        case "PNG":
            chunks = png.look(file, 0, size)
            return chunks.whole and chunks.claimed in (0, chunks.frames)
        case "GIF":
            return gif.look(file, 0, size).whole
        case "JPEG":
            end, whole = jpeg.extent(file, 0, size)
            return whole and _understood(read_at(file, 0, end))
        case "WEBP":
            return riff.extent(file, 0, size)[1]
    return boxes.walk(file, 0, size).whole


def _understood(picture: bytes) -> bool:
    """Whether FFmpeg's decoder has nothing to say of a JPEG; one of a kind it lacks tells nothing."""
    complaints.listen()
    before = complaints.heard()
    context = CodecContext.create("mjpeg", "r")
    context.thread_count = 1
    try:
        frames = context.decode(Packet(picture)) + context.decode(None)
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        return isinstance(error, av.error.PatchWelcomeError | av.error.NotImplementedError)
    complained = complaints.heard() - before
    return not complained["mjpeg"] and not any(frame.is_corrupt for frame in frames)
