"""Bars over time: the box that a clip's frames are cut to, though scenes are dark and logos come.

    bars = Bars()
    boxes = [bars.look(frame.luma) for frame in frames]      # what is known so far
    for first, end, box in bars.corrections():               # what was learnt later
        ...                                                  # frames first..end-1 belong in `box`

A clip falls into periods: runs of frames whose outermost lines are of one colour at the same sides.
Within a period a line is bar if it is in nearly all frames, so one bright frame shows where a dark
scene's picture ends. A scene that is dark to its edges looks as if it had more bars: while such a
period is the shorter one, it is taken for part of the one around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashmatch.hashing.borders import FLAT, TOLERANCE, Box, Side, boxed, depth, sides

# A period's box is worth another reading if this share of its frames, and as many, show it each by
# itself: so it is with bars. What is flat in the picture, as a wall, ends elsewhere in every frame.
AGREEING = 1 / 8
FEWEST = 4
# A bar ends with a step, beside a logo, where this share of the frames have as much of it, each by
# itself: what frames that fade in come to on average may have steps that none of them has.
WITH_STEP = 3 / 4
# Boxes whose edges are this near, as a share of the side, give the same hash but for a few bits.
SAME_WITHIN = 1 / 200


class Correction(NamedTuple):
    """Frames first..end-1, counted from 0, were cut to another box than this, or to none."""

    first: int
    end: int
    box: Box


@dataclass(eq=False, slots=True)
class _Evidence:
    """What a period's frames say of one side: see `borders.depth`; alone: how many have each depth."""

    lines: int
    depth: int = 0
    flat_in: NDArray[np.int64] = field(init=False)
    shares: NDArray[np.int64] = field(init=False)
    alone: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.flat_in = np.zeros(self.lines, np.int64)
        self.shares = np.zeros(self.lines, np.int64)
        self.alone = np.zeros(self.lines + 1, np.int64)

    def add(self, side: Side, frames: int) -> int:
        """Returns how many lines are bar, as all the frames tell."""
        count = len(side.shares)
        self.flat_in[:count] += side.shares >= FLAT
        self.shares[:count] += side.shares
        self.alone[side.depth] += 1
        self.depth = depth(self.flat_in, self.shares, self.lines, frames)
        if self.alone[max(0, self.depth - _slack(self.lines)) :].sum() < WITH_STEP * frames:
            self.depth = depth(self.flat_in, self.shares, self.lines, frames, step=False)
        return self.depth

    def agreeing(self) -> int:
        """How many frames have shown by themselves where the bar ends."""
        slack = _slack(self.lines)
        return int(self.alone[max(0, self.depth - slack) : self.depth + slack + 1].sum())


@dataclass(eq=False, slots=True)
class _Period:
    """colours: of top, bottom, left and right, None where there is no bar; around: the period that
    this one may be a dark scene of.
    """

    shape: tuple[int, ...]
    colours: list[int | None]
    around: _Period | None = None
    frames: int = 0
    depths: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    own: Box | None = None
    agreed: bool = False
    evidence: list[_Evidence | None] = field(default_factory=list)

    @property
    def outer(self) -> Iterator[_Period]:
        """The periods around it, each with bars on fewer sides than the one before."""
        around = self.around
        while around is not None:
            yield around
            around = around.around

    @property
    def told_by(self) -> _Period:
        """The period whose box is this one's: itself, or the longest that it is a dark scene of."""
        best = self
        for other in self.outer:
            if other.own is not None and (best.own is None or other.takes_in(self, best)):
                best = other
        return best

    def takes_in(self, scene: _Period, best: _Period) -> bool:
        """Whether it is longer than the best so far, and the scene's picture lies in its own."""
        return self.frames > best.frames and all(
            ours >= theirs - _slack(self.shape[number // 2])
            for number, (ours, theirs) in enumerate(zip(scene.depths, self.depths, strict=True))
        )

    def fits(self, seen: tuple[Side, ...], shape: tuple[int, ...]) -> bool:
        """The same sides have bars, of the same colours."""
        return (
            self.shape == shape
            and all((side.colour is None) == (colour is None) for side, colour in self._pairs(seen))
            and self.contained(seen, shape)
        )

    def contained(self, seen: tuple[Side, ...], shape: tuple[int, ...]) -> bool:
        """Every bar of the period is seen, perhaps with more."""
        return self.shape == shape and all(
            colour is None or (side.colour is not None and abs(side.colour - colour) <= TOLERANCE)
            for side, colour in self._pairs(seen)
        )

    def contains(self, seen: tuple[Side, ...], shape: tuple[int, ...]) -> bool:
        """Every bar that is seen is one of the period's."""
        return self.shape == shape and all(
            side.colour is None or (colour is not None and abs(side.colour - colour) <= TOLERANCE)
            for side, colour in self._pairs(seen)
        )

    def add(self, seen: tuple[Side, ...]) -> None:
        self.frames += 1
        if not any(side.colour is not None for side in seen):
            return
        if not self.evidence:
            self.evidence = [None if s.colour is None else _Evidence(s.lines) for s in seen]
        least = self.frames
        for number, (side, evidence) in enumerate(zip(seen, self.evidence, strict=True)):
            if evidence is not None:
                self.depths[number] = evidence.add(side, self.frames)
                self.colours[number] = side.colour  # it may drift, as in a fade
                if self.depths[number]:
                    least = min(least, evidence.agreeing())
        self.own = boxed(self.depths, self.shape)
        self.agreed = least >= max(FEWEST, AGREEING * self.frames)

    def _pairs(self, seen: tuple[Side, ...]) -> Iterator[tuple[Side, int | None]]:
        return zip(seen, self.colours, strict=True)


class _Run(NamedTuple):
    """Frames from this one on were of this period and cut to this box."""

    first: int
    period: _Period
    used: Box | None


class Bars:
    """One clip's bars. Frames of several sizes may be mixed."""

    def __init__(self) -> None:
        self._frames = 0
        self._now: _Period | None = None
        self._runs: list[_Run] = []

    def look(self, luma: NDArray[np.uint8]) -> Box | None:
        """Take the next frame (height, width). Returns its picture's box as far as is known."""
        seen, shape = sides(luma), luma.shape
        period = self._period(seen, shape)
        period.add(seen)
        going_on = (period, *period.outer)
        for other in (self._now, *self._now.outer) if self._now else ():
            if not any(other is one for one in going_on):
                other.evidence = []  # it is over; a clip that flickers has as many as frames
        self._now = period
        box = period.told_by.own
        last = self._runs[-1] if self._runs else None
        if last is None or last.period is not period or last.used != box:
            self._runs.append(_Run(self._frames, period, box))
        self._frames += 1
        return box

    def corrections(self) -> list[Correction]:
        """The frames that were cut otherwise than all frames together say, in order."""
        found: list[Correction] = []
        ends = [*(run.first for run in self._runs), self._frames][1:]
        for run, end in zip(self._runs, ends, strict=True):
            told_by = run.period.told_by
            box = told_by.own
            if box is None or not told_by.agreed or _same(run.used, box, told_by.shape):
                continue
            if found and found[-1].end == run.first and found[-1].box == box:
                found[-1] = found[-1]._replace(end=end)
            else:
                found.append(Correction(run.first, end, box))
        return found

    def _period(self, seen: tuple[Side, ...], shape: tuple[int, ...]) -> _Period:
        """The period that the next frame belongs to, which may be a new one."""
        now = self._now
        around = None
        for known in (now, *now.outer) if now else ():
            if known.fits(seen, shape):
                return known
            if around is None and known.contained(seen, shape):
                around = known
        new = _Period(shape, [side.colour for side in seen], around)
        if now is not None and now.around is None and now.contains(seen, shape):
            now.around = new
        return new


def _same(box: Box | None, other: Box, shape: tuple[int, ...]) -> bool:
    return box is not None and all(
        abs(ours - theirs) <= _slack(shape[number // 2])
        for number, (ours, theirs) in enumerate(zip(box, other, strict=True))
    )


def _slack(side: int) -> int:
    return max(1, int(side * SAME_WITHIN))
