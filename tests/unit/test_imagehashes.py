"""pHash, dHash and wHash: the bits of the imagehash library, in the order of its hex strings."""

from __future__ import annotations

from pathlib import Path

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hashmatch.hashing.imagehashes import image_hash
from hashmatch.model import Algorithm

FUNCTIONS = {
    Algorithm.PHASH: imagehash.phash,
    Algorithm.DHASH: imagehash.dhash,
    Algorithm.WHASH: imagehash.whash,
}
algorithms = pytest.mark.parametrize("algorithm", FUNCTIONS)


def drawn(seed: int, height: int, width: int) -> Image.Image:
    cells = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
    return Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)


@algorithms
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), height=st.integers(1, 400), width=st.integers(1, 400))
def test_the_bits_are_those_of_imagehashs_hex_string(
    algorithm: Algorithm, seed: int, height: int, width: int
) -> None:
    image = drawn(seed, height, width)
    assert image_hash(algorithm, image).tobytes().hex() == str(FUNCTIONS[algorithm](image))


@algorithms
def test_a_picture_hashes_to_8_bytes(algorithm: Algorithm) -> None:
    bits = image_hash(algorithm, drawn(1, 90, 160))
    assert bits.shape == (8,)
    assert bits.dtype == np.uint8


@algorithms
def test_a_black_picture_hashes(algorithm: Algorithm) -> None:
    assert image_hash(algorithm, Image.new("RGB", (640, 360))).shape == (8,)


@algorithms
def test_a_smaller_copy_is_near_and_another_picture_is_far(
    algorithm: Algorithm, media: Path
) -> None:
    folder = media / "images"
    with (
        Image.open(folder / "bridge-mods" / "aaa-orig.jpg") as picture,
        Image.open(folder / "bridge-mods" / "shrink-a-lot.jpg") as smaller,
        Image.open(folder / "dih" / "bridge-3-rotate-180.jpg") as other,
    ):
        bits, near, far = (
            image_hash(algorithm, image.convert("RGB")) for image in (picture, smaller, other)
        )
    assert np.bitwise_count(bits ^ near).sum() <= 6
    assert np.bitwise_count(bits ^ far).sum() >= 20


@pytest.mark.parametrize("algorithm", [a for a in Algorithm if a not in FUNCTIONS])
def test_an_algorithm_that_is_not_imagehashs_is_refused(algorithm: Algorithm) -> None:
    with pytest.raises(ValueError, match=algorithm.value):
        image_hash(algorithm, drawn(1, 90, 160))
