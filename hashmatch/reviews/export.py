"""What the partner is told of its entries: how often people found their matches wrong, and right.

    with new_file(Path("c3p.csv")) as out:
        out.write(as_csv(feedback(session, "c3p")).encode())

Nothing of a clip is in it: no key, no hash, no time of day, and no reason, which may hold what is
personal. An entry is called as matches show it: by the id that the list gave it, or by a keyed name
if it gave none, or one that holds a hash.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.db.schema import DecisionRow, StandingRow
from hashmatch.reviews.entry_standing import EntryName, Level, tallies

# What spreadsheets take for the beginning of a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Feedback:
    """One entry. version, category: of the newest decision; first, last: days, UTC, of decisions."""

    list: str
    version: int
    entry: str
    category: str | None
    rejected: int
    confirmed: int
    first: str
    last: str
    standing: str


def feedback(session: Session, name: str | None) -> list[Feedback]:
    """Of every entry of a list (of all, if None) with a match that was found wrong."""
    query = select(DecisionRow).order_by(DecisionRow.id)
    if name is not None:
        query = query.where(DecisionRow.list_name == name)
    decisions: dict[EntryName, list[DecisionRow]] = {}
    for row in session.scalars(query):
        decisions.setdefault(EntryName(row.list_name, row.entry_id), []).append(row)
    counted = tallies(session, decisions, ever=True) if decisions else {}
    levels = {
        EntryName(row.list_name, row.entry_id): row for row in session.scalars(select(StandingRow))
    }
    rows = []
    for entry, made in sorted(decisions.items()):
        if not counted[entry].rejected:
            continue
        days = sorted(row.at.date().isoformat() for row in made)
        newest = made[-1]
        rows.append(
            Feedback(
                list=entry.list,
                version=newest.version,
                entry=entry.entry,
                category=newest.classification,
                rejected=counted[entry].rejected,
                confirmed=counted[entry].confirmed,
                first=days[0],
                last=days[-1],
                standing=levels[entry].level if entry in levels else Level.ACTS.value,
            )
        )
    return rows


def as_csv(rows: Sequence[Feedback]) -> str:
    """As RFC 4180 has it, with a header.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.
    """
    out = io.StringIO()
    columns = list(Feedback.__dataclass_fields__)
    writer = csv.writer(out)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(value) for value in asdict(row).values()])
    return out.getvalue()


def as_json(rows: Sequence[Feedback]) -> str:
    return json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False) + "\n"


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
