"""Which seconds of a stream were really seen. Pure: times in, seconds out.

    line = Timeline(max_gap=0.25)
    line.packet(0.0, 0.04)                # what the container holds
    line.frame(0.0)                       # what came out of the decoder
    line.end, line.seen()                 # 0.04, 0.04

A frame is seen from its own time until the next thing that happened: another frame, or a loss. Lost
are packets that the decoder refused, frames it had to patch up, and packets from which no frame
came although they were to be decoded. What is left out on purpose, between two frames, is not lost.

Packets that the file lacks leave no other trace than the time between those that are there. It tells
where the stream is regular, or by far slower than its file says; a slow stream is neither.
"""

from __future__ import annotations

import math
from itertools import pairwise

# A stream is regular if this share of its steps is within half of the usual one; a step of so many
# usual ones is then a hole. Frames that a live encoder dropped come one or two at a time.
_REGULAR, _WITHIN, _HOLE = 0.8, 0.5, 4.0
# A file that has fewer frames than this share of what it says lacks some.
_FEWEST = 0.6


class Timeline:
    """max_gap: seconds that may lie between two frames while packets between them gave none."""

    def __init__(self, max_gap: float) -> None:
        self._max_gap = max_gap
        self._frames: list[float] = []
        self._losses: list[float] = []
        self._waiting: list[float] = []  # packets after the last frame, in the order of the file
        self._left_out: list[float] = []  # those of them that were to give no frame
        self._packets: list[
            tuple[float, float]
        ] = []  # all of one reading, in the order of the file
        self.end = 0.0

    @property
    def packets(self) -> int:
        """How many packets the stream has."""
        return len(self._packets)

    @property
    def step(self) -> float:
        """Seconds from one packet to the next, as a rule; 0 for fewer than two."""
        steps = sorted(after - before for before, after in pairwise(self._times()))
        return steps[len(steps) // 2] if steps else 0.0

    def _times(self) -> list[float]:
        return sorted(t for t, _ in self._packets)

    def packet(self, t: float, duration: float, *, wanted: bool = True) -> None:
        """A packet that the container holds for t..t+duration; wanted: it should give a frame."""
        (self._waiting if wanted else self._left_out).append(t)
        self._packets.append((t, duration))
        self.end = max(self.end, t + duration)

    def sparse(self, t: float = math.inf) -> float | None:
        """Where a gap up to a frame at t (or the end) begins to hold packets; None: no such gap.

        To be asked before `frame(t)`, once all packets that belong before t are known. A long gap
        without packets is how a slow stream looks, and no gap at all.
        """
        return self._gap(self._waiting, t, self._max_gap)

    def left_out(self, longest: float, t: float = math.inf) -> bool:
        """Whether more than `longest` seconds up to a frame at t were left out on purpose.

        To be asked as `sparse` is.
        """
        return self._gap(self._left_out, t, longest) is not None

    def _gap(self, packets: list[float], t: float, longest: float) -> float | None:
        last = self._frames[-1] if self._frames else -math.inf
        inside = [p for p in packets if last < p < t]
        if not inside:
            return None
        start = min(inside)
        gap = min(t, self.end) - (last if self._frames else start)
        return start if gap > longest else None

    def frame(self, t: float) -> None:
        self._frames.append(t)
        self._waiting = [p for p in self._waiting if p > t]
        self._left_out = [p for p in self._left_out if p > t]

    def loss(self, t: float) -> None:
        """Something at t was to be seen and could not be."""
        self._losses.append(t)

    @property
    def frames(self) -> int:
        """How many frames were noted."""
        return len(self._frames)

    def distrust_gaps(self) -> None:
        """The container was damaged: packets may be missing wherever frames are far apart."""
        self._losses += [a for a, b in pairwise(self._frames) if b - a > self._max_gap]

    def note_holes(self, declared: float | None) -> None:
        """Note as lost what is missing between packets. declared: seconds a frame, as the file says."""
        times, usual = self._times(), self.step
        steps = [after - before for before, after in pairwise(times)]
        if not steps:
            return
        near = sum(abs(step - usual) <= _WITHIN * usual for step in steps)
        if near >= _REGULAR * len(steps):
            longest = max(self._max_gap, _HOLE * usual)
        elif declared is not None and len(times) * declared < _FEWEST * (times[-1] - times[0]):
            longest = max(self._max_gap, declared)
        else:
            return
        shown = dict(sorted(self._packets))
        self._losses += [
            t + usual
            for t, step in zip(times, steps, strict=False)
            if step > max(longest, shown[t] + self._max_gap)
        ]

    def rewind(self) -> None:
        """The stream is read once more from its start; what was seen stays seen."""
        last = self._frames[-1] if self._frames else -math.inf
        self._losses = [t for t in self._losses if t <= last]
        self._waiting, self._left_out, self._packets = [], [], []

    def seen(self) -> float:
        """Seconds of presentation time that were covered by frames."""
        events = sorted([(t, 0) for t in self._frames] + [(t, 1) for t in self._losses])
        ends = [t for t, _ in events[1:]] + [self.end]
        # Without events there is one end too many.
        return sum(
            max(0.0, end - t) for (t, lost), end in zip(events, ends, strict=False) if not lost
        )
