"""Activation: which version of a list acts, and what a match on it does.

    activate(db, "c3p", 7, by="alice", at=now, trial=trial, max_shrink=0.2)
    rollback(db, "c3p", by="alice", at=now, trial=trial)
    set_policy(db, "c3p", by="alice", at=now, trial=trial, near=31, action=Action.QUARANTINE)

Whatever makes a list act, or act more strictly, is tried on what is stored before. Every change is one
transaction with its leaf of the audit log.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commit_person
from hashmatch.audit.log import append
from hashmatch.db.schema import ListRow, ListVersionRow
from hashmatch.db.session import Database
from hashmatch.errors import ListError
from hashmatch.lists import trust
from hashmatch.lists.active import Policy
from hashmatch.lists.catalog import get_list, get_version
from hashmatch.lists.trust import TrialResult
from hashmatch.model import Action, Json, Orientations

# How much a list does with what it matches.
_STRICTNESS = {Action.LOG: 0, Action.REVIEW: 1, Action.QUARANTINE: 2}


class Trial(Protocol):
    """What a version would match of what is stored; policy: in place of its list's."""

    def __call__(self, name: str, version: int, policy: Policy | None = None, /) -> TrialResult: ...


class NotActive(ListError):
    message = "{name}: no version of it is active."


class NothingBefore(ListError):
    message = "{name}: no other version was active before."
    remedy = (
        "Choose one with `hashmatch lists show {name}`, then `hashmatch lists activate {name} "
        "VERSION`."
    )


@dataclass(frozen=True)
class Acting:
    """How a list acts. trial: None where it acts no more strictly than before."""

    action: Action
    distance: int | None
    orientations: Orientations
    trial: TrialResult | None


@dataclass(frozen=True)
class Change:
    """A list before and after. trial: of a version that acts now, None otherwise."""

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
            **as_told(result, accept_trial),
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


def rollback(
    db: Database,
    name: str,
    *,
    by: str,
    at: datetime,
    trial: Trial,
    max_trial: float = 1,
    accept_trial: bool = False,
) -> Change:
    """Back to the version that acted before; a second time undoes it.

    A version that matches no more than the one that acts now goes back whatever it matches: that is
    what a rollback is for. Raises NothingBefore, TrialTooWide.
    """
    while True:
        with db.read() as session:
            row = get_list(session, name)
            back, acting = row.previous_version, row.active_version
        if back is None:
            raise NothingBefore(name=name)
        result = trial(name, back)
        if not accept_trial and trust.is_too_wide(result, max_trial):
            before = 0 if acting is None else trial(name, acting).matched
            if result.matched > before:
                trust.check_trial(name, back, result, max_trial)
        with db.write() as session:
            row = get_list(session, name, lock=True)
            if (row.previous_version, row.active_version) != (back, acting):
                continue  # changed while it was tried
            row.previous_version, row.active_version = acting, back
            new = get_version(session, name, back)
            body: dict[str, Json] = {
                "list": name,
                "version": back,
                "previous": row.previous_version,
                "sha256": new.sha256,
                **as_told(result, accept_trial),
                "by": commit_person(session, by),
            }
            append(session, "list-rollback", body, at)
            return Change(name, back, row.previous_version, new.entries, trial=result)


def set_policy(
    db: Database,
    name: str,
    *,
    by: str,
    at: datetime,
    trial: Trial,
    near: int,
    action: Action | None = None,
    distance: int | None = None,
    default_distance: bool = False,
    orientations: Orientations | None = None,
    max_trial: float = 1,
    accept_trial: bool = False,
) -> Acting:
    """What a match does, the bits that a PDQ hash may differ by, and in which orientations clips are
    compared; None leaves it as it is.

    near: match.distance, of a list that has none of its own; default_distance: have it again,
    whatever it is. Where the active version would act more strictly it is tried like that first;
    raises TrialTooWide then, and nothing has changed.
    """
    while True:
        with db.read() as session:
            row = get_list(session, name)
            version, before = row.active_version, _acting(row)
        after = Acting(
            action or before.action,
            distance if distance is not None or default_distance else before.distance,
            orientations or before.orientations,
            None,
        )
        result = None
        if version is not None and _is_stricter(after, before, near):
            result = trial(name, version, Policy(after.distance, after.orientations))
            if not accept_trial:
                trust.check_trial(name, version, result, max_trial)
        with db.write() as session:
            row = get_list(session, name, lock=True)
            if (row.active_version, _acting(row)) != (version, before):
                continue  # changed while it was tried
            row.action, row.distance = after.action.value, after.distance
            row.orientations = after.orientations.value
            body: dict[str, Json] = {
                "list": name,
                "action": row.action,
                "distance": row.distance,
                "orientations": row.orientations,
                **as_told(result, accept_trial),
                "by": commit_person(session, by),
            }
            append(session, "list-set", body, at)
            return replace(after, trial=result)


def try_again(
    db: Database,
    name: str,
    *,
    trial: Trial,
    max_trial: float,
    accept_trial: bool,
    enabled: str | None = None,
) -> TrialResult | None:
    """Try the active version before an entry of it acts again; None if no version is active.

    enabled: an entry that is disabled now. Raises TrialTooWide.
    """
    with db.read() as session:
        row = get_list(session, name)
        version, acting = row.active_version, _acting(row)
    if version is None:
        return None
    entries = frozenset() if enabled is None else frozenset({enabled})
    result = trial(name, version, Policy(acting.distance, acting.orientations, entries))
    if not accept_trial:
        trust.check_trial(name, version, result, max_trial)
    return result


def _acting(row: ListRow) -> Acting:
    return Acting(Action(row.action), row.distance, Orientations(row.orientations), None)


def _is_stricter(after: Acting, before: Acting, near: int) -> bool:
    def bits(one: Acting) -> int:
        return near if one.distance is None else one.distance

    return (
        _STRICTNESS[after.action] > _STRICTNESS[before.action]
        or bits(after) > bits(before)
        or (after.orientations is Orientations.ALL and before.orientations is not Orientations.ALL)
    )


def as_told(result: TrialResult | None, accepted: bool) -> dict[str, Json]:
    """A trial as leaves tell it; nothing where there was none."""
    if result is None:
        return {}
    trial: dict[str, Json] = {"clips": result.clips, "matched": result.matched}
    return {"trial": trial, "accept_trial": accepted}


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
