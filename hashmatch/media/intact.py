"""Whether a picture's file is whole, told apart from whether a decoder makes something of it.

    is_whole(file, "PNG", max_pixels=8192 * 8192)

Decoders show what they can of a damaged picture, and some do not say that it is not what was there:
so a picture is held against its own structure and checksums, and against other decoders that say
what they do not understand. Of a JPEG's coded data libjpeg tells where they end too early or too
late, which FFmpeg's decoder does not, and Pillow, which decodes with libjpeg, keeps to itself.
"""

from __future__ import annotations

import re
from os import SEEK_END
from typing import BinaryIO

import av
import av.error
import simplejpeg
from av.codec.context import CodecContext
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext

from hashmatch.media import complaints
from hashmatch.media.structure import boxes, gif, jpeg, png, riff
from hashmatch.media.structure.window import read_at

# What libjpeg says of coded data, and not of a version or a table that it does not know.
_LOST = re.compile(r"Corrupt JPEG data: (?!bad ICC)|Premature end of JPEG file")
_END_OF_JPEG = b"\xff\xd9"
# Zeros before that mark fill up what some cameras write; so many are part of the coded data.
_MOST_ZEROS = 2


def is_whole(file: BinaryIO, format: str, max_pixels: int) -> bool:
    """format: Pillow's name of it, of `probe.STILL`. Leaves the file's position anywhere.

    max_pixels: a JPEG of more is refused by who reads it, and not decoded by libjpeg here.
    """
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
            picture = read_at(file, 0, end)
            return whole and _understood(picture, "mjpeg") and _all_coded(picture, max_pixels)
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


def _all_coded(picture: bytes, max_pixels: int) -> bool:
    """Whether libjpeg finds a JPEG's coded data to be as many as its picture takes.

    picture: with the mark of its end. A kind that the library does not know tells nothing. It decodes
    all data and makes a small picture of them, which is quickest. Of several complaints it gives the
    first.
    """
    coded = picture.removesuffix(_END_OF_JPEG)
    zeros = len(coded) - len(coded.rstrip(b"\0"))
    coded = coded[: len(coded) - max(0, zeros - _MOST_ZEROS)] + _END_OF_JPEG
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(coded)
        if height * width <= max_pixels:
            simplejpeg.decode_jpeg(coded, "GRAY", min_height=1, min_width=1)
    except ValueError as error:
        return _LOST.match(str(error)) is None
    return True
