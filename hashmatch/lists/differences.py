"""What changed from one version of a list to another.

    for change in differences(session, old, new):
        print(change.kind, change.entry)

Streamed: one entry of each version is in memory at a time, whatever the size of the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from hashmatch.db.schema import EntryHashRow, EntryRow, ListVersionRow

FETCH = 5000


class ChangeKind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class EntryChange:
    """What became of one entry from one version to another. Carries no hash."""

    kind: ChangeKind
    entry: str


def differences(
    session: Session, old: ListVersionRow, new: ListVersionRow
) -> Iterator[EntryChange]:
    """What changed, by entry id; disabled entries included."""
    before = _signed(session, old.id)
    after = _signed(session, new.id)
    left, right = next(before, None), next(after, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield EntryChange(ChangeKind.REMOVED, left[0])
            left = next(before, None)
        elif left is None or right[0] < left[0]:
            yield EntryChange(ChangeKind.ADDED, right[0])
            right = next(after, None)
        else:
            if left[1] != right[1]:
                yield EntryChange(ChangeKind.CHANGED, left[0])
            left, right = next(before, None), next(after, None)


def _signed(session: Session, version_id: int) -> Iterator[tuple[str, object]]:
    """Each entry's id and all that is said of it, in the order that Python gives the ids."""
    listed, hashes = EntryRow.__table__, EntryHashRow.__table__
    by_id: ColumnElement[str] = listed.c.entry_id
    if session.get_bind().dialect.name == "postgresql":
        by_id = by_id.collate("C")  # the server's own order depends on its language
    # On the connection: the session's own way of reading takes twice as long.
    rows = session.connection().execute(
        select(
            listed.c.entry_id,
            listed.c.media,
            listed.c.classification,
            listed.c.extra,
            hashes.c.algorithm,
            hashes.c.bits,
            hashes.c.timestamp,
            hashes.c.quality,
        )
        .join(hashes, hashes.c.entry == listed.c.id)
        .where(listed.c.version_id == version_id)
        .order_by(by_id),
        execution_options={"yield_per": FETCH},
    )
    for entry, group in groupby(rows, itemgetter(0)):
        yield entry, _said(list(group))


def _said(rows: list[Any]) -> object:
    first = rows[0]
    hashes = sorted(
        (row.algorithm, row.bits, _comparable(row.timestamp), _comparable(row.quality))
        for row in rows
    )
    return first.media, first.classification, first.extra, hashes


def _comparable(value: float | None) -> float:
    return -1 if value is None else value
