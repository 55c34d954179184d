"""Matroska and WebM: elements made void, removed, repeated, resized, moved in time.

Source of the layout: RFC 8794 and RFC 9559.
"""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fuzz.mutants import Make, Mutant, Seeds, Unfit, of_one, pick

SEGMENT, CLUSTER, BLOCK_GROUP = 0x18538067, 0x1F43B675, 0xA0
CLUSTER_TIME, SIMPLE_BLOCK, BLOCK = 0xE7, 0xA3, 0xA1
DURATION, TAG_STRING, TRACK_DURATION = 0x4489, 0x4487, 0x23E383
_HOLDERS = frozenset(
    (SEGMENT, CLUSTER, BLOCK_GROUP, 0x1654AE6B, 0xAE, 0xE0, 0x1C53BB6B, 0xBB, 0x1549A966, 0x1254C367,
     0x7373, 0x67C8, 0x114D9B74, 0x4DBB, 0x1A45DFA3)
)  # fmt: skip
_UNKNOWN = -1
_FIRST_TRACK = 0x81  # the video's, as FFmpeg numbers them


class Element(NamedTuple):
    """start..end in the file, body: where its contents begin, size_at: where its size is written."""

    id: int
    start: int
    size_at: int
    body: int
    end: int


def elements(data: bytes) -> list[Element]:
    """All elements of a whole file, outer ones before what is in them."""
    found: list[Element] = []

    def walk(at: int, end: int, inside: int) -> int:
        while at < end:
            start = at
            length = 9 - data[at].bit_length()
            if length > 4:
                return end
            kind = int.from_bytes(data[at : at + length], "big")
            size_at = at + length
            width = 9 - data[size_at].bit_length()
            if width > 8:
                return end
            size = int.from_bytes(data[size_at : size_at + width], "big") & ((1 << 7 * width) - 1)
            if inside == CLUSTER and kind == CLUSTER:
                return start  # a cluster of unknown size ends where the next one begins
            body = size_at + width
            place = len(found)
            unknown = size == (1 << 7 * width) - 1
            stop = end if unknown else min(end, body + size)
            found.append(Element(kind, start, size_at, body, stop))
            if kind in _HOLDERS:
                stop_inside = walk(body, stop, kind)
                if unknown:
                    stop = stop_inside
                    found[place] = found[place]._replace(end=stop)
            at = stop
        return end

    walk(0, len(data), 0)
    return found


def _void(size: int) -> bytes | None:
    """A Void element of exactly so many bytes; None where none is that short."""
    if size < 2:
        return None
    if size < 10:
        return bytes((0xEC, 0x80 | (size - 2))) + bytes(size - 2)
    return b"\xec\x01" + (size - 9).to_bytes(7, "big") + bytes(size - 9)


def begins(data: bytes, gone: Sequence[Element]) -> float:
    """Seconds from the video's first block to the first that is left without these elements."""
    times, left, cluster = [], [], 0
    for one in elements(data):
        if one.id == CLUSTER_TIME:
            cluster = int.from_bytes(data[one.body : one.end], "big")
        elif one.id in (SIMPLE_BLOCK, BLOCK) and data[one.body] == _FIRST_TRACK:
            (within,) = struct.unpack_from(">h", data, one.body + 1)
            times.append((cluster + within) / 1000)
            if not any(other.start <= one.start < other.end for other in gone):
                left.append(times[-1])
    return min(left, default=math.inf) - min(times)


def void(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mkv")
    found = elements(seed.data)
    wanted = chance.choice(((CLUSTER,), (CLUSTER,), (SIMPLE_BLOCK, BLOCK_GROUP), None))
    fit = [e for e in found if (wanted is None and e.id != SEGMENT) or (wanted and e.id in wanted)]
    if not fit:
        raise Unfit
    data = bytearray(seed.data)
    start = chance.randrange(len(fit))
    gone = fit[start : start + chance.choice((1, 1, 2, 5, 20))]
    done = 0
    for element in gone:
        filler = _void(element.end - element.start)
        # What is within another is gone with it, and would be written over that one's size.
        if filler is not None and element.start >= done:
            data[element.start : element.end] = filler
            done = element.end
    names = sorted({f"{e.id:X}" for e in gone})
    note = f"{len(gone)} of {names} made void at {gone[0].start}"
    return of_one(seed, data, note, keeps_time=True, begins=begins(seed.data, gone))


def removed(chance: random.Random, seeds: Seeds) -> Mutant:
    """Outer sizes stay as they were: what follows is read where it now lies."""
    seed = pick(chance, seeds, "mkv")
    one = chance.choice([e for e in elements(seed.data) if e.id != SEGMENT])
    data = seed.data[: one.start] + seed.data[one.end :]
    note = f"{one.id:X} at {one.start} removed"
    return of_one(seed, data, note, begins=begins(seed.data, [one]))


def repeated(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mkv")
    one = chance.choice([e for e in elements(seed.data) if e.id != SEGMENT])
    data = seed.data[: one.end] + seed.data[one.start :]
    return of_one(seed, data, f"{one.id:X} at {one.start} twice")


def resized(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mkv")
    one = chance.choice(elements(seed.data))
    width = one.body - one.size_at
    size = one.end - one.body
    new = chance.choice(
        (0, size - 1, size + 1, size // 2, size * 2, size + 1000, (1 << 7 * width) - 1)
    )
    data = bytearray(seed.data)
    new = max(0, min(new, (1 << 7 * width) - 1))
    data[one.size_at : one.body] = (new | 1 << 7 * width).to_bytes(width, "big")
    return of_one(seed, data, f"{one.id:X} at {one.start}: size {new} for {size}")


def clusters_moved(chance: random.Random, seeds: Seeds) -> Mutant:
    """All clusters from one on are earlier or later, as where two recordings were put together."""
    seed = pick(chance, seeds, "mkv")
    data = bytearray(seed.data)
    times = [e for e in elements(seed.data) if e.id == CLUSTER_TIME]
    first = chance.randrange(len(times))
    shift = chance.choice((-5000, -1000, -300, 300, 1000, 5000, 12_000, 3_600_000))
    last = chance.choice((first + 1, len(times)))
    for one in times[first:last]:
        width = one.end - one.body
        time = int.from_bytes(data[one.body : one.end], "big") + shift
        limit = (1 << 8 * width) - 1
        data[one.body : one.end] = max(0, min(time, limit)).to_bytes(width, "big")
    return of_one(seed, data, f"clusters {first}..{last} of {len(times)} moved by {shift} ms")


def block_times(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mkv")
    data = bytearray(seed.data)
    blocks = [e for e in elements(seed.data) if e.id in (SIMPLE_BLOCK, BLOCK)]
    some = chance.sample(blocks, chance.randint(1, max(1, len(blocks) // 4)))
    for one in some:
        struct.pack_into(">h", data, one.body + 1, chance.choice((0, -1000, 30_000, 500)))
    return of_one(seed, data, f"{len(some)} of {len(blocks)} blocks at another time")


def claims(chance: random.Random, seeds: Seeds) -> Mutant:
    """How long it says it is."""
    seed = pick(chance, seeds, "mkv")
    data = bytearray(seed.data)
    some = [e for e in elements(seed.data) if e.id in (DURATION, TAG_STRING, TRACK_DURATION)]
    if not some:
        raise Unfit
    one = chance.choice(some)
    size = one.end - one.body
    if one.id == TAG_STRING:
        text = chance.choice((b"01:00:00.000000000", b"00:00:00.100000000", b"x", b"99:99:99.9"))
        data[one.body : one.end] = text[:size].ljust(size, b"\0")
    else:
        data[one.body : one.end] = chance.choice((bytes(size), b"\x7f" * size, b"\x40" * size))
    return of_one(seed, data, f"{one.id:X} at {one.start} says something else")


KINDS: Mapping[str, Make] = {
    "void": void,
    "element-removed": removed,
    "element-repeated": repeated,
    "element-resized": resized,
    "clusters-moved": clusters_moved,
    "block-times": block_times,
    "claims": claims,
}
