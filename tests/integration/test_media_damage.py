"""Clips that break off, are damaged, are not what they seem, or ask for too much."""

from __future__ import annotations

import io
import itertools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import clip_bytes, moving_picture
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.media.limits import Limits
from hashmatch.media.reader import Reader, open_media
from hashmatch.media.unseeable import Unseeable
from hashmatch.media.video import VideoReader
from hashmatch.model import Reason, Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=60, max_gap_seconds=0.25)
GOP = {"g": "15"}
FASTSTART = {"movflags": "faststart"}
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}

# Containers whose beginning says how long the whole is, or whose own errors tell that it broke off.
BREAKABLE: dict[str, dict[str, Any]] = {
    "mp4": {"format": "mp4", "container_options": FASTSTART},
    "mov": {
        "format": "mov",
        "container_options": FASTSTART,
        "codec": "prores_ks",
        "pix_fmt": "yuv422p10le",
    },
    "fragmented": {"format": "mp4", "container_options": FRAGMENTS},
    "matroska": {"format": "matroska"},
    "webm": {"format": "webm", "codec": "libvpx-vp9", "options": {**GOP, "cpu-used": "8"}},
    "live": {"format": "webm", "codec": "libvpx", "container_options": {"live": "1"}},
    "flv": {"format": "flv"},
    "avi": {"format": "avi", "codec": "mpeg4"},
    "hevc": {"format": "matroska", "codec": "libx265"},
    "av1": {"format": "matroska", "codec": "libsvtav1"},
}


@pytest.fixture(scope="module", params=BREAKABLE)
def whole(request: pytest.FixtureRequest) -> bytes:
    return clip_bytes(seconds=3, **{"options": GOP, **BREAKABLE[request.param]})


def look(
    clip: bytes, sampling: Sampling = Sampling.REFERENCE, limits: Limits = LIMITS
) -> tuple[list[float], Reader]:
    with open_media(io.BytesIO(clip), sampling, limits) as reader:
        return [frame.t for frame in reader], reader


def refusal(clip: bytes, limits: Limits = LIMITS) -> Reason:
    with pytest.raises(Unseeable) as refused:
        look(clip, limits=limits)
    return refused.value.reason


@pytest.mark.parametrize("sampling", [Sampling.REFERENCE, Sampling.EVERY])
def test_a_clip_that_breaks_off_is_seen_up_to_there_and_no_further(
    whole: bytes, sampling: Sampling
) -> None:
    times, reader = look(whole[: len(whole) // 2], sampling)
    assert reader.trouble is Reason.TRUNCATED
    assert 0.3 < reader.seen < 2.0
    assert times[-1] < 2.0
    assert reader.duration is None or reader.duration > reader.seen


def test_a_hole_in_the_middle_is_told(whole: bytes) -> None:
    start, end = len(whole) * 4 // 10, len(whole) * 6 // 10
    holed = whole[:start] + bytes(end - start) + whole[end:]
    times, reader = look(holed)
    assert times
    assert reader.trouble is Reason.TRUNCATED


def test_frames_on_both_sides_of_damage_are_kept() -> None:
    clip = bytearray(clip_bytes("matroska", seconds=3, options=GOP))
    middle = len(clip) // 2
    clip[middle : middle + 3500 : 7] = bytes(500)
    times, reader = look(bytes(clip), Sampling.EVERY)
    assert times[0] < 0.1
    assert times[-1] > 2.8
    assert reader.duration is not None
    assert reader.seen < reader.duration


def test_an_mp4_without_its_index_is_damaged() -> None:
    clip = clip_bytes("mp4", seconds=3)
    assert refusal(clip[: len(clip) // 2]) is Reason.DAMAGED


def test_a_transport_stream_that_starts_within_a_group_is_seen_from_its_next_keyframe() -> None:
    clip = clip_bytes("mpegts", seconds=3, options={"g": "30", "bf": "0"})
    times, reader = look(clip[len(clip) // 6 // 188 * 188 + 100 :], Sampling.EVERY)
    assert times
    assert reader.duration is not None
    assert reader.seen < reader.duration
    assert reader.trouble is Reason.TRUNCATED


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_damage_hides_frames_without_being_told(data: st.DataObject) -> None:
    clip = bytearray(_clip_for_damage())
    size = data.draw(st.integers(600, 4000))
    at = data.draw(st.integers(1000, len(clip) - size))
    clip[at : at + size] = data.draw(st.sampled_from([b"\0", b"\xff", b"\x47"])) * size
    try:
        times, reader = look(bytes(clip), Sampling.EVERY)
    except Unseeable:
        return
    share = reader.seen / reader.duration if reader.duration else 0.0
    # What the sampling may leave out anyway, a quarter of a second, may be missing.
    assert reader.trouble is not None or share < 0.95 or len(times) >= 60 - 8


def _clip_for_damage(kept: list[bytes] = []) -> bytes:  # noqa: B006
    if not kept:
        kept.append(clip_bytes("mp4", codec="libx264", seconds=2, container_options=FASTSTART))
    return kept[0]


@pytest.mark.parametrize(
    ("format", "codec"),
    [
        ("mp4", "libx264"),
        ("mpegts", "libx264"),
        ("flv", "libx264"),
        ("mp4", "libx265"),
        ("avi", "mpeg4"),
        ("avi", "mjpeg"),
        ("webm", "libvpx-vp9"),
        ("matroska", "libsvtav1"),
    ],
)
def test_a_frame_over_the_limit_is_never_decoded(format: str, codec: str) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    clip = clip_bytes(format, codec=codec, seconds=0.2, pix_fmt=pix_fmt)
    small = Limits(max_pixels=128 * 96 - 1, max_seconds=60, max_gap_seconds=0.25)
    assert refusal(clip, small) is Reason.TOO_MANY_PIXELS


def test_a_container_that_understates_the_size_gets_nothing_by_it() -> None:
    clip = bytearray(clip_bytes("mp4", seconds=0.2, width=640, height=480))
    at = clip.index(b"avc1", clip.index(b"stsd")) + 28
    assert clip[at : at + 4] == struct.pack(">HH", 640, 480)
    clip[at : at + 4] = struct.pack(">HH", 64, 64)
    small = Limits(max_pixels=200 * 200, max_seconds=60, max_gap_seconds=0.25)
    assert refusal(bytes(clip), small) is Reason.TOO_MANY_PIXELS


def test_a_stream_that_outgrows_the_limit_keeps_its_first_frames() -> None:
    clip = clip_bytes("mpegts", seconds=1) + clip_bytes("mpegts", seconds=1, width=640, height=480)
    small = Limits(max_pixels=200 * 200, max_seconds=60, max_gap_seconds=0.25)
    times, reader = look(clip, Sampling.EVERY, small)
    assert len(times) == 30
    assert reader.trouble is Reason.TOO_MANY_PIXELS


def test_the_time_limit_keeps_what_was_seen_until_then() -> None:
    ticks = itertools.count()
    clip = io.BytesIO(clip_bytes("mp4", seconds=3))
    limits = Limits(max_pixels=10**6, max_seconds=40, max_gap_seconds=0.25)
    with VideoReader(clip, "mov", Sampling.EVERY, limits, clock=lambda: next(ticks)) as reader:
        times = [frame.t for frame in reader]
    assert 20 < len(times) < 45
    assert reader.trouble is Reason.TIME_LIMIT
    assert reader.seen == pytest.approx(times[-1], abs=0.3)


def test_a_file_with_sound_only_has_no_video() -> None:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48_000, layout="mono")
        for start in range(0, 48_000, 1024):
            samples = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            samples.sample_rate, samples.pts = 48_000, start
            output.mux(stream.encode(samples))
        output.mux(stream.encode())
    assert refusal(buffer.getvalue()) is Reason.NO_VIDEO_STREAM


def test_an_unknown_codec_is_named_as_such() -> None:
    clip = clip_bytes("matroska", seconds=0.5)
    unknown = clip.replace(b"V_MPEG4/ISO/AVC", b"V_MPEG9/ISO/XYZ")
    assert unknown != clip
    assert refusal(unknown) is Reason.UNSUPPORTED_CODEC


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", Reason.PLAYLIST),
        (b"ffconcat version 1.0\nfile /etc/hostname\n", Reason.PLAYLIST),
        (b"", Reason.EMPTY_FILE),
        (b"some text", Reason.NOT_MEDIA),
        (b"\x1a\x45\xdf\xa3" + bytes(500), Reason.DAMAGED),
        (b"FLV\x01\x05\0\0\0\x09" + bytes(500), Reason.DAMAGED),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + bytes(500), Reason.DAMAGED),
        (b"RIFF\0\1\0\0AVI LIST" + bytes(500), Reason.DAMAGED),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), Reason.DAMAGED),
        (b"GIF89a" + bytes(500), Reason.DAMAGED),
    ],
)
def test_what_is_no_clip_is_refused_with_its_reason(content: bytes, reason: Reason) -> None:
    refused = refusal(content)
    # FFmpeg finds headers without streams in some of them.
    if reason is Reason.DAMAGED and refused is Reason.NO_VIDEO_STREAM:
        return
    assert refused is reason


def test_a_data_reference_to_another_file_is_not_followed(tmp_path: Path) -> None:
    # The alias in this MOV names a healthy clip by its absolute path; `ffprobe -enable_drefs 1
    # -use_absolute_path 1` opens it.
    other = tmp_path / "other.mov"
    other.write_bytes(clip_bytes("mov", seconds=1))
    assert refusal(_with_alias(clip_bytes("mov", seconds=1), other)) is Reason.DAMAGED


def _with_alias(mov: bytes, target: Path) -> bytes:
    """The same MOV (its index at the end), whose samples are said to be in `target`.

    Source of the alias record's layout: FFmpeg, libavformat/mov.c, mov_read_dref.
    """
    path = str(target).encode()
    record = (
        bytes(10)
        + b"\x03vol".ljust(28, b"\0")
        + bytes(12)
        + b"\x09other.mov".ljust(64, b"\0")
        + bytes(16)
        + struct.pack(">HH", 1, 1)
        + bytes(16)
        + struct.pack(">HH", 2, len(path))
        + path.ljust(len(path) + len(path) % 2, b"\0")
        + struct.pack(">HH", 0xFFFF, 0)
    )
    entry = struct.pack(">I4sI", 12 + len(record), b"alis", 0) + record
    references = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    changed = bytearray(mov)
    at = changed.index(b"dref") - 4
    old = int.from_bytes(changed[at : at + 4], "big")
    changed[at : at + old] = references
    for box in (b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = changed.rindex(box, 0, at) - 4
        size = int.from_bytes(changed[start : start + 4], "big") + len(references) - old
        changed[start : start + 4] = size.to_bytes(4, "big")
    return bytes(changed)


def test_nothing_of_the_file_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    clip = bytearray(clip_bytes("matroska", seconds=1))
    clip[3000:5000:3] = bytes(667)
    capfd.readouterr()
    look(bytes(clip))
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err == ""


def test_a_huge_picture_is_refused_before_it_is_decoded() -> None:
    buffer = io.BytesIO()
    Image.fromarray(moving_picture(0, 300, 200)).save(buffer, "PNG")
    small = Limits(max_pixels=300 * 200 - 1, max_seconds=60, max_gap_seconds=0.25)
    assert refusal(buffer.getvalue(), small) is Reason.TOO_MANY_PIXELS


def test_a_picture_bomb_is_refused() -> None:
    png = bytearray(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    png += struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    import zlib

    png += zlib.crc32(png[12:]).to_bytes(4, "big") + b"\0\0\0\0IDAT" + bytes(8)
    assert refusal(bytes(png)) is Reason.TOO_MANY_PIXELS
