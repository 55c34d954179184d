"""MP4 and MOV: boxes that lie, tables of times and samples, edit lists, fragments.

Source of the layouts: ISO/IEC 14496-12.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from fuzz.mutants import Make, Mutant, Seeds, Unfit, of_one, pick
from fuzz.seeds import Seed

_HOLDERS = frozenset(b"moov trak mdia minf stbl edts moof traf mvex udta dinf mfra".split())


class Box(NamedTuple):
    """start..end in the file; body: where its contents begin; inside: indexes of those around it."""

    kind: bytes
    start: int
    body: int
    end: int
    inside: tuple[int, ...]


def boxes(data: bytes) -> list[Box]:
    """All boxes of a whole file, outer ones before what is in them."""
    found: list[Box] = []

    def walk(at: int, end: int, inside: tuple[int, ...]) -> None:
        while end - at >= 8:
            size, kind = struct.unpack_from(">I4s", data, at)
            body = at + 8
            if size == 1:
                size, body = struct.unpack_from(">Q", data, at + 8)[0], at + 16
            stop = end if size == 0 else at + size
            if stop > end or stop < body:
                return
            found.append(Box(kind, at, body, stop, inside))
            if kind in _HOLDERS:
                walk(body, stop, (*inside, len(found) - 1))
            at = stop

    walk(0, len(data), ())
    return found


def replaced(data: bytes, box: Box, all_boxes: Sequence[Box], new: bytes) -> bytes:
    """The file with something else in a box's place; the boxes around it fit. Offsets do not."""
    changed = bytearray(data)
    changed[box.start : box.end] = new
    for index in box.inside:
        outer = all_boxes[index]
        size = outer.end - outer.start + len(new) - (box.end - box.start)
        struct.pack_into(">I", changed, outer.start, size)
    return bytes(changed)


def boxed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _some(chance: random.Random, seed: Seed, *kinds: bytes) -> tuple[list[Box], Box]:
    """All boxes, and one of these kinds (any, where none is named). Raises Unfit."""
    found = boxes(seed.data)
    fit = [box for box in found if not kinds or box.kind in kinds]
    if not fit:
        raise Unfit
    return found, chance.choice(fit)


def _name(box: Box) -> str:
    return f"{box.kind.decode('latin1')} at {box.start}"


def box_size(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4", "avif")
    _, box = _some(chance, seed)
    size = box.end - box.start
    new = chance.choice(
        (0, 1, 7, 8, size - 1, size + 1, size // 2, size * 2, 0x7FFFFFFF, 0xFFFFFFFF)
    )
    data = bytearray(seed.data)
    struct.pack_into(">I", data, box.start, max(0, new))
    return of_one(seed, data, f"{_name(box)}: size {new} for {size}")


def box_hidden(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4", "avif")
    data = bytearray(seed.data)
    _, box = _some(chance, seed)
    data[box.start + 4 : box.start + 8] = chance.choice((b"free", b"skip", b"uuid", b"abcd"))
    return of_one(seed, data, f"{_name(box)} renamed")


def box_removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4", "avif")
    found, box = _some(chance, seed)
    return of_one(seed, replaced(seed.data, box, found, b""), f"{_name(box)} removed")


def box_repeated(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4", "avif")
    found, box = _some(chance, seed)
    twice = seed.data[box.start : box.end] * 2
    return of_one(seed, replaced(seed.data, box, found, twice), f"{_name(box)} twice")


def boxes_swapped(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4", "avif")
    found, box = _some(chance, seed)
    following = [b for b in found if b.inside == box.inside and b.start == box.end]
    if not following:
        raise Unfit
    other, data = following[0], seed.data
    data = (
        data[: box.start]
        + data[other.start : other.end]
        + data[box.start : box.end]
        + data[other.end :]
    )
    return of_one(seed, data, f"{_name(box)} and {_name(other)} changed places")


def edit_list(chance: random.Random, seeds: Seeds) -> Mutant:
    """Which part is to be shown: all but a frame is hidden by four bytes."""
    seed = pick(chance, seeds, "mp4")
    found = boxes(seed.data)
    lists = [box for box in found if box.kind == b"elst"]
    if lists and chance.random() < 0.5:
        box = chance.choice(lists)
        data = bytearray(seed.data)
        place = box.body + 8 + chance.choice((0, 4, 4, 8))
        value = chance.choice((0, 1, 50, 500, 5000, 20_000, 0xFFFFFFFF, 0x7FFFFFFF, 1 << 31))
        struct.pack_into(">I", data, place, value)
        return of_one(seed, data, f"edit list: {value} at {place}")
    tracks = [box for box in found if box.kind == b"trak"]
    media = [box for box in found if box.kind == b"mdat"]
    if not tracks or not media or media[0].start > tracks[0].start:
        raise Unfit  # its offsets would have to be moved
    edits = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        length = chance.choice((0, 50, 300, 1000, 2400, 100_000))
        start = chance.choice((-1, 0, 1024, 6144, 12_288, 20_480, 1 << 30))
        edits.append(
            struct.pack(">IiI", length, start, chance.choice((0x10000, 0x10000, 0, 0x20000)))
        )
    elst = boxed(b"elst", struct.pack(">II", 0, len(edits)) + b"".join(edits))
    track = tracks[0]
    inner = [b for b in found if b.inside and found[b.inside[-1]] == track and b.kind != b"edts"]
    parts = [seed.data[b.start : b.end] for b in inner]
    new = boxed(b"trak", parts[0] + boxed(b"edts", elst) + b"".join(parts[1:]))
    return of_one(seed, replaced(seed.data, track, found, new), f"{len(edits)} new edits")


def _word(chance: random.Random, seed: Seed, first: int, *kinds: bytes) -> Mutant:
    """One 32-bit word of such a box, from its byte `first` on, becomes another."""
    _, box = _some(chance, seed, *kinds)
    words = (box.end - box.body - first) // 4
    if words < 1:
        raise Unfit
    place = box.body + first + 4 * chance.randrange(min(words, chance.choice((1, 3, 8, 1000))))
    data = bytearray(seed.data)
    (old,) = struct.unpack_from(">I", data, place)
    new = chance.choice(
        (0, 1, old + 1, old - 1, old * 2, old // 2, 0x7FFFFFFF, 0xFFFFFFFF, old * 100)
    )
    struct.pack_into(">I", data, place, new & 0xFFFFFFFF)
    return of_one(seed, data, f"{_name(box)}: {new & 0xFFFFFFFF} for {old} at {place}")


def sample_times(chance: random.Random, seeds: Seeds) -> Mutant:
    return _word(chance, pick(chance, seeds, "mp4"), 4, b"stts", b"ctts")


def sample_table(chance: random.Random, seeds: Seeds) -> Mutant:
    return _word(chance, pick(chance, seeds, "mp4"), 4, b"stsz", b"stsc", b"stco", b"stss", b"sdtp")


def durations(chance: random.Random, seeds: Seeds) -> Mutant:
    return _word(chance, pick(chance, seeds, "mp4"), 0, b"mvhd", b"mdhd", b"tkhd", b"mehd")


def descriptions(chance: random.Random, seeds: Seeds) -> Mutant:
    return _word(chance, pick(chance, seeds, "mp4"), 0, b"stsd", b"hdlr", b"trex", b"sidx", b"mfro")


def fragment_words(chance: random.Random, seeds: Seeds) -> Mutant:
    return _word(chance, pick(chance, seeds, "mp4"), 0, b"tfdt", b"trun", b"tfhd", b"mfhd")


def _fragments(data: bytes) -> list[tuple[int, int]]:
    top = [box for box in boxes(data) if not box.inside]
    pairs = pairwise(top)
    return [(a.start, b.end) for a, b in pairs if (a.kind, b.kind) == (b"moof", b"mdat")]


def fragments_removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4")
    found = _fragments(seed.data)
    if not found:
        raise Unfit
    gone = sorted(chance.sample(found, chance.randint(1, max(1, len(found) - 1))))
    data = seed.data
    for start, end in reversed(gone):
        data = data[:start] + data[end:]
    return of_one(seed, data, f"{len(gone)} of {len(found)} fragments removed", keeps_time=True)


def fragments_shuffled(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4")
    found = _fragments(seed.data)
    if len(found) < 2:
        raise Unfit
    order = chance.sample(found, len(found))
    head, tail = seed.data[: found[0][0]], seed.data[found[-1][1] :]
    data = head + b"".join(seed.data[start:end] for start, end in order) + tail
    return of_one(seed, data, "fragments in another order")


def cut_at_a_box(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "mp4")
    tops = [box.end for box in _iter_top(seed.data)][:-1]
    if not tops:
        raise Unfit
    end = chance.choice(tops)
    return of_one(
        seed, seed.data[:end], f"cut off after the box that ends at {end}", keeps_time=True
    )


def _iter_top(data: bytes) -> Iterator[Box]:
    return (box for box in boxes(data) if not box.inside)


KINDS: Mapping[str, Make] = {
    "box-size": box_size,
    "box-hidden": box_hidden,
    "box-removed": box_removed,
    "box-repeated": box_repeated,
    "boxes-swapped": boxes_swapped,
    "edit-list": edit_list,
    "sample-times": sample_times,
    "sample-table": sample_table,
    "durations": durations,
    "descriptions": descriptions,
    "fragment-words": fragment_words,
    "fragments-removed": fragments_removed,
    "fragments-shuffled": fragments_shuffled,
    "cut-at-a-box": cut_at_a_box,
}
