"""Standing: where a case stands once its original is gone: held, reported, or neither.

    row = locked(session, case_id)
    settle(session, row)

A case is held while any legal hold on it is active; else reported, if it was reported since it was
detected; else only removed. Whoever changes a hold or a report settles the case anew, and so does
who removes the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.custody.case_record import KEPT, NoSuchCase, State
from hashmatch.db.schema import CaseRow, HoldRow
from hashmatch.errors import CustodyError


class Forgotten(CustodyError):
    message = (
        "Case {case} was forgotten: only that there was one is left, and what the log says of it."
    )
    remedy = "Nothing more can be done to it."


def locked(session: Session, case_id: str) -> CaseRow:
    """A case's row as it is now, and nobody else's to change until the transaction ends.

    Lock it before anything else of the case, and before the log. Raises NoSuchCase.
    """
    row = session.get(CaseRow, case_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise NoSuchCase(case=case_id)
    return row


def reported_at(row: CaseRow) -> datetime | None:
    """When the case was reported. A report from before it was detected anew is of another day."""
    if row.reported_at is None or row.reported_at < row.detected_at:
        return None
    return row.reported_at


def active_holds(session: Session, case_id: str) -> Sequence[HoldRow]:
    """The legal holds on a case that nobody has lifted, oldest first."""
    query = select(HoldRow).where(HoldRow.case_id == case_id, HoldRow.lifted_at.is_(None))
    return session.scalars(query.order_by(HoldRow.id)).all()


def standing(session: Session, case_id: str) -> State:
    """HELD, REPORTED or REMOVED: the state of a case whose original is gone. Raises NoSuchCase."""
    row = session.get(CaseRow, case_id)
    if row is None:
        raise NoSuchCase(case=case_id)
    if active_holds(session, case_id):
        return State.HELD
    return State.REMOVED if reported_at(row) is None else State.REPORTED


def settle(session: Session, row: CaseRow) -> None:
    """Bring the state of a locked row up to date, if its original is gone and its copy is not."""
    if row.state in KEPT:
        session.flush()
        row.state = standing(session, row.id)


def refuse_forgotten(row: CaseRow) -> None:
    """Raises Forgotten, see `custody.forgetting`."""
    if not row.sha256:
        raise Forgotten(case=row.id)
