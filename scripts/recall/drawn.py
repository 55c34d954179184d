"""Videos that show nothing but drawn scenes, to be unrelated to everything else.

    draw(Path("drawn-07.mp4"), seed=7, seconds=18)

A scene is a still picture with the statistics of a photograph (leaves that cover each other, each with
a 1/f texture), a camera that pans, zooms and trembles over it, and textured things that move in front.
Scenes follow each other in cuts. The same seed draws the same pixels.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

FPS = 25
SIZES = ((640, 360), (480, 720), (640, 480), (480, 480))
_CANVAS = 1024

Picture = NDArray[np.float32]


def seconds_of(seed: int) -> float:
    """How long the unrelated video of this seed is: 10 to 40 s."""
    return float(np.random.default_rng(seed).integers(10, 41))


def draw(path: Path, seed: int, seconds: float, size: tuple[int, int] | None = None) -> None:
    """size: (width, height); by the seed where it is not given."""
    random = np.random.default_rng([seed, 1])
    width, height = size or SIZES[seed % len(SIZES)]
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as output:
        options = {"preset": "veryfast", "crf": "23", "x264-params": "log-level=error"}
        stream = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        shown = 0
        while shown < round(seconds * FPS):
            scene = _Scene(random, width, height)
            length = min(round(random.uniform(2, 7) * FPS), round(seconds * FPS) - shown)
            for number in range(length):
                frame = av.VideoFrame.from_ndarray(scene.at(number / FPS), format="rgb24")
                frame.pts, frame.time_base = shown + number, Fraction(1, FPS)
                output.mux(stream.encode(frame))
            shown += length
        output.mux(stream.encode())
    unfinished.rename(path)


class _Scene:
    """One shot."""

    def __init__(self, random: np.random.Generator, width: int, height: int) -> None:
        self._size = width, height
        self._canvas = leaves(random)
        self._zoom = random.uniform(0.6, 1.0) * _CANVAS / max(width, height) * 0.9
        self._growth = random.uniform(-0.04, 0.04)
        self._start = random.uniform(0.4, 0.6, 2) * _CANVAS
        self._pan = random.normal(0, 25, 2)
        self._tremble = random.uniform(0, 3), random.uniform(0.5, 2.5), random.uniform(0, 6)
        self._things = [_Thing(random, width, height) for _ in range(random.integers(1, 5))]
        self._light = random.uniform(0.7, 1.2), random.uniform(0, 0.08)

    def at(self, t: float) -> NDArray[np.uint8]:
        """(height, width, 3), t seconds after the cut."""
        width, height = self._size
        zoom = self._zoom * (1 + self._growth * t)
        amount, speed, phase = self._tremble
        x, y = self._start + self._pan * t + amount * np.sin(speed * t * 6 + phase)
        view = np.array([[zoom, 0, x - zoom * width / 2], [0, zoom, y - zoom * height / 2]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        picture = cv2.warpAffine(
            self._canvas, view, (width, height), flags=flags, borderMode=cv2.BORDER_REFLECT
        )
        for thing in self._things:
            thing.put(picture, t)
        level, flicker = self._light
        picture *= level * (1 + flicker * np.sin(t))
        return np.clip(picture, 0, 255).astype(np.uint8)


class _Thing:
    """A textured ellipse that turns and wanders."""

    def __init__(self, random: np.random.Generator, width: int, height: int) -> None:
        side = int(random.uniform(0.15, 0.5) * min(width, height))
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        squeeze = random.uniform(0.5, 1)
        self._mask = (x**2 + (y / squeeze) ** 2 < 0.9).astype(np.float32)
        colour = random.uniform(20, 235, 3)
        self._texture = (colour + 50 * noise(random, side)[..., None]).astype(np.float32)
        self._centre = random.uniform(0.2, 0.8, 2) * [width, height]
        self._swing = random.uniform(0.05, 0.4, 2) * [width, height]
        self._speed = random.uniform(0.3, 1.8, 2)
        self._phase = random.uniform(0, 6, 2)
        self._turn = random.uniform(-60, 60)

    def put(self, picture: Picture, t: float) -> None:
        side = len(self._mask)
        x, y = self._centre + self._swing * np.sin(self._speed * t + self._phase)
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), self._turn * t, 1)
        turn[:, 2] += [x - side / 2, y - side / 2]
        size = picture.shape[1], picture.shape[0]
        mask = cv2.warpAffine(self._mask, turn, size)[..., None]
        picture += mask * (cv2.warpAffine(self._texture, turn, size) - picture)


def noise(random: np.random.Generator, side: int) -> Picture:
    """(side, side) of 1/f noise with a standard deviation of 1."""
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(random.normal(size=(side, side))) / frequency
    noise = np.fft.irfft2(spectrum, (side, side))
    return (noise / noise.std()).astype(np.float32)


def leaves(random: np.random.Generator) -> Picture:
    """Dead leaves: shapes of all sizes over each other, shaded by 1/f noise. (canvas, canvas, 3)."""
    colours = random.uniform(10, 245, (random.integers(4, 9), 3))
    picture = np.empty((_CANVAS, _CANVAS, 3), np.float32)
    picture[:] = colours[0]
    for _ in range(random.integers(40, 160)):
        radius = min(30 / random.uniform(0.06, 1), 400)
        centre = random.uniform(0, _CANVAS, 2)
        colour = (colours[random.integers(len(colours))] + random.normal(0, 15, 3)).tolist()
        if random.random() < 0.5:
            axes = int(radius), int(radius * random.uniform(0.4, 1))
            where = (int(centre[0]), int(centre[1]))
            cv2.ellipse(picture, where, axes, random.uniform(0, 180), 0, 360, colour, -1)
        else:
            corners = centre + radius * random.normal(0, 0.7, (random.integers(3, 6), 2))
            cv2.fillPoly(picture, [corners.astype(np.int32)], colour)
    shade = noise(random, _CANVAS)[..., None]
    return cv2.GaussianBlur(picture, (0, 0), 1.2) + random.uniform(10, 40) * shade
