"""Every way of being hard to see, drawn into a folder, and what must be said of each."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from drawn import clip_bytes, write_clip

SIZE = {"width": 192, "height": 128}
FASTSTART = {"movflags": "+faststart"}


@dataclass(frozen=True)
class BadInput:
    """A file that `make` draws, and the outcome and reason that a scan must give it."""

    key: str
    make: Callable[[Path], object]
    outcome: str
    reason: str | None


def _write(data: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(data)


def _cut_in_half(path: Path) -> None:
    whole = clip_bytes("mp4", seconds=4, container_options=FASTSTART, **SIZE)
    path.write_bytes(whole[: len(whole) // 2])


def _without_moov(path: Path) -> None:
    whole = clip_bytes("mp4", seconds=2, **SIZE)
    path.write_bytes(whole[: whole.index(b"moov") - 4])


def _only_sound(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=48_000, layout="mono")
        tone = np.sin(np.arange(1024) / 20)[None].astype(np.float32)
        for start in range(0, 48_000, 1024):
            samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48_000, start
            out.mux(stream.encode(samples))
        out.mux(stream.encode(None))


def _png(width: int, height: int) -> bytes:
    """A PNG whose header claims that size, with next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width // 8 + 1) * min(height, 64)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", rows), chunk(b"IEND", b""))
    )


def _bomb(side: int) -> Callable[[Path], object]:
    """A video whose header and whose codec's header both claim side x side pixels."""
    whole = clip_bytes("avi", codec="mjpeg", seconds=0.5, pix_fmt="yuvj420p", **SIZE)
    size = struct.pack("<II", SIZE["width"], SIZE["height"])
    in_jpeg = struct.pack(">HH", SIZE["height"], SIZE["width"])
    assert size in whole
    assert in_jpeg in whole
    whole = whole.replace(size, struct.pack("<II", side, side))
    return _write(whole.replace(in_jpeg, struct.pack(">HH", side, side)))


def _black(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE.values(), "yuv420p"
        for _ in range(45):
            picture = np.zeros((SIZE["height"], SIZE["width"], 3), np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))


def _draw(**drawing: object) -> Callable[[Path], object]:
    return lambda path: write_clip(path, **{**SIZE, **drawing})  # type: ignore[arg-type]


PLAYLIST = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"

BAD_INPUTS = [
    BadInput("zero-byte.mp4", _write(b""), "unscannable", "empty-file"),
    BadInput("text.mp4", _write(b"This is no video.\n" * 50), "unscannable", "not-media"),
    BadInput("cut-in-half.mp4", _cut_in_half, "partial", "truncated"),
    BadInput("no-moov.mp4", _without_moov, "unscannable", "damaged"),
    BadInput("sound-only.mp4", _only_sound, "unscannable", "no-video-stream"),
    BadInput("0x0.png", _write(_png(0, 0)), "unscannable", "damaged"),
    BadInput("30000x30000.png", _write(_png(30_000, 30_000)), "unscannable", "too-many-pixels"),
    BadInput("12000x12000.avi", _bomb(12_000), "unscannable", "too-many-pixels"),
    # FFmpeg refuses such a size before it says what it is.
    BadInput("30000x30000.avi", _bomb(30_000), "unscannable", "damaged"),
    BadInput("black.mp4", _black, "unscannable", "no-usable-frames"),
    BadInput("playlist.mp4", _write(PLAYLIST), "unscannable", "playlist"),
    BadInput("tiny.mp4", _draw(width=48, height=32), "unscannable", "no-usable-frames"),
    BadInput("one-frame.mp4", _draw(seconds=1 / 30), "clean", None),
    BadInput(
        "ten-hours.mp4",
        lambda path: write_clip(path, times=[10.0 * n for n in range(3601)], **SIZE),
        "clean",
        None,
    ),
    BadInput(
        "vfr.mp4",
        lambda path: write_clip(path, times=[0, 0.1, 0.15, 0.9, 0.95, 2.0, 2.02], seed=7, **SIZE),
        "clean",
        None,
    ),
    BadInput("rotated.mp4", _draw(rotation=90, seed=8), "clean", None),
    BadInput("größe/日本語 🎞.mp4", _draw(seed=9), "clean", None),
    BadInput('it\'s "quoted".mp4', _draw(seed=10), "clean", None),
    BadInput("new\nline.mp4", _draw(seed=11), "clean", None),
    BadInput("..two..dots...mp4", _draw(seed=12), "clean", None),
]


def draw_all(folder: Path) -> None:
    for bad in BAD_INPUTS:
        path = folder / bad.key
        path.parent.mkdir(parents=True, exist_ok=True)
        bad.make(path)
