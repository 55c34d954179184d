"""However a clip is encoded, its frames hash as the reference hashes FFmpeg's RGB picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import av.filter
import numpy as np
import pdqhash
import pytest
from drawn import moving_picture, write_clip

from hashmatch.hashing.pdq import pdq
from hashmatch.media.limits import Limits
from hashmatch.media.pixels import luma
from hashmatch.media.reader import open_media
from hashmatch.model import Sampling

LIMITS = Limits(max_pixels=4096 * 4096, max_seconds=60, max_gap_seconds=0.25)

# Name, ending, how it is drawn. Sizes are no multiple of 32 and mostly not even of 16: padded lines.
CLIPS: list[tuple[str, str, dict[str, Any]]] = [
    ("limited range", "mp4", {}),
    ("full range", "mp4", {"full_range": True}),
    ("yuvj", "mov", {"codec": "mjpeg", "pix_fmt": "yuvj420p", "full_range": True}),
    ("full range at 10 bits", "mp4", {"pix_fmt": "yuv420p10le", "full_range": True}),
    ("10 bits", "mp4", {"pix_fmt": "yuv420p10le"}),
    ("10 bits, HEVC", "mp4", {"codec": "libx265", "pix_fmt": "yuv420p10le"}),
    ("12 bits, HEVC", "mp4", {"codec": "libx265", "pix_fmt": "yuv420p12le"}),
    ("12 bits, grey", "mp4", {"codec": "libx265", "pix_fmt": "gray12le"}),
    ("4:2:2", "mp4", {"pix_fmt": "yuv422p"}),
    ("4:4:4", "mp4", {"pix_fmt": "yuv444p"}),
    ("grey", "mp4", {"pix_fmt": "gray"}),
    ("interlaced macroblocks", "mp4", {"height": 248, "options": {"x264-params": "interlaced=1"}}),
    (
        "interlaced MPEG-2",
        "ts",
        {"codec": "mpeg2video", "fps": 25, "options": {"flags": "+ilme+ildct"}},
    ),
    ("RGB", "mov", {"codec": "png", "pix_fmt": "rgb24"}),
    ("one line of padding", "mp4", {"width": 254, "height": 190}),
    ("narrow", "mp4", {"width": 66, "height": 1082}),
]


@pytest.mark.parametrize(("name", "ending", "drawing"), CLIPS, ids=[clip[0] for clip in CLIPS])
def test_frames_hash_as_their_rgb_picture(
    name: str, ending: str, drawing: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"clip.{ending}"
    write_clip(path, **{"seconds": 0.4, "width": 330, "height": 246, **drawing})
    distances = []
    with path.open("rb") as file, open_media(file, Sampling.EVERY, LIMITS) as reader:
        for frame in reader:
            bits, quality = pdqhash.compute(np.ascontiguousarray(frame.image()))
            hashed = pdq(frame.luma, full_range=frame.full_range)
            assert quality >= 50
            distances.append((np.unpackbits(hashed.bits[0]) != bits).sum())
            assert abs(hashed.quality - quality) <= 1
    # FFmpeg rounds each colour to 8 bits; the drawn scene has little but that in its finest terms.
    assert len(distances) >= 10
    assert np.median(distances) <= 4
    assert max(distances) <= 10


def test_a_frame_that_lies_upside_down_in_memory_is_the_right_way_up() -> None:
    picture = moving_picture(0.4, 250, 170)
    graph = av.filter.Graph()
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
        format="yuv420p", threads=1
    )
    source = graph.add_buffer(width=250, height=170, format="yuv420p", time_base=av.time_base)
    flip, sink = graph.add("vflip"), graph.add("buffersink")
    source.link_to(flip)
    flip.link_to(sink)
    graph.configure()
    graph.push(frame)
    flipped = graph.pull()
    assert flipped.planes[0].line_size < 0
    upside_down, _ = luma(flipped)
    upright, _ = luma(frame)
    assert (upside_down == np.flipud(upright)).all()
    assert (pdq(upside_down).bits[0] == pdq(upright, orientations=8).bits[5]).all()
