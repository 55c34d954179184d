"""The figures that results come down to: clips and frames found, false alarms, cost, and the targets.

figures.accepted(rows, "reference").passed
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from recall.edits import EDITS
from recall.measuring import VPDQ, Measured
from recall.scenes import Relation
from recall.subjects import Kind

EVERYDAY = tuple(edit.name for edit in EDITS.values() if edit.everyday)
# Of the ten everyday edits.
LEAST_FOUND, LEAST_SHARE, MOST_COST = 0.98, 0.90, 0.6


@dataclass(frozen=True)
class Found:
    """Of some clips by one method: how many, of them found, `matched` alone, mean share of the
    listed frames found."""

    clips: int
    found: int
    matched: int
    share: float


@dataclass(frozen=True)
class Cost:
    """Of the same clips: core-seconds, and vPDQ's; earlier: how many of those are of another run."""

    seconds: float
    vpdq_seconds: float | None
    earlier: int

    @property
    def ratio(self) -> float | None:
        return self.seconds / self.vpdq_seconds if self.vpdq_seconds else None


@dataclass(frozen=True)
class Accepted:
    """The acceptance figures of one method: `found` and `cost` of the everyday edits, false alarms of
    all clips."""

    method: str
    found: Found
    cost: Cost
    false_alarms: int

    @property
    def passed(self) -> bool:
        of = self.found
        return (
            of.found >= LEAST_FOUND * of.clips
            and of.share >= LEAST_SHARE
            and self.false_alarms == 0
            and self.cost.ratio is not None
            and self.cost.ratio <= MOST_COST
        )


def of(rows: Iterable[Measured], method: str, edits: Sequence[str], kind: Kind) -> list[Measured]:
    """Those that count: of listed videos, with something of them in the clip."""
    return [r for r in rows if r.method == method and r.edit in edits and r.kind == kind and r.of]


def found(rows: Sequence[Measured]) -> Found | None:
    if not rows:
        return None
    return Found(
        len(rows),
        sum(row.found for row in rows),
        sum(row.matched for row in rows),
        fmean(row.share for row in rows),
    )


def cost(rows: Iterable[Measured], some: Sequence[Measured]) -> Cost:
    """Of `some`, beside vPDQ's of the same clips among all rows."""
    clips = {row.clip for row in some}
    reference = [row for row in rows if row.method == VPDQ and row.clip in clips]
    complete = len(reference) == len(some)
    return Cost(
        sum(row.cpu_seconds for row in some),
        sum(row.cpu_seconds for row in reference) if complete else None,
        sum(row.earlier for row in reference),
    )


def alarms(rows: Iterable[Measured], method: str, relation: Relation) -> tuple[int, int, int]:
    """Pairs of a clip and a listed video of that relation: compared, `matched`, for review."""
    pairs = [row.others[relation.value] for row in rows if row.method == method]
    return (
        sum(one.compared for one in pairs),
        sum(len(one.matched) for one in pairs),
        sum(len(one.review) for one in pairs),
    )


def everyday(rows: Iterable[Measured], method: str) -> list[Measured]:
    """What the acceptance figures are taken from."""
    return of(rows, method, EVERYDAY, Kind.MEDIA)


def accepted(rows: Sequence[Measured], method: str) -> Accepted | None:
    """None where no everyday edit was looked at."""
    counted = everyday(rows, method)
    what = found(counted)
    if what is None:
        return None
    _, matched, review = alarms(rows, method, Relation.UNRELATED)
    return Accepted(method, what, cost(rows, counted), matched + review)
