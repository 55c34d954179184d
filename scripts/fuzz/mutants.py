"""Mutants: a seed, or several, changed in one way that can be made again from two numbers.

    mutant = made(seeds, seed=1, number=4711)
    mutant.kind, mutant.note, mutant.data

Kinds take turns by number, so that `--only KIND` makes the very mutants that a whole run makes.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fuzz.seeds import Seed
from fuzz.witness import Input

Seeds = Mapping[str, Seed]


class Unfit(Exception):
    """This change cannot be made to this seed: another is drawn."""


@dataclass(frozen=True)
class Mutant:
    """seeds: names of all that went into it; note: what was done, in words.

    others: what else the witness is to look at, such as what lies behind a picture; keeps_time: times
    within each seed are as they were; unharmed: nothing was changed; sound: there is sound in it;
    begins: seconds of the seed of which nothing is in the file, for its first picture is later.
    """

    data: bytes = field(repr=False)
    suffix: str
    seeds: tuple[str, ...]
    note: str
    others: tuple[Input, ...] = field(default=(), repr=False)
    keeps_time: bool = False
    unharmed: bool = False
    sound: bool = False
    begins: float = 0.0
    kind: str = ""
    number: int = -1


Make = Callable[[random.Random, Seeds], Mutant]


def of_one(seed: Seed, data: bytes, note: str, **more: Any) -> Mutant:
    """A change to one seed."""
    return Mutant(bytes(data), seed.suffix, (seed.name,), note, sound=seed.sound, **more)


def pick(chance: random.Random, seeds: Seeds, *families: str, **wanted: bool) -> Seed:
    """Any seed of these families (of all, where none is named). Raises Unfit."""
    fit = [
        seed
        for seed in seeds.values()
        if (not families or seed.family in families)
        and all(getattr(seed, name) is value for name, value in wanted.items())
    ]
    if not fit:
        raise Unfit
    return chance.choice(fit)


def made(seeds: Seeds, kinds: Mapping[str, Make], seed: int, number: int) -> Mutant:
    """Raises Unfit where the seeds have nothing that this number's kind could change."""
    kind = list(kinds)[number % len(kinds)]
    chance = random.Random(f"{seed}:{number}")
    for _ in range(_TRIES):
        try:
            mutant = kinds[kind](chance, seeds)
        except Unfit:
            continue
        return replace(mutant, kind=kind, number=number)
    raise Unfit(kind)


_TRIES = 50
