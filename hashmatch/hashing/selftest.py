"""Does this machine hash right? Drawn pictures against what the reference makes of them.

    check()     # returns, or raises HashingBroken

For the start of a worker and for `hashmatch doctor`: a miscompiled kernel or a damaged cache would
make every clip look clean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.errors import HashmatchError
from hashmatch.hashing.pdq import PdqHash, pdq, pdq_rgb


class HashingBroken(HashmatchError):
    message = "The self-test's picture of {size} does not hash to what the reference makes of it."
    remedy = (
        "Nothing this machine calls clean can be trusted. Remove the folders named `__pycache__` "
        "of hashmatch's installation, and install hashmatch and numba anew."
    )
    exit_code = 11


class _Golden(NamedTuple):
    """What PyPI's `pdqhash` 0.2.8 makes of a drawn picture, and of its mirror image."""

    height: int
    width: int
    original: str
    mirror: str
    quality: int

    def equals(self, hashed: PdqHash) -> bool:
        bits = bytes.fromhex(self.original + self.mirror)
        return hashed.bits.tobytes() == bits and hashed.quality == self.quality


_RGB = (
    _Golden(
        360,
        640,
        "c0c87f600ab7809d623c1c17e3b1f11e2387663fd8b1016edf488ed1d9ceee9c",
        "859d2a355fe295c837694942b6e4a44b76d2336a8de4543b8a1dfb848c9b3bc9",
        26,
    ),
    _Golden(
        127,
        1001,
        "c0c87f601eb5c09d623c1c17e3b1f03c2387663fd8b1016edf488ed1d9ce6e9c",
        "859d2a354be095cc37694942b6e4a56976d2336a8de4543baa1dfb848c9b3bc9",
        27,
    ),
)
_GREEN = (
    _Golden(
        480,
        854,
        "d0687f601ab7c019623c1e07e231f05e1f87c638f0b1156fff48b8d133c6ee9c",
        "85bd2a354fe2954c37694b52b764a52b4ad2936da5e4403aaa1ded846693bbc9",
        44,
    ),
    _Golden(
        1080,
        1920,
        "d0c87f601ab7c01d623c1e07c231f07e1f87c638f0b1116fff48b8d133c6ee9c",
        "a59d2a354fe29548b7694b52b764a52b4ad29369a5e4443aaa1ded846693bbc9",
        43,
    ),
)


def check() -> None:
    """Hash two pictures in colour and two luma planes with a line stride. 0.1 s, once warm.

    Raises HashingBroken.
    """
    for golden in _RGB:
        if not golden.equals(pdq_rgb(picture(golden.height, golden.width))):
            raise HashingBroken(size=f"{golden.width}x{golden.height}")
    for golden in _GREEN:
        plane = np.zeros((golden.height, golden.width + 42), np.uint8)
        plane[:, : golden.width] = picture(golden.height, golden.width)[:, :, 1]
        if not golden.equals(pdq(plane[:, : golden.width])):
            raise HashingBroken(size=f"{golden.width}x{golden.height}")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """A pale picture (height, width, 3) of triangle waves and a box, drawn in whole numbers only.

    Nothing in it is symmetric and, at the sizes above, no cosine term is near the median: the bits
    are no matter of rounding.
    """
    rows, columns = np.mgrid[0:height, 0:width]
    y, x = rows.astype(np.int64) * 1000 // height, columns.astype(np.int64) * 1000 // width
    waves = (
        _wave(3 * x + 2 * y, 900),
        _wave(5 * y - 2 * x, 700),
        _wave(7 * x * x // 1000 + 4 * y, 1100),
    )
    box = np.where((x > 150) & (x < 430) & (y > 520) & (y < 810), 90, 0)
    colours = [(waves[i] + waves[i - 1] + box) % 256 // 9 + 100 for i in range(3)]
    return np.stack(colours, axis=2).astype(np.uint8)


def _wave(phase: NDArray[np.int64], period: int) -> NDArray[np.int64]:
    """A triangle wave, 0..127."""
    return np.abs(phase % period * 2 - period) * 127 // period
