"""Recipes: the name of the way in which pixels became bits.

    recipe(Algorithm.PDQ)        # 'pdq/2'
    recipe(Algorithm.PHASH)      # 'phash/imagehash-4.3.2,pillow-13.0.0,scipy-1.17.1'

Hashes of different recipes are never compared, so a recipe changes when the bits can. Pillow's
resize, for one, has changed its output in several releases: every library whose numbers become bits
is named with its version.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version

from hashmatch.model import Algorithm

MAX_LENGTH = 64

# Raise it with any change to `pdq`, `kernels`, `jarosz` or `reference` that can move a bit.
_PDQ_KERNEL = 2

_LIBRARIES: Mapping[Algorithm, tuple[str, ...]] = {
    Algorithm.PHASH: ("imagehash", "pillow", "scipy"),
    Algorithm.DHASH: ("imagehash", "pillow"),
    Algorithm.WHASH: ("imagehash", "pillow", "pywavelets"),
}


@cache
def recipe(algorithm: Algorithm) -> str:
    """The current recipe of an algorithm: printable ASCII, at most 64 characters.

    Versions are read from the installed packages without importing them. Digests of whole files
    have one recipe for ever, their name.
    """
    if algorithm is Algorithm.PDQ:
        return f"{algorithm}/{_PDQ_KERNEL}"
    if algorithm not in _LIBRARIES:
        return algorithm.value
    named = ",".join(f"{name}-{version(name)}" for name in _LIBRARIES[algorithm])
    if len(algorithm) + 1 + len(named) > MAX_LENGTH:  # a development build's version
        named = hashlib.sha256(named.encode()).hexdigest()[:32]
    return f"{algorithm}/{named}"
