"""Luma and orientation, against arithmetic and against FFmpeg's own conversion."""

from __future__ import annotations

import av
import numpy as np
import pytest
from drawn import moving_picture

from hashmatch.media.pixels import Turn, luma

WIDTH, HEIGHT = 130, 98  # not a multiple of any decoder's alignment

PLANAR = ["yuv420p", "yuv422p", "yuv444p", "yuvj420p", "nv12", "yuv410p", "yuva420p"]
DEEP = [
    ("yuv420p10le", 2),
    ("yuv422p10le", 2),
    ("yuv444p12le", 4),
    ("yuv420p10be", 2),
    ("gray10le", 2),
    ("gray16le", 8),
    ("p010le", 8),
]


def _drawn(pix_fmt: str) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(moving_picture(0.4, WIDTH, HEIGHT), format="rgb24")
    return rgb.reformat(format=pix_fmt, threads=1)


@pytest.mark.parametrize("pix_fmt", PLANAR)
def test_the_y_plane_is_taken_as_it_is_and_without_its_padding(pix_fmt: str) -> None:
    frame = _drawn(pix_fmt)
    assert frame.planes[0].line_size > WIDTH
    plane, _ = luma(frame)
    rows = bytes(frame.planes[0])
    stride = frame.planes[0].line_size
    assert plane.shape == (HEIGHT, WIDTH)
    for y in (0, 1, HEIGHT - 1):
        assert bytes(plane[y]) == rows[y * stride : y * stride + WIDTH]


@pytest.mark.parametrize(("pix_fmt", "shift"), DEEP)
def test_deeper_samples_keep_their_upper_eight_bits(pix_fmt: str, shift: int) -> None:
    frame = _drawn(pix_fmt)
    order = ">u2" if pix_fmt.endswith("be") else "<u2"
    first_row = np.frombuffer(bytes(frame.planes[0])[: 2 * WIDTH], order)
    plane, _ = luma(frame)
    assert plane.shape == (HEIGHT, WIDTH)
    assert plane.dtype == np.uint8
    assert (plane[0] == first_row >> shift).all()
    # The same picture at 8 bits, by FFmpeg.
    eight, full = luma(_drawn("gray" if pix_fmt.startswith("gray") else "yuv420p"))
    assert full == pix_fmt.startswith("gray")
    assert abs(plane.astype(int) - eight).max() <= 1


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgra", "gbrp", "gbrp10le", "rgb48le"])
def test_rgb_becomes_full_range_luma_with_the_weights_of_pdq(pix_fmt: str) -> None:
    picture = moving_picture(0.4, WIDTH, HEIGHT)
    plane, full_range = luma(_drawn(pix_fmt))
    assert full_range
    assert abs(plane - picture @ [0.299, 0.587, 0.114]).max() <= 1.01


def test_the_range_is_told() -> None:
    assert not luma(_drawn("yuv420p")).full_range
    assert luma(_drawn("yuvj420p")).full_range
    assert luma(_drawn("gray")).full_range


def test_a_turn_of_two_axes_is_what_numpy_calls_it() -> None:
    picture = moving_picture(0.0, 64, 48)
    assert (Turn(swap=True, flip_columns=True).apply(picture) == np.rot90(picture, -1)).all()
    assert (Turn(swap=True, flip_rows=True).apply(picture) == np.rot90(picture)).all()
    assert (Turn(flip_rows=True, flip_columns=True).apply(picture) == np.rot90(picture, 2)).all()
    assert Turn().apply(picture) is picture
