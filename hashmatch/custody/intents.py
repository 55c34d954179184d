"""Steps: what is done to a case has its intent on record before it is done, and its result after it.

    intend(session, case_id, Step.REWRAP, at, by="ann", sha256=…)
    ...
    end_step(session, case_id, Step.REWRAP, leaf, {"leaf": "case-rewrapped"}, at)

Whoever finds an open step after a crash knows what was about to be done, and does it again or finds
out whether it was done.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit_person
from hashmatch.db.schema import CaseStepRow
from hashmatch.model import Json


class Step(StrEnum):
    """What is done to a case. The first four follow one another."""

    SEAL = "seal"
    VERIFY = "verify"
    WITHDRAW = "withdraw"
    REMOVE = "remove"
    RELEASE = "release"
    DESTROY = "destroy"
    REWRAP = "rewrap"


def intend(
    session: Session,
    case_id: str,
    step: Step,
    at: datetime,
    by: str | None = None,
    **plan: Json,
) -> CaseStepRow:
    """Put on record what is about to be done. A step that is open already stays as it is.

    by: the person who does it, if one does. plan: what the step is about to make, for whoever has
    to find out later whether it was made.
    """
    row = open_step(session, case_id, step)
    if row is not None:
        return row
    body: dict[str, Json] = {"case": case_id, "step": step.value}
    if by is not None:
        body["by"] = commit_person(session, by)
    seq = log.append(session, "case-intends", body, at)
    row = CaseStepRow(
        case_id=case_id, step=step, intended_at=at, by=by, leaf=seq, result=dict(plan)
    )
    session.add(row)
    session.flush()
    return row


def open_step(session: Session, case_id: str, step: Step) -> CaseStepRow | None:
    """The step as it was intended, while its result is not on record.

    Whoever changes it holds the case's row.
    """
    query = select(CaseStepRow).where(
        CaseStepRow.case_id == case_id, CaseStepRow.step == step, CaseStepRow.ended_at.is_(None)
    )
    return session.scalar(query)


def end_step(
    session: Session, case_id: str, step: Step, leaf: int, result: dict[str, Json], at: datetime
) -> None:
    """Put the result of an open step on record; `leaf` is the one that says so."""
    row = open_step(session, case_id, step)
    if row is not None:
        row.ended_at, row.end_leaf, row.result = at, leaf, result


def cases_with_open(session: Session, step: Step) -> list[str]:
    """The cases in which this step was intended and has no result, oldest first."""
    query = select(CaseStepRow.case_id).where(
        CaseStepRow.step == step, CaseStepRow.ended_at.is_(None)
    )
    return list(session.scalars(query.order_by(CaseStepRow.id)))
