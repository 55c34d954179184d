"""Bars around a picture are found, whatever their colour, and a picture without bars is left whole."""

from __future__ import annotations

import numpy as np
import pytest
from drawn import moving_picture
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.hashing.borders import inner


def picture(width: int, height: int, seed: int = 1) -> np.ndarray:
    return np.ascontiguousarray(moving_picture(0.4, width, height, seed)[..., 1])


def framed(width: int, height: int, box: tuple[int, int, int, int], colour: int) -> np.ndarray:
    top, bottom, left, right = box
    canvas = np.full((height, width), colour, np.uint8)
    canvas[top:bottom, left:right] = picture(right - left, bottom - top)
    return canvas


@pytest.mark.parametrize("colour", [0, 16, 90, 255])
@pytest.mark.parametrize(
    "box",
    [(40, 200, 0, 320), (0, 240, 60, 260), (30, 210, 40, 280), (0, 180, 0, 320), (0, 240, 50, 320)],
    ids=["letterbox", "pillarbox", "window", "bottom", "left"],
)
def test_bars_are_found(box, colour):
    found = inner(framed(320, 240, box, colour))
    assert found is not None
    assert np.abs(np.subtract(found, box)).max() <= 2


def test_bars_that_an_encoder_has_touched_are_found():
    noise = np.random.default_rng(1).integers(-4, 5, (240, 320))
    noisy = np.clip(framed(320, 240, (40, 200, 0, 320), 20) + noise, 0, 255).astype(np.uint8)
    found = inner(noisy)
    assert found is not None
    assert np.abs(np.subtract(found, (40, 200, 0, 320))).max() <= 2


@given(seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_a_picture_without_bars_is_left_whole(seed):
    patches = np.random.default_rng(seed).integers(0, 256, (12, 16))
    assert inner(np.kron(patches, np.ones((10, 10))).astype(np.uint8)) is None


def test_an_edge_of_a_line_or_two_is_no_bar():
    assert inner(framed(320, 240, (1, 239, 0, 320), 0)) is None


@pytest.mark.parametrize("colour", [0, 128, 255])
def test_a_flat_picture_has_nothing_inside(colour):
    assert inner(np.full((120, 160), colour, np.uint8)) is None


def test_rows_that_are_apart_are_read_as_they_are():
    strided = np.zeros((240, 400), np.uint8)[:, :320]
    strided[:] = framed(320, 240, (40, 200, 0, 320), 0)
    assert inner(strided) == inner(np.ascontiguousarray(strided))
