"""Packed frame hashes: what was packed comes back, and nothing else is ever taken for it."""

from __future__ import annotations

import contextlib
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hashmatch.hashing.packing import FingerprintDamaged, pack, unpack
from hashmatch.model import Algorithm, FrameHashes, Orientations, Variant

PERCEPTUAL = [algorithm for algorithm in Algorithm if algorithm.perceptual]
HEADER = 14


@st.composite
def frame_hashes(draw: st.DrawFn) -> FrameHashes:
    n = draw(st.integers(0, 20))
    algorithm = draw(st.sampled_from(PERCEPTUAL))
    chosen = draw(st.sets(st.sampled_from(Variant), min_size=1))
    variants = tuple(variant for variant in Variant if variant in chosen)
    times = st.floats(allow_nan=False, allow_infinity=False, width=64)
    shape = (n, len(variants), algorithm.bits // 8)
    return FrameHashes(
        recipe=draw(
            st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=64)
        ),
        algorithm=algorithm,
        t=np.sort(draw(arrays.arrays(np.float64, n, elements=times))),
        quality=draw(arrays.arrays(np.uint8, n, elements=st.integers(0, 100))),
        bits=draw(arrays.arrays(np.uint8, shape)),
        variants=variants,
    )


def some(n: int = 3) -> FrameHashes:
    rng = np.random.default_rng(n)
    return FrameHashes(
        recipe="pdq/1",
        algorithm=Algorithm.PDQ,
        t=np.arange(n) / 30,
        quality=rng.integers(0, 101, n).astype(np.uint8),
        bits=rng.integers(0, 256, (n, 2, 32), np.uint8),
        variants=Orientations.MIRRORED.outer,
    )


def sealed(body: bytes) -> bytes:
    """With a right checksum, as a hostile sender would have it."""
    return body + struct.pack("<I", zlib.crc32(body))


def equal(a: FrameHashes, b: FrameHashes) -> bool:
    return (
        a.recipe == b.recipe
        and a.algorithm is b.algorithm
        and a.variants == b.variants
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
    packed[4] = 3
    with pytest.raises(FingerprintDamaged, match="format 3"):
        unpack(sealed(bytes(packed[:-4])))


def test_a_count_beyond_the_bytes_there_are_allocates_nothing() -> None:
    first = struct.pack("<4s5BI", b"HMFH", 1, 1, 2, 32, 5, 2**32 - 1)
    second = struct.pack("<4s2BH2BI", b"HMFH", 2, 1, 3, 32, 5, 2**32 - 1)
    for header in (first, second):
        with pytest.raises(FingerprintDamaged, match="length"):
            unpack(sealed(header + b"pdq/1"))


@pytest.mark.parametrize(
    ("field", "value"),
    [(5, 0), (5, 5), (5, 255), (6, 0), (8, 8), (9, 0), (9, 65)],
)
def test_a_sealed_header_that_makes_no_sense_is_refused(field: int, value: int) -> None:
    body = bytearray(pack(some(0))[:-4])
    body[field] = value
    body[HEADER:] = b"r" * body[9]
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
        body = b"HMFH\x02\x01\x03\x00\x20" + body
    try:
        hashes = unpack(sealed(body))
    except FingerprintDamaged:
        return
    assert pack(hashes) == sealed(body)


@given(body=st.binary(max_size=200))
def test_no_bytes_of_the_first_format_do_anything_but_be_read_or_refused(body: bytes) -> None:
    with contextlib.suppress(FingerprintDamaged):
        hashes = unpack(sealed(b"HMFH\x01\x01\x02\x20" + body))
        assert equal(unpack(pack(hashes)), hashes)


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
        {"variants": ()},
        {"variants": (Variant.ORIGINAL,)},
        {"variants": (Variant.MIRROR, Variant.ORIGINAL)},
        {"variants": (Variant.MIRROR, Variant.MIRROR)},
    ],
)
def test_frame_hashes_that_are_not_valid_are_not_packed(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        pack(replace(some(), **wrong))  # type: ignore[arg-type]


# What version 0.1.0 stored: bytes, how many variants they have, and the first bytes of two hashes.
FORMAT_1 = (
    (
        Orientations.MIRRORED.outer,
        Algorithm.PDQ,
        "484d46480101022005020000007064712f310000000000000000000000000000e03f5064020910171e252c333a41"
        "484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f363d444b525960676e757c83"
        "8a91989fa6adb4bbc2c9d0d7dee5ecf3fa01080f161d242b323940474e555c636a71787f868d949ba2a9b0b7bec5"
        "ccd3dae1e8eff6fd040b121920272e353c434a51585f666d747bf3277ca5",
    ),
    (
        Orientations.MIRRORED.variants,
        Algorithm.PDQ,
        "484d46480101042005020000007064712f310000000000000000000000000000e03f5064040b121920272e353c43"
        "4a51585f666d747b828990979ea5acb3bac1c8cfd6dde4ebf2f900070e151c232a31383f464d545b626970777e85"
        "8c939aa1a8afb6bdc4cbd2d9e0e7eef5fc030a11181f262d343b424950575e656c737a81888f969da4abb2b9c0c7"
        "ced5dce3eaf1f8ff060d141b222930373e454c535a61686f767d848b9299a0a7aeb5bcc3cad1d8dfe6edf4fb0209"
        "10171e252c333a41484f565d646b727980878e959ca3aab1b8bfc6cdd4dbe2e9f0f7fe050c131a21282f363d444b"
        "525960676e757c838a91989fa6adb4bbc2c9d0d7dee5ecf3fa01080f161d242b323940474e555c636a71787f868d"
        "949ba2a9b0b7bec5ccd3dae1e8eff6fd6b67ad63",
    ),
    (
        (Variant.ORIGINAL,),
        Algorithm.PHASH,
        "484d464801020108070200000070686173682f780000000000000000000000000000e03f506401080f161d242b32"
        "3940474e555c636ad5d2c90d",
    ),
)


@pytest.mark.parametrize(("variants", "algorithm", "packed"), FORMAT_1)
def test_what_the_first_version_stored_is_read(
    variants: tuple[Variant, ...], algorithm: Algorithm, packed: str
) -> None:
    hashes = unpack(bytes.fromhex(packed))
    width = algorithm.bits // 8
    count = 2 * len(variants) * width
    expected = (np.arange(count) * 7 + len(variants)) % 256
    assert hashes.variants == variants
    assert hashes.algorithm is algorithm
    assert hashes.t.tolist() == [0.0, 0.5]
    assert hashes.quality.tolist() == [80, 100]
    assert np.array_equal(hashes.bits, expected.reshape(2, len(variants), width))


@pytest.mark.parametrize("count", [0, 3, 5, 16, 255])
def test_a_count_of_variants_that_the_first_version_never_stored_is_refused(count: int) -> None:
    body = bytearray(bytes.fromhex(FORMAT_1[0][2])[:-4])
    body[6] = count
    with pytest.raises(FingerprintDamaged):
        unpack(sealed(bytes(body)))
