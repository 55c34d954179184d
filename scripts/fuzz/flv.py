"""FLV: tags removed, repeated, moved in time; another codec midway.

Source of the layout: Adobe, Video File Format Specification, version 10.1, annex E; Veovera, Enhanced RTMP.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

from fuzz.mutants import Make, Mutant, Seeds, of_one, pick

HEADER = 13  # and the size of no tag before the first
_VIDEO = 9
_ENHANCED = 0x80


class Tag(NamedTuple):
    kind: int
    start: int
    end: int


def tags(data: bytes) -> list[Tag]:
    found, at = [], HEADER
    while at + 15 <= len(data):
        end = at + 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
        found.append(Tag(data[at], at, end))
        at = end
    return found


def is_enhanced(data: bytes) -> bool:
    """Whether all its pictures are of codecs that were added to the format in 2023.

    FFmpeg knows them since version 6.1.
    """
    video = [tag for tag in tags(data) if tag.kind == _VIDEO] if data.startswith(b"FLV") else []
    return bool(video) and all(data[tag.start + 11] & _ENHANCED for tag in video)


def _pictures(data: bytes) -> list[Tag]:
    """Tags with pictures: not those that only set the decoder up."""
    return [
        tag
        for tag in tags(data)
        if tag.kind == _VIDEO and not (data[tag.start + 11] & 15 == 7 and data[tag.start + 12] != 1)
    ]


def _without(data: bytes, gone: list[Tag]) -> bytes:
    for tag in sorted(gone, reverse=True, key=lambda tag: tag.start):
        data = data[: tag.start] + data[tag.end :]
    return data


def moved(data: bytes, some: list[Tag], shift: int) -> bytes:
    """The tags' times, in milliseconds, later by `shift`; never before 0."""
    changed = bytearray(data)
    for tag in some:
        at = tag.start + 4
        time = int.from_bytes(changed[at : at + 3], "big") | changed[at + 3] << 24
        time = max(0, time + shift) & 0xFFFFFFFF
        changed[at : at + 3] = (time & 0xFFFFFF).to_bytes(3, "big")
        changed[at + 3] = time >> 24
    return bytes(changed)


def tags_removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "flv")
    pictures = _pictures(seed.data)
    if chance.random() < 0.5:
        share = chance.uniform(0.05, 0.95)
        gone = [tag for tag in pictures if chance.random() < share]
    else:
        start = chance.randrange(len(pictures))
        gone = pictures[start : start + chance.randint(1, len(pictures))]
    note = f"{len(gone)} of {len(pictures)} pictures removed"
    return of_one(seed, _without(seed.data, gone), note, keeps_time=True)


def any_tag_removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "flv")
    found = tags(seed.data)
    gone = chance.sample(found[:6] + found[-3:], chance.randint(1, 3))
    return of_one(seed, _without(seed.data, gone), "of the first and last tags some removed")


def tags_shuffled(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "flv")
    found = tags(seed.data)
    start = chance.randrange(3, len(found))
    some = found[start : start + chance.randint(2, 30)]
    mixed = chance.sample(some, len(some))
    data = seed.data
    middle = b"".join(data[tag.start : tag.end] for tag in mixed)
    data = data[: some[0].start] + middle + data[some[-1].end :]
    return of_one(seed, data, f"{len(some)} tags in another order")


def tags_moved(chance: random.Random, seeds: Seeds) -> Mutant:
    """Times that jump, as where a recorder lost its connection."""
    seed = pick(chance, seeds, "flv")
    found = tags(seed.data)
    start = chance.randrange(3, len(found))
    some = found[start : chance.choice((len(found), start + 10))]
    shift = chance.choice((-10_000, -1000, -400, 400, 1000, 5000, 15_000, 3_600_000))
    data = moved(seed.data, some, shift)
    # Times before 0 cannot be said: what becomes 0 loses its order.
    kept = shift > 0
    return of_one(seed, data, f"{len(some)} tags moved by {shift} ms", keeps_time=kept)


KINDS: Mapping[str, Make] = {
    "tags-removed": tags_removed,
    "any-tag-removed": any_tag_removed,
    "tags-shuffled": tags_shuffled,
    "tags-moved": tags_moved,
}
