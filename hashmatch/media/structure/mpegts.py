"""The video streams of an MPEG transport stream: which there are, from where, and of what kind.

    for video in videos(file, 0, size):
        video.pid, video.start, video.kind

A demuxer learns the streams from a file's first seconds. One that appears later, under another
number or as another codec, has to be looked for.
Source: ISO/IEC 13818-1, 2.4.3 and 2.4.4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.media.structure.window import read_at

_SYNC = 0x47
_PACKETS = (188, 192, 204)
_SYNCS = 5
_CHUNK = 4096  # packets
_PAT = 0
# Stream numbers of video in PES headers; 0xFD is what says in its header what it is (VC-1).
_VIDEO_IDS = frozenset((*range(0xE0, 0xF0), 0xFD))


class Video(NamedTuple):
    """One stretch of one stream. start: byte from which a demuxer has all of it, that of a table
    which announces it if there is one; kind: stream_type of its table, None where no table names it.
    """

    pid: int
    start: int
    kind: int | None


def packet_length(head: bytes) -> tuple[int, int] | None:
    """Bytes a packet and bytes before the first one; None for what is no transport stream.

    Five sync bytes in a row at one distance; a cut stream may begin within a packet. A file shorter
    than that: from its first byte, and nothing else.
    """
    for length in _PACKETS:
        for offset in range(min(length, len(head))):
            if head[offset : offset + length * _SYNCS : length] == bytes([_SYNC]) * _SYNCS:
                return length, offset
    count = -(-len(head) // 188)
    if count < _SYNCS and len(head) >= 188 and head[::188] == bytes([_SYNC]) * count:
        return 188, 0
    return None


def extent(file: BinaryIO, start: int, size: int) -> int:
    """The first byte behind the last packet of the stream at `start`; `size` for a cut one."""
    found = packet_length(read_at(file, start, _SYNCS * 2 * max(_PACKETS)))
    if found is None:
        return size
    end = start
    for at, packets in _packets(file, start + found[1], size, found[0]):
        end = at + len(packets) * found[0]
    return size if size - end < found[0] else end


def videos(file: BinaryIO, start: int, size: int) -> list[Video]:
    """All stretches of video in it, in the order of their beginning."""
    found = packet_length(read_at(file, start, _SYNCS * 2 * max(_PACKETS)))
    if found is None:
        return []
    scan = _Scan()
    length, offset = found
    for at, packets in _packets(file, start + offset, size, length):
        scan.take(packets, at, length)
    return sorted(scan.found, key=lambda video: video.start)


def _packets(
    file: BinaryIO, at: int, size: int, length: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Where packets begin, and they: (n, 188) uint8. What is no packet is passed over."""
    while at < size:
        text = read_at(file, at, min(length * _CHUNK, size - at))
        whole = len(text) // length
        if not whole:
            return
        packets = np.frombuffer(text, np.uint8, whole * length).reshape(whole, length)[:, :188]
        strays = packets[:, 0] != _SYNC
        if strays.any():
            packets = packets[: int(np.argmax(strays))]
        if len(packets):
            yield at, packets
        at += len(packets) * length
        if strays.any():
            at = _synchronised(file, at + 1, size, length)


def _synchronised(file: BinaryIO, at: int, size: int, length: int) -> int:
    """The next packet from there on, told by as many sync bytes as the first one is.

    Fewer would be found in any other file that lies behind, which would then be taken for packets.
    """
    while at < size:
        text = np.frombuffer(read_at(file, at, length * _SYNCS * 64), np.uint8)
        usable = len(text) - (_SYNCS - 1) * length
        for candidate in np.flatnonzero(text[: max(0, usable)] == _SYNC):
            following = text[candidate : candidate + _SYNCS * length : length]
            if (following == _SYNC).all():
                return at + int(candidate)
        if usable <= 0 or at + len(text) >= size:
            return size
        at += usable
    return size


class _Scan:
    """What the packets so far say."""

    def __init__(self) -> None:
        self.found: list[Video] = []
        self._tables: dict[int, bytes] = {}  # by the stream that carries them
        self._kinds: dict[int, int] = {}
        self._announced: int | None = None  # where the last table of programs began
        self._seen: dict[int, int | None] = {}

    def take(self, packets: NDArray[np.uint8], at: int, length: int) -> None:
        """packets: (n, 188) uint8, the first of them at byte `at`, one every `length` bytes."""
        pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
        starts = np.flatnonzero(packets[:, 1] & 0x40)
        programs = pids[starts] == _PAT
        for number in starts[programs]:
            for carrier in _carriers(_payload(packets[number].tobytes())):
                self._tables.setdefault(carrier, b"")
        tables = np.isin(pids[starts], list(self._tables))
        for number in starts[programs | tables | _video(packets, starts)]:
            pid, place = int(pids[number]), at + int(number) * length
            if pid == _PAT:
                self._announced = place
            elif pid in self._tables:
                self._table(pid, _payload(packets[number].tobytes()))
            else:
                self._picture(pid, place)

    def _table(self, pid: int, payload: bytes) -> None:
        if payload != self._tables[pid]:
            self._tables[pid] = payload
            self._kinds.update(_streams(payload))

    def _picture(self, pid: int, at: int) -> None:
        """Video begins here. What no table names yet is what the next one says it is."""
        kind = self._kinds.get(pid)
        if pid not in self._seen or self._seen[pid] not in (None, kind):
            announced = at if self._announced is None else self._announced
            self.found.append(Video(pid, announced, kind))
        self._seen[pid] = kind


def _video(packets: NDArray[np.uint8], starts: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Of the packets in which something begins, those in which it is video."""
    some = packets[starts]
    adapted = (some[:, 3] & 0x20) > 0
    body = np.where(adapted, 5 + some[:, 4].astype(np.int32), 4)
    body = np.minimum(body, 184)
    rows = np.arange(len(some))
    prefix = (some[rows, body] == 0) & (some[rows, body + 1] == 0) & (some[rows, body + 2] == 1)
    video: NDArray[np.bool_] = prefix & np.isin(
        some[rows, body + 3], np.array(sorted(_VIDEO_IDS), np.uint8)
    )
    return video


def _payload(packet: bytes) -> bytes:
    body = 5 + packet[4] if packet[3] & 0x20 else 4
    return packet[body:]


def _section(payload: bytes) -> bytes:
    """The first table in it, with its header and without its checksum."""
    table = payload[1 + payload[0] :] if payload else b""
    length = int.from_bytes(table[1:3], "big") & 0xFFF
    return table[: max(0, 3 + length - 4)]


def _carriers(payload: bytes) -> list[int]:
    """The streams that carry the tables of the programs, by the program association table."""
    table = _section(payload)
    if table[:1] != b"\0":
        return []
    programs = [table[at : at + 4] for at in range(8, len(table) - 3, 4)]
    return [
        int.from_bytes(program[2:], "big") & 0x1FFF
        for program in programs
        if program[:2] != b"\0\0"
    ]


def _streams(payload: bytes) -> dict[int, int]:
    """The kind of each stream, by a program's table; only what is in its first packet."""
    table = _section(payload)
    kinds: dict[int, int] = {}
    if table[:1] != b"\2" or len(table) < 12:
        return kinds
    at = 12 + (int.from_bytes(table[10:12], "big") & 0xFFF)
    while at + 5 <= len(table):
        kinds[int.from_bytes(table[at + 1 : at + 3], "big") & 0x1FFF] = table[at]
        at += 5 + (int.from_bytes(table[at + 3 : at + 5], "big") & 0xFFF)
    return kinds
