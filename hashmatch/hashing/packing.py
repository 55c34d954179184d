"""Frame hashes as bytes: for the database, and for messages from the decoder's child process.

    unpack(pack(hashes)).recipe == hashes.recipe

The child has just decoded a hostile file, so its bytes are read as hostile: every length is checked
against the bytes that are there, nothing is allocated beyond them, and what comes out is a valid
`FrameHashes` or an error. The checksum is against accidents; it proves nothing about who wrote it.

Little-endian: magic, format, algorithm (1 byte each), variants (2 bytes, a bit for each in the order
of `Variant`, the lowest first), bytes a hash, length of recipe (1 byte each), n (4 bytes); recipe
in ASCII; t (n float64), quality (n bytes), bits (n times variants times bytes a hash); CRC-32 of
all before.

Format 1, which databases still hold, has a count of variants in one byte: 1 for the picture, 2 with
its mirror image, 4 with both of what is inside its bars.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np

from hashmatch.errors import HashmatchError
from hashmatch.hashing.recipes import MAX_LENGTH
from hashmatch.model import Algorithm, FrameHashes, Orientations, Variant

_MAGIC = b"HMFH"
_FORMAT = 2
_HEADER = struct.Struct("<4s2BH2BI")
_HEADER_1 = struct.Struct("<4s5BI")
_CHECKSUM = struct.Struct("<I")
_CODES = {Algorithm.PDQ: 1, Algorithm.PHASH: 2, Algorithm.DHASH: 3, Algorithm.WHASH: 4}
_VARIANTS = tuple(Variant)
_FORMAT_1_VARIANTS = {
    1: (Variant.ORIGINAL,),
    2: Orientations.MIRRORED.outer,
    4: Orientations.MIRRORED.variants,
}
_ALGORITHMS = {code: algorithm for algorithm, code in _CODES.items()}


class FingerprintDamaged(HashmatchError):
    message = "Packed frame hashes cannot be read: {problem}"
    remedy = "The clip has to be fetched and decoded again."
    exit_code = 24


def pack(hashes: FrameHashes) -> bytes:
    """Raises ValueError where the arrays are not what `FrameHashes` says of them."""
    if (problem := _problem(hashes)) is not None:
        raise ValueError(problem)
    n, _, width = hashes.bits.shape
    mask = sum(1 << _VARIANTS.index(variant) for variant in hashes.variants)
    recipe = hashes.recipe.encode("ascii")
    body = b"".join(
        (
            _HEADER.pack(_MAGIC, _FORMAT, _CODES[hashes.algorithm], mask, width, len(recipe), n),
            recipe,
            hashes.t.astype("<f8").tobytes(),
            hashes.quality.tobytes(),
            hashes.bits.tobytes(),
        )
    )
    return body + _CHECKSUM.pack(zlib.crc32(body))


def unpack(packed: bytes | memoryview) -> FrameHashes:
    """What was packed; its qualities and bits are views of `packed`.

    Raises FingerprintDamaged where bytes are missing, left over or changed, and for other formats.
    """
    packed = memoryview(packed)
    header, variants, code, width, recipe_length, n = _header(packed)
    frames = header + recipe_length
    end = frames + n * (8 + 1 + len(variants) * width)
    if len(packed) != end + _CHECKSUM.size:
        raise FingerprintDamaged(problem="its length is not what it says")
    if _CHECKSUM.unpack_from(packed, end)[0] != zlib.crc32(packed[:end]):
        raise FingerprintDamaged(problem="the checksum is wrong")
    if code not in _ALGORITHMS:
        raise FingerprintDamaged(problem="its algorithm is unknown")
    hashes = FrameHashes(
        recipe=str(packed[header:frames], "latin-1"),
        algorithm=_ALGORITHMS[code],
        t=np.array(np.frombuffer(packed[frames : frames + 8 * n], "<f8"), np.float64),
        quality=np.frombuffer(packed[frames + 8 * n : frames + 9 * n], np.uint8),
        bits=np.frombuffer(packed[frames + 9 * n : end], np.uint8).reshape(n, len(variants), width),
        variants=variants,
    )
    if (problem := _problem(hashes)) is not None:
        raise FingerprintDamaged(problem=problem)
    return hashes


def _header(packed: memoryview) -> tuple[int, tuple[Variant, ...], int, int, int, int]:
    """Its length, the variants, the algorithm's code, bytes a hash, length of the recipe, n."""
    if len(packed) < _HEADER_1.size + _CHECKSUM.size:
        raise FingerprintDamaged(problem="it is too short")
    if packed[:4] != _MAGIC:
        raise FingerprintDamaged(problem="it is something else")
    if packed[4] == 1:
        _, _, code, count, *rest = _HEADER_1.unpack_from(packed)
        return _HEADER_1.size, _FORMAT_1_VARIANTS.get(count, ()), code, *rest
    if packed[4] != _FORMAT:
        raise FingerprintDamaged(
            problem=f"it has format {packed[4]}, this version reads 1 to {_FORMAT}"
        )
    _, _, code, mask, *rest = _HEADER.unpack_from(packed)
    variants = tuple(variant for bit, variant in enumerate(_VARIANTS) if mask >> bit & 1)
    return _HEADER.size, variants, code, *rest


def _problem(hashes: FrameHashes) -> str | None:
    """What is wrong with it, without naming a value."""
    n = len(hashes.t)
    if hashes.algorithm not in _CODES:
        return "digests of files are not frame hashes"
    if hashes.bits.ndim != 3 or hashes.bits.shape[2] != hashes.algorithm.bits // 8:
        return "the hashes have the wrong size"
    if hashes.bits.shape[1] != len(hashes.variants):
        return "there are more or fewer variants than are named"
    if not hashes.variants or hashes.variants != _ordered(hashes.variants):
        return "the variants are none, or not each once and in order"
    if hashes.t.shape != (n,) or hashes.quality.shape != (n,) or len(hashes.bits) != n:
        return "times, qualities and hashes are not equally many"
    if hashes.t.dtype != np.dtype(np.float64):
        return "the times have the wrong type"
    if any(values.dtype != np.dtype(np.uint8) for values in (hashes.quality, hashes.bits)):
        return "the qualities or hashes have the wrong type"
    if not np.isfinite(hashes.t).all():
        return "a time is not a number"
    if (hashes.quality > 100).any():
        return "a quality is above 100"
    if not 1 <= len(hashes.recipe) <= MAX_LENGTH or not _plain(hashes.recipe):
        return "the recipe's name is not plain text of 1 to 64 characters"
    return None


def _ordered(variants: tuple[Variant, ...]) -> tuple[Variant, ...]:
    return tuple(variant for variant in _VARIANTS if variant in variants)


def _plain(text: str) -> bool:
    return text.isascii() and text.isprintable()
