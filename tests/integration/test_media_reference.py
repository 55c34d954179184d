"""Public videos: as many frames as the reference implementation hashed, at its times, with its bits.

The published hashes are of RGB pictures, and what FFmpeg's scaler rounds on the way to RGB depends
on the machine: those of `doorknob` were made with its portable code, those of `test-padded` with
its code for x86, and the two differ by up to 22 bits on the blurred frames of `doorknob`. The luma
plane knows neither rounding and lies between them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from hashmatch.hashing.pdq import pdq, pdq_rgb
from hashmatch.media.limits import Limits
from hashmatch.media.reader import open_media
from hashmatch.model import Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=120, max_gap_seconds=0.25)

NAMES = (
    "chair-19-sd-bar",
    "chair-20-sd-bar",
    "chair-22-sd-grey-bar",
    "chair-22-sd-sepia-bar",
    "chair-22-with-large-logo-bar",
    "chair-22-with-small-logo-bar",
    "chair-orig-22-sd-bar",
    "doorknob-hd-no-bar",
    "pattern-hd-no-bar",
    "pattern-longer-no-bar",
    "pattern-sd-grey-bar",
    "pattern-sd-with-large-logo-bar",
    "pattern-sd-with-small-logo-bar",
    "test-padded-dimensions",
)

# Bits between the luma plane's hash and the published one: median, 99th percentile, most.
_USUAL = (0, 4, 10)
_ROUNDED = {"doorknob-hd-no-bar": (2, 12, 12), "test-padded-dimensions": (2, 4, 4)}


class Published(NamedTuple):
    """n frames: t (n,) seconds, quality (n,), bits (n, 32)."""

    t: list[float]
    quality: NDArray[np.int64]
    bits: NDArray[np.uint8]


def published(media: Path, name: str) -> Published:
    lines = (media / "video-hashes" / f"{name}.txt").read_text().splitlines()
    _, quality, bits, t = zip(*(line.split(",") for line in lines), strict=True)
    return Published(
        [float(seconds) for seconds in t],
        np.array(quality, np.int64),
        np.frombuffer(bytes.fromhex("".join(bits)), np.uint8).reshape(-1, 32),
    )


def distances(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.bitwise_count(a ^ b).sum(axis=1, dtype=np.int64)


def test_these_are_all_the_public_videos(media: Path) -> None:
    assert tuple(sorted(path.stem for path in (media / "video-hashes").glob("*.txt"))) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_of_the_reference_comes_at_its_time_with_its_hash(
    name: str, media: Path
) -> None:
    reference = published(media, name)
    times, bits, quality = [], [], []
    video = media / "videos" / f"{name}.mp4"
    with video.open("rb") as file, open_media(file, Sampling.EVERY, LIMITS) as reader:
        for frame in reader:
            hashed = pdq(frame.luma, full_range=frame.full_range)
            times.append(frame.t)
            bits.append(hashed.bits[0])
            quality.append(hashed.quality)
    assert times == pytest.approx(reference.t, abs=0.00051)
    assert reader.trouble is None
    assert reader.duration is not None
    assert reader.seen >= 0.99 * reader.duration
    assert abs(np.array(quality) - reference.quality).max() <= 1
    usable = (np.array(quality) >= 50) & (reference.quality >= 50)
    apart = distances(np.array(bits), reference.bits)[usable]
    median, most_of_them, most = _ROUNDED.get(name, _USUAL)
    assert np.median(apart) <= median
    assert np.percentile(apart, 99) <= most_of_them
    assert apart.max() <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*NAMES} - {"test-padded-dimensions"}))
def test_the_rgb_picture_that_the_reference_hashed_has_its_bits(name: str, media: Path) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("the ffmpeg program is not installed; only it can do without processor's code")
    reference = published(media, name)
    video = media / "videos" / f"{name}.mp4"
    with video.open("rb") as file, open_media(file, Sampling.KEYFRAMES, LIMITS) as reader:
        height, width = next(iter(reader)).luma.shape
    portable = [ffmpeg, "-v", "error", "-cpuflags", "0", "-i", str(video), "-threads", "1"]
    raw = [*portable, "-fps_mode", "passthrough", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    seen, apart = 0, []
    with subprocess.Popen(raw, stdout=subprocess.PIPE) as decoder:
        assert decoder.stdout is not None
        while frame := decoder.stdout.read(height * width * 3):
            picture = np.frombuffer(frame, np.uint8).reshape(height, width, 3)
            hashed = pdq_rgb(picture)
            assert hashed.quality == reference.quality[seen]
            if hashed.quality >= 50:
                apart.append(int(np.bitwise_count(hashed.bits[0] ^ reference.bits[seen]).sum()))
            seen += 1
    assert decoder.returncode == 0
    # All but a frame of one video, which is one byte of its hash off; why is not known.
    assert np.percentile(apart, 99) == 0
    assert max(apart) <= 2
    assert seen == len(reference.bits)
