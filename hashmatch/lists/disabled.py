"""Entries that must not act: a partner withdrew them, or they match what they should not.

    disable(db, names, "c3p", "img-1", reason="matches our logo", by="alice", at=now)

They stay disabled in every version of their list until `enable`.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hashmatch.audit.log import append
from hashmatch.audit.names import KeyedNames
from hashmatch.audit.typed import problem_with, said_back
from hashmatch.db.schema import DisabledEntryRow, EntryRow, ListVersionRow
from hashmatch.db.session import Database
from hashmatch.errors import ListError
from hashmatch.lists.catalog import get_list
from hashmatch.lists.entries import safe_id
from hashmatch.model import Json


class EntryUnknown(ListError):
    """{name}: no version has an entry {entry}.

    Entries are called as matches show them.
    """


class NotDisabled(ListError):
    """{name}: the entry {entry} is not disabled.

    See which are with `hashmatch lists show {name}`.
    """


class ReasonWrong(ListError):
    """{name}: the reason cannot be recorded: {problem}.

    It is shown to people and kept in the audit log. Say in a few words why the entry must not act.
    """


def disable(
    db: Database, names: KeyedNames, name: str, entry: str, *, reason: str, by: str, at: datetime
) -> str:
    """Keeps an entry from acting, in every version; returns the name it is kept under.

    entry: as matches name it, or as the partner does. Raises EntryUnknown: an entry that was
    mistyped would otherwise go on acting.
    """
    reason = reason.strip()
    problem = problem_with(reason)
    if problem is not None:
        raise ReasonWrong(name=name, problem=problem)
    with db.write() as session:
        get_list(session, name, lock=True)
        kept = _entry(session, names, name, entry)
        session.merge(
            DisabledEntryRow(
                list_name=name, entry_id=kept, reason=reason, disabled_at=at, disabled_by=by
            )
        )
        body: dict[str, Json] = {"list": name, "entry": kept, "reason": reason, "by": by}
        append(session, "entry-disable", body, at)
        return kept


def enable(db: Database, names: KeyedNames, name: str, entry: str, *, by: str, at: datetime) -> str:
    """Lets a disabled entry act again. Raises NotDisabled."""
    with db.write() as session:
        get_list(session, name, lock=True)
        for kept in (entry, safe_id(entry, names)):
            row = session.get(DisabledEntryRow, (name, kept))
            if row is not None:
                session.delete(row)
                append(session, "entry-enable", {"list": name, "entry": kept, "by": by}, at)
                return kept
    raise NotDisabled(name=name, entry=said_back(entry))


def _entry(session: Session, names: KeyedNames, name: str, entry: str) -> str:
    for kept in (entry, safe_id(entry, names)):
        found = exists().where(
            EntryRow.entry_id == kept,
            EntryRow.version_id == ListVersionRow.id,
            ListVersionRow.list_name == name,
        )
        if session.scalar(select(found)):
            return kept
    raise EntryUnknown(name=name, entry=said_back(entry))
