"""Requests: what takes two people. One custodian asks, another confirms within a time limit.

    terms = Terms.of(settings)
    ask(session, Kind.DESTROY, "case-…", reason="the year is over", by="alice", now=now, terms=terms)
    request = confirm(session, "case-…", by="bob", now=later, terms=terms)
    still_allowed(session, request, now, terms)      # again, right before the act
    finish(session, request, now)                    # with the act's own leaf

A case has at most one open request. Whether what is asked is allowed (state, holds, retention) is
looked at when it is asked, when it is confirmed and when it is done: all three lock the case, so
that of two people who confirm at once exactly one does, and a hold that is placed in between wins.
What was not confirmed in time is void; what was confirmed stays open until it is done, whatever
crashes meanwhile, or until somebody cancels it before it has begun.

Not guaranteed: that two accounts are two people. [people] says whose account is whose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.access import Role, members, permitted
from hashmatch.audit import log
from hashmatch.audit.commitments import commit_person
from hashmatch.config import People, Settings
from hashmatch.custody import words
from hashmatch.custody.disposition import locked
from hashmatch.custody.preconditions import Kind, refuse
from hashmatch.custody.retention.rules import Rule, applying
from hashmatch.db.schema import CaseRow, CaseStepRow, RequestRow
from hashmatch.errors import CustodyError
from hashmatch.model import Json


class End(StrEnum):
    """How a request ended."""

    DONE = "done"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Terms:
    """Who may ask, within which time another must confirm, and the retention rules that apply."""

    people: People
    within: timedelta
    rules: tuple[Rule, ...]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises RetentionWrong."""
        within = timedelta(hours=settings.custody.confirm_hours)
        return cls(settings.people, within, applying(settings))

    def others(self, person: str) -> list[str]:
        """Who may confirm what a person asked."""
        return sorted(set(members(self.people, Role.CUSTODIAN)) - {person})


class NobodyElse(CustodyError):
    message = "Case {case}: [people] names no custodian but {person}, so nobody could confirm this."
    remedy = "Add the account of a second person to [people] custodians in the settings."


class SamePerson(CustodyError):
    message = "Case {case}: {person} asked for its {kind}, and the same person cannot confirm it."
    remedy = (
        "One of these must: {others}. They run `hashmatch quarantine confirm {case}` by {expires}."
    )


class RequestOpen(CustodyError):
    message = "Case {case}: {person} asked for its {kind} at {at}, and that is still open."
    remedy = (
        "Another custodian runs `hashmatch quarantine confirm {case}`; or `hashmatch quarantine "
        "cancel {case}` takes it back."
    )


class RequestExpired(CustodyError):
    message = (
        "Case {case}: {person} asked for its {kind}, and that had to be confirmed by {expires}."
    )
    remedy = "Ask for it anew: `hashmatch quarantine {kind} {case} --reason …`."


class AlreadyConfirmed(CustodyError):
    message = "Case {case}: {person} has confirmed its {kind} already, at {at}."
    remedy = "`hashmatch quarantine show {case}` says how far it has come."


class NothingAsked(CustodyError):
    message = "Case {case}: nobody has asked for anything that is still open."
    remedy = "`hashmatch quarantine requests` lists what is."


class HasBegun(CustodyError):
    message = "Case {case}: its {kind} was confirmed and has begun, so it cannot be cancelled."
    remedy = "`hashmatch quarantine resume` brings it to its end."


def ask(
    session: Session,
    kind: Kind,
    case_id: str,
    *,
    reason: str,
    by: str,
    now: datetime,
    terms: Terms,
) -> RequestRow:
    """Ask for something to be done to a case, which another custodian must confirm.

    Raises NoSuchCase, RoleMissing, NobodyNamed, NobodyElse, WordsWrong, RequestOpen, ClockWrong
    and whatever keeps it from being allowed now, see permission.refuse.
    """
    permitted(terms.people, by, Role.CUSTODIAN, named=True)
    if not terms.others(by):
        raise NobodyElse(case=case_id, person=by)
    reason = words.checked("reason", reason, case_id)
    row = locked(session, case_id)
    before = _open(session, case_id)
    if before is not None and not _is_void(before, now):
        at = log.written(before.asked_at)
        raise RequestOpen(case=case_id, kind=before.kind, person=before.asked_by, at=at)
    refuse(session, row, kind, now, terms.rules)
    if before is not None:
        _expire(session, before, now)
    request = RequestRow(
        case_id=case_id,
        kind=kind,
        reason=reason,
        asked_by=by,
        asked_at=now,
        expires_at=now + terms.within,
    )
    session.add(request)
    session.flush()
    body = _body(request)
    body["by"] = commit_person(session, by)
    body["reason"] = words.said(session, "reason", reason, case_id)
    body["expires"] = log.written(request.expires_at)
    log.append(session, "request-asked", body, now)
    return request


def confirm(session: Session, case_id: str, *, by: str, now: datetime, terms: Terms) -> RequestRow:
    """Confirm what another custodian asked of a case. It stays open until it is done.

    Raises NoSuchCase, NothingAsked, AlreadyConfirmed, RequestExpired, SamePerson, RoleMissing (also
    if who asked is no custodian any more), ClockWrong and whatever keeps it from being allowed now.
    """
    permitted(terms.people, by, Role.CUSTODIAN, named=True)
    row = locked(session, case_id)
    request = _the_open(session, case_id)
    kind = Kind(request.kind)
    if request.confirmed_by is not None and request.confirmed_at is not None:
        raise AlreadyConfirmed(
            case=case_id,
            kind=kind,
            person=request.confirmed_by,
            at=log.written(request.confirmed_at),
        )
    if _is_void(request, now):
        expires = log.written(request.expires_at)
        raise RequestExpired(case=case_id, kind=kind, person=request.asked_by, expires=expires)
    refuse_same_person(request, by, terms)
    permitted(terms.people, request.asked_by, Role.CUSTODIAN, named=True)
    refuse(session, row, kind, now, terms.rules)
    request.confirmed_by, request.confirmed_at = by, now
    session.flush()
    body = _body(request)
    body["by"] = commit_person(session, by)
    log.append(session, "request-confirmed", body, now)
    return request


def refuse_same_person(request: RequestRow, by: str, terms: Terms) -> None:
    """Raises SamePerson if it is who asked that would confirm it."""
    if by == request.asked_by:
        raise SamePerson(
            case=request.case_id,
            kind=Kind(request.kind),
            person=by,
            others=", ".join(terms.others(by)) or "nobody is named in [people] custodians",
            expires=log.written(request.expires_at),
        )


def still_allowed(session: Session, request: RequestRow, now: datetime, terms: Terms) -> CaseRow:
    """The locked row of the case, to which a confirmed request may be done now.

    Call it in the transaction that records the intent of the act: a hold can be placed before that
    and not after. Raises as `confirm` does, and NothingAsked if the request has ended meanwhile.
    """
    row = locked(session, request.case_id)
    known = session.get(RequestRow, request.id, populate_existing=True)
    if known is None or known.confirmed_by is None or known.ended_at is not None:
        raise NothingAsked(case=request.case_id)
    refuse(session, row, Kind(known.kind), now, terms.rules)
    return row


def confirmed(session: Session, case_id: str, kind: Kind) -> RequestRow:
    """What was asked and confirmed, and is not done yet. Raises NothingAsked."""
    request = _the_open(session, case_id)
    if request.kind != kind or request.confirmed_by is None:
        raise NothingAsked(case=case_id)
    return request


def finish(session: Session, request: RequestRow, at: datetime) -> None:
    """The request was done. Leaves no leaf: the act has its own, in the same transaction."""
    known = session.get_one(RequestRow, request.id, populate_existing=True)
    known.ended_at, known.end = at, End.DONE


def cancel(session: Session, case_id: str, *, by: str, now: datetime, people: People) -> RequestRow:
    """Take back what was asked of a case; any custodian may, and so refuse what another asked.

    Raises NoSuchCase, NothingAsked, HasBegun, RoleMissing.
    """
    permitted(people, by, Role.CUSTODIAN, named=True)
    locked(session, case_id)
    request = _the_open(session, case_id)
    begun = select(CaseStepRow.id).where(
        CaseStepRow.case_id == case_id,
        CaseStepRow.step == request.kind,
        CaseStepRow.ended_at.is_(None),
    )
    if request.confirmed_by is not None and session.scalar(begun.limit(1)) is not None:
        raise HasBegun(case=case_id, kind=request.kind)
    request.ended_at, request.end = now, End.CANCELLED
    session.flush()
    body = _body(request)
    body["by"] = commit_person(session, by)
    log.append(session, "request-cancelled", body, now)
    return request


def expire(session: Session, now: datetime) -> list[str]:
    """End what was not confirmed in time; returns the cases it was asked of."""
    void = select(RequestRow.case_id).where(
        RequestRow.ended_at.is_(None),
        RequestRow.confirmed_by.is_(None),
        RequestRow.expires_at <= now,
    )
    # All cases are locked, in one order, before the log is: others lock a case and then the log.
    cases = sorted(session.scalars(void))
    for case_id in cases:
        locked(session, case_id)
    ended = []
    for case_id in cases:
        request = _open(session, case_id)
        if request is not None and _is_void(request, now):
            _expire(session, request, now)
            ended.append(case_id)
    return ended


def open_requests(session: Session) -> Sequence[RequestRow]:
    """What was asked and is neither done, cancelled nor ended as expired; oldest first."""
    query = select(RequestRow).where(RequestRow.ended_at.is_(None))
    return session.scalars(query.order_by(RequestRow.asked_at, RequestRow.id)).all()


def _open(session: Session, case_id: str) -> RequestRow | None:
    """Of a locked case: read anew, as it may have changed while the lock was waited for."""
    query = select(RequestRow).where(RequestRow.case_id == case_id, RequestRow.ended_at.is_(None))
    return session.scalar(query.execution_options(populate_existing=True))


def _the_open(session: Session, case_id: str) -> RequestRow:
    request = _open(session, case_id)
    if request is None:
        raise NothingAsked(case=case_id)
    return request


def _is_void(request: RequestRow, now: datetime) -> bool:
    return request.confirmed_by is None and request.expires_at <= now


def _expire(session: Session, request: RequestRow, now: datetime) -> None:
    request.ended_at, request.end = now, End.EXPIRED
    session.flush()
    log.append(session, "request-expired", _body(request), now)


def _body(request: RequestRow) -> dict[str, Json]:
    return {"request": request.id, "case": request.case_id, "kind": request.kind}
