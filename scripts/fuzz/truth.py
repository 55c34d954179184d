"""What an undamaged seed shows, as perceptual hashes: what every mutant of it is held against.

truths = told(seeds.values(), witness)
truths["flv"].where(bits)             # which of its frames each hash shows, -1: none of them
truths["flv"].among(bits)             # (frames,) bool: which of its frames are among the hashes
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from fuzz.seeds import Seed
from fuzz.witness import Input, Witness
from hashmatch.hashing.pdq import pdq

# Frames as near as this would be found on a list; of two scenes none are.
SAME = 31

Hashes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Truth:
    """bits: (frames, 32), in the order shown; complaints: what the witness says of the very seed."""

    seed: Seed
    bits: Hashes
    complaints: frozenset[str]

    def among(self, bits: Hashes) -> NDArray[np.bool_]:
        if not len(bits):
            return np.zeros(len(self.bits), np.bool_)
        return (distances(bits, self.bits) <= SAME).any(axis=0)

    def where(self, bits: Hashes) -> NDArray[np.intp]:
        if not len(bits):
            return np.zeros(0, np.intp)
        between = distances(bits, self.bits)
        nearest = between.argmin(axis=1)
        return np.where(between.min(axis=1) <= SAME, nearest, -1)

    def since(self, seconds: float) -> NDArray[np.bool_]:
        """(frames,): which of its frames are shown then or later."""
        return (np.arange(len(self.bits)) + 0.5) * self.seed.step > seconds


class SeedUnfit(Exception):
    """The witness does not show of a seed what was drawn."""


def told(seeds: Iterable[Seed], witness: Witness) -> dict[str, Truth]:
    """Raises SeedUnfit."""
    truths = {}
    for seed in seeds:
        shown = witness.look([Input(seed.data)])
        frames = shown.frames
        if seed.name == "webp-animated":  # which FFmpeg's program does not know
            frames = _pictures(seed.data)
        if len(frames) != seed.frames:
            raise SeedUnfit(f"{seed.name}: {len(frames)} frames of {seed.frames}")
        truths[seed.name] = Truth(seed, hashed(frames), shown.complaints)
    return truths


def _pictures(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.array([np.asarray(one.convert("L")) for one in ImageSequence.Iterator(image)])


def hashed(frames: NDArray[np.uint8]) -> Hashes:
    """frames: (n, height, width) grey -> (n, 32). Equal frames are hashed once."""
    known: dict[bytes, Hashes] = {}
    rows = []
    for frame in frames:
        pixels = frame.tobytes()
        if pixels not in known:
            known[pixels] = pdq(frame).bits[0]
        rows.append(known[pixels])
    return np.array(rows, np.uint8).reshape(-1, 32)


def distances(left: Hashes, right: Hashes) -> NDArray[np.uint16]:
    """(n, 32) or (n, variants, 32) and (m, 32) -> (n, m) bits, of the nearest variant."""
    a = np.ascontiguousarray(left.reshape(len(left), -1, 32)).view("<u8")
    b = np.ascontiguousarray(right).view("<u8")
    found = np.zeros((*a.shape[:2], len(b)), np.uint16)
    for word in range(4):
        found += np.bitwise_count(a[:, :, word, None] ^ b[None, None, :, word])
    return found.min(axis=1)
