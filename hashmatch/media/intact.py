"""Whether a picture's file is whole, told apart from whether a decoder makes something of it.

    is_whole(file, "PNG")

Decoders show what they can of a damaged picture, and some do not say that it is not what was there:
so a picture is held against its own structure and checksums, and against a second decoder that says
what it does not understand.
"""

from __future__ import annotations

from os import SEEK_END
from typing import BinaryIO

import av
import av.error
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from hashmatch.media import complaints
from hashmatch.media.structure import boxes, gif, jpeg, png, riff
from hashmatch.media.structure.window import read_at


def is_whole(file: BinaryIO, format: str) -> bool:
    """format: Pillow's name of it, of `probe.STILL`. Leaves the file's position anywhere."""
    size = file.seek(0, SEEK_END)
    match format:
        case "PNG":
            chunks = png.look(file, 0, size)
            told = chunks.whole and chunks.claimed in (0, chunks.frames)
            return told and _understood(read_at(file, 0, size), "png")
        case "GIF":
            return gif.look(file, 0, size).whole
        case "JPEG":
            end, whole = jpeg.extent(file, 0, size)
            return whole and _understood(read_at(file, 0, end), "mjpeg")
        case "WEBP":
            return riff.extent(file, 0, size)[1]
    return boxes.walk(file, 0, size).whole


def _understood(picture: bytes, decoder: str) -> bool:
    """Whether FFmpeg's decoder has nothing to say of it; a kind that it lacks tells nothing."""
    context = CodecContext.create(decoder, "r")
    assert isinstance(context, VideoCodecContext)
    context.thread_count = 1
    with complaints.warnings():
        before = complaints.heard()
        try:
            frames = context.decode(Packet(picture)) + context.decode(None)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            return isinstance(error, av.error.PatchWelcomeError | av.error.NotImplementedError)
        complained = complaints.heard() - before
    return not complained[decoder] and not any(frame.is_corrupt for frame in frames)
