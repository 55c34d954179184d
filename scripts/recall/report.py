"""Results as text and as JSON: what is found of every edit, false alarms, cost, the acceptance figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from recall.edits import EDITS, UNEDITED
from recall.measuring import VPDQ, Measured
from recall.scenes import Relation
from recall.subjects import ROOM_EDITS, Kind, LeftOut

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


def as_json(
    rows: Sequence[Measured], unrelated: dict[str, Any] | None, left_out: Iterable[LeftOut]
) -> dict[str, Any]:
    said = []
    for method in _methods(rows):
        one = accepted(rows, method)
        if one is not None:
            said.append(asdict(one) | {"cost_ratio": one.cost.ratio, "passed": one.passed})
    return {
        "everyday": said,
        "rows": [asdict(row) for row in rows],
        "unrelated": unrelated,
        "left_out": [asdict(one) for one in left_out],
    }


def text(
    rows: Sequence[Measured], unrelated: dict[str, Any] | None, left_out: Sequence[LeftOut]
) -> str:
    parts = [_recall(rows), _false_alarms(rows), _costs(rows)]
    if unrelated is not None:
        parts.append(_distances(unrelated))
    if left_out:
        parts.append("\n".join(["Left out:", *(f"  {one.name}: {one.why}" for one in left_out)]))
    parts.append(_acceptance(rows))
    return "\n\n".join(parts)


def _methods(rows: Iterable[Measured]) -> list[str]:
    return list(dict.fromkeys(row.method for row in rows))


def _lines(
    rows: Sequence[Measured], title: str, lines: Iterable[tuple[str, Callable[[str], str]]]
) -> list[str]:
    methods = _methods(rows)
    table = [f"{title:30}" + "".join(f"{method:>22}" for method in methods)]
    for name, cell in lines:
        cells = [cell(method) for method in methods]
        if any(cells):
            table.append(f"{name:30}" + "".join(f"{one:>22}" for one in cells))
    return table


def _recall(rows: Sequence[Measured]) -> str:
    def cell(names: Sequence[str], kind: Kind) -> Callable[[str], str]:
        def said(method: str) -> str:
            what = found(of(rows, method, names, kind))
            return f"{what.found} ({what.matched}) {what.share:.2f}" if what else ""

        return said

    def clips(names: Sequence[str], kind: Kind) -> int:
        return len({row.clip for row in rows if row.edit in names and row.kind == kind and row.of})

    groups = [(e.title, (e.name,), Kind.MEDIA) for e in (*EDITS.values(), UNEDITED)]
    groups += [
        ("ten everyday edits", EVERYDAY, Kind.MEDIA),
        ("all edits", tuple(EDITS), Kind.MEDIA),
        ("rooms, three edits", ROOM_EDITS, Kind.ROOM),
    ]
    lines = [(f"{title}, {clips(names, kind)}", cell(names, kind)) for title, names, kind in groups]
    about = (
        "Clips found: matched or for review (matched alone), and the mean share of the listed frames found.\n"
        "vPDQ: any frame within 31 bits (80 % of the clip's frames)."
    )
    return "\n".join([about, "", *_lines(rows, "edit, clips", lines)])


def _false_alarms(rows: Sequence[Measured]) -> str:
    def cell(relation: Relation) -> Callable[[str], str]:
        def said(method: str) -> str:
            compared, matched, review = alarms(rows, method, relation)
            return f"{matched} + {review} of {compared}" if compared else ""

        return said

    relations = (
        Relation.UNRELATED,
        Relation.SAME_ROOM,
        Relation.SAME_SCENE,
        Relation.SAME_RECORDING,
    )
    notes = {
        Relation.UNRELATED: "unrelated (has to be 0)",
        Relation.SAME_SCENE: "same scene (no alarms)",
        Relation.SAME_RECORDING: "same recording (copies)",
    }
    lines = [(notes.get(one, one.value), cell(one)) for one in relations]
    about = "Other listed videos found in a clip, matched + for review of all compared:"
    return "\n".join([about, "", *_lines(rows, "relation", lines)])


def _costs(rows: Sequence[Measured]) -> str:
    def ratio(method: str) -> str:
        share = cost(rows, [row for row in rows if row.method == method]).ratio
        return "" if share is None else f"{share:.2f}"

    def total(method: str) -> str:
        return f"{sum(row.cpu_seconds for row in rows if row.method == method):.1f}"

    def taken(method: str) -> str:
        return f"{sum(row.frames for row in rows if row.method == method)}"

    lines = [("core-seconds", total), ("of vPDQ's", ratio), ("good frames hashed", taken)]
    return "\n".join(_lines(rows, "all clips", lines))


def _distances(unrelated: dict[str, Any]) -> str:
    within = ", ".join(
        f"{tail}: {one['pairs']} ({one['expected']:.3g})"
        for tail, one in unrelated["within"].items()
    )
    return (
        f"Frames of unrelated videos, {unrelated['pairs']:,} pairs: mean {unrelated['mean']:.2f} bits, "
        f"standard deviation {unrelated['standard_deviation']:.2f} "
        f"(in use: {unrelated['model_mean']}, {unrelated['model_standard_deviation']}); "
        f"nearest {', '.join(map(str, unrelated['nearest']))}.\n"
        f"Pairs within so many bits (expected by what is in use): {within}"
    )


def _acceptance(rows: Sequence[Measured]) -> str:
    asked = (
        f"{LEAST_FOUND:.0%} found, share {LEAST_SHARE:.2f}, no false alarm, {MOST_COST} of the cost"
    )
    lines = [f"TEN EVERYDAY EDITS (asked for: {asked} of vPDQ)"]
    for method in _methods(rows):
        one = accepted(rows, method)
        if one is None:
            continue
        share = one.cost.ratio
        cost_said = "not measured" if share is None else f"{share:.2f}"
        if one.cost.earlier:
            cost_said += f", vPDQ's of {one.cost.earlier} clips measured earlier"
        verdict = "" if method == VPDQ else ("  PASSED" if one.passed else "  SHORT")
        lines.append(
            f"  {method:10} found {one.found.found} of {one.found.clips} "
            f"({one.found.found / one.found.clips:.1%}; matched {one.found.matched / one.found.clips:.1%}), "
            f"share {one.found.share:.3f}, false alarms {one.false_alarms}, cost ratio {cost_said}{verdict}"
        )
    return "\n".join(lines)
