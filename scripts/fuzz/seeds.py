"""What is mutated: small drawn clips and pictures of every container and codec.

    seeds = drawn(folder)                         # all of SEEDS; from the folder, if they are in it
    seeds["flv"].data, seeds["flv"].frames        # bytes, 48

A video shows eight scenes of 0.3 s, an animation six pictures of 0.3 s. No two scenes of all seeds
resemble each other and within a scene little moves, so what was seen of a seed, and what was not, is
told by perceptual hashes alone, whatever became of its times.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
import PIL
from av.packet import Packet
from PIL import Image, PngImagePlugin

from tests.drawn import Picture, moving_picture, quiet

WIDTH, HEIGHT = 128, 96
LARGER = 160, 120  # of what is to pass for the more prominent track
FPS, SCENES, PER_SCENE = 20, 8, 6
PICTURES, PICTURE_SECONDS = 6, 0.3

_GOP = {"g": "12", "sc_threshold": "0"}
_ONE_GOP = {"g": "250", "sc_threshold": "0"}
_HEVC = {"x265-params": "keyint=12:scenecut=0:pools=1:frame-threads=1"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
_INDEXED_FRAGMENTS = {"movflags": "frag_keyframe+delay_moov+dash+global_sidx"}


@dataclass(frozen=True)
class Seed:
    """data: the file; frames: what it shows, step: each for so many seconds; sound: besides video.

    family: whose structure it has: mp4, mkv, flv, ts, avi, png, jpeg, gif, webp, avif.
    """

    name: str
    family: str
    suffix: str
    data: bytes = field(repr=False)
    frames: int
    step: float
    sound: bool = False

    @property
    def is_video(self) -> bool:
        return self.family in ("mp4", "mkv", "flv", "ts", "avi")


Draw = Callable[[int], bytes]  # the number of its first scene -> the file


def _video(
    format: str,
    codec: str = "libx264",
    options: Mapping[str, str] | None = None,
    container: Mapping[str, str] | None = None,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    sound: bool = False,
    pix_fmt: str = "yuv420p",
    *,
    scene: int,
) -> bytes:
    width, height = size
    with TemporaryDirectory() as folder:
        path = Path(folder) / "clip"
        bitexact = {"fflags": "+bitexact", **(container or {})}
        with av.open(str(path), "w", format=format, container_options=bitexact) as output:
            stream = output.add_stream(codec, rate=FPS, options=quiet(codec, dict(options or _GOP)))
            stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
            stream.codec_context.thread_count = 1
            if not codec.startswith("libx") and codec != "libsvtav1":
                stream.bit_rate = 3_000_000
            audio = output.add_stream("aac", rate=48_000, layout="mono") if sound else None
            for number in range(SCENES * PER_SCENE):
                picture = _picture(scene + number // PER_SCENE, number % PER_SCENE, width, height)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                output.mux(stream.encode(frame.reformat(format=pix_fmt, threads=1)))
            output.mux(stream.encode())
            if audio is not None:
                for packet in _tone(audio, SCENES * PER_SCENE / FPS):
                    output.mux(packet)
        # As root, libsvtav1 makes the thread that calls it a real-time one.
        if os.sched_getscheduler(0) != os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        return path.read_bytes()


def _tone(audio: Any, seconds: float) -> list[Packet[Any]]:
    packets = []
    for start in range(0, round(seconds * 48_000), 1024):
        tone = np.sin(np.arange(start, start + 1024) / 20)[None].astype(np.float32)
        samples = av.AudioFrame.from_ndarray(tone * 0.1, format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 48_000, start
        packets += audio.encode(samples)
    return packets + list(audio.encode(None))


def _picture(scene: int, number: int, width: int = WIDTH, height: int = HEIGHT) -> Picture:
    return moving_picture(number / FPS / 4, width, height, seed=scene)


def _still(format: str, pictures: int = 1, *, scene: int, **options: Any) -> bytes:
    images = [Image.fromarray(_picture(scene + number, 0)) for number in range(pictures)]
    if format == "GIF":
        images = [image.quantize(128) for image in images]
    if pictures > 1:
        milliseconds = round(PICTURE_SECONDS * 1000)
        options |= {"save_all": True, "append_images": images[1:], "duration": milliseconds}
    out = io.BytesIO()
    images[0].save(out, format, **options)
    return out.getvalue()


def _commented_png(*, scene: int) -> bytes:
    said = PngImagePlugin.PngInfo()
    said.add_text("Comment", "drawn " * 400)
    return _still("PNG", scene=scene, pnginfo=said)


_Row = tuple[str, str, str, Callable[..., bytes]]

_ROWS: tuple[_Row, ...] = (
    ("mp4", "mp4", "mp4", partial(_video, "mp4", container={"movflags": "faststart"})),
    ("mp4-index-last", "mp4", "mp4", partial(_video, "mp4", options=_GOP | {"bf": "0"})),
    ("mp4-one-gop", "mp4", "mp4", partial(_video, "mp4", options=_ONE_GOP)),
    ("mp4-sound", "mp4", "mp4", partial(_video, "mp4", sound=True)),
    ("mp4-hevc", "mp4", "mp4", partial(_video, "mp4", "libx265", _HEVC)),
    ("mp4-av1", "mp4", "mp4", partial(_video, "mp4", "libsvtav1", {"g": "12"})),
    ("mp4-vp9", "mp4", "mp4", partial(_video, "mp4", "libvpx-vp9", {"g": "12"})),
    ("mp4-mpeg4", "mp4", "mp4", partial(_video, "mp4", "mpeg4")),
    ("mp4-larger", "mp4", "mp4", partial(_video, "mp4", size=LARGER)),
    ("fmp4", "mp4", "mp4", partial(_video, "mp4", container=_FRAGMENTS)),
    ("fmp4-indexed", "mp4", "mp4", partial(_video, "mp4", container=_INDEXED_FRAGMENTS)),
    ("fmp4-hevc", "mp4", "mp4", partial(_video, "mp4", "libx265", _HEVC, _FRAGMENTS)),
    ("fmp4-sound", "mp4", "mp4", partial(_video, "mp4", container=_FRAGMENTS, sound=True)),
    ("mov", "mp4", "mov", partial(_video, "mov")),
    ("mov-mjpeg", "mp4", "mov", partial(_video, "mov", "mjpeg", pix_fmt="yuvj420p")),
    ("mkv", "mkv", "mkv", partial(_video, "matroska", container={"cluster_time_limit": "400"})),
    ("mkv-one-gop", "mkv", "mkv", partial(_video, "matroska", options=_ONE_GOP)),
    ("mkv-hevc", "mkv", "mkv", partial(_video, "matroska", "libx265", _HEVC)),
    ("mkv-mpeg4", "mkv", "mkv", partial(_video, "matroska", "mpeg4")),
    ("mkv-mjpeg", "mkv", "mkv", partial(_video, "matroska", "mjpeg", pix_fmt="yuvj420p")),
    ("mkv-sound", "mkv", "mkv", partial(_video, "matroska", sound=True)),
    ("mkv-larger", "mkv", "mkv", partial(_video, "matroska", size=LARGER)),
    ("webm-vp8", "mkv", "webm", partial(_video, "webm", "libvpx", {"g": "12"})),
    ("webm-vp9", "mkv", "webm", partial(_video, "webm", "libvpx-vp9", {"g": "12"})),
    ("webm-av1", "mkv", "webm", partial(_video, "webm", "libsvtav1", {"g": "12"})),
    (
        "webm-live", "mkv", "webm",
        partial(_video, "webm", "libvpx", {"g": "12"}, {"live": "1", "cluster_time_limit": "400"}),
    ),
    ("flv", "flv", "flv", partial(_video, "flv")),
    ("flv-sound", "flv", "flv", partial(_video, "flv", sound=True)),
    ("flv-sorenson", "flv", "flv", partial(_video, "flv", "flv")),
    ("ts", "ts", "ts", partial(_video, "mpegts")),
    ("ts-one-gop", "ts", "ts", partial(_video, "mpegts", options=_ONE_GOP)),
    ("ts-hevc", "ts", "ts", partial(_video, "mpegts", "libx265", _HEVC)),
    ("ts-mpeg2", "ts", "ts", partial(_video, "mpegts", "mpeg2video")),
    ("ts-sound", "ts", "ts", partial(_video, "mpegts", sound=True)),
    ("avi", "avi", "avi", partial(_video, "avi", options=_GOP | {"bf": "0"})),
    ("avi-mpeg4", "avi", "avi", partial(_video, "avi", "mpeg4")),
    ("avi-mjpeg", "avi", "avi", partial(_video, "avi", "mjpeg", pix_fmt="yuvj420p")),
    ("jpeg", "jpeg", "jpg", partial(_still, "JPEG", quality=90)),
    ("jpeg-progressive", "jpeg", "jpg", partial(_still, "JPEG", quality=90, progressive=True)),
    ("jpeg-restarts", "jpeg", "jpg", partial(_still, "JPEG", quality=90, restart_marker_rows=1)),
    ("png", "png", "png", partial(_still, "PNG")),
    ("png-comment", "png", "png", _commented_png),
    ("apng", "png", "png", partial(_still, "PNG", PICTURES)),
    ("gif", "gif", "gif", partial(_still, "GIF")),
    ("gif-animated", "gif", "gif", partial(_still, "GIF", PICTURES, loop=0)),
    ("webp", "webp", "webp", partial(_still, "WEBP", quality=90)),
    ("webp-lossless", "webp", "webp", partial(_still, "WEBP", lossless=True)),
    ("webp-animated", "webp", "webp", partial(_still, "WEBP", PICTURES, quality=90)),
    ("avif", "avif", "avif", partial(_still, "AVIF", quality=80)),
    ("avif-animated", "avif", "avif", partial(_still, "AVIF", PICTURES, quality=80)),
)  # fmt: skip

SEEDS = tuple(row[0] for row in _ROWS)


def drawn(folder: Path, names: Sequence[str] = SEEDS) -> dict[str, Seed]:
    """Those of `names`, in the order of SEEDS. What was drawn before is taken from the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    made_by = [Path(__file__).read_text("utf-8"), av.__version__, PIL.__version__, np.__version__]
    version = hashlib.sha256(json.dumps(made_by).encode()).hexdigest()[:12]
    seeds = {}
    for place, (name, family, suffix, draw) in enumerate(_ROWS):
        if name not in names:
            continue
        path = folder / f"{name}-{version}.{suffix}"
        if not path.is_file():
            unfinished = path.with_suffix(f".part{os.getpid()}")
            unfinished.write_bytes(draw(scene=1000 + 10 * place))
            unfinished.rename(path)
        frames, step = _shown(name, family)
        seeds[name] = Seed(
            name, family, suffix, path.read_bytes(), frames, step, name.endswith("-sound")
        )
    return seeds


def _shown(name: str, family: str) -> tuple[int, float]:
    """Frames or pictures, and the seconds of each."""
    if family in ("mp4", "mkv", "flv", "ts", "avi"):
        return SCENES * PER_SCENE, 1 / FPS
    animated = name == "apng" or name.endswith("-animated")
    return (PICTURES, PICTURE_SECONDS) if animated else (1, 1.0)
