"""Removal: the hashes of a version leave the database. What they came from stays on record.

    remove(db, "c3p", 6, reason="superseded", by="alice", at=now)
    remove(db, "c3p", None, reason="the agreement ended", by="alice", at=now)    # the whole list

A removed version keeps its row, with file, digest and counts, so that its number is never given
again: matches, cases and the audit log go on naming it. Disabled entries and what the list's matches
do stay too, for the day it is imported again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commit, commit_person
from hashmatch.audit.log import append
from hashmatch.db.schema import EntryHashRow, EntryRow, ListRow, ListVersionRow
from hashmatch.db.session import Database
from hashmatch.errors import ListError
from hashmatch.freetext import problem_with, said_back
from hashmatch.lists.catalog import get_list, get_version
from hashmatch.model import Json


class ReasonRefused(ListError):
    message = "{name}: the reason cannot be recorded: {problem}."
    remedy = "It is shown to people and kept on record. Say in a few words why the list is removed."


class StillActs(ListError):
    message = "{name}: version {version} {what}, so it was not removed. Nothing was."
    remedy = "{remedy} To remove it all the same, and with it that possibility: --accept-active."


class NothingToRemove(ListError):
    message = "{name}: all of its versions were removed before."
    remedy = "`hashmatch lists show {name}` says when."


@dataclass(frozen=True)
class Removed:
    """versions: that were removed, oldest first; entries: in all of them; stopped: one of them acted."""

    name: str
    versions: tuple[int, ...]
    entries: int
    stopped: bool


def remove(
    db: Database,
    name: str,
    version: int | None,
    *,
    reason: str,
    by: str,
    at: datetime,
    accept_active: bool = False,
) -> Removed:
    """Removes the entries of a version, or of all versions: of each with its leaf, all or none.

    accept_active: also of what acts, which stops then, and of what `rollback` would bring back.
    Not while a run goes on, which reads them. Raises StillActs, NothingToRemove, ListUnknown,
    VersionUnknown, ReasonRefused, AlreadyRunning.
    """
    reason = reason.strip()
    problem = problem_with(reason)
    if problem is not None:
        raise ReasonRefused(name=said_back(name), problem=problem)
    with db.run_lock(), db.write() as session:
        row = get_list(session, name, lock=True)
        chosen = _chosen(session, name, version)
        if not accept_active:
            _check(row, chosen)
        stopped = row.active_version in {one.version for one in chosen}
        for one in chosen:
            _remove(session, row, one, reason, by, at)
        return Removed(
            name, tuple(one.version for one in chosen), sum(one.entries for one in chosen), stopped
        )


def _chosen(session: Session, name: str, version: int | None) -> Sequence[ListVersionRow]:
    if version is not None:
        return [get_version(session, name, version)]
    query = select(ListVersionRow).where(
        ListVersionRow.list_name == name, ListVersionRow.removed_at.is_(None)
    )
    found = session.scalars(query.order_by(ListVersionRow.version)).all()
    if not found:
        raise NothingToRemove(name=name)
    return found


def _check(row: ListRow, chosen: Sequence[ListVersionRow]) -> None:
    """Raises StillActs."""
    numbers = {one.version for one in chosen}
    if row.active_version in numbers:
        raise StillActs(
            name=row.name,
            version=row.active_version,
            what="acts",
            remedy=f"Stop it first with `hashmatch lists deactivate {row.name}`, or have another "
            "version act.",
        )
    if row.previous_version in numbers:
        raise StillActs(
            name=row.name,
            version=row.previous_version,
            what="is what `hashmatch lists rollback` would bring back",
            remedy="While it is there, one command takes a bad version back, and a new one is held "
            "to its size.",
        )


def _remove(
    session: Session, row: ListRow, version: ListVersionRow, reason: str, by: str, at: datetime
) -> None:
    entries = select(EntryRow.id).where(EntryRow.version_id == version.id)
    session.execute(delete(EntryHashRow).where(EntryHashRow.entry.in_(entries)))
    session.execute(delete(EntryRow).where(EntryRow.version_id == version.id))
    version.removed_at = at
    acted = row.active_version == version.version
    if acted:
        row.active_version = None
    if row.previous_version == version.version:
        row.previous_version = None
    body: dict[str, Json] = {
        "list": row.name,
        "version": version.version,
        "sha256": version.sha256,
        "entries": version.entries,
        "acted": acted,
        "reason": commit(session, "reason", reason, subject=f"list-{row.name}"),
        "by": commit_person(session, by),
    }
    append(session, "list-remove", body, at)
