"""The packets of a video whose index says where they are: keyframes with their bytes, the rest without.

    for packet in IndexedPackets(container, stream, size):
        packet.is_keyframe, packet.size         # size 0: it was not read

Each keyframe is sought and read by the demuxer itself, so its times, side data and flags are those
of a reading from start to end. What lies between is known from the index alone: that it is there, and
when.
"""

from __future__ import annotations

from collections.abc import Iterator

import av.error
from av.container import InputContainer
from av.index import IndexEntry
from av.packet import Packet
from av.stream import Discard, Stream
from av.video.stream import VideoStream

from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason

_FAR = 1 << 40  # ticks, later than the last packet


class IndexedPackets:
    """As `container.Packets`, for the one stream. `damaged`: the index does not tell the truth.

    size: bytes of the file, which `boxes.has_whole_index`. Raises Unseeable(DAMAGED) for an index
    that cannot be true.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, size: int) -> None:
        self._container = container
        self._stream: Stream = stream
        self._entries = _checked(stream, size)
        self.damaged = False
        for other in container.streams:
            if other.index != stream.index:
                other.discard = Discard.all

    def __iter__(self) -> Iterator[Packet[Stream]]:
        entries = self._entries
        keyframes = [i for i, entry in enumerate(entries) if entry.is_keyframe]
        yield from self._unread(0, keyframes[0], 0)
        delay = _FAR
        for first, following in zip(keyframes, [*keyframes[1:], len(entries)], strict=True):
            packet = self._keyframe(first, following)
            if packet is None or packet.pts is None or packet.dts is None:
                self.damaged = True
                return
            # Others are shown as long after their decoding as the least delayed keyframe, or longer.
            delay = min(delay, packet.pts - packet.dts)
            yield packet
            yield from self._unread(first + 1, following, delay)

    def _keyframe(self, number: int, following: int) -> Packet[Stream] | None:
        """The packet of an entry; None if what is there is another."""
        entry, entries = self._entries[number], self._entries
        # A keyframe is found by when it is shown, which the index does not say: by the last moment
        # before the next one.
        until = entries[following].timestamp - 1 if following < len(entries) else _FAR
        try:
            self._container.seek(until, stream=self._stream, backward=True)
            packet = next(self._container.demux(self._stream), None)
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            return None
        if packet is None or (packet.pos, packet.size, packet.dts) != (
            entry.pos,
            entry.size,
            entry.timestamp,
        ):
            return None
        return packet

    def _unread(self, start: int, stop: int, delay: int) -> Iterator[Packet[Stream]]:
        """Entries start..stop, shown `delay` after they are decoded, as packets without bytes."""
        for number in range(start, stop):
            entry = self._entries[number]
            packet: Packet[Stream] = Packet()
            packet.stream = self._stream
            packet.dts, packet.pts = entry.timestamp, entry.timestamp + delay
            if number + 1 < len(self._entries):
                packet.duration = max(0, self._entries[number + 1].timestamp - entry.timestamp)
            yield packet


def _checked(stream: VideoStream, size: int) -> list[IndexEntry]:
    """All entries, in the order of decoding, none of them beyond the file. Raises Unseeable."""
    entries = list(stream.index_entries)
    times = [entry.timestamp for entry in entries]
    if (
        not any(entry.is_keyframe for entry in entries)
        or any(
            entry.pos < 0 or entry.size <= 0 or entry.pos + entry.size > size for entry in entries
        )
        or times != sorted(times)
        or not stream.duration
    ):
        raise Unseeable(Reason.DAMAGED, "an index that cannot be true")
    return entries
