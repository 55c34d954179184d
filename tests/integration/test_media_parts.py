"""Promise 1: all that a file shows is looked at, whatever a player would choose of it."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from drawn import clip_bytes, moving_picture, write_clip
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from hashmatch.media.limits import LONGEST, Limits
from hashmatch.media.reader import Reader, open_media
from hashmatch.media.sections import sections
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=60, max_gap_seconds=0.25)
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
OTHER = {"width": 160, "height": 120, "seed": 2}  # told from the first by its size
SIZE, OTHER_SIZE = (96, 128), (120, 160)


def look(file: bytes) -> tuple[list[tuple[float, tuple[int, ...]]], Reader]:
    """Time and size of each frame."""
    with open_media(io.BytesIO(file), Sampling.EVERY, LIMITS) as reader:
        return [(frame.t, frame.luma.shape) for frame in reader], reader


def drawn(format: str, *, _kept: dict[str, bytes] = {}, **drawing: Any) -> bytes:  # noqa: B006
    name = f"{format} {drawing}"
    if name not in _kept:
        _kept[name] = clip_bytes(format, **{"seconds": 1, **drawing})
    return _kept[name]


def still(format: str, side: int = 128, seed: int = 1, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(moving_picture(0.5, side, side, seed)).save(buffer, format, **options)
    return buffer.getvalue()


def sizes(file: bytes) -> dict[tuple[int, ...], int]:
    frames, reader = look(file)
    assert reader.trouble is None
    assert reader.duration is None or reader.seen == pytest.approx(reader.duration, rel=0.05)
    times = [t for t, _ in frames]
    assert times == sorted(times)
    return {size: sum(one == size for _, one in frames) for _, size in frames}


@pytest.mark.parametrize("format", ["mp4", "matroska", "mpegts", "avi"])
def test_every_video_stream_is_looked_at(format: str, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    with av.open(path, "w", format=format) as output:
        streams = []
        for height, width in (SIZE, OTHER_SIZE):
            stream = output.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            streams.append(stream)
        for number in range(30):
            for seed, stream in enumerate(streams, 1):
                picture = moving_picture(number / 30, stream.width, stream.height, seed)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            output.mux(stream.encode())
    assert sizes(path.read_bytes()) == {SIZE: 30, OTHER_SIZE: 30}


def _other_pid(**drawing: Any) -> bytes:
    return drawn("mpegts", container_options={"mpegts_start_pid": "0x200"}, **drawing)


JOINED: dict[str, Callable[[], bytes]] = {
    "another-pid": lambda: drawn("mpegts") + _other_pid(**OTHER),
    "another-codec-in-flv": lambda: drawn("flv") + drawn("flv", codec="flv", **OTHER)[13:],
    "flv-behind-flv": lambda: drawn("flv") + drawn("flv", **OTHER),
    "second-init": lambda: (
        drawn("mp4", container_options=FRAGMENTS)
        + drawn("mp4", container_options=FRAGMENTS, **OTHER)
    ),
    "mp4-behind-mp4": lambda: drawn("mp4") + drawn("mp4", **OTHER),
    "webm-blobs": lambda: (
        drawn("webm", codec="libvpx", container_options={"live": "1"})
        + drawn("webm", codec="libvpx", container_options={"live": "1"}, **OTHER)
    ),
    "transport-stream-behind-mp4": lambda: drawn("mp4") + drawn("mpegts", **OTHER),
}


@pytest.mark.parametrize("name", JOINED)
def test_what_follows_in_the_file_is_looked_at(name: str) -> None:
    assert sizes(JOINED[name]()) == {SIZE: 30, OTHER_SIZE: 30}


@pytest.mark.parametrize("count", [2, 3, 4])
def test_what_resembles_packets_does_not_make_a_transport_stream_of_what_follows(
    count: int,
) -> None:
    behind = bytearray(drawn("matroska", **OTHER) + b"\xec\x43\xe8" + bytes(1000))
    for number in range(1, count + 1):
        behind[-188 * number - 10] = 0x47
    assert sizes(drawn("mpegts") + bytes(behind)) == {SIZE: 30, OTHER_SIZE: 30}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
@pytest.mark.parametrize("video", ["mp4", "mpegts", "matroska"])
def test_a_video_behind_a_picture_is_looked_at(format: str, video: str) -> None:
    behind = b"MotionPhoto_Data" + drawn(video, **OTHER)
    assert sizes(still(format) + behind) == {(128, 128): 1, OTHER_SIZE: 30}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP"])
def test_behind_a_picture_padding_is_nothing_and_anything_else_is_told(format: str) -> None:
    picture = still(format)
    _, padded = look(picture + bytes(5000))
    assert padded.trouble is None
    frames, followed = look(picture + bytes(range(1, 90)) * 50)
    assert len(frames) == 1
    assert followed.trouble is Reason.UNKNOWN_PARTS


@pytest.mark.parametrize("count", [2, 40])
def test_of_a_row_of_pictures_all_are_looked_at(count: int) -> None:
    frames, reader = look(b"".join(still("JPEG", seed=seed + 1) for seed in range(count)))
    assert len(frames) == count
    assert reader.trouble is None


@pytest.mark.parametrize("format", ["flv", "mpegts"])
def test_video_that_begins_late_is_found(format: str) -> None:
    sound = _sound(format, 40)
    clip = drawn(format, sound=1)
    late = sound + (clip[13:] if format == "flv" else _other_pid(sound=1))
    frames, reader = look(late)
    assert len(frames) == 30
    assert reader.trouble is None


def _sound(format: str, seconds: int) -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=format) as output:
        stream = output.add_stream("aac", rate=48_000, layout="mono")
        for start in range(0, seconds * 48_000, 1024):
            tone = np.sin(np.arange(start, start + 1024) / 20)[None].astype(np.float32)
            samples = av.AudioFrame.from_ndarray(tone * 0.1, format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48_000, start
            output.mux(stream.encode(samples))
        output.mux(stream.encode())
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["flv", "mpegts"])
def test_times_that_start_again_go_on(format: str) -> None:
    clip = drawn(format)
    frames, reader = look(clip + (clip[13:] if format == "flv" else clip))
    steps = np.diff([t for t, _ in frames])
    assert len(frames) == 60
    assert steps.min() > 0.01
    assert steps.max() < 0.1
    assert reader.duration == pytest.approx(2, abs=0.1)
    assert reader.trouble is None


def test_an_edit_list_hides_nothing() -> None:
    clip = bytearray(drawn("mp4"))
    at = clip.index(b"elst") + 12
    clip[at : at + 4] = struct.pack(">I", 100)  # a tenth of a second of the whole
    frames, reader = look(bytes(clip))
    assert len(frames) == 30
    assert reader.seen == pytest.approx(1, abs=0.05)


def test_packets_are_believed_over_a_tag() -> None:
    clip = drawn("matroska")
    tagged = clip.replace(b"00:00:01.0", b"01:00:01.0")
    assert tagged != clip
    frames, reader = look(tagged)
    assert len(frames) == 30
    assert reader.trouble is None
    assert reader.seen == pytest.approx(reader.duration, rel=0.04)


HOLES: dict[str, Callable[[], bytes]] = {
    "flv-tags": lambda: _without_tags(drawn("flv", seconds=3, options={"g": "15"})),
    "vp9-clusters": lambda: _void_clusters(
        drawn(
            "webm",
            codec="libvpx-vp9",
            seconds=5,
            options={"g": "15"},
            container_options={"cluster_time_limit": "500"},
        )
    ),
    "ts-packets": lambda: _without_packets(drawn("mpegts", seconds=3, options={"g": "15"})),
}


@pytest.mark.parametrize("name", HOLES)
def test_a_hole_that_the_container_goes_on_behind_is_not_seen(name: str) -> None:
    frames, reader = look(HOLES[name]())
    assert frames
    assert reader.trouble is Reason.TRUNCATED
    assert reader.duration is not None
    assert reader.seen < 0.9 * reader.duration


@pytest.mark.parametrize("format", ["avi", "mov", "matroska"])
def test_keyframes_that_a_decoder_complains_of_are_not_seen(format: str) -> None:
    """Each picture is a keyframe, and is itself what is damaged."""
    clip = bytearray(drawn(format, codec="mjpeg", pix_fmt="yuvj420p"))
    starts = [at for at in range(len(clip)) if clip.startswith(b"\xff\xda", at)]
    for at in starts[10:20]:
        clip[at + 100 : at + 500] = b"\xff\xd9" * 200
    frames, reader = look(bytes(clip))
    assert frames
    assert reader.trouble is Reason.TRUNCATED
    assert reader.seen < 0.75


def test_what_is_predicted_from_a_packet_that_is_flagged_is_not_seen() -> None:
    clip = bytearray(drawn("mpegts", seconds=2, options={"g": "60", "bf": "0"}))
    flagged = len(clip) // 188 // 3 * 188
    clip[flagged + 1] |= 0x80  # transport error
    _, reader = look(bytes(clip))
    assert reader.trouble is Reason.TRUNCATED
    assert reader.seen < 1


def _without_tags(clip: bytes) -> bytes:
    """Of the video tags behind the first, four of five are gone."""
    kept, at, videos = [clip[:13]], 13, 0
    while at < len(clip):
        end = at + 11 + int.from_bytes(clip[at + 1 : at + 4], "big") + 4
        videos += clip[at] == 9
        if clip[at] != 9 or videos <= 2 or videos % 5 == 0:
            kept.append(clip[at:end])
        at = end
    return b"".join(kept)


def _void_clusters(clip: bytes) -> bytes:
    """Two clusters in the middle become Void elements of the same size."""
    places = [at for at in range(len(clip)) if clip.startswith(b"\x1f\x43\xb6\x75", at)]
    changed = bytearray(clip)
    for at in places[2:6]:
        # The id of Void is shorter: its size takes the three bytes more.
        width = 9 - clip[at + 4].bit_length()
        size = int.from_bytes(clip[at + 4 : at + 4 + width], "big") & ((1 << 7 * width) - 1)
        head = bytes([0xEC, 0x01]) + (size + 4 + width - 9).to_bytes(7, "big")
        changed[at : at + 9] = head
    return bytes(changed)


def _without_packets(clip: bytes) -> bytes:
    count = len(clip) // 188
    return clip[: count // 3 * 188] + clip[count * 2 // 3 * 188 :]


@pytest.mark.parametrize("reordered", ["0", "3"])
def test_slides_are_whole(reordered: str) -> None:
    slides = tuple(float(n) for n in range(8))
    frames, reader = look(drawn("flv", times=slides, options={"bf": reordered}))
    assert len(frames) == 8
    assert reader.trouble is None


DAMAGED: dict[str, Callable[[], bytes]] = {
    "jpeg-without-its-end": lambda: still("JPEG")[:-2],
    "jpeg-cut": lambda: still("JPEG")[: -len(still("JPEG")) // 20],
    "progressive-cut": lambda: still("JPEG", progressive=True)[:-400],
    "png-cut": lambda: still("PNG")[: -len(still("PNG")) // 20],
    "png-of-less": lambda: _idat_without_middle(still("PNG")),
    "gif-cut": lambda: still("GIF")[:-900],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_picture_is_shown_as_far_as_it_goes_and_is_not_whole(name: str) -> None:
    frames, reader = look(DAMAGED[name]())
    assert len(frames) == 1
    assert reader.trouble is Reason.TRUNCATED


def _idat_without_middle(png: bytes) -> bytes:
    """A seventh of the coded picture is cut out, and the checksum made to fit."""
    at = png.index(b"IDAT") - 4
    length = int.from_bytes(png[at : at + 4], "big")
    data = png[at + 8 : at + 8 + length]
    body = b"IDAT" + data[: length // 2] + data[length // 2 + length // 7 :]
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return png[:at] + chunk + png[at + 12 + length :]


def test_a_text_in_a_picture_takes_nothing_from_it() -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", "x" * (3 << 20), zip=True)
    texts.add_text("Title", "drawn")
    png = bytearray(still("PNG", pnginfo=texts))
    at = png.index(b"drawn")
    png[at] ^= 1  # its checksum is wrong now
    frames, reader = look(bytes(png))
    assert len(frames) == 1
    assert reader.trouble is None


def test_an_animation_that_claims_another_number_of_frames_is_not_whole() -> None:
    pictures = [Image.fromarray(moving_picture(n, 64, 64, n + 1)) for n in range(4)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "PNG", save_all=True, append_images=pictures[1:], duration=100)
    png = bytearray(buffer.getvalue())
    at = png.index(b"acTL")
    png[at + 4 : at + 8] = struct.pack(">I", 2)
    png[at + 12 : at + 16] = struct.pack(">I", zlib.crc32(png[at : at + 12]))
    _, reader = look(bytes(png))
    assert reader.trouble is Reason.TRUNCATED


def _fctl(png: bytes, number: int, place: int, value: int) -> bytes:
    """A number of an animation's frame is another, and the checksum fits."""
    at = [at for at in range(len(png)) if png.startswith(b"fcTL", at)][number]
    body = bytearray(png[at : at + 30])
    body[4 + place : 8 + place] = struct.pack(">I", value)
    return png[:at] + body + struct.pack(">I", zlib.crc32(body)) + png[at + 34 :]


def _animated(format: str) -> bytes:
    pictures = [Image.fromarray(moving_picture(n, 128, 96, n + 1)) for n in range(4)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, format, save_all=True, append_images=pictures[1:], duration=100)
    return buffer.getvalue()


@pytest.mark.parametrize(("number", "place"), [(0, 4), (0, 8), (2, 12), (2, 16)])
def test_an_animation_that_browsers_show_as_a_still_is_not_whole(number: int, place: int) -> None:
    """A frame's width, height or place is not within the picture."""
    assert look(_animated("PNG"))[1].trouble is None
    try:
        _, reader = look(_fctl(_animated("PNG"), number, place, 127 if number else 1))
    except Unseeable:
        return
    assert reader.trouble is Reason.TRUNCATED


def test_a_picture_beyond_the_screen_of_a_gif_does_not_shrink_the_others() -> None:
    gif = bytearray(_animated("GIF"))
    at = [at for at in range(len(gif)) if gif.startswith(b"\x2c" + bytes(4) + b"\x80\0\x60\0", at)]
    assert len(at) == 4
    gif[at[1] + 3 : at[1] + 5] = struct.pack("<H", 30_000)
    frames, reader = look(bytes(gif))
    assert sorted({t for t, size in frames if size == SIZE}) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert reader.trouble is None


def test_an_animation_of_years_has_times_of_a_clip() -> None:
    png = _animated("PNG")
    for number in range(4):
        png = _fctl(png, number, 20, 0xFFFF_0001)
    _, reader = look(png)
    assert reader.seen <= LONGEST


SEEDS = (
    lambda: still("JPEG", 64),
    lambda: still("PNG", 64),
    lambda: still("GIF", 64),
    lambda: drawn("mp4", seconds=0.2),
    lambda: drawn("flv", seconds=0.2),
    lambda: drawn("matroska", seconds=0.2),
    lambda: drawn("mpegts", seconds=0.2),
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_the_sections_of_any_file_are_in_it_and_in_order(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(SEEDS), min_size=1, max_size=3))
    file = bytearray(b"".join(part() for part in parts))
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(file) - 1))
        file[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=40))
    try:
        found, _ = sections(io.BytesIO(bytes(file)))
    except Unseeable:
        return
    assert found[0].start == 0
    starts = [section.start for section in found]
    assert starts == sorted(starts)
    assert all(section.start < section.end <= len(file) for section in found)


def test_sound_beside_the_picture_is_no_part(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", seconds=1, sound=1)
    assert sizes((tmp_path / "clip.mp4").read_bytes()) == {SIZE: 30}
