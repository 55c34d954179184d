"""What people do to a video before they post it again: edits, each an FFmpeg filter graph.

    clip = make(EDITS["logo"], Source.of(path), folder)      # cached by all that it is made from
    clip.pieces                                              # where the original's seconds went

Sizes are shares of the picture, times odd on purpose: a copy that keeps the original's instants is the
easy case.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image

from recall import drawn

# Other people's footage, around excerpts and behind pictures in pictures. Not among what is listed.
_FILLERS = (9001, 9002, 9003)
_FILLER_SECONDS = 12
_AROUND = 6.0

_TRIM = 1.37
_SPEED = 1.1
_X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "23", "-threads", "1", "-preset")


@dataclass(frozen=True)
class Source:
    """A video that is edited. fps: on average; seconds: its duration."""

    path: Path
    width: int
    height: int
    fps: float
    seconds: float

    @classmethod
    def of(cls, path: Path) -> Source:
        with av.open(str(path)) as container:
            video = container.streams.video[0]
            # Sound may go on after the last picture, so the container's own duration comes second.
            if video.duration is not None and video.time_base is not None:
                seconds = float(video.duration * video.time_base)
            else:
                seconds = float(container.duration or 0) / 1e6
            return cls(path, video.width, video.height, float(video.average_rate or 25), seconds)


@dataclass(frozen=True)
class Piece:
    """The original's seconds start <= t < end are shown at scale * t + offset."""

    start: float
    end: float
    scale: float
    offset: float


@dataclass(frozen=True)
class Edit:
    """filters: the graph between the inputs and the encoder, its result is called [out].

    fillers: other videos among the inputs; moire: its picture is the last input; endless: all inputs but
    the video itself are repeated for ever.
    """

    name: str
    title: str
    everyday: bool
    filters: Callable[[Source], str]
    pieces: Callable[[Source], tuple[Piece, ...]]
    fillers: int = 0
    moire: bool = False
    endless: bool = False
    encoder: tuple[str, ...] = (*_X264, "veryfast")
    suffix: str = ".mp4"
    mirrored: bool = False


@dataclass(frozen=True)
class EditedClip:
    path: Path
    source: Path
    edit: Edit
    pieces: tuple[Piece, ...]


def make(edit: Edit, source: Source, folder: Path) -> EditedClip:
    """Encode an edit, unless it was made before.

    Raises CalledProcessError, with what FFmpeg says as its stderr.
    """
    if edit is UNEDITED:
        return EditedClip(source.path, source.path, edit, edit.pieces(source))
    inputs = [source.path, *fillers(folder)[: edit.fillers]]
    if edit.moire:
        inputs.append(_moire(source, folder))
    graph = edit.filters(source)
    stamp = source.path.stat()
    made_from = repr((graph, edit.encoder, [p.name for p in inputs], stamp.st_size, stamp.st_mtime))
    key = hashlib.sha256(made_from.encode()).hexdigest()[:12]
    path = folder / f"{source.path.stem}.{edit.name}.{key}{edit.suffix}"
    if not path.exists():
        unfinished = path.with_suffix(f".part-{os.getpid()}{edit.suffix}")
        opened: list[str] = []
        for number, one in enumerate(inputs):
            opened += ["-stream_loop", "-1"] if edit.endless and number else []
            opened += ["-i", str(one)]
        command = [
            "ffmpeg",
            "-nostdin",
            "-y",
            "-v",
            "error",
            "-filter_complex_threads",
            "1",
            *opened,
        ]
        command += ["-filter_complex", graph, "-map", "[out]", "-an", *edit.encoder]
        subprocess.run([*command, str(unfinished)], check=True, stderr=subprocess.PIPE)
        unfinished.rename(path)
    return EditedClip(path, source.path, edit, edit.pieces(source))


def fillers(folder: Path) -> list[Path]:
    """Videos that are listed nowhere, drawn at first use."""
    paths = [folder / f"filler-{seed}.mp4" for seed in _FILLERS]
    for path, seed in zip(paths, _FILLERS, strict=True):
        if not path.exists():
            drawn.draw(path, seed, _FILLER_SECONDS, (640, 640))
    return paths


def _moire(source: Source, folder: Path) -> Path:
    """What a camera adds to a screen: a slightly turned grating, and light that falls off."""
    path = folder / f"moire-{source.width}x{source.height}.png"
    if not path.exists():
        y, x = np.mgrid[: source.height, : source.width]
        grating = np.sin(0.9 * x + 0.07 * y) * np.sin(0.85 * y - 0.05 * x)
        away = np.hypot(x / source.width - 0.45, y / source.height - 0.4)
        Image.fromarray((228 + 14 * grating - 55 * away).astype(np.uint8)).convert("RGB").save(path)
    return path


def _simple(filters: str) -> Callable[[Source], str]:
    """One chain of filters; its size made even, as 4:2:0 needs."""
    return lambda source: f"[0:v]{filters},crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0[out]"


def _whole(
    scale: float = 1.0, offset: float = 0.0, start: float = 0.0
) -> Callable[[Source], tuple[Piece]]:
    return lambda source: (Piece(start, source.seconds + 1, scale, offset),)


def _crop(share: float) -> str:
    """That share of the width and of the height cut off, half of it at either side."""
    return f"crop=iw*{1 - share}:ih*{1 - share}"


def _padded(source: Source) -> str:
    """Bars at two sides: to 16:9, or to a square where it is 16:9."""
    width, height = source.width, source.height
    if abs(width * 9 / (height * 16) - 1) < 0.02:
        height = width
    elif width * 9 < height * 16:
        width = height * 16 // 9
    else:
        height = width * 9 // 16
    width, height = (width + 1) // 2 * 2, (height + 1) // 2 * 2
    return f"[0:v]pad={width}:{height}:(ow-iw)/2:(oh-ih)/2[out]"


def _fitted(source: Source) -> str:
    """Another video at this one's size and rate."""
    size = f"{source.width // 2 * 2}:{source.height // 2 * 2}"
    return (
        f"scale={size}:force_original_aspect_ratio=increase,crop={size},fps={source.fps},setsar=1"
    )


def _in_picture(source: Source) -> str:
    return (
        f"[1:v]{_fitted(source)}[behind];[0:v]scale=iw*0.6:-2,setsar=1[small];"
        f"[behind][small]overlay=W*0.32:H*0.27:shortest=1,crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0[out]"
    )


def _filmed(source: Source) -> str:
    corners = "0.02*W:0.03*H:0.97*W:0.01*H:0.01*W:0.98*H:0.99*W:0.96*H"
    return (
        f"[0:v]perspective={corners}:sense=source,gblur=sigma=0.9,setsar=1,format=gbrp[screen];"
        f"[1:v]fps={source.fps},setsar=1,format=gbrp[light];[screen][light]blend=all_mode=multiply:shortest=1,"
        "eq=brightness=0.04:contrast=0.92,noise=alls=8:allf=t,crop=trunc(iw/2)*2:trunc(ih/2)*2:0:0[out]"
    )


def _excerpt_of(source: Source) -> tuple[float, float]:
    length = min(5.0, 0.6 * source.seconds)
    start = 0.31 * (source.seconds - length)
    return start, start + length


def _two_excerpts_of(source: Source) -> list[tuple[float, float]]:
    """The later one first."""
    length = min(3.0, 0.3 * source.seconds)
    return [(at * source.seconds, at * source.seconds + length) for at in (0.63, 0.12)]


def _among_others(source: Source, excerpts: list[tuple[float, float]]) -> str:
    """Excerpts with something else before, between and after them."""
    chains, order = [], ""
    for number in range(len(excerpts) + 1):
        chains.append(
            f"[{number + 1}:v]{_fitted(source)},trim=0:{_AROUND},setpts=PTS-STARTPTS[other{number}]"
        )
        order += f"[other{number}]"
        if number < len(excerpts):
            start, end = excerpts[number]
            chains.append(
                f"[0:v]{_fitted(source)},trim={start}:{end},setpts=PTS-STARTPTS[piece{number}]"
            )
            order += f"[piece{number}]"
    return ";".join([*chains, f"{order}concat=n={2 * len(excerpts) + 1}:v=1[out]"])


def _placed(excerpts: list[tuple[float, float]]) -> tuple[Piece, ...]:
    at, pieces = _AROUND, []
    for start, end in excerpts:
        pieces.append(Piece(start, end, 1.0, at - start))
        at += end - start + _AROUND
    return tuple(pieces)


_LOGO = (
    "drawbox=x=iw*0.78:y=ih*0.02:w=iw*0.2:h=ih*0.1:color=white:t=fill,"
    "drawbox=x=iw*0.8:y=ih*0.04:w=iw*0.06:h=ih*0.06:color=red:t=fill,"
    "drawbox=x=iw*0.88:y=ih*0.055:w=iw*0.08:h=ih*0.03:color=black:t=fill"
)
_CAPTION = (
    "pad=iw:ih*1.18:0:ih*0.18:white,"
    "drawbox=x=iw*0.06:y=ih*0.035:w=iw*0.8:h=ih*0.03:color=black:t=fill,"
    "drawbox=x=iw*0.06:y=ih*0.09:w=iw*0.55:h=ih*0.03:color=black:t=fill"
)
_SMALL = "scale='if(gt(iw,ih),-2,360)':'if(gt(iw,ih),360,-2)'"
_GIF = "fps=10,scale=320:-2:flags=lanczos,split[a][b];[a]palettegen[p];[b][p]paletteuse[out]"
_LONG_GOP = (*_X264, "medium", "-g", "250")


def _edits() -> list[Edit]:
    def simple(name: str, title: str, filters: str, everyday: bool = True, **more: object) -> Edit:
        pieces = more.pop("pieces", _whole())
        return Edit(name, title, everyday, _simple(filters), pieces, **more)  # type: ignore[arg-type]

    trim = _whole(offset=-_TRIM, start=_TRIM)
    return [
        simple("gop250", "re-encoded, GOP 250", "null", encoder=_LONG_GOP),
        simple("360p", "360p", _SMALL),
        simple("60fps", "60 fps", "fps=60"),
        simple("trim", "trimmed by 1.37 s", f"trim=start={_TRIM},setpts=PTS-{_TRIM}/TB", pieces=trim),
        simple("logo", "logo over 20 % × 10 %", _LOGO),
        simple("crop5", "cropped 5 %", _crop(0.05)),
        Edit("pad", "padded to 16:9", True, _padded, _whole()),
        simple("light", "brightness, contrast", "eq=brightness=0.1:contrast=1.25"),
        simple("mirror", "mirrored", "hflip", mirrored=True),
        simple("rotate2", "rotated by 2°", "rotate=2*PI/180"),
        simple("gop250-360p", "re-encoded, GOP 250, 360p", _SMALL, False, encoder=_LONG_GOP),
        simple("crop10", "cropped 10 %", _crop(0.1), False),
        simple("crop20", "cropped 20 %", _crop(0.2), False),
        simple("speed", "1.1 × as fast", f"setpts=PTS/{_SPEED}", False, pieces=_whole(1 / _SPEED)),
        Edit("pip", "picture in picture, 60 %", False, _in_picture, _whole(), fillers=1, endless=True),
        simple("caption", "caption bar", _CAPTION, False),
        simple("grey", "greyscale", "hue=s=0", False),
        Edit("filmed", "filmed off a screen", False, _filmed, _whole(), moire=True, endless=True),
        Edit("gif", "GIF, 320 px, 10 fps", False, lambda s: f"[0:v]{_GIF}", _whole(),
             encoder=(), suffix=".gif"),
        Edit("excerpt", "5 s in a longer clip", False,
             lambda s: _among_others(s, [_excerpt_of(s)]), lambda s: _placed([_excerpt_of(s)]), 2),
        Edit("excerpts", "two excerpts, out of order", False,
             lambda s: _among_others(s, _two_excerpts_of(s)),
             lambda s: _placed(_two_excerpts_of(s)), 3),
        simple("blend", "24 → 30 fps, blended", "fps=24,framerate=fps=30", False),
    ]  # fmt: skip


EDITS = {edit.name: edit for edit in _edits()}
UNEDITED = Edit("plain", "unedited", False, _simple("null"), _whole())
