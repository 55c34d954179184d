"""Promise 1: what an MP4's tables say, and what else it is, hides nothing of it."""

from __future__ import annotations

import errno
import io
import os
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from drawn import clip_bytes, moving_picture
from PIL import Image

from hashmatch.media.container import _Source
from hashmatch.media.limits import LONGEST, Limits
from hashmatch.media.reader import Reader, open_media
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling

LIMITS = Limits(max_pixels=8192 * 8192, max_seconds=60, max_gap_seconds=0.25)
SIZE, OTHER_SIZE = (96, 128), (120, 160)
OTHER = {"width": 160, "height": 120, "seed": 2}
HEVC = {"codec": "libx265", "options": {"x265-params": "bframes=0"}}


def look(file: bytes) -> tuple[Counter[tuple[int, ...]], Reader]:
    """How many frames of each size."""
    with open_media(io.BytesIO(file), Sampling.EVERY, LIMITS) as reader:
        return Counter(frame.luma.shape for frame in reader), reader


def drawn(format: str = "mp4", *, _kept: dict[str, bytes] = {}, **drawing: Any) -> bytes:  # noqa: B006
    name = f"{format} {drawing}"
    if name not in _kept:
        _kept[name] = clip_bytes(format, **{"seconds": 1, "options": {"bf": "0"}, **drawing})
    return _kept[name]


def box(kind: bytes, contents: bytes) -> bytes:
    return struct.pack(">I", 8 + len(contents)) + kind + contents


def boxes(contents: bytes) -> dict[bytes, bytes]:
    found, at = {}, 0
    while at + 8 <= len(contents):
        length = int.from_bytes(contents[at : at + 4], "big")
        found[contents[at + 4 : at + 8]] = contents[at + 8 : at + length]
        at += length
    return found


def joined(parts: Mapping[bytes, bytes]) -> bytes:
    return b"".join(box(kind, contents) for kind, contents in parts.items())


_PATH = (b"moov", b"trak", b"mdia", b"minf", b"stbl")


def _opened(clip: bytes) -> list[dict[bytes, bytes]]:
    levels = [boxes(clip)]
    for kind in _PATH:
        levels.append(boxes(levels[-1][kind]))
    return levels


def of_two(first: bytes, second: bytes, before: bytes = b"") -> bytes:
    """One track: the samples of the one, then those of the other, each by its own description."""
    levels, others = _opened(first), _opened(second)
    tables, other_tables = levels[-1], others[-1]
    tables.pop(b"ctts", None)
    levels[2].pop(b"edts", None)
    sizes = [*_sizes(tables), *_sizes(other_tables)]
    count = len(_sizes(tables))
    tables[b"stsd"] = struct.pack(">II", 0, 2) + tables[b"stsd"][8:] + other_tables[b"stsd"][8:]
    tables[b"stts"] = struct.pack(">4I", 0, 1, len(sizes), 512)
    tables[b"stss"] = struct.pack(">4I", 0, 2, 1, count + 1)
    tables[b"stsc"] = struct.pack(">8I", 0, 2, 1, count, 1, 2, len(sizes) - count, 2)
    tables[b"stsz"] = struct.pack(f">{3 + len(sizes)}I", 0, 0, len(sizes), *sizes)
    samples, more = (_samples(clip) for clip in (first, second))

    def header(start: int) -> bytes:
        tables[b"stco"] = struct.pack(">4I", 0, 2, start, start + len(samples))
        contents = tables
        for kind, level in zip(reversed(_PATH), reversed(levels[:-1]), strict=True):
            level[kind] = joined(contents)
            contents = level
        return box(b"ftyp", levels[0][b"ftyp"]) + before + box(b"moov", levels[0][b"moov"])

    return header(len(header(0)) + 8) + box(b"mdat", samples + more)


def _sizes(tables: Mapping[bytes, bytes]) -> Sequence[int]:
    table = tables[b"stsz"]
    return struct.unpack(f">{len(table) // 4 - 3}I", table[12:])


def _samples(clip: bytes) -> bytes:
    """Those of a clip with one track, which lie behind one another."""
    tables = _opened(clip)[-1]
    start = int.from_bytes(tables[b"stco"][8:12], "big")
    return clip[start : start + sum(_sizes(tables))]


def compressed(clip: bytes) -> bytes:
    """Its movie header as QuickTime may have it, at the same length."""
    at = clip.index(b"moov") - 4
    header = box(b"moov", boxes(clip)[b"moov"])
    packed = struct.pack(">I", len(header)) + zlib.compress(header)
    small = box(b"moov", box(b"cmov", box(b"dcom", b"zlib") + box(b"cmvd", packed)))
    padding = box(b"free", bytes(len(header) - len(small) - 8))
    return clip[:at] + small + padding + clip[at + len(header) :]


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_both_of_two_descriptions_of_one_codec_are_looked_at(codec: str) -> None:
    of = {} if codec == "h264" else HEVC
    shown, reader = look(of_two(drawn(**of), drawn(**of, **OTHER)))
    assert shown == {SIZE: 30, OTHER_SIZE: 30}
    assert reader.trouble is None


WITH_TWO_CODECS: dict[str, Callable[[bytes, bytes], bytes]] = {
    "alone": of_two,
    "behind-a-box-of-no-known-kind": lambda a, b: of_two(a, b, box(b"abcd", bytes(8))),
    "behind-an-index-of-fragments": lambda a, b: of_two(a, b, box(b"sidx", bytes(32))),
    "before-what-is-no-box": lambda a, b: of_two(a, b) + bytes(60),
    "among-many-boxes": lambda a, b: of_two(a, b, box(b"free", b"") * 100),
    "compressed": lambda a, b: compressed(of_two(a, b)),
}


@pytest.mark.parametrize("name", WITH_TWO_CODECS)
def test_a_track_of_two_codecs_of_which_one_is_looked_at_is_not_whole(name: str) -> None:
    shown, reader = look(WITH_TWO_CODECS[name](drawn(), drawn(**HEVC, **OTHER)))
    assert shown == {SIZE: 30}
    assert reader.trouble is Reason.UNKNOWN_PARTS


TABLES: dict[str, Callable[[bytes], bytes]] = {
    "no-mdhd": lambda clip: clip.replace(b"mdhd", b"free"),
    "no-stts": lambda clip: clip.replace(b"stts", b"free"),
    **{
        f"stts-{delta}": lambda clip, delta=delta: _with_stts(clip, 30, delta)
        for delta in (0, 1, 10**6, 2**30, 2**31 - 1, 2**31, 2**32 - 1)
    },
    "stts-of-one": lambda clip: _with_stts(clip, 1, 512),
    "stts-of-too-many": lambda clip: _with_stts(clip, 2**31, 512),
    **{
        f"timescale-{scale}": lambda clip, scale=scale: _at(clip, b"mdhd", 12, scale)
        for scale in (0, 1, 2**31, 2**32 - 1)
    },
    **{
        f"samples-at-{place}": lambda clip, place=place: _at(clip, b"stco", 8, place)
        for place in (0, 2**31, 2**32 - 1)
    },
    "duration-0": lambda clip: _at(clip, b"mdhd", 16, 0),
    "duration-2^32": lambda clip: _at(clip, b"mdhd", 16, 2**32 - 1),
}


def _at(clip: bytes, kind: bytes, place: int, number: int) -> bytes:
    at = clip.index(kind) + 4 + place
    return clip[:at] + struct.pack(">I", number) + clip[at + 4 :]


def _with_stts(clip: bytes, count: int, delta: int) -> bytes:
    return _at(_at(clip, b"stts", 8, count), b"stts", 12, delta)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_times_that_cannot_be_true_hides_nothing(name: str) -> None:
    """And no time goes beyond what a clip may have, which would be a decoder gone mad."""
    try:
        with open_media(io.BytesIO(TABLES[name](drawn())), Sampling.EVERY, LIMITS) as reader:
            times = [frame.t for frame in reader]
    except Unseeable:
        return
    assert len(times) >= 30 or reader.trouble is not None
    assert max(times) <= LONGEST
    assert reader.seen <= 2 * LONGEST
    assert (reader.duration or 0.0) <= LONGEST


@pytest.mark.parametrize(("offset", "whence"), [(-1, os.SEEK_SET), (-9, os.SEEK_END), (0, 7)])
def test_a_place_that_no_file_has_is_told_to_the_library_and_raised_nowhere(
    offset: int, whence: int
) -> None:
    source = _Source(io.BytesIO(bytes(8)))
    assert source.seek(offset, whence) == -errno.EINVAL
    assert source.seek(2**63 - 1) == 2**63 - 1
    assert source.read(10) == b""


def test_a_fragment_that_goes_over_another_in_time_is_looked_at() -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    clip = drawn(options={"g": "10"}, container_options=options)
    at = clip.rindex(b"tfdt") + 4
    early = clip[: at + 4] + bytes(8) + clip[at + 12 :]
    shown, _ = look(early)
    assert shown == {SIZE: 30}


def test_a_movie_whose_first_fragment_is_gone_is_not_whole() -> None:
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    clip = drawn(options={"g": "15"}, container_options=options)
    first, second = (at - 4 for at in range(len(clip)) if clip.startswith(b"moof", at))
    _, reader = look(clip[:first] + clip[second:])
    assert reader.trouble is Reason.TRUNCATED


def avif(side: int, seed: int, count: int = 1) -> bytes:
    buffer = io.BytesIO()
    pictures = [
        Image.fromarray(moving_picture(number, side, side, seed)) for number in range(count)
    ]
    pictures[0].save(buffer, "AVIF", save_all=count > 1, append_images=pictures[1:], duration=200)
    return buffer.getvalue()


def picture_and_movie(picture: bytes, movie: bytes, brand: bytes) -> bytes:
    """One file that is the one to some and the other to others."""
    own, other = boxes(picture), boxes(movie)
    meta, moov = bytearray(own[b"meta"]), bytearray(other[b"moov"])
    start = box(b"ftyp", brand + bytes(4) + b"avifavismif1miafisommp42")
    place = len(start) + 8 + len(meta) + 8 + len(moov) + 8
    at = meta.index(b"iloc") + 18  # version 0, four bytes an offset, no base, one extent
    shift = place - picture.index(b"mdat") - 4
    meta[at : at + 4] = (int.from_bytes(meta[at : at + 4], "big") + shift).to_bytes(4, "big")
    shift = place + len(own[b"mdat"]) - movie.index(b"mdat") - 4
    at = moov.index(b"stco") + 4
    for one in range(int.from_bytes(moov[at + 4 : at + 8], "big")):
        entry = slice(at + 8 + 4 * one, at + 12 + 4 * one)
        moov[entry] = (int.from_bytes(moov[entry], "big") + shift).to_bytes(4, "big")
    contents = box(b"meta", bytes(meta)) + box(b"moov", bytes(moov))
    return start + contents + box(b"mdat", own[b"mdat"] + other[b"mdat"])


@pytest.mark.parametrize("brand", [b"avif", b"avis", b"mif1", b"isom"])
@pytest.mark.parametrize("movie", ["sequence", "video"])
def test_a_picture_and_the_movie_beside_it_are_both_looked_at(brand: bytes, movie: str) -> None:
    other, size = (avif(128, 1, 4), (128, 128)) if movie == "sequence" else (drawn(), SIZE)
    shown, reader = look(picture_and_movie(avif(160, 9), other, brand))
    assert set(shown) == {(160, 160), size}
    assert shown[size] >= (4 if movie == "sequence" else 30)
    # What calls itself a sequence and has none cannot be read as a picture.
    broken = (brand, movie) == (b"avis", "video")
    assert reader.trouble is (Reason.UNKNOWN_PARTS if broken else None)
