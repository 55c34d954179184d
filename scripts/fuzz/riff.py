"""AVI and WebP: chunks of a RIFF file removed, repeated, resized, renamed.

Source of the layouts: Microsoft, AVI RIFF File Reference; Google, WebP Container Specification.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from typing import NamedTuple

from fuzz.mutants import Make, Mutant, Seeds, Unfit, of_one, pick


class Chunk(NamedTuple):
    """start..end in the file, padding included; body: where its contents begin."""

    kind: bytes
    start: int
    body: int
    end: int


def chunks(data: bytes) -> list[Chunk]:
    """All but the outermost, outer ones before what is in them."""
    found: list[Chunk] = []

    def walk(at: int, end: int) -> None:
        while at + 8 <= end:
            kind, size = struct.unpack_from("<4sI", data, at)
            stop = min(end, at + 8 + size + size % 2)
            found.append(Chunk(kind, at, at + 8, stop))
            if kind == b"LIST":
                walk(at + 12, stop)
            at = stop

    walk(12, len(data))
    return found


def _fit(data: bytes | bytearray) -> bytes:
    """With an outermost size that fits, where one is to stay whole but for what is removed."""
    return bytes(data[:4]) + struct.pack("<I", len(data) - 8) + bytes(data[8:])


def _some(chance: random.Random, found: list[Chunk]) -> list[Chunk]:
    """One chunk, or a stretch of those with pictures."""
    pictures = [c for c in found if c.kind in (b"00dc", b"ANMF")]
    if pictures and chance.random() < 0.6:
        start = chance.randrange(len(pictures))
        return pictures[start : start + chance.choice((1, 3, 10, 30))]
    return [chance.choice(found)]


def removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "avi", "webp")
    data = seed.data
    gone = _some(chance, chunks(data))
    for chunk in reversed(gone):
        data = data[: chunk.start] + data[chunk.end :]
    if chance.random() < 0.5:
        data = _fit(data)
    kinds = sorted({chunk.kind.decode("latin1") for chunk in gone})
    return of_one(seed, data, f"{len(gone)} of {kinds} removed")


def emptied(chance: random.Random, seeds: Seeds) -> Mutant:
    """Overwritten by JUNK of the same size: nothing else moves."""
    seed = pick(chance, seeds, "avi", "webp")
    data = bytearray(seed.data)
    gone = _some(chance, chunks(seed.data))
    for chunk in gone:
        data[chunk.start : chunk.start + 4] = b"JUNK"
    kinds = sorted({chunk.kind.decode("latin1") for chunk in gone})
    return of_one(seed, data, f"{len(gone)} of {kinds} renamed to JUNK")


def repeated(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "avi", "webp")
    chunk = chance.choice(chunks(seed.data))
    data = _fit(seed.data[: chunk.end] + seed.data[chunk.start :])
    return of_one(seed, data, f"{chunk.kind!r} at {chunk.start} twice")


def resized(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "avi", "webp")
    chunk = chance.choice([Chunk(b"RIFF", 0, 8, len(seed.data)), *chunks(seed.data)])
    size = chunk.end - chunk.body
    new = chance.choice((0, size - 2, size + 2, size // 2, size * 2, 0x7FFFFFFF, 0xFFFFFFFF))
    data = bytearray(seed.data)
    struct.pack_into("<I", data, chunk.start + 4, max(0, new))
    return of_one(seed, data, f"{chunk.kind!r} at {chunk.start}: size {new} for {size}")


def header_words(chance: random.Random, seeds: Seeds) -> Mutant:
    """Rates, counts, sizes, durations, index entries."""
    seed = pick(chance, seeds, "avi", "webp")
    fit = [
        c
        for c in chunks(seed.data)
        if c.kind in (b"avih", b"strh", b"idx1", b"VP8X", b"ANIM", b"ANMF")
    ]
    if not fit:
        raise Unfit
    chunk = chance.choice(fit)
    place = chunk.body + chance.randrange(min(chunk.end - chunk.body - 4, 56))
    data = bytearray(seed.data)
    (old,) = struct.unpack_from("<I", data, place)
    new = chance.choice((0, 1, old + 1, old * 2, old // 2, 0xFFFFFFFF)) & 0xFFFFFFFF
    struct.pack_into("<I", data, place, new)
    return of_one(seed, data, f"{chunk.kind!r}: {new} for {old} at {place}")


KINDS: Mapping[str, Make] = {
    "chunks-removed": removed,
    "chunks-emptied": emptied,
    "chunk-repeated": repeated,
    "chunk-resized": resized,
    "chunk-words": header_words,
}
