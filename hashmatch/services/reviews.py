"""Reviews: what waits for a person, what is known of it, and what the person decides.

    for one in overviews(ctx, list="c3p"):
        one.review, one.why
    reject(ctx, "review-7hq2k6w4v3mzdpbe", reason="our own logo")
    confirm(ctx, "review-7hq2k6w4v3mzdpbe").case

Looking takes a role in [people]; showing one review and deciding take the role of reviewer or custodian
and are on the audit log. Nothing that is returned holds a hash or a distance.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.access import Role
from hashmatch.audit import log
from hashmatch.db.queries import work_of
from hashmatch.db.schema import ClipRow, MatchRow, ReviewRow, StandingRow
from hashmatch.report.evidence import in_words
from hashmatch.reviews import review_record
from hashmatch.reviews.entry_standing import EntryName, Level, said_of
from hashmatch.reviews.findings import Finding, digests_of, found, pending
from hashmatch.reviews.review_record import State
from hashmatch.services import ids
from hashmatch.services.context import Context
from hashmatch.services.review_decisions import Desk, Rejected

DECIDERS = (Role.REVIEWER, Role.CUSTODIAN)


@dataclass(frozen=True, slots=True)
class ReviewOverview:
    """A review in a list. waited: until now, or until it was decided, in days and hours; lists,
    categories: of its matches, `matches` of them; why: what the run said of why they are no more than for
    review, a sentence a cause."""

    review: str
    state: State
    opened_at: datetime
    waited: str
    lists: tuple[str, ...]
    categories: tuple[str, ...]
    matches: int
    why: tuple[str, ...]
    run: str
    clip_key: str


@dataclass(frozen=True, slots=True)
class ReviewMatch:
    """A match that is or was to be decided.

    decision: `open`, `confirmed` or `rejected`; start, end: seconds in the clip; frames: how many agree;
    standing: of the entry; evidence: sentences for a reviewer.
    """

    decision: str
    list: str
    version: int
    entry: str
    category: str | None
    kind: str
    start: float
    end: float
    frames: int
    standing: Level
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReviewDetails:
    """All that is known of a review. renditions: open reviews of the same clip at other heights."""

    review: str
    state: State
    clip_key: str
    platform_id: str | None
    channel: str | None
    opened_at: datetime
    waited: str
    why: tuple[str, ...]
    run: str
    renditions: tuple[str, ...]
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None
    matches: tuple[ReviewMatch, ...]


@dataclass(frozen=True, slots=True)
class Confirmed:
    review: str
    case: str


class ByEntry(NamedTuple):
    """Open reviews with a match on some entries: those in which nothing else is left, and the others."""

    alone: tuple[str, ...]
    mixed: tuple[str, ...]


def overviews(
    ctx: Context, *, state: State = State.OPEN, list_name: str | None = None
) -> tuple[ReviewOverview, ...]:
    """The reviews in a state, the oldest first; list_name: only those with a match on this list.

    Raises RoleMissing.
    """
    ctx.permitted(*Role)
    query = select(ReviewRow).where(ReviewRow.state == state)
    with ctx.db.read() as session:
        rows = session.scalars(query.order_by(ReviewRow.opened_at, ReviewRow.id)).all()
        listed = [_overview(session, row, ctx.now()) for row in rows]
    return tuple(one for one in listed if list_name is None or list_name in one.lists)


def show(ctx: Context, given: str) -> ReviewDetails:
    """A review; that it was shown goes on the audit log. given: its id, or how it begins.

    Raises RoleMissing, NoSuchReview, IdAmbiguous.
    """
    by = ctx.permitted(*DECIDERS)
    review = ids.review(ctx, given)
    with ctx.db.write() as session:
        log.tree_head(session, lock=True)
        row = review_record.load(session, review)
        shown = _details(session, row, ctx.now())
        review_record.shown(session, row, by, ctx.now())
    return shown


def confirm(ctx: Context, given: str, *, reason: str = "") -> Confirmed:
    """The matches that are left are right: a case is opened, and the next run takes the clip.

    Raises RoleMissing, ReviewError, StorageError.
    """
    by = ctx.permitted(*DECIDERS)
    review = ids.review(ctx, given)
    case = Desk(ctx.settings, ctx.db).confirm(review, ctx.names, reason=reason, by=by)
    return Confirmed(review, case)


def reject(
    ctx: Context, given: str, entries: Collection[EntryName] = (), *, reason: str
) -> Rejected:
    """These matches are wrong, or all of them where none are named: they never come back for the bytes.

    Raises RoleMissing, ReviewError.
    """
    by = ctx.permitted(*DECIDERS)
    review = ids.review(ctx, given)
    return Desk(ctx.settings, ctx.db).reject(review, entries, reason=reason, by=by)


def by_entry(ctx: Context, entries: Collection[EntryName]) -> ByEntry:
    """The open reviews with a match on one of these entries. Raises RoleMissing, NoneOpen."""
    ctx.permitted(*DECIDERS)
    alone: list[str] = []
    mixed: list[str] = []
    with ctx.db.read() as session:
        for review in review_record.open_with(session, entries):
            left = pending(session, review_record.load(session, review))
            only = all(Finding.of(match).name in entries for match in left)
            (alone if only else mixed).append(review)
    return ByEntry(tuple(alone), tuple(mixed))


def _overview(session: Session, row: ReviewRow, now: datetime) -> ReviewOverview:
    matches = found(session, row.clip_id, row.etag)
    return ReviewOverview(
        review=row.id,
        state=State(row.state),
        opened_at=row.opened_at,
        waited=_waited(row, now),
        lists=tuple(sorted({match.list_name for match in matches})),
        categories=tuple(sorted({m.classification for m in matches if m.classification})),
        matches=len(matches),
        why=_why(session, row, matches),
        run=row.run_id,
        clip_key=session.get_one(ClipRow, row.clip_id).key,
    )


def _details(session: Session, row: ReviewRow, now: datetime) -> ReviewDetails:
    clip = session.get_one(ClipRow, row.clip_id)
    matches = found(session, row.clip_id, row.etag)
    return ReviewDetails(
        review=row.id,
        state=State(row.state),
        clip_key=clip.key,
        platform_id=clip.platform_id,
        channel=clip.channel,
        opened_at=row.opened_at,
        waited=_waited(row, now),
        why=_why(session, row, matches),
        run=row.run_id,
        renditions=_renditions(session, clip.rendition_of, row.id),
        decided_at=row.decided_at,
        decided_by=row.decided_by,
        reason=row.reason,
        matches=_matches(session, row, matches),
    )


def _matches(
    session: Session, row: ReviewRow, matches: Sequence[MatchRow]
) -> tuple[ReviewMatch, ...]:
    digested = digests_of(session, row.clip_id, row.etag)
    said = said_of(session, row.clip_id, row.etag, digested.sha256 if digested else None)
    shown = []
    for match in matches:
        name = Finding.of(match).name
        standing = session.get(StandingRow, tuple(name))
        wrong, right = name in said.rejected, name in said.confirmed
        shown.append(
            ReviewMatch(
                decision="rejected" if wrong else "confirmed" if right else "open",
                list=match.list_name,
                version=match.version,
                entry=match.entry_id,
                category=match.classification,
                kind=match.kind,
                start=round(match.start, 2),
                end=round(match.end, 2),
                frames=match.frames,
                standing=Level(standing.level) if standing is not None else Level.ACTS,
                evidence=tuple(in_words(match)),
            )
        )
    return tuple(shown)


def _why(session: Session, row: ReviewRow, matches: Sequence[MatchRow]) -> tuple[str, ...]:
    looked = work_of(session, matches[0].run_id if matches else row.run_id, row.clip_id)
    return tuple((looked.notes if looked is not None else None) or ())


def _renditions(session: Session, of: str | None, review: str) -> tuple[str, ...]:
    if of is None:
        return ()
    query = select(ReviewRow.id).join(ClipRow, ClipRow.id == ReviewRow.clip_id)
    others = (ClipRow.rendition_of == of, ReviewRow.id != review, ReviewRow.state == State.OPEN)
    return tuple(session.scalars(query.where(*others).order_by(ReviewRow.id)))


def _waited(row: ReviewRow, now: datetime) -> str:
    seconds = ((row.decided_at or now) - row.opened_at).total_seconds()
    hours = max(0, int(seconds // 3600))
    return f"{hours // 24} d {hours % 24} h"
