"""The self-test of hashing: its vectors are the reference's, and it notices a wrong bit."""

from __future__ import annotations

import numpy as np
import pdqhash
import pytest

from hashmatch.hashing import selftest
from hashmatch.hashing.pdq import PdqHash, pdq, pdq_rgb
from hashmatch.hashing.selftest import HashingBroken, check, picture


def _hex(rgb: np.ndarray) -> tuple[str, int]:
    bits, quality = pdqhash.compute(np.ascontiguousarray(rgb))
    return np.packbits(bits.astype(np.uint8)).tobytes().hex(), quality


def test_a_machine_that_hashes_right_passes() -> None:
    check()


def test_the_built_in_vectors_are_those_of_the_reference() -> None:
    for golden in (*selftest._RGB, *selftest._GREEN):
        rgb = picture(golden.height, golden.width)
        if golden in selftest._GREEN:
            rgb = np.repeat(rgb[:, :, 1:2], 3, axis=2)
        assert (golden.original, golden.quality) == _hex(rgb)
        assert golden.mirror == _hex(np.fliplr(rgb))[0]


@pytest.mark.parametrize("function", [pdq, pdq_rgb])
@pytest.mark.parametrize("wrong", ["original", "mirror", "quality"])
def test_one_wrong_bit_is_noticed_and_not_told(
    function: object, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(pixels: np.ndarray) -> PdqHash:
        bits, quality = function(pixels)  # type: ignore[operator]
        if wrong == "quality":
            return PdqHash(bits, quality + 1)
        bits[int(wrong == "mirror"), 17] ^= 4
        return PdqHash(bits, quality)

    monkeypatch.setattr(selftest, function.__name__, broken)  # type: ignore[attr-defined]
    with pytest.raises(HashingBroken) as noticed:
        check()
    assert noticed.value.exit_code == 11
    told = noticed.value.message + noticed.value.remedy + repr(noticed.value)
    assert all(golden.original[:8] not in told for golden in (*selftest._RGB, *selftest._GREEN))
