"""How many clips storage should list: what the last scan found, less what custody has removed since.

The ledger alone cannot tell: it keeps clips that the platform removed long ago.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hashmatch.db.schema import CaseRow, ClipRow, RunRow


def expected(session: Session) -> int:
    """How many clips a listing of all storage should have, if the platform did nothing since.

    Scans whose own listing had collapsed do not count; before the first that counts, it is every clip
    of the ledger.
    """
    scans = (
        select(RunRow.started_at, RunRow.listed, RunRow.summary)
        .where(RunRow.kind == "scan", RunRow.status.in_(["finished", "stopped"]))
        .order_by(RunRow.started_at.desc())
        .execution_options(yield_per=20)
    )
    removed = select(func.count()).select_from(CaseRow).where(CaseRow.removed_at.is_not(None))
    for started, listed, summary in session.execute(scans):
        if not summary.get("missing"):
            since = session.scalar(removed.where(CaseRow.removed_at >= started)) or 0
            left: int = summary.get("left", 0)
            return max(0, int(listed) + left - since)
    known = session.scalar(select(func.count()).select_from(ClipRow)) or 0
    return max(0, known - (session.scalar(removed) or 0))


def missing_last(session: Session) -> int:
    """How many clips the last scan missed, where its listing had collapsed."""
    last = (
        select(RunRow.summary)
        .where(RunRow.kind == "scan", RunRow.status.in_(["finished", "stopped"]))
        .order_by(RunRow.started_at.desc())
        .limit(1)
    )
    summary = session.scalar(last)
    return 0 if summary is None else summary.get("missing", 0)
