"""Keyframes by a file's index: the same frames as a full reading, or the clip is read whole."""

from __future__ import annotations

import io
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import pytest
from drawn import clip_bytes

from hashmatch.hashing.pdq import pdq
from hashmatch.media.limits import Limits
from hashmatch.media.ranged import GRANTED, REQUEST, RangedFile
from hashmatch.media.reader import open_media
from hashmatch.media.structure.boxes import has_whole_index
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=60, max_gap_seconds=0.25)
FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


class Seen(NamedTuple):
    times: list[float]
    hashes: list[bytes]
    trouble: Reason | None
    seen: float
    duration: float | None


@contextmanager
def ranged(clip: bytes) -> Iterator[tuple[RangedFile, list[tuple[int, int]]]]:
    """The clip as a child gets it, and what it asked for."""
    asked: list[tuple[int, int]] = []
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    descriptor = os.memfd_create("clip")

    def answer() -> None:
        while packet := ours.recv(64):
            start, stop = REQUEST.unpack(packet)
            os.pwrite(descriptor, clip[start:stop], start)
            asked.append((start, stop))
            ours.send(GRANTED)

    os.ftruncate(descriptor, len(clip))
    parent = threading.Thread(target=answer)
    parent.start()
    try:
        with ours, theirs:
            yield RangedFile(descriptor, theirs.fileno()), asked
            theirs.shutdown(socket.SHUT_RDWR)
            parent.join()
    finally:
        os.close(descriptor)


def look(file: Any) -> Seen:
    with open_media(file, Sampling.KEYFRAMES, LIMITS) as reader:
        frames = [(f.t, pdq(f.luma, full_range=f.full_range).bits.tobytes()) for f in reader]
        times, hashes = [t for t, _ in frames], [h for _, h in frames]
        return Seen(times, hashes, reader.trouble, reader.seen, reader.duration)


def parts_of(clip: bytes) -> Seen | None:
    """What its keyframes say, None if the clip has to be read whole."""
    with ranged(clip) as (file, _):
        try:
            return look(file)
        except Unseeable:
            return None


def draw(format: str = "mp4", **drawing: Any) -> bytes:
    options = {"g": "20", **drawing.pop("options", {})}
    return clip_bytes(format, **{"seconds": 4, "fps": 20, "options": options, **drawing})


CLIPS: dict[str, dict[str, Any]] = {
    "mp4": {},
    "mov": {"format": "mov"},
    "faststart": {"container_options": {"movflags": "faststart"}},
    "no-b-frames": {"options": {"bf": "0"}},
    "pyramid": {"options": {"x264-params": "keyint=20:b-pyramid=normal:bframes=5:b-adapt=0"}},
    "open-gop": {"options": {"x264-params": "keyint=20:open-gop=1:bframes=4:b-adapt=0"}},
    "hevc": {"codec": "libx265", "options": {"x265-params": "keyint=20:open-gop=1"}},
    "sound": {"sound": 4.0},
    "turned": {"rotation": 90},
    "variable-rate": {"times": [i / 20 + (i % 3) / 100 for i in range(80)]},
}


@pytest.mark.parametrize("name", CLIPS)
def test_the_frames_are_those_of_a_full_reading(name: str) -> None:
    clip = draw(**CLIPS[name])
    whole, parts = look(io.BytesIO(clip)), parts_of(clip)
    assert len(whole.times) >= 3
    assert parts is not None
    assert (parts.times, parts.hashes) == (whole.times, whole.hashes)
    assert (parts.trouble, parts.duration) == (whole.trouble, whole.duration)
    assert parts.seen == pytest.approx(whole.seen, abs=0.15)


def test_what_lies_between_keyframes_is_not_asked_for() -> None:
    clip = draw(width=320, height=240, options={"qp": "1", "g": "40"})
    with ranged(clip) as (file, asked):
        look(file)
    needed = np.zeros(len(clip), np.bool_)
    for start, stop in asked:
        needed[start:stop] = True
    assert len(clip) > 500_000
    assert needed.mean() < 0.5


@pytest.mark.parametrize(
    "clip",
    [
        pytest.param({"container_options": FRAGMENTS}, id="fragmented"),
        pytest.param({"format": "mpegts"}, id="mpegts"),
        pytest.param({"format": "matroska"}, id="matroska"),
        pytest.param({"format": "flv"}, id="flv"),
    ],
)
def test_a_file_without_one_index_has_to_be_read_whole(clip: dict[str, Any]) -> None:
    assert parts_of(draw(**clip)) is None


def test_keyframes_that_are_too_far_apart_are_told() -> None:
    parts = parts_of(draw(fps=10, seconds=8, options={"g": "250"}))
    assert parts is not None
    assert parts.trouble is Reason.TRUNCATED


@pytest.mark.parametrize("faststart", [False, True])
def test_a_file_that_is_cut_off_is_never_seen_whole(faststart: bool) -> None:
    clip = draw(container_options={"movflags": "faststart"} if faststart else {})
    for cut in (1, 100, len(clip) // 2, len(clip) - 2000):
        assert parts_of(clip[:-cut]) is None


def test_an_index_that_lies_is_never_believed() -> None:
    """Changed numbers in the movie header: what is seen whole is what a full reading sees there too.

    It may see more: for a time that is wrong between keyframes it takes a denser sampling.
    """
    clip = draw(container_options={"movflags": "faststart"})
    index = clip.index(b"moov"), clip.index(b"mdat")
    choose = random.Random(11)
    believed = 0
    for _ in range(150):
        broken = bytearray(clip)
        for _ in range(choose.choice((1, 4))):
            at = choose.randrange(*index)
            broken[at : at + 4] = choose.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\0\1"))
        try:
            parts = parts_of(bytes(broken))
        except Exception:  # noqa: BLE001 - in the sandbox it would be the end of its child
            continue
        if parts is None or parts.trouble is not None:
            continue
        whole = look(io.BytesIO(bytes(broken)))
        believed += 1
        frames = set(zip(whole.times, whole.hashes, strict=True))
        assert set(zip(parts.times, parts.hashes, strict=True)) <= frames
    assert believed  # some of what was changed says nothing of where frames are


def test_a_track_described_twice_has_to_be_read_whole() -> None:
    clip = draw()
    at = clip.index(b"stsd") + 8
    assert has_whole_index(io.BytesIO(clip))
    assert not has_whole_index(io.BytesIO(clip[:at] + b"\0\0\0\2" + clip[at + 4 :]))


@pytest.mark.parametrize(
    "file",
    [b"", b"\0\0\0\x08moov", b"\0\0\0\x01mdat" + b"\xff" * 8, b"\0\0\0\0moov", bytes(64)],
)
def test_what_is_no_movie_has_no_index(file: bytes) -> None:
    assert has_whole_index(io.BytesIO(file)) is (file in (b"\0\0\0\x08moov", b"\0\0\0\0moov"))
