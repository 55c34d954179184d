"""Activation: which version of a list acts, and what a match on it does.

    activate(db, "c3p", 7, by="alice", at=now, trial=trial, max_shrink=0.2)
    rollback(db, "c3p", by="alice", at=now)

Every change is one transaction with its leaf of the audit log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commit_person
from hashmatch.audit.log import append
from hashmatch.db.schema import ListRow, ListVersionRow
from hashmatch.db.session import Database
from hashmatch.errors import ListError
from hashmatch.lists import trust
from hashmatch.lists.catalog import get_list, get_version
from hashmatch.lists.trust import TrialResult
from hashmatch.model import Action, Json, Orientations

Trial = Callable[[str, int], TrialResult]


class NotActive(ListError):
    """{name}: no version of it is active."""


class NothingBefore(ListError):
    """{name}: no other version was active before.

    Choose one with `hashmatch lists show {name}`, then `hashmatch lists activate {name} VERSION`.
    """


@dataclass(frozen=True)
class Change:
    """A list before and after. trial: of a version that was activated, None otherwise."""

    name: str
    version: int | None
    previous: int | None
    entries: int = 0
    changed: bool = True
    trial: TrialResult | None = None


def activate(
    db: Database,
    name: str,
    version: int,
    *,
    by: str,
    at: datetime,
    trial: Trial,
    max_shrink: float,
    accept_shrink: bool = False,
    max_trial: float = 1,
    accept_trial: bool = False,
) -> Change:
    """Lets a version act from the next run on.

    trial: tries the version on what is stored; it may take long, so it runs before the
    transaction. max_trial: share of the stored clips that it may match.
    Raises ListShrank, ListWithoutEntries, TrialTooWide; nothing has changed then.
    """
    with db.read() as session:
        row = get_list(session, name)
        _check_version(session, row, version, max_shrink, accept_shrink)
        if row.active_version == version:
            return Change(name, version, row.previous_version, changed=False)
    result = trial(name, version)
    if not accept_trial:
        trust.check_trial(name, version, result, max_trial)
    with db.write() as session:
        row = get_list(session, name, lock=True)
        # Another version may have been activated while this one was tried.
        new = _check_version(session, row, version, max_shrink, accept_shrink)
        if row.active_version is not None and row.active_version != version:
            row.previous_version = row.active_version
        elif row.previous_version == version:
            row.previous_version = None
        row.active_version = version
        body: dict[str, Json] = {
            "list": name,
            "version": version,
            "previous": row.previous_version,
            "sha256": new.sha256,
            "entries": new.entries,
            "accept_shrink": accept_shrink,
            "trial": {"clips": result.clips, "matched": result.matched},
            "accept_trial": accept_trial,
            "by": commit_person(session, by),
        }
        append(session, "list-activate", body, at)
        return Change(name, version, row.previous_version, new.entries, trial=result)


def deactivate(db: Database, name: str, *, by: str, at: datetime) -> Change:
    """Stops the list; `rollback` or `activate` starts it again. Raises NotActive."""
    with db.write() as session:
        row = get_list(session, name, lock=True)
        if row.active_version is None:
            raise NotActive(name=name)
        row.previous_version, row.active_version = row.active_version, None
        body: dict[str, Json] = {
            "list": name,
            "previous": row.previous_version,
            "by": commit_person(session, by),
        }
        append(session, "list-deactivate", body, at)
        return Change(name, None, row.previous_version)


def rollback(db: Database, name: str, *, by: str, at: datetime) -> Change:
    """Back to the version that acted before; a second time undoes it. Raises NothingBefore."""
    with db.write() as session:
        row = get_list(session, name, lock=True)
        back = row.previous_version
        if back is None:
            raise NothingBefore(name=name)
        row.previous_version, row.active_version = row.active_version, back
        new = get_version(session, name, back)
        body: dict[str, Json] = {
            "list": name,
            "version": back,
            "previous": row.previous_version,
            "sha256": new.sha256,
            "by": commit_person(session, by),
        }
        append(session, "list-rollback", body, at)
        return Change(name, back, row.previous_version, new.entries)


def set_policy(
    db: Database,
    name: str,
    *,
    by: str,
    at: datetime,
    action: Action | None = None,
    distance: int | None = None,
    default_distance: bool = False,
    orientations: Orientations | None = None,
) -> ListRow:
    """What a match does, the bits that a PDQ hash may differ by, and in which orientations clips are
    compared; None leaves it as it is.

    default_distance: match.distance again, whatever it is.
    """
    with db.write() as session:
        row = get_list(session, name, lock=True)
        if action is not None:
            row.action = action.value
        if distance is not None or default_distance:
            row.distance = distance
        if orientations is not None:
            row.orientations = orientations.value
        body: dict[str, Json] = {
            "list": name,
            "action": row.action,
            "distance": row.distance,
            "orientations": row.orientations,
            "by": commit_person(session, by),
        }
        append(session, "list-set", body, at)
        return row


def _check_version(
    session: Session, row: ListRow, version: int, max_shrink: float, accept: bool
) -> ListVersionRow:
    new = get_version(session, row.name, version)
    trust.check_entries(row.name, new.entries)
    # A list that was switched off is held to what it was when it acted last.
    before = row.active_version or row.previous_version
    if before is not None and before != version and not accept:
        old = get_version(session, row.name, before)
        trust.check_shrink(row.name, old.entries, new.entries, max_shrink)
    return new
