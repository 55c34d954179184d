"""PDQ, the perceptual hash of partners' lists: a picture in, 256 bits a variant and a quality out.

    hashed = pdq(frame.luma, full_range=frame.full_range)
    if hashed.quality >= 50:
        hashed.bits[0].tobytes().hex()      # the usual PDQ hex string

How it is fast: the filter and the decimation of the reference are one linear map (`jarosz`),
applied to the luma plane as the decoder gives it.

How exact it is: `pdq_rgb` has every bit of the reference. Where two cosine terms in the middle are
nearer to each other than the rounding of its running sums, the picture is filtered once more as
the reference does it (`reference`). `pdq` leaves that out: one frame in a thousand differs from
the reference on the same luma by two bits, and flat pictures and plain stripes, where all terms
are zero in theory, by any number. What FFmpeg rounds between luma and RGB moves more.
"""

from __future__ import annotations

import threading
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashmatch.errors import FrameTooSmall
from hashmatch.hashing.jarosz import SIDE, decimation
from hashmatch.hashing.kernels import (
    COSINES,
    bits_of,
    flat,
    luma_of,
    quality_of,
    shrink_columns,
    shrink_rows,
)
from hashmatch.hashing.reference import filtered
from hashmatch.model import Orientations

__all__ = ["ORIENTATIONS", "FrameTooSmall", "PdqHash", "pdq", "pdq_rgb", "turned", "warm"]

# The order of the rows of bits. Rotations are counter-clockwise, as those of `np.rot90`; transverse
# is the transpose over the other diagonal.
ORIENTATIONS = Orientations.ALL.outer
# Those in which rows and columns change places: the same sums, but in another order.
_QUARTER_TURNS = (2, 4, 6, 7)
# Terms of the linear path were within 0.003 of the reference's for pictures like those of a camera
# and within 0.02 for tiled patterns, where rounding repeats itself and adds up (1,300 pictures). Two
# terms can change places where they are nearer than twice that. Measured, not proved: with it, every
# bit of 10,200 pictures of up to 4096 a side is the reference's.
_DOUBT = 1 / 16
# The same for two orders of the linear path's own sums, which differ by 0.0002.
_TIE = 1 / 256

Sample = TypeVar("Sample", bound=np.generic)

_FULL = np.float32(1)
_LIMITED = np.float32(255 / 219)  # black is 16, white is 235


class _Room(threading.local):
    """What the kernels write on their way, kept: fresh pages cost twice as much as the hash."""

    def __init__(self) -> None:
        self.floats = np.empty(0, np.float32)

    def of(self, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Arrays of (64, width or more) and (width, 64), valid until the thread's next call.

        The rows of the first are an odd number of cache lines long: of a width like 2048 they would
        share the few places in the cache that a transposition has for them.
        """
        padded = width // 32 * 32 + 48
        if len(self.floats) < SIDE * (padded + width):
            self.floats = np.empty(SIDE * (padded + width), np.float32)
        first, second = np.split(self.floats[: SIDE * (padded + width)], [SIDE * padded])
        return first.reshape(SIDE, padded), second.reshape(width, SIDE)


_room = _Room()


class PdqHash(NamedTuple):
    """bits: (2 or 8, 32) uint8, a row for each of `ORIENTATIONS`; quality: 0..100, of the original.

    A row of bits is `bytes.fromhex` of the usual PDQ hex string.
    """

    bits: NDArray[np.uint8]
    quality: int


def pdq(
    luma: NDArray[np.uint8], *, full_range: bool = True, orientations: Literal[2, 8] = 2
) -> PdqHash:
    """PDQ hash and quality of one picture, and the hashes of it mirrored and turned.

    luma: (height, width), any size from 64 a side. Rows may be apart (a decoder's line stride);
    such a picture is not copied. full_range: black is 0 and white 255; if not, 16 and 235, which
    changes no bit (the map between the two is affine) but the quality. orientations: how many of
    `ORIENTATIONS`, from the first on.
    Each row of bits is that of `pdq` of the turned picture.
    Raises FrameTooSmall below 64 pixels a side.
    Source: Meta, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019.
    """
    if luma.ndim != 2 or luma.dtype != np.uint8:
        raise ValueError(f"luma is uint8 (height, width), not {luma.dtype} {luma.shape}")
    _check_size(luma)
    height, width = luma.shape
    contrast = _FULL if full_range else _LIMITED
    hashed, gaps = _hash(*flat(luma), height, width, contrast, orientations)
    for i in _QUARTER_TURNS if orientations == 8 else ():
        if gaps[i] <= _TIE:
            hashed.bits[i] = pdq(turned(luma, ORIENTATIONS[i])).bits[0]
    return hashed


def pdq_rgb(rgb: NDArray[np.uint8]) -> PdqHash:
    """PDQ of an RGB picture (height, width, 3), as `pdqhash.compute(rgb)` computes it.

    Luma is 0.299 R + 0.587 G + 0.114 B, not rounded to whole steps. Raises FrameTooSmall.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise ValueError(f"rgb is uint8 (height, width, 3), not {rgb.dtype} {rgb.shape}")
    _check_size(rgb)
    height, width, _ = rgb.shape
    luma = luma_of(*flat(rgb.reshape(height, 3 * width)), height, width)
    hashed, gaps = _hash(luma, width, height, width, _FULL, 2)
    for i in range(2):
        if gaps[i] <= _DOUBT:
            picture = turned(luma.reshape(height, width), ORIENTATIONS[i])
            block = filtered(np.ascontiguousarray(picture).ravel(), width, height, width)
            hashed.bits[i] = bits_of(block[np.newaxis], COSINES)[0][0]
    return hashed


def turned(picture: NDArray[Sample], orientation: str) -> NDArray[Sample]:
    """A view of a picture (height, width) in one of `ORIENTATIONS`.

    Rotations are counter-clockwise, as those of `np.rot90`; flip is upside down; transverse is the
    transpose over the other diagonal.
    """
    match orientation:
        case "original":
            return picture
        case "mirror":
            return picture[:, ::-1]
        case "rotate-90":
            return picture[:, ::-1].T
        case "rotate-180":
            return picture[::-1, ::-1]
        case "rotate-270":
            return picture[::-1].T
        case "flip":
            return picture[::-1]
        case "transpose":
            return picture.T
        case "transverse":
            return picture[::-1, ::-1].T
    raise ValueError(f"no orientation {orientation}")


def warm() -> None:
    """Compile the kernels, or load them from numba's cache: seconds the first time, then 0.1 s."""
    pdq(np.zeros((SIDE, SIDE), np.uint8))
    pdq_rgb(np.zeros((SIDE, SIDE, 3), np.uint8))  # flat: by way of the reference's order too


def _hash(
    luma: NDArray[Any],
    stride: int,
    height: int,
    width: int,
    contrast: np.float32,
    orientations: int,
) -> tuple[PdqHash, NDArray[np.float32]]:
    """By the linear map; and for each row of bits how far apart the two terms in the middle are."""
    rows, columns = decimation(height), decimation(width)
    shrunk, lines = _room.of(width)
    blocks = np.empty((4 if orientations == 8 else 2, SIDE, SIDE), np.float32)
    shrink_rows(luma, 0, stride, width, *rows, shrunk)
    shrink_columns(shrunk, *columns, lines, blocks[:2])
    views = blocks.swapaxes(1, 2)
    if orientations == 8:
        shrink_rows(luma, (height - 1) * stride, -stride, width, *rows, shrunk)
        shrink_columns(shrunk, *columns, lines, blocks[2:])
        original, mirror, flip, half_turn = views
        views = np.stack(
            [original, mirror, mirror.T, half_turn, flip.T, flip, original.T, half_turn.T]
        )
    bits, gaps = bits_of(np.ascontiguousarray(views), COSINES)
    return PdqHash(bits, quality_of(blocks[0], contrast)), gaps


def _check_size(picture: NDArray[np.uint8]) -> None:
    height, width = picture.shape[:2]
    if min(height, width) < SIDE:
        raise FrameTooSmall(width=width, height=height, least=SIDE)
