"""Promise 7: a clip is decoded in a child process with limits, and its death is an outcome.

Each file goes through the real decoder process. The processes that do their worst on purpose are in
`integration/test_sandbox.py`.
"""

from __future__ import annotations

import io
import random
import socket
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn import clip_bytes
from PIL import Image

from hashmatch.config import Decode
from hashmatch.media.sandbox import ChildDied, Sandbox, SandboxLimits
from hashmatch.model import Algorithm, Digests, Fingerprint, Reason, Sampling
from hashmatch.scanning.fingerprinting import Fingerprinter

DIGESTS = Digests("0" * 32, "0" * 40, "0" * 64)


@pytest.fixture(scope="module")
def fingerprinter() -> Iterator[Fingerprinter]:
    with Fingerprinter(Decode(max_seconds=20, max_memory=2**30)) as made:
        yield made


@pytest.fixture(scope="module")
def good_clip() -> bytes:
    return clip_bytes("mp4", seconds=2, width=192, height=128)


def look(fingerprinter: Fingerprinter, content: bytes) -> Fingerprint:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        return fingerprinter.fingerprint(
            file, DIGESTS, len(content), frozenset({Algorithm.PDQ}), Sampling.EVERY
        )


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.3)
        yield server


PLAYLISTS = {
    "HLS": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n{url}\n#EXT-X-ENDLIST\n",
    "HLS with an init file": '#EXTM3U\n#EXT-X-MAP:URI="{url}"\n#EXTINF:1,\n{url}\n',
    "ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "DASH": '<?xml version="1.0"?><MPD><BaseURL>{url}</BaseURL></MPD>',
    "SDP": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "SVG": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{url}"/></svg>',
}


@pytest.mark.parametrize("text", PLAYLISTS.values(), ids=PLAYLISTS.keys())
@pytest.mark.parametrize("scheme", ["http", "file"])
def test_a_file_that_names_others_opens_none(
    fingerprinter: Fingerprinter, listener: socket.socket, tmp_path: Path, text: str, scheme: str
) -> None:
    other = tmp_path / "other.mp4"
    other.write_bytes(clip_bytes("mp4", seconds=0.5))
    host = f"http://127.0.0.1:{listener.getsockname()[1]}/x.mp4"
    url = host if scheme == "http" else f"file://{other}"
    seen = look(fingerprinter, text.format(url=url).encode())
    assert seen.trouble in (Reason.PLAYLIST, Reason.NOT_MEDIA)
    assert seen.frames == ()
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_movie_whose_samples_are_in_another_file_shows_nothing_of_it(
    fingerprinter: Fingerprinter, tmp_path: Path, good_clip: bytes
) -> None:
    """QuickTime's data references: the box `url ` marked as external and naming a file."""
    other = tmp_path / "other.mp4"
    other.write_bytes(good_clip)
    name = f"file://{other}".encode() + b"\0"
    inside = struct.pack(">I4sI", 12, b"url ", 1)
    outside = struct.pack(">I4sI", 12 + len(name), b"url ", 0) + name
    assert inside in good_clip
    movie = bytearray(good_clip)
    at = movie.index(inside)
    movie[at : at + len(inside)] = outside
    for box in (b"dref", b"dinf", b"minf", b"mdia", b"trak", b"moov"):
        start = bytes(movie).index(box) - 4
        (size,) = struct.unpack_from(">I", movie, start)
        struct.pack_into(">I", movie, start, size + len(outside) - len(inside))
    # Without its own samples only the other file could give a frame.
    start = bytes(movie).index(b"mdat") + 4
    (size,) = struct.unpack_from(">I", movie, start - 8)
    movie[start : start - 8 + size] = bytes(size - 8)
    seen = look(fingerprinter, bytes(movie))
    assert seen.trouble is not None
    assert sum(map(len, seen.frames)) == 0


def png_bomb(width: int, height: int) -> bytes:
    """A PNG whose header claims that size, with next to nothing in it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_a_picture_that_claims_to_be_vast_is_refused(fingerprinter: Fingerprinter) -> None:
    assert look(fingerprinter, png_bomb(60_000, 60_000)).trouble is Reason.TOO_MANY_PIXELS


def test_a_picture_that_needs_too_much_memory_is_an_outcome_and_the_next_clip_is_seen(
    fingerprinter: Fingerprinter, good_clip: bytes
) -> None:
    sink = io.BytesIO()
    Image.new("RGB", (8192, 8192), (9, 99, 199)).save(sink, "PNG", compress_level=1)
    assert look(fingerprinter, sink.getvalue()).trouble is Reason.MEMORY_LIMIT
    seen = look(fingerprinter, good_clip)
    assert (seen.trouble, seen.coverage, len(seen.frames[0])) == (None, 1.0, 60)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("crash", Reason.DECODER_CRASHED),
        ("sleep", Reason.DECODER_HUNG),
        ("eat_memory", Reason.MEMORY_LIMIT),
        ("flood", Reason.DECODER_CRASHED),
    ],
)
def test_the_death_of_a_decoder_has_a_reason(task: str, reason: Reason, good_clip: bytes) -> None:
    limits = SandboxLimits(memory_bytes=2**30, output_bytes=8 * 2**20)
    with (
        tempfile.TemporaryFile() as clip,
        Sandbox(f"hostile_tasks:{task}", limits) as sandbox,
        pytest.raises(ChildDied) as died,
    ):
        # Of the others none takes a second; a machine under load takes them longer.
        seconds = 3 if reason is Reason.DECODER_HUNG else 60
        list(sandbox.run(clip.fileno(), {}, deadline_seconds=seconds))
    assert died.value.reason is reason


def damaged(content: bytes, seed: int) -> bytes:
    """Some bytes overwritten, a piece cut out or doubled, or the end cut off."""
    chance = random.Random(seed)
    broken = bytearray(content)
    for _ in range(chance.choice((1, 4, 30))):
        broken[chance.randrange(len(broken))] = chance.randrange(256)
    start = chance.randrange(len(broken))
    piece = broken[start : start + chance.randrange(500)]
    match chance.randrange(4):
        case 0:
            del broken[start : start + len(piece)]
        case 1:
            broken[start:start] = piece
        case 2:
            del broken[start:]
    return bytes(broken)


@pytest.mark.parametrize("container", ["mp4", "matroska", "mpegts", "avi", "flv"])
def test_a_damaged_clip_is_an_outcome_whatever_was_damaged(
    fingerprinter: Fingerprinter, container: str
) -> None:
    codec = "mpeg4" if container == "avi" else "libx264"
    content = clip_bytes(container, codec=codec, seconds=1, width=96, height=80)
    for seed in range(40):
        seen = look(fingerprinter, damaged(content, seed))
        # Nothing decoded is never complete.
        assert seen.trouble is not None or len(seen.frames[0]) > 0
        assert seen.trouble is not Reason.DECODER_HUNG
    assert look(fingerprinter, content).trouble is None


@pytest.mark.parametrize("format", ["PNG", "JPEG", "GIF", "WEBP", "AVIF"])
def test_a_damaged_picture_is_an_outcome_whatever_was_damaged(
    fingerprinter: Fingerprinter, format: str
) -> None:
    sink = io.BytesIO()
    Image.effect_mandelbrot((128, 96), (-2, -1.2, 1, 1.2), 40).convert("RGB").save(sink, format)
    for seed in range(40):
        seen = look(fingerprinter, damaged(sink.getvalue(), seed))
        assert seen.trouble is not None or len(seen.frames[0]) > 0
        assert seen.trouble is not Reason.DECODER_HUNG
    assert look(fingerprinter, sink.getvalue()).trouble is None


@pytest.mark.parametrize("size", [1, 7, 64, 4096, 100_000])
def test_noise_is_an_outcome(fingerprinter: Fingerprinter, size: int) -> None:
    seen = look(fingerprinter, random.Random(size).randbytes(size))
    assert seen.trouble is not None
    assert seen.coverage == 0.0
