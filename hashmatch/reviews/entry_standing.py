"""What was decided, and what it means: for a clip's bytes, and for an entry of a list.

    said = said_of(session, clip_id, etag, sha256)
    said.rejected, said.confirmed          # entries; the newest decision on each counts
    settle(session, settings.review, at)   # which entries are flagged, which act no longer by themselves

A decision holds for the same bytes, wherever they are stored, and for the same version of the same
clip. It does not hold for other bytes under the same key: those are looked at anew.

An entry is known by the id that its list gives it, so it keeps its standing in every version of the
list, as a disabled entry does, until somebody trusts it again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import ColumnElement, String, and_, cast, exists, func, or_, select, tuple_
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit, commit_person
from hashmatch.config import Review
from hashmatch.db.schema import ClipRow, DecisionRow, DisabledEntryRow, ListRow, StandingRow
from hashmatch.errors import HashmatchError
from hashmatch.freetext import said_back
from hashmatch.model import Json


class Level(StrEnum):
    """What an entry's matches may do. `demoted`: send clips to review, and nothing else."""

    ACTS = "acts"
    FLAGGED = "flagged"
    DEMOTED = "demoted"


class NothingToLift(HashmatchError):
    message = "{name}: {entry} is neither flagged nor demoted."
    remedy = "`hashmatch review entries` shows which entries are."
    exit_code = 26


class EntryName(NamedTuple):
    list: str
    entry: str

    def __str__(self) -> str:
        return f"{self.list}/{self.entry}"


@dataclass(frozen=True, slots=True)
class Said:
    """Which entries people decided about. beside: confirmed of a rendition of the same clip."""

    rejected: frozenset[EntryName]
    confirmed: frozenset[EntryName]
    beside: frozenset[EntryName]


@dataclass(slots=True)
class Tally:
    """Clips of which an entry's match was found wrong, and right. Renditions are one clip, and so
    are the same bytes in two places.
    """

    rejected: int = 0
    confirmed: int = 0

    def level(self, rules: Review) -> Level:
        excess = self.rejected - self.confirmed
        if excess >= rules.demote_after:
            return Level.DEMOTED
        return Level.FLAGGED if excess >= rules.flag_after else Level.ACTS


def said_of(session: Session, clip_id: int, etag: str, sha256: str | None) -> Said:
    """What was decided about a version of a clip. sha256: of its bytes, where they were read whole."""
    same_version = and_(DecisionRow.clip_id == clip_id, DecisionRow.etag == etag)
    if sha256 is None:
        own = same_version
    else:
        same_version = and_(same_version, DecisionRow.sha256.is_(None))
        own = or_(DecisionRow.sha256 == sha256, same_version)
    group = select(ClipRow.rendition_of).where(ClipRow.id == clip_id).scalar_subquery()
    others = select(ClipRow.id).where(ClipRow.rendition_of == group, ClipRow.id != clip_id)
    newest = _newest(session, own)
    beside = _newest(session, DecisionRow.clip_id.in_(others))
    return Said(
        frozenset(entry for entry, right in newest.items() if not right),
        frozenset(entry for entry, right in newest.items() if right),
        frozenset(entry for entry, right in beside.items() if right),
    )


def _newest(session: Session, which: ColumnElement[bool]) -> dict[EntryName, bool]:
    query = select(DecisionRow.list_name, DecisionRow.entry_id, DecisionRow.right)
    rows = session.execute(query.where(which).order_by(DecisionRow.id))
    return {EntryName(name, entry): right for name, entry, right in rows}


def demoted(session: Session, entries: Collection[EntryName] | None = None) -> set[EntryName]:
    """Those of the entries (all of them, if None) that only send clips to review.

    Without those that are disabled and so do not act at all.
    """
    disabled = exists().where(
        DisabledEntryRow.list_name == StandingRow.list_name,
        DisabledEntryRow.entry_id == StandingRow.entry_id,
    )
    query = select(StandingRow.list_name, StandingRow.entry_id).where(
        StandingRow.level == Level.DEMOTED, ~disabled
    )
    if entries is not None:
        query = query.where(_is_one_of(entries))
    return {EntryName(name, entry) for name, entry in session.execute(query)}


def _is_one_of(entries: Collection[EntryName]) -> ColumnElement[bool]:
    return tuple_(StandingRow.list_name, StandingRow.entry_id).in_(entries)


def tallies(
    session: Session, entries: Iterable[EntryName] | None = None, *, ever: bool = False
) -> dict[EntryName, Tally]:
    """Of all entries that were decided about, or of these. ever: also from before they were trusted."""
    # A clip is counted by what it shows: renditions together, copies of one file together.
    place = func.coalesce(
        ClipRow.rendition_of, DecisionRow.sha256, cast(DecisionRow.clip_id, String)
    )
    query = (
        select(DecisionRow.list_name, DecisionRow.entry_id, place, DecisionRow.right)
        .join(ClipRow, ClipRow.id == DecisionRow.clip_id)
        .order_by(DecisionRow.id)
    )
    if not ever:
        trusted = and_(
            StandingRow.list_name == DecisionRow.list_name,
            StandingRow.entry_id == DecisionRow.entry_id,
        )
        query = query.outerjoin(StandingRow, trusted).where(
            DecisionRow.id > func.coalesce(StandingRow.counted_from, 0)
        )
    found: dict[EntryName, Tally] = {}
    if entries is not None:
        found = {entry: Tally() for entry in entries}
        query = query.where(tuple_(DecisionRow.list_name, DecisionRow.entry_id).in_(list(found)))
    newest = {(EntryName(n, e), clip): right for n, e, clip, right in session.execute(query)}
    for (entry, _), right in newest.items():
        tally = found.setdefault(entry, Tally())
        tally.confirmed += right
        tally.rejected += not right
    return found


def settle(
    session: Session, rules: Review, at: datetime, entries: Iterable[EntryName] | None = None
) -> None:
    """Flag, demote or clear entries (all, if None) as their decisions say, each with its leaf.

    To be called after decisions, and when settings may have changed.
    """
    counted = tallies(session, entries)
    rows = {EntryName(row.list_name, row.entry_id): row for row in _standings(session, entries)}
    for entry in sorted(counted.keys() | rows.keys()):
        tally = counted.get(entry, Tally())
        level, row = tally.level(rules), rows.get(entry)
        was = Level.ACTS if row is None else Level(row.level)
        if level is was:
            continue
        if row is None:
            row = StandingRow(list_name=entry.list, entry_id=entry.entry, counted_from=0)
            session.add(row)
        row.level, row.since = level, at
        kind = "entry-cleared" if level is Level.ACTS else f"entry-{level}"
        body: dict[str, Json] = {
            "list": entry.list,
            "entry": entry.entry,
            "rejected": tally.rejected,
            "confirmed": tally.confirmed,
            "was": was.value,
        }
        session.flush()
        log.append(session, kind, body, at)


def trust(session: Session, name: str, entry: str, *, by: str, reason: str, at: datetime) -> Level:
    """Let an entry act by itself again; its decisions are counted anew from here.

    reason: checked by the caller. Returns what it was. Raises NothingToLift.
    """
    log.tree_head(session, lock=True)
    row = session.get(StandingRow, (name, entry))
    if row is None or row.level == Level.ACTS:
        raise NothingToLift(name=said_back(name), entry=said_back(entry))
    was = Level(row.level)
    row.level, row.since = Level.ACTS, at
    row.trusted_by, row.trusted_at, row.reason = by, at, reason
    row.counted_from = session.scalar(select(func.max(DecisionRow.id))) or 0
    subject = f"{name}/{entry}"
    body: dict[str, Json] = {
        "list": name,
        "entry": entry,
        "was": was.value,
        "by": commit_person(session, by),
        "reason": commit(session, "reason", reason, subject=subject),
    }
    session.flush()
    log.append(session, "entry-trusted", body, at)
    return was


class Held(NamedTuple):
    """An entry that is flagged or demoted, and since when."""

    name: EntryName
    level: Level
    tally: Tally
    since: datetime
    active: bool


def held(session: Session) -> list[Held]:
    """All entries that are flagged or demoted. active: the list acts, and the entry is not disabled."""
    rows = [row for row in _standings(session, None) if row.level != Level.ACTS]
    names = [EntryName(row.list_name, row.entry_id) for row in rows]
    counted = tallies(session, names)
    acting = set(session.scalars(select(ListRow.name).where(ListRow.active_version.is_not(None))))
    rows_disabled = session.execute(select(DisabledEntryRow.list_name, DisabledEntryRow.entry_id))
    disabled = {EntryName(name, entry) for name, entry in rows_disabled}
    return [
        Held(
            name,
            Level(row.level),
            counted[name],
            row.since,
            name.list in acting and name not in disabled,
        )
        for name, row in zip(names, rows, strict=True)
    ]


def _standings(session: Session, entries: Iterable[EntryName] | None) -> list[StandingRow]:
    query = select(StandingRow).order_by(StandingRow.list_name, StandingRow.entry_id)
    if entries is not None:
        query = query.where(_is_one_of(list(entries)))
    return list(session.scalars(query))
