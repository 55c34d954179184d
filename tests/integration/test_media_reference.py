"""Public videos: as many frames as the reference implementation hashed, at its times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hashmatch.media.limits import Limits
from hashmatch.media.reader import open_media
from hashmatch.model import Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=120, max_gap_seconds=0.25)


def test_every_frame_of_the_reference_comes_at_its_time(media: Path) -> None:
    listed = sorted((media / "video-hashes").glob("*.txt"))
    assert listed
    for hashes in listed:
        seconds = [float(line.split(",")[3]) for line in hashes.read_text().splitlines()]
        video = media / "videos" / f"{hashes.stem}.mp4"
        with video.open("rb") as file, open_media(file, Sampling.EVERY, LIMITS) as reader:
            times = [frame.t for frame in reader]
        assert times == pytest.approx(seconds, abs=0.00051)
        assert reader.trouble is None
        assert reader.duration is not None
        assert reader.seen >= 0.99 * reader.duration


def test_frames_hash_to_what_the_reference_says(media: Path) -> None:
    pdqhash = pytest.importorskip("pdqhash")
    for name in ("chair-orig-22-sd-bar", "test-padded-dimensions", "pattern-hd-no-bar"):
        lines = (media / "video-hashes" / f"{name}.txt").read_text().splitlines()
        expected = {round(float(line.split(",")[3]), 3): line.split(",") for line in lines}
        video = media / "videos" / f"{name}.mp4"
        with video.open("rb") as file, open_media(file, Sampling.REFERENCE, LIMITS) as reader:
            for number, frame in enumerate(reader):
                if number % 20:
                    continue
                _, quality, listed, _ = expected[round(frame.t, 3)]
                bits, _ = pdqhash.compute(np.repeat(frame.luma[..., None], 3, axis=2))
                wanted = np.unpackbits(np.frombuffer(bytes.fromhex(listed), np.uint8))
                assert int(quality) >= 50
                assert int((bits != wanted).sum()) <= 10
