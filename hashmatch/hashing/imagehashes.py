"""pHash, dHash and wHash as the imagehash library computes them, for lists that hold such hashes.

    image_hash(Algorithm.PHASH, image).tobytes().hex() == str(imagehash.phash(image))

Slower than PDQ by one to three orders of magnitude, so only lists that need them pay for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashmatch.model import Algorithm

_FUNCTIONS: Mapping[Algorithm, Callable[[Image.Image], Any]] = {
    Algorithm.PHASH: imagehash.phash,
    Algorithm.DHASH: imagehash.dhash,
    Algorithm.WHASH: imagehash.whash,
}


def image_hash(algorithm: Algorithm, image: Image.Image) -> NDArray[np.uint8]:
    """64 bits of one picture, (8,) uint8: `bytes.fromhex` of imagehash's own hex string.

    image: any size, mode RGB or L; transparency is to be resolved before. Unlike PDQ these say
    nothing of how much there was to see: a flat picture has bits like any other.
    Raises ValueError for an algorithm that is not imagehash's.
    """
    if algorithm not in _FUNCTIONS:
        raise ValueError(f"{algorithm} is not one of imagehash's")
    return np.packbits(_FUNCTIONS[algorithm](image).hash.ravel())
