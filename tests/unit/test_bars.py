"""Bars of a clip: found over time, whatever their colour and what lies in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from drawn import moving_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashmatch.hashing.bars import Bars
from hashmatch.hashing.borders import Box

Luma = NDArray[np.uint8]
WIDTH, HEIGHT = 320, 240
LETTERBOX = (40, 200, 0, 320)
WHOLE = (0, HEIGHT, 0, WIDTH)


def scene(t: float, box: Box, seed: int = 1) -> Luma:
    top, bottom, left, right = box
    return np.ascontiguousarray(moving_picture(t, right - left, bottom - top, seed)[..., 1])


def framed(t: float, box: Box, colour: int = 16, seed: int = 1) -> Luma:
    canvas = np.full((HEIGHT, WIDTH), colour, np.uint8)
    canvas[box[0] : box[1], box[2] : box[3]] = scene(t, box, seed)
    return canvas


def dark(t: float, box: Box = LETTERBOX) -> Luma:
    """A spot in the middle of a black scene, in black bars."""
    canvas = np.full((HEIGHT, WIDTH), 16, np.uint8)
    canvas[90:160, 110:220] = scene(t, (90, 160, 110, 220))
    return canvas


def found(frames: Iterable[Luma]) -> list[Box | None]:
    """The box of each frame when all of them are known."""
    bars = Bars()
    boxes = [bars.look(frame) for frame in frames]
    for first, end, box in bars.corrections():
        boxes[first:end] = [box] * (end - first)
    return boxes


def near(box: Box | None, expected: Box, by: int = 2) -> bool:
    return box is not None and bool(np.abs(np.subtract(box, expected)).max() <= by)


TIMES = [i / 10 for i in range(12)]


@pytest.mark.parametrize("colour", [0, 16, 90, 235, 255])
@pytest.mark.parametrize(
    "box",
    [
        LETTERBOX,
        (0, 240, 60, 260),
        (30, 210, 40, 280),
        (0, 180, 0, 320),
        (60, 240, 0, 320),
        (0, 240, 50, 320),
        (0, 240, 0, 250),
        (12, 190, 0, 320),
        (4, 240, 0, 315),
        (3, 237, 0, 320),
    ],
    ids=[
        "letterbox",
        "pillarbox",
        "window",
        "bottom only",
        "top only",
        "left only",
        "right only",
        "asymmetric",
        "a 64th of a side",
        "an 80th of a side",
    ],
)
def test_bars_of_any_colour_are_found_at_any_side(box: Box, colour: int) -> None:
    assert all(near(seen, box) for seen in found(framed(t, box, colour) for t in TIMES))


def test_bars_of_two_colours_are_found() -> None:
    """A portrait video, pillarboxed in white for 16:9, letterboxed in black for 4:3; and black first."""
    box = (30, 210, 110, 210)
    for outer, inside in ((np.s_[:30], np.s_[210:]), (np.s_[:, :110], np.s_[:, 210:])):
        frames = []
        for t in TIMES:
            frame = framed(t, box, 235)
            frame[outer] = frame[inside] = 16
            frames.append(frame)
        assert all(near(seen, box) for seen in found(frames))


def logo(frame: Luma, t: float) -> None:
    frame[8:30, 250:300] = scene(0, (8, 30, 250, 300), seed=5)


def touching_logo(frame: Luma, t: float) -> None:
    frame[12:40, 250:300] = scene(0, (12, 40, 250, 300), seed=5)


def overlapping_logo(frame: Luma, t: float) -> None:
    frame[12:70, 250:300] = scene(0, (12, 70, 250, 300), seed=5)


def subtitles(frame: Luma, t: float) -> None:
    """Two lines of letters, others every half second."""
    letters = np.random.default_rng(int(2 * t)).random((2, 16)) < 0.5
    for line, row in enumerate(letters):
        top = 206 + 14 * line
        frame[top : top + 10, 80:240] = np.where(np.repeat(row, 10), 235, 16)


@pytest.mark.parametrize("drawn", [logo, touching_logo, overlapping_logo, subtitles])
def test_a_logo_or_subtitles_in_a_bar_do_not_end_it(drawn: Callable[[Luma, float], None]) -> None:
    frames = [framed(t, LETTERBOX) for t in TIMES]
    for t, frame in zip(TIMES, frames, strict=True):
        drawn(frame, t)
    assert all(near(seen, LETTERBOX) for seen in found(frames))


def test_noise_does_not_end_a_bar() -> None:
    rng = np.random.default_rng(1)
    frames = [framed(t, LETTERBOX, 20) for t in TIMES]
    for frame in frames:
        frame[:] = np.clip(frame + rng.normal(0, 4, frame.shape), 0, 255)
        frame[rng.integers(0, HEIGHT, 40), rng.integers(0, WIDTH, 40)] = 255
    assert all(near(seen, LETTERBOX) for seen in found(frames))


def test_dark_scenes_do_not_move_the_bars() -> None:
    bright, night = [framed(t, LETTERBOX) for t in TIMES], [dark(t) for t in TIMES[:5]]
    for frames in (bright + night, night + bright, bright + night + bright, night + bright + night):
        assert all(near(seen, LETTERBOX) for seen in found(frames))


def test_a_clip_that_fades_in_has_its_bars_from_the_first_frame_that_shows_something() -> None:
    frames = [framed(t, LETTERBOX, 0) for t in TIMES]
    for number, frame in enumerate(frames):
        frame[:] = frame * min(1, number / 8)
    assert not frames[0].any()
    assert all(near(box, LETTERBOX) for box in found(frames)[1:])


def test_bars_that_begin_or_end_within_a_clip_are_found_where_they_are() -> None:
    bare = [framed(t, WHOLE) for t in TIMES]
    letterbox = [framed(t, LETTERBOX) for t in TIMES]
    pillarbox = [framed(t, (0, 240, 60, 260)) for t in TIMES]
    seen = found(bare + letterbox + pillarbox + bare)
    assert seen[:12] == [None] * 12
    assert all(near(box, LETTERBOX) for box in seen[12:24])
    assert all(near(box, (0, 240, 60, 260)) for box in seen[24:36])
    assert seen[36:] == [None] * 12


def test_a_clip_that_is_black_throughout_has_no_inside() -> None:
    assert found([np.full((HEIGHT, WIDTH), 16, np.uint8)] * 5) == [None] * 5


def test_bars_are_known_after_a_black_start() -> None:
    black = np.full((HEIGHT, WIDTH), 16, np.uint8)
    seen = found([black] * 5 + [framed(t, LETTERBOX) for t in TIMES])
    assert all(near(box, LETTERBOX) for box in seen[5:])


def test_a_dark_picture_with_a_step_in_it_is_not_cut_at_the_step() -> None:
    """A black foreground over a part of a line is no logo: what lies in a bar leaves most of it."""
    frames = [framed(t, LETTERBOX) for t in TIMES]
    for frame in frames:
        frame[40:60, :180] = 16
    assert all(near(seen, LETTERBOX) for seen in found(frames))


def test_frames_of_several_sizes_have_bars_of_their_own() -> None:
    frames = [framed(t, LETTERBOX) for t in TIMES[:4]]
    larger = [np.kron(frame, np.ones((2, 2), np.uint8)) for frame in frames]
    seen = found([*frames, *larger, *frames])
    assert all(near(box, LETTERBOX) for box in seen[:4] + seen[8:])
    assert all(near(box, (80, 400, 0, 640), 4) for box in seen[4:8])


def test_what_is_flat_in_the_picture_itself_is_not_worth_another_reading() -> None:
    """A head that comes nearer before a wall: every frame would end the wall elsewhere."""
    bars = Bars()
    for number in range(40):
        frame = np.full((HEIGHT, WIDTH), 200, np.uint8)
        top = 100 - 2 * number
        frame[top:, 60:260] = scene(number / 10, (top, HEIGHT, 60, 260))
        bars.look(frame)
    assert bars.corrections() == []


def test_without_any_frames_there_is_nothing_to_correct() -> None:
    assert Bars().corrections() == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["bare", "letterbox", "dark", "black", "white", "noise"]),
        min_size=1,
        max_size=25,
    )
)
def test_every_box_lies_in_its_frame_and_corrections_are_of_frames_there_are(
    kinds: list[str],
) -> None:
    drawn = {
        "bare": framed(0.3, WHOLE),
        "letterbox": framed(0.4, LETTERBOX),
        "dark": dark(0.5),
        "black": np.zeros((HEIGHT, WIDTH), np.uint8),
        "white": np.full((HEIGHT, WIDTH), 255, np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH)).astype(np.uint8),
    }
    bars = Bars()
    boxes = [bars.look(drawn[kind]) for kind in kinds]
    after = 0
    for first, end, box in bars.corrections():
        assert after <= first < end <= len(kinds)
        after = end
        boxes.append(box)
    for box in boxes:
        if box is not None:
            top, bottom, left, right = box
            assert 0 <= top < bottom <= HEIGHT
            assert 0 <= left < right <= WIDTH
    assert all(box is None for box, kind in zip(boxes, kinds, strict=False) if kind == "noise")
