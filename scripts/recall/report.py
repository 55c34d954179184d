"""Results as text and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from hashmatch.matching.alignment import REACH
from recall.edits import EDITS, UNEDITED
from recall.figures import (
    EVERYDAY,
    LEAST_FOUND,
    LEAST_SHARE,
    MOST_COST,
    accepted,
    alarms,
    cost,
    found,
    of,
)
from recall.frames import INSTANT, NOT_THERE
from recall.listing import DISTANCE
from recall.measuring import VPDQ, Measured
from recall.scenes import Relation
from recall.subjects import ROOM_EDITS, Kind, LeftOut


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
    parts = [_recall(rows), _instants(rows), _false_alarms(rows), _costs(rows)]
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


def _instants(rows: Sequence[Measured]) -> str:
    """Why frames are missed: not looked at when it matters, or looked at and too far."""

    def cell(name: str) -> Callable[[str], str]:
        def said(method: str) -> str:
            some = of(rows, method, [name], Kind.MEDIA)
            bits = [one for row in some for one in row.at_instants if one is not NOT_THERE]
            if not bits:
                return ""
            taken = [one for one in bits if one is not None]
            near = sum(one <= DISTANCE for one in taken)
            reach = sum(one <= REACH for one in taken) - near
            parts = near, reach, len(taken) - near - reach, len(bits) - len(taken)
            return " ".join(f"{part / len(bits):4.0%}" for part in parts)

        return said

    lines = [(edit.title, cell(edit.name)) for edit in (*EDITS.values(), UNEDITED)]
    about = (
        f"Listed frames at the instants where the edit shows them, give or take {INSTANT} s: within "
        f"{DISTANCE} bits, within {REACH},\nfurther, no frame taken:"
    )
    return "\n".join([about, "", *_lines(rows, "edit", lines)])


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
    lines = [f"TEN EVERYDAY EDITS (targets: {asked} of vPDQ)"]
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
