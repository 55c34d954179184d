"""Packed frame hashes: what was packed comes back, and nothing else is ever taken for it."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hashmatch.hashing.packing import FingerprintDamaged, pack, unpack
from hashmatch.model import VARIANTS, Algorithm, FrameHashes

PERCEPTUAL = [algorithm for algorithm in Algorithm if algorithm.perceptual]
HEADER = 13


@st.composite
def frame_hashes(draw: st.DrawFn) -> FrameHashes:
    n = draw(st.integers(0, 20))
    algorithm = draw(st.sampled_from(PERCEPTUAL))
    variants = draw(st.sampled_from([1, 2, len(VARIANTS)]))
    times = st.floats(allow_nan=False, allow_infinity=False, width=64)
    shape = (n, variants, algorithm.bits // 8)
    return FrameHashes(
        recipe=draw(
            st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
        ),
        algorithm=algorithm,
        t=np.sort(draw(arrays.arrays(np.float64, n, elements=times))),
        quality=draw(arrays.arrays(np.uint8, n, elements=st.integers(0, 100))),
        bits=draw(arrays.arrays(np.uint8, shape)),
    )


def some(n: int = 3) -> FrameHashes:
    rng = np.random.default_rng(n)
    return FrameHashes(
        recipe="pdq/1",
        algorithm=Algorithm.PDQ,
        t=np.arange(n) / 30,
        quality=rng.integers(0, 101, n).astype(np.uint8),
        bits=rng.integers(0, 256, (n, 2, 32), np.uint8),
    )


def sealed(body: bytes) -> bytes:
    """With a right checksum, as a hostile sender would have it."""
    return body + struct.pack("<I", zlib.crc32(body))


def equal(a: FrameHashes, b: FrameHashes) -> bool:
    return (
        a.recipe == b.recipe
        and a.algorithm is b.algorithm
        and all(
            getattr(a, name).dtype == getattr(b, name).dtype
            and np.array_equal(getattr(a, name), getattr(b, name))
            for name in ("t", "quality", "bits")
        )
    )


@given(frame_hashes())
def test_what_was_packed_comes_back(hashes: FrameHashes) -> None:
    assert equal(unpack(pack(hashes)), hashes)
    assert equal(unpack(memoryview(pack(hashes))), hashes)


def test_the_same_hashes_pack_to_the_same_bytes_however_they_lie_in_memory() -> None:
    hashes = some(10)
    sparse = replace(
        hashes,
        t=np.repeat(hashes.t, 2)[::2],
        quality=hashes.quality[::-1].copy()[::-1],
        bits=np.asfortranarray(hashes.bits),
    )
    assert pack(sparse) == pack(hashes)


def test_a_frame_takes_73_bytes() -> None:
    assert len(pack(some(1000))) - len(pack(some(0))) == 73_000


def test_a_packed_fingerprint_cut_anywhere_is_refused() -> None:
    packed = pack(some())
    for length in range(len(packed)):
        with pytest.raises(FingerprintDamaged):
            unpack(packed[:length])


def test_a_packed_fingerprint_with_any_bit_flipped_is_refused() -> None:
    packed = pack(some())
    for i in range(len(packed) * 8):
        flipped = bytearray(packed)
        flipped[i // 8] ^= 1 << i % 8
        with pytest.raises(FingerprintDamaged):
            unpack(bytes(flipped))


def test_bytes_left_over_are_refused() -> None:
    packed = pack(some())
    for longer in (packed + b"\0", packed + packed):
        with pytest.raises(FingerprintDamaged, match="length"):
            unpack(longer)


def test_another_format_is_refused_by_its_number() -> None:
    packed = bytearray(pack(some()))
    packed[4] = 2
    with pytest.raises(FingerprintDamaged, match="format 2"):
        unpack(sealed(bytes(packed[:-4])))


def test_a_count_beyond_the_bytes_there_are_allocates_nothing() -> None:
    header = struct.pack("<4s5BI", b"HMFH", 1, 1, 2, 32, 5, 2**32 - 1)
    with pytest.raises(FingerprintDamaged, match="length"):
        unpack(sealed(header + b"pdq/1"))


@pytest.mark.parametrize(
    ("field", "value"),
    [(5, 0), (5, 5), (5, 255), (6, 0), (6, 3), (7, 8), (8, 0), (8, 65)],
)
def test_a_sealed_header_that_makes_no_sense_is_refused(field: int, value: int) -> None:
    body = bytearray(pack(some(0))[:-4])
    body[field] = value
    body[HEADER:] = b"r" * body[8]
    with pytest.raises(FingerprintDamaged):
        unpack(sealed(bytes(body)))


@pytest.mark.parametrize("recipe", [b"pdq\n1", b"pdq\xff1", b"\0\0\0\0\0"])
def test_a_sealed_recipe_that_is_no_plain_text_is_refused(recipe: bytes) -> None:
    body = bytearray(pack(some())[:-4])
    body[HEADER : HEADER + 5] = recipe
    with pytest.raises(FingerprintDamaged, match="recipe"):
        unpack(sealed(bytes(body)))


@pytest.mark.parametrize("time", [float("nan"), float("inf"), float("-inf")])
def test_a_sealed_time_that_is_not_a_number_is_refused(time: float) -> None:
    body = bytearray(pack(some())[:-4])
    struct.pack_into("<d", body, HEADER + 5, time)
    with pytest.raises(FingerprintDamaged, match="time"):
        unpack(sealed(bytes(body)))


def test_a_sealed_quality_above_100_is_refused() -> None:
    body = bytearray(pack(some())[:-4])
    body[HEADER + 5 + 3 * 8] = 101
    with pytest.raises(FingerprintDamaged, match="quality"):
        unpack(sealed(bytes(body)))


@settings(max_examples=300)
@given(body=st.binary(max_size=200), known=st.booleans())
def test_no_bytes_at_all_do_anything_but_be_read_or_refused(body: bytes, known: bool) -> None:
    if known:
        body = b"HMFH\x01\x01\x02\x20" + body
    try:
        hashes = unpack(sealed(body))
    except FingerprintDamaged:
        return
    assert pack(hashes) == sealed(body)


def test_an_error_tells_nothing_of_the_hashes() -> None:
    hashes = some(1)
    with pytest.raises(FingerprintDamaged) as refused:
        unpack(pack(hashes)[:-1] + b"?")
    assert hashes.bits[0, 0].tobytes().hex()[:8] not in repr(refused.value) + str(refused.value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"algorithm": Algorithm.SHA256},
        {"algorithm": Algorithm.PHASH},
        {"recipe": ""},
        {"recipe": "é"},
        {"recipe": "r" * 65},
        {"t": np.zeros(2)},
        {"t": np.zeros(3, np.float32)},
        {"t": np.full(3, np.nan)},
        {"quality": np.zeros(3)},
        {"quality": np.full(3, 101, np.uint8)},
        {"bits": np.zeros((3, 64), np.uint8)},
        {"bits": np.zeros((3, 3, 32), np.uint8)},
        {"bits": np.zeros((3, 2, 32), np.int8)},
        {"bits": np.zeros((2, 2, 32), np.uint8)},
    ],
)
def test_frame_hashes_that_are_not_valid_are_not_packed(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        pack(replace(some(), **wrong))  # type: ignore[arg-type]
