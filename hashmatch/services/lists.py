"""What is done to lists: import, trial, activation, rollback, policy, single entries, removal.

    done = import_version(ctx, "c3p", Delivery([path]))
    activate(ctx, "c3p", done.version)

Changing anything takes the role of operator, and is on the audit log under the actor's name. Looking is
open to everyone who can read the database; nothing that is returned holds a hash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy.orm import Session

from hashmatch.access import Role
from hashmatch.db.schema import ListVersionRow
from hashmatch.errors import HashmatchError
from hashmatch.lists import activation, disabled, imports, removal
from hashmatch.lists.activation import Acting, Change
from hashmatch.lists.catalog import Summary, get_version, list_names, summary
from hashmatch.lists.differences import ChangeKind, differences
from hashmatch.lists.disabled import Enabled
from hashmatch.lists.imports import Delivery, Imported
from hashmatch.lists.removal import Removed
from hashmatch.model import Action, Orientations
from hashmatch.runs.trial import trial
from hashmatch.services.context import Context


class NothingToCompare(HashmatchError):
    message = "{name}: no version is active, so there is none to compare with."
    remedy = "Say which two: `hashmatch lists diff {name} OLD NEW`."
    exit_code = 2


@dataclass(frozen=True, slots=True)
class ListOverview:
    """A list and what of it acts.

    active, previous, newest: numbers of versions, None where there is none; entries, imported: of the
    active version; distance: in bits, of PDQ; disabled: how many entries.
    """

    name: str
    active: int | None
    previous: int | None
    newest: int | None
    entries: int | None
    imported: datetime | None
    action: Action
    distance: int
    orientations: Orientations
    disabled: int


@dataclass(frozen=True, slots=True)
class ListVersion:
    """A version of a list. state: `active`, `previous`, `removed` or None; hashes: by algorithm."""

    version: int
    state: str | None
    imported: datetime
    by: str
    source: str
    format: str
    sha256: str
    entries: int
    hashes: Mapping[str, int]
    rejected: int
    removed: datetime | None


@dataclass(frozen=True, slots=True)
class ListDetails(ListOverview):
    """disabled_entries: ids of entries that must not act, each with the reason."""

    versions: tuple[ListVersion, ...]
    disabled_entries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from version `old` to version `new`.

    old_entries, new_entries: how many each has; counts: of the changes, all of them; entries: the ids of
    the first ones of each kind.
    """

    name: str
    old: int
    new: int
    old_entries: int
    new_entries: int
    counts: Mapping[ChangeKind, int]
    entries: Mapping[ChangeKind, tuple[str, ...]]


def overviews(ctx: Context) -> tuple[ListOverview, ...]:
    """All lists, by name."""
    with ctx.db.read() as session:
        found = [summary(session, name) for name in list_names(session)]
        return tuple(_overview(ctx, one) for one in found)


def show(ctx: Context, name: str) -> ListDetails:
    """Raises ListUnknown."""
    with ctx.db.read() as session:
        one = summary(session, name)
        about = _overview(ctx, one)
        return ListDetails(
            **{field.name: getattr(about, field.name) for field in fields(about)},
            versions=tuple(_version(row, one) for row in one.versions),
            disabled_entries=dict(one.disabled),
        )


def diff(
    ctx: Context, name: str, old: int | None = None, new: int | None = None, *, most: int = 0
) -> Difference:
    """What changed between two versions: by default from the active one to the newest.

    most: ids to return of each kind of change, 0 for all. Raises ListUnknown, NothingToCompare,
    VersionUnknown, VersionRemoved.
    """
    counts = dict.fromkeys(ChangeKind, 0)
    shown: dict[ChangeKind, list[str]] = {kind: [] for kind in ChangeKind}
    with ctx.db.read() as session:
        before, after = _compared(session, name, old, new)
        for change in differences(session, before, after):
            counts[change.kind] += 1
            if not most or len(shown[change.kind]) < most:
                shown[change.kind].append(change.entry)
        entries = {kind: tuple(ids) for kind, ids in shown.items()}
        numbers = before.version, after.version, before.entries, after.entries
        return Difference(name, *numbers, counts, entries)


def import_version(
    ctx: Context, name: str, delivery: Delivery, *, max_rejected: float | None = None
) -> Imported:
    """Make a new version of what a partner delivered; nothing of it acts yet.

    max_rejected: the share of bad rows at which all is refused, in place of the settings'.
    Raises RoleMissing, ListError.
    """
    by = ctx.permitted(Role.OPERATOR)
    most = ctx.settings.lists.max_rejected if max_rejected is None else max_rejected
    return imports.import_list(
        ctx.db, ctx.names, name, delivery, by=by, at=ctx.now(), max_rejected=most
    )


def activate(
    ctx: Context,
    name: str,
    version: int,
    *,
    accept_shrink: bool = False,
    accept_trial: bool = False,
) -> Change:
    """Let a version act from the next run on, after a trial on what is stored of clips.

    accept_shrink: although it lost many entries; accept_trial: although it matches much.
    Raises RoleMissing, ListShrank, TrialTooWide and other ListErrors.
    """
    by = ctx.permitted(Role.OPERATOR)
    return activation.activate(
        ctx.db,
        name,
        version,
        by=by,
        at=ctx.now(),
        max_shrink=ctx.settings.lists.max_shrink,
        accept_shrink=accept_shrink,
        trial=trial(ctx.db, ctx.settings),
        max_trial=ctx.settings.match.breaker_share,
        accept_trial=accept_trial,
    )


def deactivate(ctx: Context, name: str) -> Change:
    """Stop a list from acting; its versions are kept. Raises RoleMissing, NotActive."""
    by = ctx.permitted(Role.OPERATOR)
    return activation.deactivate(ctx.db, name, by=by, at=ctx.now())


def rollback(ctx: Context, name: str, *, accept_trial: bool = False) -> Change:
    """Go back to the version that acted before. Raises RoleMissing, NothingBefore, TrialTooWide."""
    by = ctx.permitted(Role.OPERATOR)
    return activation.rollback(
        ctx.db,
        name,
        by=by,
        at=ctx.now(),
        trial=trial(ctx.db, ctx.settings),
        max_trial=ctx.settings.match.breaker_share,
        accept_trial=accept_trial,
    )


def set_policy(
    ctx: Context,
    name: str,
    *,
    action: Action | None = None,
    distance: int | None = None,
    default_distance: bool = False,
    orientations: Orientations | None = None,
    accept_trial: bool = False,
) -> Acting:
    """Say what a match on a list does, and how near is near enough; tried first where it is stricter.

    distance: in bits, of PDQ, 0 to 31; default_distance: the settings'. Of the returned policy, a
    distance of None is the settings' too. Raises RoleMissing, ListUnknown, TrialTooWide.
    """
    by = ctx.permitted(Role.OPERATOR)
    return activation.set_policy(
        ctx.db,
        name,
        by=by,
        at=ctx.now(),
        trial=trial(ctx.db, ctx.settings),
        near=ctx.settings.match.distance,
        max_trial=ctx.settings.match.breaker_share,
        accept_trial=accept_trial,
        action=action,
        distance=distance,
        default_distance=default_distance,
        orientations=orientations,
    )


def disable(ctx: Context, name: str, entry: str, *, reason: str) -> str:
    """Keep an entry from acting, in this and all later versions. Returns the id it is kept under.

    Raises RoleMissing, EntryUnknown, ReasonWrong.
    """
    by = ctx.permitted(Role.OPERATOR)
    return disabled.disable(ctx.db, ctx.names, name, entry, reason=reason, by=by, at=ctx.now())


def enable(ctx: Context, name: str, entry: str, *, accept_trial: bool = False) -> Enabled:
    """Let a disabled entry act again, after a trial. Raises RoleMissing, NotDisabled, TrialTooWide."""
    by = ctx.permitted(Role.OPERATOR)
    return disabled.enable(
        ctx.db,
        ctx.names,
        name,
        entry,
        by=by,
        at=ctx.now(),
        trial=trial(ctx.db, ctx.settings),
        max_trial=ctx.settings.match.breaker_share,
        accept_trial=accept_trial,
    )


def remove(
    ctx: Context, name: str, version: int | None, *, reason: str, accept_active: bool = False
) -> Removed:
    """Remove the hashes of a version, or of all, for good; what they came from stays on record.

    accept_active: although it acts, or is what a rollback would bring back.
    Raises RoleMissing, StillActs, AlreadyRunning and other ListErrors.
    """
    by = ctx.permitted(Role.OPERATOR)
    return removal.remove(
        ctx.db, name, version, reason=reason, by=by, at=ctx.now(), accept_active=accept_active
    )


def _compared(
    session: Session, name: str, old: int | None, new: int | None
) -> tuple[ListVersionRow, ListVersionRow]:
    one = summary(session, name)
    before = old or one.list.active_version
    if before is None:
        raise NothingToCompare(name=name)
    after = new or (one.newest.version if one.newest is not None else before)
    return get_version(session, name, before), get_version(session, name, after)


def _overview(ctx: Context, one: Summary) -> ListOverview:
    row, active = one.list, one.active
    return ListOverview(
        name=row.name,
        active=row.active_version,
        previous=row.previous_version,
        newest=one.newest.version if one.newest else None,
        entries=active.entries if active else None,
        imported=active.imported_at if active else None,
        action=Action(row.action),
        distance=ctx.settings.match.distance if row.distance is None else row.distance,
        orientations=Orientations(row.orientations),
        disabled=len(one.disabled),
    )


def _version(row: ListVersionRow, one: Summary) -> ListVersion:
    states = {one.list.previous_version: "previous", one.list.active_version: "active"}
    return ListVersion(
        version=row.version,
        state="removed" if row.removed_at is not None else states.get(row.version),
        imported=row.imported_at,
        by=row.imported_by,
        source=row.source,
        format=row.format,
        sha256=row.sha256,
        entries=row.entries,
        hashes=row.algorithms,
        rejected=row.rejected,
        removed=row.removed_at,
    )
