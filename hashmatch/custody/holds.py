"""Legal holds: as long as one is active, a case is neither released, destroyed nor forgotten.

    number = place(session, "case-…", reason="court order 12/2026", by="alice", at=now)
    lift(session, "case-…", reason="the order was withdrawn", by="bob", at=now, hold=number)

A hold stands above every retention clock and has no end of its own. Several may be on one case,
each for its own reason; the case is held until the last is lifted. One custodian places or lifts a
hold: that destroys nothing, and what may follow takes two people. A hold may be placed while the
case is still being taken; it shows as its state once the original is gone.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit_person
from hashmatch.custody import words
from hashmatch.custody.case_record import State
from hashmatch.custody.disposition import active_holds, locked, settle
from hashmatch.db.schema import CaseStepRow, HoldRow
from hashmatch.errors import CustodyError
from hashmatch.model import Json

OVER = (State.RELEASED, State.DESTROYED)
# The steps of `case_step` after which there is nothing left to hold.
_FINAL_STEPS = ("release", "destroy", "forget")


class NothingToHold(CustodyError):
    message = "Case {case} is {state}: there is nothing left that a hold could keep."
    remedy = "`hashmatch quarantine show {case}` says when that was done."


class HoldTooLate(CustodyError):
    message = (
        "Case {case}: two people asked for its {step}, and it has begun; no hold can stop it now."
    )
    remedy = "`hashmatch quarantine show {case}` says how far it has come."


class NotHeld(CustodyError):
    message = "Case {case} has no active hold {hold}."
    remedy = "`hashmatch quarantine show {case}` lists the holds on it."


class WhichHold(CustodyError):
    message = "Case {case} has {count} active holds: {holds}."
    remedy = "Say which is lifted: `hashmatch quarantine lift {case} --hold N`."


def place(session: Session, case_id: str, *, reason: str, by: str, at: datetime) -> int:
    """Put a hold on a case; returns its number.

    Raises NoSuchCase, NothingToHold, HoldTooLate, WordsWrong.
    """
    reason = words.checked("reason", reason, case_id)
    row = locked(session, case_id)
    if row.state in OVER:
        raise NothingToHold(case=case_id, state=row.state)
    begun = session.scalar(
        select(CaseStepRow.step).where(
            CaseStepRow.case_id == case_id,
            CaseStepRow.step.in_(_FINAL_STEPS),
            CaseStepRow.ended_at.is_(None),
        )
    )
    if begun is not None:
        raise HoldTooLate(case=case_id, step=begun)
    hold = HoldRow(case_id=case_id, reason=reason, placed_at=at, placed_by=by)
    session.add(hold)
    settle(session, row)
    session.flush()
    body: dict[str, Json] = {
        "case": case_id,
        "hold": hold.id,
        "by": commit_person(session, by),
        "reason": words.said(session, "reason", reason, case_id),
        "state": row.state,
    }
    log.append(session, "case-held", body, at)
    return hold.id


def lift(
    session: Session, case_id: str, *, reason: str, by: str, at: datetime, hold: int | None = None
) -> int:
    """Lift one hold, the only one where none is named; returns how many are left.

    Raises NoSuchCase, NotHeld, WhichHold, WordsWrong.
    """
    reason = words.checked("reason", reason, case_id)
    row = locked(session, case_id)
    active = {one.id: one for one in active_holds(session, case_id)}
    if hold is None:
        if len(active) > 1:
            numbers = ", ".join(map(str, active))
            raise WhichHold(case=case_id, count=len(active), holds=numbers)
        hold = next(iter(active), None)
    if hold is None or hold not in active:
        raise NotHeld(case=case_id, hold="at all" if hold is None else hold)
    lifted = active.pop(hold)
    lifted.lifted_at, lifted.lifted_by, lifted.lift_reason = at, by, reason
    settle(session, row)
    body: dict[str, Json] = {
        "case": case_id,
        "hold": hold,
        "by": commit_person(session, by),
        "reason": words.said(session, "reason", reason, case_id),
        "active": len(active),
        "state": row.state,
    }
    log.append(session, "case-hold-lifted", body, at)
    return len(active)
