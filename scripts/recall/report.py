"""Results as a table: per edit and method the clips found, the share of listed frames, false alarms, cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from recall.edits import EDITS
from recall.measuring import Measured, share


def table(rows: Sequence[Measured]) -> str:
    methods = list(dict.fromkeys(row.method for row in rows))
    lines = [
        "Per method: clips found (of them surely), mean share of the listed frames found by frames within "
        "31 bits, and by sequences within 64.",
        "",
        f"{'edit':28}" + "".join(f"{method:>26}" for method in methods),
    ]
    groups = [(edit.title, [edit.name]) for edit in EDITS.values()]
    groups.append(("ten everyday edits", [e.name for e in EDITS.values() if e.everyday]))
    groups.append(("all edits", list(EDITS)))
    for title, names in groups:
        cells = [cell([r for r in rows if r.method == m and r.edit in names]) for m in methods]
        if any(cells):
            lines.append(f"{title:28}" + "".join(f"{text:>26}" for text in cells))
    lines += ["", f"{'of all clips':28}" + "".join(f"{method:>26}" for method in methods)]
    for relation in ("unrelated", "same room"):
        for what in ("false_alarms", "false_sequences"):
            cells = [alarms([r for r in rows if r.method == m], what, relation) for m in methods]
            title = f"{what.replace('_', ' ')}, {relation}"
            lines.append(f"{title:28}" + "".join(f"{text:>26}" for text in cells))
    costs = [f"{sum(r.cpu_seconds for r in rows if r.method == m):.1f}" for m in methods]
    lines.append(f"{'core-seconds':28}" + "".join(f"{text:>26}" for text in costs))
    return "\n".join(lines)


def cell(rows: Sequence[Measured]) -> str:
    counted = [row for row in rows if row.listed and row.of]
    if not counted:
        return ""
    hits, sure = sum(row.hit for row in counted), sum(row.sure for row in counted)
    alone = fmean(share(row.found_by_frame, row.of) for row in counted)
    together = fmean(share(row.found_in_sequence, row.of) for row in counted)
    return f"{hits} ({sure})/{len(counted)} {alone:.2f} {together:.2f}"


def alarms(rows: Iterable[Measured], what: str, relation: str) -> str:
    wrong = compared = 0
    for row in rows:
        wrong += getattr(row, what)[relation]
        compared += row.compared[relation]
    return f"{wrong}/{compared}"
