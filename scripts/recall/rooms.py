"""Rooms that are filmed twice: what a listed video must not be taken for.

    draw(Path("room-2-a.mp4"), room=2, take="a")

A fixed camera, a background that stands still, and a figure that rests in one of a few poses, which both
takes have in common, and between rests moves about in its own way. The rooms differ in how much of the
picture the figure takes up and in how long it rests: from one that hardly moves to one that never rests.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from recall.drawn import FPS, leaves, noise

TAKES = ("a", "b")
SECONDS = 20
_SIZE = 480, 360
_POSES = 4


@dataclass(frozen=True)
class _Manner:
    """figure: its height as a share of the picture's; resting: share of the time; reach: how far
    joints swing between rests, in degrees; walk: how far it goes, as a share of the width.
    """

    figure: float
    resting: float
    reach: float
    walk: float


ROOMS = {
    1: _Manner(figure=0.45, resting=0.85, reach=12, walk=0.01),
    2: _Manner(figure=0.7, resting=0.6, reach=40, walk=0.05),
    3: _Manner(figure=0.8, resting=0.35, reach=70, walk=0.15),
    4: _Manner(figure=0.9, resting=0.0, reach=100, walk=0.3),
}

# Joints in degrees from straight down, and where it stands: torso, head, two arms, two forearms, x.
_JOINTS = 6


def draw(path: Path, room: int, take: str) -> None:
    """The same room and take draw the same pixels."""
    shared = np.random.default_rng([room, 77])
    own = np.random.default_rng([room, 78, TAKES.index(take)])
    manner = ROOMS[room]
    background = _background(shared)
    figure = _Figure(shared, manner)
    at = _movement(figure.poses, own, manner)
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as output:
        options = {"preset": "veryfast", "crf": "23", "x264-params": "log-level=error"}
        stream = output.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height = _SIZE
        stream.pix_fmt = "yuv420p"
        for number, pose in enumerate(at):
            picture = background.copy()
            figure.put(picture, pose)
            picture += own.normal(0, 2, picture.shape)  # the camera's own noise
            pixels = np.clip(picture, 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    unfinished.rename(path)


def _background(random: np.random.Generator) -> NDArray[np.float32]:
    width, height = _SIZE
    wall = cv2.resize(leaves(random), (width, width), interpolation=cv2.INTER_AREA)
    return wall[:height].astype(np.float32)


def _movement(
    poses: NDArray[np.float64], random: np.random.Generator, manner: _Manner
) -> NDArray[np.float64]:
    """(frames, joints + 1): from rest to rest, and in between wherever this take goes."""
    stops = [poses[random.integers(_POSES)]]
    times = [0.0]
    while times[-1] < SECONDS:
        if random.random() < manner.resting:
            stops.append(poses[random.integers(_POSES)])
        else:
            free = random.normal(0, manner.reach, _JOINTS)
            stops.append(poses[0] + np.append(free, random.normal(0, manner.walk)))
        times.append(times[-1] + random.uniform(0.4, 1.2))
        if random.random() < manner.resting:
            stops.append(stops[-1])
            times.append(times[-1] + random.uniform(1.0, 3.0))
    wanted = np.arange(SECONDS * FPS) / FPS
    columns = np.array(stops).T
    return np.stack([np.interp(wanted, times, column) for column in columns], axis=1)


class _Figure:
    """Head, torso, arms and forearms, each a textured ellipse.

    poses: (poses, joints + 1) where it rests.
    """

    def __init__(self, random: np.random.Generator, manner: _Manner) -> None:
        self._tall = manner.figure * _SIZE[1]
        self._parts = [
            _part(random, round(self._tall * long), round(self._tall * wide))
            for long, wide in ((0.6, 0.3), (0.25, 0.2), (0.3, 0.09), (0.3, 0.09), (0.28, 0.08), (0.28, 0.08))
        ]  # fmt: skip
        joints = random.normal(0, manner.reach / 2, (_POSES, _JOINTS))
        self.poses = np.column_stack([joints, 0.5 + random.normal(0, manner.walk, _POSES)])

    def put(self, picture: NDArray[np.float32], pose: NDArray[np.float64]) -> None:
        """Over a picture (height, width, 3)."""
        lean, nod, left, right, left_fore, right_fore, x = pose
        tall = self._tall
        hip = np.array([x * _SIZE[0], 0.97 * _SIZE[1]])
        up = 180 + 0.2 * lean
        neck = hip + _along(up, 0.6 * tall)
        torso, head, *arms = self._parts
        _paste(picture, torso, hip, up)
        _paste(picture, head, neck, up + 0.3 * nod)
        for side, turn, fore, upper, lower in (
            (-1, left, left_fore, arms[0], arms[2]),
            (1, right, right_fore, arms[1], arms[3]),
        ):
            shoulder = neck + np.array([side * 0.13 * tall, 0.06 * tall])
            out = side * (20 + abs(turn))
            _paste(picture, upper, shoulder, out)
            elbow = shoulder + _along(out, 0.3 * tall)
            _paste(picture, lower, elbow, out + side * abs(fore))


def _along(degrees: float, length: float) -> NDArray[np.float64]:
    """That far from a joint; 0 degrees is straight down."""
    turned = np.deg2rad(degrees)
    return np.array([np.sin(turned), np.cos(turned)]) * length


def _part(random: np.random.Generator, long: int, wide: int) -> NDArray[np.float32]:
    """(long, wide, 4): colours and a mask."""
    y, x = np.mgrid[-1 : 1 : long * 1j, -1 : 1 : wide * 1j]
    mask = (x**2 + y**2 < 1)[..., None]
    texture = random.uniform(30, 225, 3) + 25 * noise(random, long)[:, :wide, None]
    return np.concatenate([texture, mask], axis=2).astype(np.float32)


def _paste(
    picture: NDArray[np.float32],
    part: NDArray[np.float32],
    joint: NDArray[np.float64],
    degrees: float,
) -> None:
    """A part that hangs from its joint, turned."""
    wide = part.shape[1]
    turn = cv2.getRotationMatrix2D((wide / 2, 0), degrees, 1)
    turn[:, 2] += joint - [wide / 2, 0]
    size = picture.shape[1], picture.shape[0]
    layer = cv2.warpAffine(part, turn, size)
    mask = layer[..., 3:]
    picture += mask * (layer[..., :3] - picture)
