"""Entries that must not act: a partner withdrew them, or they match what they should not.

    disable(db, names, "c3p", "img-1", reason="matches our logo", by="alice", at=now)

They stay disabled in every version of their list until `enable`.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commit, commit_person
from hashmatch.audit.log import append
from hashmatch.audit.names import KeyedNames
from hashmatch.db.schema import DisabledEntryRow, EntryRow, ListVersionRow
from hashmatch.db.session import Database
from hashmatch.errors import ListError
from hashmatch.freetext import problem_with, said_back
from hashmatch.lists.activation import Trial, as_told, try_again
from hashmatch.lists.catalog import get_list
from hashmatch.lists.entries import safe_id
from hashmatch.lists.trust import TrialResult
from hashmatch.model import Json


class EntryUnknown(ListError):
    message = "{name}: no version has an entry {entry}."
    remedy = "Entries are called as matches show them."


class NotDisabled(ListError):
    message = "{name}: the entry {entry} is not disabled."
    remedy = "See which are with `hashmatch lists show {name}`."


class ReasonWrong(ListError):
    message = "{name}: the reason cannot be recorded: {problem}."
    remedy = (
        "It is shown to people and kept in the audit log. Say in a few words why the entry must "
        "not act."
    )


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
        body: dict[str, Json] = {
            "list": name,
            "entry": kept,
            "reason": commit(session, "reason", reason, subject=f"list-{name}"),
            "by": commit_person(session, by),
        }
        append(session, "entry-disable", body, at)
        return kept


class Enabled(NamedTuple):
    """The name that an entry is kept under; its list's trial, None if no version is active."""

    entry: str
    trial: TrialResult | None


def enable(
    db: Database,
    names: KeyedNames,
    name: str,
    entry: str,
    *,
    by: str,
    at: datetime,
    trial: Trial,
    max_trial: float = 1,
    accept_trial: bool = False,
) -> Enabled:
    """Lets a disabled entry act again, after its list was tried with it.

    Raises NotDisabled, TrialTooWide.
    """
    with db.read() as session:
        get_list(session, name)
        kept = _disabled(session, names, name, entry).entry_id
    result = try_again(
        db, name, trial=trial, max_trial=max_trial, accept_trial=accept_trial, enabled=kept
    )
    with db.write() as session:
        get_list(session, name, lock=True)
        session.delete(_disabled(session, names, name, entry))
        body: dict[str, Json] = {
            "list": name,
            "entry": kept,
            **as_told(result, accept_trial),
            "by": commit_person(session, by),
        }
        append(session, "entry-enable", body, at)
    return Enabled(kept, result)


def _disabled(session: Session, names: KeyedNames, name: str, entry: str) -> DisabledEntryRow:
    for kept in (entry, safe_id(entry, names)):
        row = session.get(DisabledEntryRow, (name, kept))
        if row is not None:
            return row
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
