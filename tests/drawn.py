"""Clips and pictures that the tests draw themselves.

    write_clip(tmp_path / "clip.mp4", seconds=2, codec="libx264")
    moving_picture(0.5, 128, 96)                  # (96, 128, 3) uint8

The pictures have edges, texture and movement, so that perceptual hashes of them are of high quality
and those of two seeds are far apart.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]

TICK = Fraction(1, 90_000)

# Encoders that would otherwise blur the picture to meet a bit rate for a telephone.
_BY_BIT_RATE = ("mpeg4", "mpeg2video", "flv", "mjpeg", "libvpx", "libvpx-vp9")


@lru_cache(maxsize=16)
def _waves(seed: int) -> NDArray[np.float64]:
    """Frequency (x, y), phase, speed of each wave that the background is made of."""
    random = np.random.default_rng(seed)
    low, high = [-8, -8, 0, -3], [8, 8, 2 * np.pi, 3]
    return random.uniform(low, high, (20, 4))


def moving_picture(t: float, width: int, height: int, seed: int = 1) -> Picture:
    """The scene `seed` at t seconds: drifting waves, a disc and a bar that move over them."""
    x = np.linspace(0, 1, width)[None, :]
    y = np.linspace(0, 1, height)[:, None]
    sky = np.zeros((height, width))
    for fx, fy, phase, speed in _waves(seed):
        wave = np.sin(2 * np.pi * (fx * x + fy * y) + phase + speed * t)
        sky += wave / (1 + 0.3 * np.hypot(fx, fy))
    picture = 128 + 45 * sky[..., None] + 20 * np.sin(6 * x + t)[..., None] * [1.0, 0.2, -1.0]
    disc = (x - 0.5 - 0.35 * np.cos(1.3 * t + seed)) ** 2 + (y - 0.5 - 0.3 * np.sin(1.7 * t)) ** 2
    picture[disc < 0.02] = [250, 240, 30]
    picture[np.broadcast_to(abs(x - (0.2 * t + 0.1 * seed) % 1) < 0.03, (height, width))] = 20
    return np.clip(picture, 0, 255).astype(np.uint8)


def write_clip(
    path: Path,
    *,
    codec: str = "libx264",
    seconds: float = 1.5,
    fps: int = 30,
    width: int = 128,
    height: int = 96,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    times: Sequence[float] | None = None,
    rotation: float = 0,
    hflip: bool = False,
    full_range: bool = False,
    sound: float = 0,
    format: str | None = None,
    seed: int = 1,
) -> list[float]:
    """Draws a clip and returns the times of its frames, in seconds.

    times: when each frame is shown, for a variable frame rate (`seconds` is then ignored);
    rotation: degrees in the container's display matrix; sound: seconds of an audio stream beside
    it; seed: the scene.
    """
    shown = list(times) if times is not None else [i / fps for i in range(round(seconds * fps))]
    with av.open(path, "w", format=format, container_options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=fps, options=quiet(codec, options))
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if codec in _BY_BIT_RATE:
            stream.bit_rate = 4_000_000
        if times is not None:
            stream.codec_context.time_base = stream.time_base = TICK
        if full_range:
            stream.codec_context.color_range = 2
        if rotation or hflip:
            stream.set_display_rotation(rotation, hflip=hflip)
        audio = output.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for t in shown:
            picture = moving_picture(t, width, height, seed)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame = frame.reformat(
                format=pix_fmt, dst_color_range="JPEG" if full_range else None, threads=1
            )
            if times is not None:
                frame.time_base, frame.pts = TICK, round(t / TICK)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
        if audio is not None:
            for start in range(0, round(sound * 48_000), 1024):
                tone = np.sin(np.arange(start, start + 1024) / 20)[None].astype(np.float32)
                samples = av.AudioFrame.from_ndarray(tone * 0.1, format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 48_000, start
                output.mux(audio.encode(samples))
            output.mux(audio.encode())
    # As root, libsvtav1 makes the thread that calls it a real-time one, which starves all others.
    if os.sched_getscheduler(0) != os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return shown


def clip_bytes(format: str, **drawing: Any) -> bytes:
    """The same as bytes. By way of a file: an index is moved to the front by reading it again."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        write_clip(path, format=format, **drawing)
        return path.read_bytes()


def quiet(codec: str, options: dict[str, str] | None) -> dict[str, str]:
    """Encoder options without the encoder's own chatter, and quick."""
    wanted = dict(options or {})
    if codec == "libx265":
        parameters = ["log-level=error", *filter(None, [wanted.get("x265-params")])]
        wanted["x265-params"] = ":".join(parameters)
        wanted.setdefault("preset", "ultrafast")
    if codec == "libsvtav1":
        wanted.setdefault("preset", "12")
    if codec.startswith("libvpx"):
        wanted = {"cpu-used": "8", "deadline": "realtime", **wanted}
    return wanted
