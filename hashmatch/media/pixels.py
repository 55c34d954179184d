"""Luma and orientation of a decoded frame, straight from the decoder's memory.

The Y plane is used as it is, without a conversion to RGB and back: an affine change of luma does
not move the bits of a perceptual hash, and the conversion would cost more than the hash.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_EIGHT_BITS = re.compile(r"gray|nv(12|21|16|24|42)|yuv[aj]?4\d\dp")
_MORE_BITS = re.compile(r"(?:yuva?4\d\dp|gray)(9|10|12|14|16)(le|be)")
_HIGH_BITS = re.compile(r"p[024]1[026](le|be)")  # 10 and 12 bits in the upper end of 16

Sample = TypeVar("Sample", np.uint8, np.uint16)

_JPEG_RANGE = 2  # AVCOL_RANGE_JPEG


class Luma(NamedTuple):
    """plane: (height, width) uint8, not turned yet."""

    plane: NDArray[np.uint8]
    full_range: bool


class Turn(NamedTuple):
    """How a picture is to be shown: swap rows and columns first, then flip."""

    swap: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """picture: (height, width) or (height, width, channels)."""
        if self == Turn():
            return picture
        if self.swap:
            picture = picture.swapaxes(0, 1)
        if self.flip_rows:
            picture = picture[::-1]
        if self.flip_columns:
            picture = picture[:, ::-1]
        return np.ascontiguousarray(picture)


def luma(frame: VideoFrame) -> Luma:
    """The luma of `frame` at 8 bits.

    Deeper samples lose their lower bits by a shift: rounding would move every sample by the same
    half step, which no hash notices, and cost a second pass. RGB and everything rare is converted
    by FFmpeg to full-range luma with BT.601 weights, as PDQ takes them.
    """
    name = frame.format.name
    full = frame.color_range == _JPEG_RANGE or name.startswith(("yuvj", "gray"))
    if _EIGHT_BITS.fullmatch(name):
        return Luma(_plane(frame, np.dtype(np.uint8)), full)
    if deep := _MORE_BITS.fullmatch(name):
        return Luma(_shifted(frame, deep[2], int(deep[1]) - 8), full)
    if deep := _HIGH_BITS.fullmatch(name):
        return Luma(_shifted(frame, deep[1], 8), full)
    # Alone: FFmpeg's scaler spoils the rows where the work of its threads meets (seen in 8.0).
    grey = frame.reformat(format="gray", dst_colorspace="ITU601", dst_color_range="JPEG", threads=1)
    return Luma(_plane(grey, np.dtype(np.uint8)), True)


class Turns:
    """The turn of each frame of a stream, looked up again only where its angle is another.

    PyAV ties a frame whose side data was read into a cycle that only the collector frees: the
    decoder then gets fresh memory for every frame, which costs a quarter of the decoding.
    """

    def __init__(self) -> None:
        self._angle: int | None = None
        self._turn = Turn()

    def of(self, frame: VideoFrame) -> Turn:
        if frame.rotation != self._angle:
            self._angle, self._turn = frame.rotation, turn(frame)
        return self._turn


def turn(frame: VideoFrame) -> Turn:
    """What the frame's display matrix asks for, to the nearest quarter turn or mirror.

    The matrix [a b u; c d v; x y w] takes a pixel (p, q) to (a*p + c*q, b*p + d*q).
    Source: ISO/IEC 14496-12, 6.2.2; FFmpeg, libavutil/display.h.
    """
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        # A side data type that PyAV has no name for hides the others; the angle can still be had.
        angle = math.radians(frame.rotation)
        return _nearest(math.cos(angle), -math.sin(angle), math.sin(angle), math.cos(angle))
    if matrix is None:
        return Turn()
    a, b, _, c, d = _bytes_of(matrix).view(np.int32)[:5].tolist()
    return _nearest(a, b, c, d)


def _nearest(a: float, b: float, c: float, d: float) -> Turn:
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Turn(swap=True, flip_rows=b < 0, flip_columns=c < 0)
    return Turn(swap=False, flip_rows=d < 0, flip_columns=a < 0)


def _bytes_of(memory: object) -> NDArray[np.uint8]:
    """PyAV's planes and side data give their memory to who asks, which their types do not say."""
    return np.frombuffer(cast("memoryview[int]", memory), np.uint8)


def _plane(frame: VideoFrame, sample: np.dtype[Sample]) -> NDArray[Sample]:
    """The first plane without its padding. A negative line size means that it is stored upwards."""
    plane = frame.planes[0]
    stride = abs(plane.line_size)
    rows = _bytes_of(plane).reshape(plane.height, stride)
    if plane.line_size < 0:
        rows = rows[::-1]
    return rows[:, : plane.width * sample.itemsize].view(sample)


def _shifted(frame: VideoFrame, order: str, shift: int) -> NDArray[np.uint8]:
    kind: np.dtype[np.uint16] = np.dtype("<u2" if order == "le" else ">u2")
    samples = _plane(frame, kind)
    return (samples >> shift).astype(np.uint8)
