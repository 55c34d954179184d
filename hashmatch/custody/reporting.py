"""Reporting: a person reported a case to the authority, and it goes on record here.

    report(session, "case-…", reference="CyberTip 1234567", reported=then, by="alice", now=now)

hashmatch sends no report itself. A case may be reported more than once (a supplement, a second
authority): the retention clock runs from the latest report, so that noting one never shortens it,
and all references are kept. A report that was noted by mistake cannot be taken back; a legal hold
keeps the case all the same.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit_person
from hashmatch.custody import words
from hashmatch.custody.case_record import State
from hashmatch.custody.disposition import locked, refuse_forgotten, reported_at, settle
from hashmatch.custody.retention import timekeeping
from hashmatch.db.schema import CaseRow
from hashmatch.errors import CustodyError
from hashmatch.model import Json

_BETWEEN = "; "  # of several references


class ReportTimeWrong(CustodyError):
    message = "Case {case}: it cannot have been reported at {at}, {problem}."
    remedy = (
        "Give the time at which the authority took the report, in UTC: --at 2026-11-22T03:10:00."
    )


class ReportOfReleased(CustodyError):
    message = "Case {case} was released, as a match that was wrong, and cannot be reported."
    remedy = "If it was right after all, `hashmatch rescan --clip KEY` makes a case of it again."


def report(
    session: Session, case_id: str, *, reference: str, reported: datetime, by: str, now: datetime
) -> CaseRow:
    """Note that a case was reported; its state says so, unless it is held or still being taken.

    reference: what the authority calls the report. reported: when it took it.
    Raises NoSuchCase, ClockWrong, ReportTimeWrong, ReportOfReleased, Forgotten, WordsWrong.
    """
    reference = words.checked("reference", reference, case_id)
    row = locked(session, case_id)
    timekeeping.believe(session, now)
    refuse_forgotten(row)
    if row.state == State.RELEASED:
        raise ReportOfReleased(case=case_id)
    problem = None
    if reported > now:
        problem = "which is still to come"
    elif reported < row.detected_at:
        problem = f"before it was detected at {log.written(row.detected_at)}"
    if problem is not None:
        raise ReportTimeWrong(case=case_id, at=log.written(reported), problem=problem)
    before = reported_at(row)
    known = (row.report_reference or "").split(_BETWEEN) if before is not None else []
    if reference not in known:
        row.report_reference = _BETWEEN.join([*filter(None, known), reference])
    row.reported_at = reported if before is None else max(before, reported)
    settle(session, row)
    body: dict[str, Json] = {
        "case": case_id,
        "reported": log.written(reported),
        "reference": words.said(session, "reference", reference, case_id),
        "by": commit_person(session, by),
        "state": row.state,
    }
    log.append(session, "case-reported", body, now)
    return row
