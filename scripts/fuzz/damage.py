"""Damage that knows nothing of formats: bits, bytes, ranges, of any seed."""

from __future__ import annotations

import random
from collections.abc import Mapping

from fuzz.mutants import Make, Mutant, Seeds, of_one, pick

_HEAD = 512


def _place(chance: random.Random, size: int) -> int:
    """Anywhere; every third time near the start or the end, where headers and indexes are."""
    where = chance.randrange(6)
    if where == 0:
        return chance.randrange(min(_HEAD, size))
    if where == 1:
        return size - 1 - chance.randrange(min(_HEAD, size))
    return chance.randrange(size)


def _range(chance: random.Random, size: int, most: float = 0.5) -> tuple[int, int]:
    length = max(1, round(size * most * chance.random() ** 2))
    start = min(_place(chance, size), size - length)
    return start, start + length


def flip(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    data = bytearray(seed.data)
    places = [_place(chance, len(data)) for _ in range(chance.choice((1, 1, 2, 4, 16)))]
    for place in places:
        data[place] ^= 1 << chance.randrange(8)
    return of_one(seed, data, f"bits flipped at {places[:4]}")


def overwrite(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    data = bytearray(seed.data)
    start, stop = _range(chance, len(data), 0.3)
    filler = chance.choice((b"\0", b"\xff", b"\x47", None))
    size = stop - start
    data[start:stop] = chance.randbytes(size) if filler is None else filler * size
    return of_one(seed, data, f"{start}..{stop} overwritten by {filler!r}")


def cut_end(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    less = chance.choice((chance.randrange(1, 64), chance.randrange(1, len(seed.data))))
    kept = max(1, len(seed.data) - less)
    return of_one(seed, seed.data[:kept], f"cut off after {kept} of {len(seed.data)} bytes")


def cut_start(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    start = chance.choice((chance.randrange(1, 64), chance.randrange(1, len(seed.data))))
    return of_one(seed, seed.data[start:], f"the first {start} bytes gone")


def cut_out(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    start, stop = _range(chance, len(seed.data))
    return of_one(seed, seed.data[:start] + seed.data[stop:], f"{start}..{stop} cut out")


def repeat(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    start, stop = _range(chance, len(seed.data))
    data = seed.data[:stop] + seed.data[start:]
    return of_one(seed, data, f"{start}..{stop} twice")


def swap(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    a, b, c, d = sorted(chance.sample(range(len(seed.data) + 1), 4))
    data = seed.data
    data = data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
    return of_one(seed, data, f"{a}..{b} and {c}..{d} changed places")


def unharmed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds)
    return of_one(seed, seed.data, "as it is", unharmed=True, keeps_time=True)


KINDS: Mapping[str, Make] = {
    "unharmed": unharmed,
    "flip": flip,
    "overwrite": overwrite,
    "cut-end": cut_end,
    "cut-start": cut_start,
    "cut-out": cut_out,
    "repeat": repeat,
    "swap": swap,
}
