"""PNG, APNG, JPEG and GIF: chunks, checksums, segments, blocks, counts of frames.

Source of the layouts: W3C, PNG Specification (Third Edition); ITU-T T.81; CompuServe, GIF89a.
"""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple

from fuzz.mutants import Make, Mutant, Seeds, Unfit, of_one, pick

_SIGNATURE = 8


class Part(NamedTuple):
    """A chunk, a segment or a block."""

    kind: str
    start: int
    end: int


def png_chunks(data: bytes) -> list[Part]:
    found, at = [], _SIGNATURE
    while at + 12 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        found.append(Part(data[at + 4 : at + 8].decode("latin1"), at, at + 12 + size))
        at += 12 + size
    return found


def _chunk(kind: bytes, body: bytes) -> bytes:
    checked = kind + body
    return struct.pack(">I", len(body)) + checked + struct.pack(">I", zlib.crc32(checked))


def png_checksum(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "png")
    one = chance.choice(png_chunks(seed.data))
    data = bytearray(seed.data)
    data[one.end - 1 - chance.randrange(4)] ^= chance.randrange(1, 256)
    return of_one(seed, data, f"checksum of {one.kind} at {one.start}")


def png_removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "png")
    one = chance.choice(png_chunks(seed.data))
    return of_one(seed, seed.data[: one.start] + seed.data[one.end :], f"{one.kind} removed")


def png_cut_out(chance: random.Random, seeds: Seeds) -> Mutant:
    """A part of the compressed picture is gone; the chunk says so, or does not."""
    seed = pick(chance, seeds, "png")
    data = seed.data
    one = chance.choice([c for c in png_chunks(data) if c.kind in ("IDAT", "fdAT")])
    body = data[one.start + 8 : one.end - 4]
    start = chance.randrange(len(body))
    body = body[:start] + body[start + chance.randint(1, max(1, len(body) // 3)) :]
    new = _chunk(one.kind.encode(), body)
    if chance.random() < 0.5:
        new = data[one.start : one.start + 8] + body + data[one.end - 4 : one.end]
    return of_one(seed, data[: one.start] + new + data[one.end :], f"a part of {one.kind} cut out")


def png_text(chance: random.Random, seeds: Seeds) -> Mutant:
    """A text chunk that is large, badly compressed, or has a bad checksum, before the picture."""
    seed = pick(chance, seeds, "png")
    first = next(c for c in png_chunks(seed.data) if c.kind not in ("IHDR",))
    size = chance.choice((10, 5000, 200_000, 2_000_000))
    text = b"x\0" + b"a" * size
    new = chance.choice((
        _chunk(b"tEXt", text),
        _chunk(b"zTXt", b"x\0\0" + zlib.compress(b"a" * size * 10)),
        _chunk(b"zTXt", b"x\0\0" + b"not compressed"),
        _chunk(b"iTXt", b"x"),
        _chunk(b"tEXt", text)[:-1] + b"!",
        _chunk(b"iCCP", b"x\0\0" + zlib.compress(b"a" * size)),
        _chunk(b"eXIf", b"a" * size),
    ))  # fmt: skip
    data = seed.data[: first.start] + new + seed.data[first.start :]
    return of_one(seed, data, f"{new[4:8].decode()} of {len(new)} bytes put in")


def apng_counts(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "png")
    one = chance.choice([c for c in png_chunks(seed.data) if c.kind in ("acTL", "fcTL")] or [None])
    if one is None:
        raise Unfit
    body = bytearray(seed.data[one.start + 8 : one.end - 4])
    place = 4 * chance.randrange(len(body) // 4)
    new = chance.choice((0, 1, 2, 5, 7, 100, 0x7FFFFFFF))
    struct.pack_into(">I", body, place, new)
    data = seed.data[: one.start] + _chunk(one.kind.encode(), bytes(body)) + seed.data[one.end :]
    return of_one(seed, data, f"{one.kind} at {one.start}: {new} at its byte {place}")


def jpeg_segments(data: bytes) -> list[Part]:
    """Up to the first scan, which goes on to the file's end."""
    found, at = [], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDA:
            end = len(data)
        found.append(Part(f"{data[at + 1]:02X}", at, end))
        at = end
    return found


def jpeg_cut(chance: random.Random, seeds: Seeds) -> Mutant:
    """The end is gone: two bytes, or some per cent of it."""
    seed = pick(chance, seeds, "jpeg")
    less = chance.choice((1, 2, 3, 8, chance.randint(1, len(seed.data) * 2 // 3)))
    return of_one(seed, seed.data[:-less], f"the last {less} of {len(seed.data)} bytes gone")


def jpeg_segment(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "jpeg")
    one = chance.choice(jpeg_segments(seed.data))
    what = chance.choice(("removed", "twice", "changed", "longer"))
    data = bytearray(seed.data)
    if what == "removed":
        del data[one.start : one.end]
    elif what == "twice":
        data[one.start : one.start] = data[one.start : one.end]
    elif what == "changed":
        data[chance.randrange(one.start + 1, min(one.end, one.start + 24))] = chance.randrange(256)
    else:
        struct.pack_into(">H", data, one.start + 2, chance.randrange(65_536))
    return of_one(seed, data, f"segment {one.kind} {what}")


def jpeg_scan(chance: random.Random, seeds: Seeds) -> Mutant:
    """Damage in the entropy-coded data, which are most of the file."""
    seed = pick(chance, seeds, "jpeg")
    data = bytearray(seed.data)
    scan = jpeg_segments(seed.data)[-1]
    start = chance.randrange(scan.start + 12, len(data) - 2)
    size = chance.choice((1, 2, 20, 200))
    what = chance.choice(("gone", "zeros", "markers"))
    if what == "gone":
        del data[start : start + size]
    else:
        filler = bytes(size) if what == "zeros" else b"\xff\xd9" * (size // 2 or 1)
        data[start : start + len(filler)] = filler
    return of_one(seed, data, f"{size} bytes of the scan at {start}: {what}")


def gif_blocks(data: bytes) -> list[Part]:
    """Extensions, images and the trailer, after the header and its table of colours."""
    flags = data[10]
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    found = []
    while at < len(data):
        start = at
        if data[at] == 0x3B:
            found.append(Part("trailer", at, at + 1))
            break
        if data[at] == 0x21:
            kind, at = "extension", at + 2
        else:
            flags = data[at + 9]
            kind, at = "image", at + 10 + (3 << (flags & 7) + 1 if flags & 0x80 else 0) + 1
        while data[at]:
            at += 1 + data[at]
        at += 1
        found.append(Part(kind, start, at))
    return found


def gif_block(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "gif")
    one = chance.choice(gif_blocks(seed.data))
    what = chance.choice(
        ("removed", "twice", "cut", "head changed", "length changed", "end before")
    )
    data = bytearray(seed.data)
    if what == "removed":
        del data[one.start : one.end]
    elif what == "twice":
        data[one.start : one.start] = data[one.start : one.end]
    elif what == "cut":
        del data[chance.randrange(one.start, one.end) : one.end]
    elif what == "head changed":
        data[chance.randrange(one.start, min(one.end, one.start + 12))] = chance.randrange(256)
    elif what == "length changed":
        data[chance.randrange(one.start, one.end)] = chance.choice((0, 1, 255))
    else:
        data[one.start : one.start] = b"\x3b"
    return of_one(seed, data, f"{one.kind} at {one.start} {what}")


KINDS: Mapping[str, Make] = {
    "png-checksum": png_checksum,
    "png-removed": png_removed,
    "png-cut-out": png_cut_out,
    "png-text": png_text,
    "apng-counts": apng_counts,
    "jpeg-cut": jpeg_cut,
    "jpeg-segment": jpeg_segment,
    "jpeg-scan": jpeg_scan,
    "gif-block": gif_block,
}
