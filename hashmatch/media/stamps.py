"""Packet times in seconds from the start of the stream, whatever the container makes of them.

Two things go wrong in real files. A stream that was cut together jumps back, or hours ahead, where two
recordings meet: transport streams, and what recorders and browsers append to FLV, WebM and fragmented
MP4. AVI knows only the order in which frames are decoded, so the
presentation times that a demuxer makes up for it are wrong where frames are reordered.
"""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction

from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from hashmatch.media.limits import LONGEST

# FFmpeg's own tool takes a longer step than this for a discontinuity (-dts_delta_threshold). Back
# a decoding time never goes, but for rounding.
_JUMP_AHEAD = 10.0
_JUMP_BACK = 0.1

_DEFAULT_STEP = 0.04
_LONGEST_STEP = 1.0


class Stamps:
    """One pass over one stream. `jumped`: a discontinuity was closed; absurd: a time or a duration
    was beyond `limits.LONGEST`, which is given in its place; delay: seconds from when the first packet
    is decoded to when it is shown.
    """

    def __init__(self, stream: VideoStream, demuxer: str) -> None:
        base = stream.time_base or Fraction(1, 1000)
        # Dividing integers rounds once, as a Fraction does, at a tenth of its price.
        self._ticks, self._per_second = base.numerator, base.denominator
        rate = stream.average_rate or stream.guessed_rate
        self._step = min(float(1 / rate), _LONGEST_STEP) if rate else _DEFAULT_STEP
        self._by_decoding = demuxer == "avi"
        self._origin = None if self._by_decoding else stream.start_time
        self._offset = 0
        self._decoded: int | None = None
        self._length = 0.0
        self._shown: float | None = None
        self._queue: deque[float] = deque()
        self.jumped = self.absurd = False
        self.delay = 0.0
        self._first = True

    def packet(self, packet: Packet[Stream]) -> tuple[float, float]:
        """Its time and duration. A jump is closed in the packet too, so that its frame follows."""
        self._close_jump(packet)
        stamp = packet.dts if self._by_decoding or packet.pts is None else packet.pts
        length = self._seconds(packet.duration) if packet.duration else self._step
        if stamp is None:
            return self._next(), length
        if self._origin is None:
            self._origin = stamp
        if self._first and packet.pts is not None and packet.dts is not None:
            self.delay = self._seconds(packet.pts - packet.dts)
        self._first = False
        t = max(0.0, self._seconds(stamp - self._origin))
        if max(t, length) > LONGEST:
            self.absurd = True
            t, length = min(t, LONGEST), min(length, LONGEST)
        if self._by_decoding:
            self._queue.append(t)
        return t, length

    def refused(self) -> None:
        """No frame comes of the last packet."""
        if self._queue:
            self._queue.pop()

    def decoded(self, packet: Packet[Stream]) -> float:
        """No packet to come belongs before this time; -inf where the container does not say."""
        if packet.dts is None or self._origin is None:
            return -math.inf
        return self._seconds(packet.dts - self._origin)

    def frame(self, frame: VideoFrame) -> float:
        """When it is shown; never before the start, nor before the frame decoded before it."""
        if self._by_decoding:
            # One frame a packet, reordered: the first frame shown has the first packet's time.
            t = self._queue.popleft() if self._queue else self._next()
        elif frame.pts is None:
            t = self._next()
        else:
            t = self._seconds(frame.pts - (self._origin or 0))
        self._shown = min(LONGEST, max(t, self._shown or 0.0))
        return self._shown

    def _next(self) -> float:
        return 0.0 if self._shown is None else self._shown + self._step

    def _seconds(self, stamp: int) -> float:
        return stamp * self._ticks / self._per_second

    def _close_jump(self, packet: Packet[Stream]) -> None:
        if self._by_decoding or packet.dts is None:
            return
        dts = packet.dts + self._offset
        if self._decoded is not None:
            ahead = self._seconds(dts - self._decoded)
            # A frame that is to be shown for so long, as a slide is, does not jump.
            if ahead - self._length > _JUMP_AHEAD or ahead < -_JUMP_BACK:
                step = round(self._step * self._per_second / self._ticks)
                self._offset += self._decoded - dts + step
                self.jumped = True
        packet.dts += self._offset
        if packet.pts is not None:
            packet.pts += self._offset
        self._decoded = packet.dts
        self._length = self._seconds(packet.duration or 0)
