"""What of a listed video is found in a clip, and what is left to a person, by the whole way of a clip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from drawn import Picture, moving_picture
from installation import Installation

WIDTH, HEIGHT, FPS = 160, 120, 12

Scene = Callable[[float], Picture]


def scene(seed: int) -> Scene:
    return lambda t: moving_picture(t, WIDTH, HEIGHT, seed)


def room(take: int) -> Scene:
    """A still room in which somebody sits, and now and then walks about: otherwise in every take."""
    walls = moving_picture(0.0, WIDTH, HEIGHT, seed=40)
    random = np.random.default_rng(take)
    sits = np.array([0.15, 0.5])
    ways = np.where(random.random((40, 1)) < 0.4, sits, random.uniform(0, 0.7, (40, 2)))

    def at(t: float) -> Picture:
        picture = walls.copy()
        step, part = divmod(t / 1.5, 1)
        way = ways[int(step)] * (1 - part) + ways[int(step) + 1] * part
        row, column = (way * [HEIGHT, WIDTH]).astype(int)
        picture[row : row + 40, column : column + 40] = [20, 60, 230]
        return picture

    return at


def film(path: Path, *stretches: tuple[Scene, float, float]) -> Path:
    """A video of stretches (scene, from, to), seconds of the scene."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=FPS, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for at, begin, end in stretches:
            for t in np.arange(begin, end, 1 / FPS):
                frame = av.VideoFrame.from_ndarray(at(float(t)), format="rgb24")
                output.mux(stream.encode(frame.reformat(format="yuv420p", threads=1)))
        output.mux(stream.encode())
    return path


@pytest.fixture
def hashmatch(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path / "home")
    installation.clips.mkdir(exist_ok=True)
    return installation


def lists(hashmatch: Installation, listed: Scene, seconds: float) -> None:
    video = film(hashmatch.home / "listed.mp4", (listed, 0, seconds))
    hashmatch.list_videos("partner", {"v1": video}, every=FPS)


def said(hashmatch: Installation) -> dict[str, str]:
    hashmatch.scan()
    return {key: outcome for key, (outcome, _) in hashmatch.outcomes().items()}


def evidence(hashmatch: Installation, number: int = 0) -> Sequence[str]:
    case = hashmatch.json("quarantine", "list")[number]["case"]
    (match,) = hashmatch.json("quarantine", "show", case)["matches"]
    assert match["kind"] == "sequence"
    lines: Sequence[str] = match["evidence"]
    return lines


def test_five_seconds_of_a_listed_video_in_a_minute_of_others_are_matched(hashmatch):
    listed = scene(31)
    lists(hashmatch, listed, 30)
    film(
        hashmatch.clips / "excerpt.mp4",
        (scene(32), 0, 24.3),
        (listed, 13.37, 18.37),
        (scene(33), 0, 30.7),
    )
    film(hashmatch.clips / "others.mp4", (scene(32), 0, 24.3), (scene(33), 0, 30.7))
    assert said(hashmatch) == {"excerpt.mp4": "matched", "others.mp4": "clean"}
    where = evidence(hashmatch)[-1]
    assert where.startswith(("24.", "25.", "23.")), where
    assert " s of the listed video" in where


def test_two_excerpts_out_of_order_are_matched_and_both_are_shown(hashmatch):
    listed = scene(34)
    lists(hashmatch, listed, 30)
    film(
        hashmatch.clips / "excerpts.mp4",
        (listed, 20.4, 26.4),
        (scene(35), 0, 20),
        (listed, 3.1, 9.1),
        (scene(36), 0, 20),
    )
    assert said(hashmatch) == {"excerpts.mp4": "matched"}
    assert sum("of the clip is" in line for line in evidence(hashmatch)) == 2


def test_the_same_room_at_another_moment_is_for_review_and_its_copy_is_matched(hashmatch):
    lists(hashmatch, room(1), 40)
    film(hashmatch.clips / "copy.mp4", (room(1), 4.4, 36))
    film(hashmatch.clips / "another-day.mp4", (room(2), 0, 40))
    assert said(hashmatch) == {"copy.mp4": "matched", "another-day.mp4": "review"}


def test_a_slideshow_of_one_picture_is_one_picture(hashmatch):
    """Neither a thousand hits nor a match of a video of which it is one frame."""
    listed = scene(37)
    lists(hashmatch, listed, 30)
    film(hashmatch.clips / "slideshow.mp4", (lambda t: listed(7.0), 0, 60))
    assert said(hashmatch) == {"slideshow.mp4": "review"}
