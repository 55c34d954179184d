"""One suite over containers and codecs: every frame, at its time, the same in each sampling."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import pytest
from drawn import moving_picture, write_clip

from hashmatch.media.frame import Frame
from hashmatch.media.limits import Limits
from hashmatch.media.reader import Reader, open_media
from hashmatch.model import Reason, Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=60, max_gap_seconds=0.25)

Draw = Callable[..., Path]


class Case(NamedTuple):
    format: str
    codec: str
    decoder: str
    drawing: dict[str, Any]


def _case(format: str, codec: str, decoder: str, **drawing: Any) -> Any:
    options = drawing.get("options", {})
    name = "-".join([format, codec, *options.values(), drawing.get("pix_fmt", "")]).rstrip("-")
    return pytest.param(Case(format, codec, decoder, drawing), id=name)


def _x264(parameters: str) -> dict[str, str]:
    return {"x264-params": f"keyint=20:{parameters}"}


CASES = [
    *(_case(f, "libx264", "h264") for f in ("mp4", "mov", "matroska", "flv", "mpegts", "avi")),
    _case("mp4", "libx264", "h264", options=_x264("b-pyramid=normal:bframes=5:ref=5:b-adapt=0")),
    _case("mpegts", "libx264", "h264", options=_x264("open-gop=1:bframes=4:b-adapt=0")),
    _case("matroska", "libx264", "h264", options=_x264("bframes=0")),
    _case("matroska", "libx264", "h264", options=_x264("interlaced=1")),
    _case("mp4", "libx264", "h264", pix_fmt="yuv444p"),
    _case("mp4", "libx264", "h264", pix_fmt="yuv420p10le"),
    _case("mp4", "libx265", "hevc", options={"x265-params": "keyint=20:bframes=4:b-adapt=0"}),
    _case("matroska", "libx265", "hevc", options={"x265-params": "open-gop=1:keyint=20"}),
    _case("mp4", "libx265", "hevc", options={"x265-params": "temporal-layers=3:bframes=3"}),
    _case("mp4", "libx265", "hevc", pix_fmt="yuv420p10le"),
    _case("webm", "libvpx", "vp8", options={"g": "20"}),
    _case(
        "webm",
        "libvpx",
        "vp8",
        options={"deadline": "good", "auto-alt-ref": "1", "lag-in-frames": "12"},
    ),
    _case("webm", "libvpx-vp9", "vp9", options={"deadline": "realtime"}),
    _case(
        "webm",
        "libvpx-vp9",
        "vp9",
        options={"deadline": "good", "auto-alt-ref": "1", "cpu-used": "5"},
    ),
    _case("mp4", "libsvtav1", "av1"),
    _case("matroska", "libsvtav1", "av1", pix_fmt="yuv420p10le"),
    _case("mp4", "mpeg4", "mpeg4", options={"bf": "2"}),
    _case("avi", "mpeg4", "mpeg4", options={"bf": "2"}),
    _case("mpegts", "mpeg2video", "mpeg2video", options={"bf": "2"}),
    _case("mov", "prores_ks", "prores", pix_fmt="yuv422p10le"),
    _case("avi", "mjpeg", "mjpeg", pix_fmt="yuvj420p"),
    _case("mov", "mjpeg", "mjpeg", pix_fmt="yuvj444p"),
    _case("matroska", "ffv1", "ffv1", pix_fmt="gray"),
    _case("matroska", "ffv1", "ffv1", pix_fmt="bgr0"),
    _case("flv", "flv", "flv1"),
]


@pytest.fixture(scope="module")
def draw(tmp_path_factory: pytest.TempPathFactory) -> Draw:
    """Draws each clip once."""
    drawn: dict[str, Path] = {}

    def clip(format: str, **drawing: Any) -> Path:
        key = f"{format} {sorted(drawing.items())}"
        if key not in drawn:
            drawn[key] = tmp_path_factory.mktemp("clip") / "clip"
            write_clip(drawn[key], format=format, **drawing)
        return drawn[key]

    return clip


class Seen(NamedTuple):
    times: list[float]
    lumas: list[Any]
    reader: Reader


def look(path: Path, sampling: Sampling, limits: Limits = LIMITS) -> Seen:
    with path.open("rb") as file, open_media(file, sampling, limits) as reader:
        frames = list(reader)
        return Seen([f.t for f in frames], [f.luma for f in frames], reader)


@pytest.mark.parametrize("case", CASES)
def test_every_frame_comes_at_its_time(case: Case, draw: Draw) -> None:
    clip = draw(case.format, codec=case.codec, **case.drawing)
    seen = look(clip, Sampling.EVERY)
    assert seen.times == pytest.approx([i / 30 for i in range(45)], abs=0.0011)
    assert seen.reader.sampling is Sampling.EVERY
    assert (seen.reader.width, seen.reader.height) == (128, 96)
    assert seen.reader.codec == case.decoder


@pytest.mark.parametrize("case", CASES)
def test_the_pixels_are_those_that_were_drawn(case: Case, draw: Draw) -> None:
    clip = draw(case.format, codec=case.codec, **case.drawing)
    with clip.open("rb") as file, open_media(file, Sampling.EVERY, LIMITS) as reader:
        for frame in reader:
            assert _distance(frame, frame.t) < 8
            assert _distance(frame, frame.t) < _distance(frame, frame.t - 1 / 30)
            assert _distance(frame, frame.t) < _distance(frame, frame.t + 1 / 30)


def _distance(frame: Frame, t: float) -> float:
    """Mean difference from the luma that was drawn for t. The encoders are lossy, and quick."""
    scale, black = (1.0, 0.0) if frame.full_range else (219 / 255, 16.0)
    drawn = moving_picture(t, 128, 96) @ [0.299, 0.587, 0.114] * scale + black
    return float(abs(frame.luma - drawn).mean())


@pytest.mark.parametrize("sampling", [Sampling.REFERENCE, Sampling.KEYFRAMES])
@pytest.mark.parametrize("case", CASES)
def test_frames_left_out_do_not_change_those_that_are_seen(
    case: Case, sampling: Sampling, draw: Draw
) -> None:
    clip = draw(case.format, codec=case.codec, **case.drawing)
    every = look(clip, Sampling.EVERY)
    whole = dict(zip([round(t, 4) for t in every.times], every.lumas, strict=True))
    some = look(clip, sampling)
    assert some.times
    for t, luma in zip(some.times, some.lumas, strict=True):
        assert np.array_equal(luma, whole[round(t, 4)])


@pytest.mark.parametrize("sampling", Sampling)
@pytest.mark.parametrize("case", CASES)
def test_a_whole_clip_is_seen_whole(case: Case, sampling: Sampling, draw: Draw) -> None:
    reader = look(draw(case.format, codec=case.codec, **case.drawing), sampling).reader
    assert reader.trouble is None
    assert reader.duration == pytest.approx(1.5, abs=0.07)
    assert reader.seen == pytest.approx(1.5, abs=0.04)


@pytest.mark.parametrize("case", CASES)
def test_reference_frames_are_never_further_apart_than_the_limit(case: Case, draw: Draw) -> None:
    seen = look(draw(case.format, codec=case.codec, **case.drawing), Sampling.REFERENCE)
    assert max(np.diff(seen.times)) <= LIMITS.max_gap_seconds


def test_an_intra_refresh_stream_is_not_seen_whole_by_its_keyframes(draw: Draw) -> None:
    clip = draw("mpegts", options=_x264("intra-refresh=1"))
    assert look(clip, Sampling.KEYFRAMES).reader.trouble is Reason.TRUNCATED
    assert look(clip, Sampling.REFERENCE).reader.trouble is None


def test_reference_frames_cost_fewer_decodes(draw: Draw) -> None:
    seen = look(draw("mp4", codec="libx264"), Sampling.REFERENCE)
    assert seen.reader.sampling is Sampling.REFERENCE
    assert len(seen.times) < 40


def test_where_reference_frames_are_too_far_apart_every_frame_is_taken(draw: Draw) -> None:
    sparse = {"x264-params": "bframes=8:b-adapt=0:b-pyramid=none"}
    clip = draw("mp4", fps=15, seconds=3, options=sparse)
    seen = look(clip, Sampling.REFERENCE)
    assert seen.reader.sampling is Sampling.EVERY
    assert seen.times == pytest.approx([i / 15 for i in range(45)], abs=0.0011)


def test_a_clip_that_turns_sparse_is_taken_densely_from_there_on(tmp_path: Path) -> None:
    # Static at its end, so that the encoder takes long runs of B frames there only.
    clip = tmp_path / "clip.mp4"
    with av.open(clip, "w") as output:
        stream = output.add_stream(
            "libx264", rate=15, options={"x264-params": "b-pyramid=none:bframes=16:b-adapt=2"}
        )
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for i in range(60):
            picture = moving_picture(min(i, 30) / 15, 128, 96)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode())
    every = look(clip, Sampling.EVERY)
    seen = look(clip, Sampling.REFERENCE)
    assert seen.reader.sampling is Sampling.REFERENCE
    assert seen.times == sorted(set(seen.times))
    assert set(seen.times) < set(every.times)
    assert max(np.diff(seen.times)) <= LIMITS.max_gap_seconds
    assert seen.reader.seen == pytest.approx(4.0, abs=0.1)


def test_where_keyframes_are_too_far_apart_reference_frames_are_taken(draw: Draw) -> None:
    clip = draw("mp4", codec="libx264", fps=10, seconds=7, options={"g": "250"})
    seen = look(clip, Sampling.KEYFRAMES)
    assert seen.reader.sampling is Sampling.REFERENCE
    assert seen.times == look(clip, Sampling.REFERENCE).times
    assert seen.reader.trouble is None


def test_where_there_are_too_few_of_both_every_frame_is_taken(draw: Draw) -> None:
    sparse = {"g": "250", "x264-params": "bframes=8:b-adapt=0:b-pyramid=none"}
    clip = draw("mp4", codec="libx264", fps=15, seconds=6, options=sparse)
    seen = look(clip, Sampling.KEYFRAMES)
    assert seen.reader.sampling is Sampling.EVERY
    assert seen.times == look(clip, Sampling.EVERY).times


def test_keyframes_that_are_near_enough_suffice(draw: Draw) -> None:
    clip = draw("mp4", codec="libx264", fps=10, seconds=8, options={"g": "40"})
    seen = look(clip, Sampling.KEYFRAMES)
    assert seen.reader.sampling is Sampling.KEYFRAMES
    assert len(seen.times) == 2
    assert seen.reader.seen == pytest.approx(8.0)


@pytest.mark.parametrize("format", ["mp4", "matroska", "flv"])
def test_a_slide_show_is_no_gap(format: str, draw: Draw) -> None:
    slides = [i / 2 for i in range(8)]
    clip = draw(format, times=slides, options={"bf": "0"})
    seen = look(clip, Sampling.REFERENCE)
    assert seen.reader.sampling is Sampling.REFERENCE
    assert seen.times == pytest.approx(slides, abs=0.0011)
    assert seen.reader.trouble is None


@pytest.mark.parametrize("format", ["mp4", "mov", "matroska", "mpegts", "flv"])
def test_a_variable_frame_rate_is_told_by_timestamps(format: str, draw: Draw) -> None:
    times = [0, 0.04, 0.08, 0.1, 0.5, 0.54, 0.6, 0.601, 1.2, 1.22, 1.9, 2.0]
    seen = look(draw(format, times=times), Sampling.EVERY)
    assert seen.times == pytest.approx(times, abs=0.0011)


@pytest.mark.parametrize(
    ("degrees", "hflip"), [(90, False), (180, False), (270, False), (0, True), (90, True)]
)
@pytest.mark.parametrize("format", ["mp4", "matroska"])
def test_a_frame_is_turned_as_its_container_says(
    degrees: int, hflip: bool, format: str, draw: Draw
) -> None:
    upright = look(draw(format), Sampling.EVERY)
    turned = look(draw(format, rotation=degrees, hflip=hflip), Sampling.EVERY)
    # As the ffmpeg tool turns them: its degrees are counterclockwise, as numpy's, then it flips.
    expected = np.rot90(upright.lumas[7], degrees // 90)
    expected = expected[:, ::-1] if hflip else expected
    assert np.array_equal(turned.lumas[7], expected)
    assert (turned.reader.height, turned.reader.width) == expected.shape


def test_the_colour_picture_is_turned_too(draw: Draw) -> None:
    clip = draw("mp4", rotation=90)
    with clip.open("rb") as file, open_media(file, Sampling.EVERY, LIMITS) as reader:
        frame = next(iter(reader))
        image = frame.image()
    assert image.mode == "RGB"
    assert image.size == (96, 128)
    grey = np.asarray(image.convert("L")).astype(int)
    assert abs(grey * 219 / 255 + 16 - frame.luma).mean() < 2


def test_full_range_is_told_and_limited_range_too(draw: Draw) -> None:
    for full in (True, False):
        clip = draw("mp4", full_range=full)
        with clip.open("rb") as file, open_media(file, Sampling.EVERY, LIMITS) as reader:
            assert next(iter(reader)).full_range is full


def test_odd_sizes_are_read_without_padding(draw: Draw) -> None:
    seen = look(draw("mp4", width=98, height=66), Sampling.EVERY)
    assert seen.lumas[0].shape == (66, 98)


@pytest.mark.parametrize("format", ["mp4", "matroska", "mpegts", "flv", "avi"])
def test_a_video_of_one_frame_is_seen(format: str, draw: Draw) -> None:
    codec = "mpeg4" if format == "avi" else "libx264"
    seen = look(draw(format, codec=codec, seconds=1 / 30), Sampling.REFERENCE)
    assert seen.times == [0.0]
    assert seen.reader.seen > 0
    assert seen.reader.trouble is None


def test_frames_too_small_to_hash_are_given_as_they_are(draw: Draw) -> None:
    assert look(draw("mp4", width=16, height=16), Sampling.EVERY).lumas[0].shape == (16, 16)


@pytest.mark.parametrize("format", ["mp4", "matroska", "flv", "mpegts"])
def test_sound_that_outlasts_the_picture_is_not_video_unseen(format: str, draw: Draw) -> None:
    reader = look(draw(format, sound=3.0), Sampling.REFERENCE).reader
    assert reader.trouble is None
    assert reader.duration == pytest.approx(1.5, abs=0.1)


def test_a_stream_cut_together_from_two_recordings_goes_on(draw: Draw, tmp_path: Path) -> None:
    one, two = draw("mpegts"), draw("mpegts", seed=2, width=96, height=128)
    joined = tmp_path / "joined"
    joined.write_bytes(one.read_bytes() + two.read_bytes())
    seen = look(joined, Sampling.EVERY)
    assert seen.times == pytest.approx([i / 30 for i in range(90)], abs=0.0011)
    assert seen.reader.duration == pytest.approx(3.0, abs=0.05)
    assert seen.lumas[-1].shape == (128, 96)
    assert seen.reader.trouble is None


def test_cover_art_is_looked_at_beside_the_video(draw: Draw, tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with av.open(clip, "w") as output:
        cover = output.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        video = output.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        big = av.VideoFrame.from_ndarray(moving_picture(0, 640, 480), format="rgb24")
        output.mux(cover.encode(big.reformat(format="yuvj420p", threads=1)))
        for i in range(10):
            picture = moving_picture(i / 30, 128, 96)
            output.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(video.encode())
    seen = look(clip, Sampling.EVERY)
    assert [luma.shape for luma in seen.lumas] == [(96, 128)] * 10 + [(480, 640)]
    assert seen.times[-1] == pytest.approx(10 / 30)
    assert seen.reader.trouble is None
