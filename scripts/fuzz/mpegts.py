"""MPEG-TS: packets lost, under another PID, out of sequence; two programs in one stream.

Source of the layout: ISO/IEC 13818-1.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from fuzz.mutants import Make, Mutant, Seeds, Unfit, of_one, pick

SIZE = 188
_VIDEO, _PMT = 0x100, 0x1000  # as FFmpeg's muxer numbers them


def packets(data: bytes) -> list[bytes]:
    return [data[at : at + SIZE] for at in range(0, len(data) - SIZE + 1, SIZE)]


def pid(packet: bytes) -> int:
    return (packet[1] & 0x1F) << 8 | packet[2]


def under(packet: bytes, other: int) -> bytes:
    return packet[:1] + bytes((packet[1] & 0xE0 | other >> 8, other & 0xFF)) + packet[3:]


def crc(section: bytes) -> bytes:
    """CRC-32/MPEG-2."""
    register = 0xFFFFFFFF
    for byte in section:
        register ^= byte << 24
        for _ in range(8):
            register = (
                register << 1 ^ 0x04C11DB7 if register >> 31 else register << 1
            ) & 0xFFFFFFFF
    return register.to_bytes(4, "big")


def _table(pid_: int, section: bytes, count: int) -> bytes:
    head = bytes((0x47, 0x40 | pid_ >> 8, pid_ & 0xFF, 0x10 | count & 15, 0))
    return (head + section + crc(section)).ljust(SIZE, b"\xff")


def _association(programs: Mapping[int, int], count: int) -> bytes:
    body = b"".join(
        number.to_bytes(2, "big") + (0xE000 | table).to_bytes(2, "big")
        for number, table in programs.items()
    )
    length = 5 + len(body) + 4
    section = b"\0" + (0xB000 | length).to_bytes(2, "big") + b"\0\x01\xc1\0\0" + body
    return _table(0, section, count)


def _map(packet: bytes, program: int, shift: int, count: int) -> bytes:
    """A program map under another number, all its PIDs moved by `shift`."""
    section = bytearray(packet[5:])
    length = int.from_bytes(section[1:3], "big") & 0xFFF
    section = section[: 3 + length - 4]
    section[3:5] = program.to_bytes(2, "big")

    def move(at: int) -> None:
        moved = (int.from_bytes(section[at : at + 2], "big") & 0x1FFF) + shift
        section[at : at + 2] = (0xE000 | moved).to_bytes(2, "big")

    move(8)
    at = 12 + (int.from_bytes(section[10:12], "big") & 0xFFF)
    while at + 5 <= len(section):
        move(at + 1)
        at += 5 + (int.from_bytes(section[at + 3 : at + 5], "big") & 0xFFF)
    return _table(_PMT + shift, bytes(section), count)


def packets_removed(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "ts")
    found = packets(seed.data)
    if chance.random() < 0.5:
        share = chance.uniform(0.01, 0.9)
        kept = [p for p in found if pid(p) != _VIDEO or chance.random() >= share]
    else:
        start = chance.randrange(len(found))
        kept = found[:start] + found[start + chance.randint(1, len(found) - start) :]
    note = f"{len(found) - len(kept)} of {len(found)} packets removed"
    return of_one(seed, b"".join(kept), note, keeps_time=True)


def packets_swapped(chance: random.Random, seeds: Seeds) -> Mutant:
    seed = pick(chance, seeds, "ts")
    found = packets(seed.data)
    start = chance.randrange(len(found))
    some = found[start : start + chance.randint(2, 60)]
    found[start : start + len(some)] = chance.sample(some, len(some))
    return of_one(seed, b"".join(found), f"{len(some)} packets from {start} on in another order")


def header_bits(chance: random.Random, seeds: Seeds) -> Mutant:
    """Error flag, start flag, scrambling, adaptation, continuity of some packets."""
    seed = pick(chance, seeds, "ts")
    found = packets(seed.data)
    mask = chance.choice((0x800000, 0x400000, 0xC0, 0x20, 0x10, 0x0F))
    share = chance.choice((0.02, 0.2, 1.0))
    changed = []
    for packet in found:
        if pid(packet) == _VIDEO and chance.random() < share:
            word = int.from_bytes(packet[1:4], "big") ^ (
                mask & chance.randrange(1, 1 << 24) or mask
            )
            packet = packet[:1] + word.to_bytes(3, "big") + packet[4:]
        changed.append(packet)
    return of_one(seed, b"".join(changed), f"bits {mask:#x} of headers, share {share}")


def continuity(chance: random.Random, seeds: Seeds) -> Mutant:
    """Counters that do not go on, of packets of which none is missing."""
    seed = pick(chance, seeds, "ts")
    found = packets(seed.data)
    start, shift = chance.randrange(len(found)), chance.randrange(1, 16)
    changed = [
        p[:3] + bytes((p[3] & 0xF0 | (p[3] + shift) & 15,)) + p[4:] if n >= start else p
        for n, p in enumerate(found)
    ]
    return of_one(seed, b"".join(changed), f"counters moved by {shift} from {start} on")


def other_pid(chance: random.Random, seeds: Seeds) -> Mutant:
    """The video goes on under another PID, with or without a map that says so."""
    seed = pick(chance, seeds, "ts")
    found = packets(seed.data)
    start, shift = chance.randrange(8, len(found) - 8), chance.choice((1, 0x10, 0x100))
    said = chance.random() < 0.6
    changed = found[:start]
    maps = [p for p in found if pid(p) == _PMT]
    if said and maps:
        changed += [_association({1: _PMT + shift}, 1), _map(maps[0], 1, shift, 1)]
    for packet in found[start:]:
        if pid(packet) >= _VIDEO and pid(packet) < _PMT:
            changed.append(under(packet, pid(packet) + shift))
        elif not said:
            changed.append(packet)
    note = f"under PIDs moved by {shift} from packet {start} on, {'' if said else 'not '}said"
    return of_one(seed, b"".join(changed), note, keeps_time=True)


def _in_program(data: bytes, program: int, shift: int) -> list[bytes]:
    """A stream's packets as those of a program; without its own association tables."""
    changed = []
    for packet in packets(data):
        if pid(packet) == _PMT:
            changed.append(_map(packet, program, shift, packet[3] & 15))
        elif _VIDEO <= pid(packet) < _PMT:
            changed.append(under(packet, pid(packet) + shift))
    return changed


def two_programs(chance: random.Random, seeds: Seeds) -> Mutant:
    one, other = pick(chance, seeds, "ts"), pick(chance, seeds, "ts")
    if one is other:
        raise Unfit
    first, second = _in_program(one.data, 1, 0), _in_program(other.data, 2, 0x20)
    data = [_association({1: _PMT, 2: _PMT + 0x20}, 0)]
    while first or second:
        for queue in (first, second):
            data += queue[:7]
            del queue[:7]
    return Mutant(
        b"".join(data), "ts", (one.name, other.name), "two programs, packets in turn",
        keeps_time=True, sound=one.sound or other.sound,
    )  # fmt: skip


def one_after_the_other(chance: random.Random, seeds: Seeds) -> Mutant:
    """Two streams, the second under its own PIDs, which its own tables say."""
    one, other = pick(chance, seeds, "ts"), pick(chance, seeds, "ts")
    if one is other:
        raise Unfit
    shift = chance.choice((0, 0x10, 0x100))
    program = chance.choice((1, 2))
    second = [_association({program: _PMT + shift}, 5), *_in_program(other.data, program, shift)]
    return Mutant(
        one.data + b"".join(second), "ts", (one.name, other.name),
        f"a second stream, as program {program}, PIDs moved by {shift}",
        keeps_time=True, sound=one.sound or other.sound,
    )  # fmt: skip


KINDS: Mapping[str, Make] = {
    "packets-removed": packets_removed,
    "packets-swapped": packets_swapped,
    "header-bits": header_bits,
    "continuity": continuity,
    "other-pid": other_pid,
    "two-programs": two_programs,
    "second-stream": one_after_the_other,
}
