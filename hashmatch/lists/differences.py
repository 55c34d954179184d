"""What changed from one version of a list to another.

    for change in differences(session, old, new):
        print(change.kind, change.entry)
    new_or_changed(session, old, new, most)      # ids, found by the database
    withdrawn(session, old, new)

Streamed: one entry of each version is in memory at a time, whatever the size of the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

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


def new_or_changed(
    session: Session, old: ListVersionRow, new: ListVersionRow, most: int
) -> list[str]:
    """The ids of entries of `new` that `old` lacks or has otherwise, but not more than `most`.

    Otherwise: with another hash, kind or class, not merely with other remarks (`extra`). The
    database compares; what is alike is never fetched.
    """
    before, after = aliased(EntryRow), aliased(EntryRow)
    changed = or_(
        before.id.is_(None),
        before.media != after.media,
        before.classification.is_distinct_from(after.classification),
        _has_another(before, after),
        _has_another(after, before),
    )
    return list(
        session.scalars(
            select(after.entry_id)
            .outerjoin(before, and_(before.version_id == old.id, before.entry_id == after.entry_id))
            .where(after.version_id == new.id, changed)
            .limit(most)
        )
    )


def withdrawn(session: Session, old: ListVersionRow, new: ListVersionRow) -> list[str]:
    """The ids of entries of `old` that `new` lacks, found by the database."""
    before, after = aliased(EntryRow), aliased(EntryRow)
    still = exists().where(after.version_id == new.id, after.entry_id == before.entry_id)
    return list(
        session.scalars(
            select(before.entry_id).where(
                before.version_id == old.id, ~still.correlate_except(after)
            )
        )
    )


def _has_another(one: type[EntryRow], than: type[EntryRow]) -> ColumnElement[bool]:
    """Whether an entry has a hash that the other one lacks."""
    its, same = aliased(EntryHashRow), aliased(EntryHashRow)
    alike = exists().where(
        same.entry == than.id,
        same.algorithm == its.algorithm,
        same.bits == its.bits,
        same.timestamp.is_not_distinct_from(its.timestamp),
        same.quality.is_not_distinct_from(its.quality),
    )
    return exists().where(its.entry == one.id, ~alike.correlate_except(same)).correlate_except(its)
