"""What the reading commands show of runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.db.schema import ClipRow, RunRow, WorkRow


@dataclass(frozen=True, slots=True)
class ClipResult:
    """What one run said of one clip. seen_by: the key of the rendition decoded in its place."""

    key: str
    outcome: str
    reason: str | None
    seen_by: str | None


def last_runs(session: Session, count: int) -> Sequence[RunRow]:
    """The newest runs first."""
    query = select(RunRow).order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(count)
    return session.scalars(query).all()


def find_run(session: Session, run_id: str) -> RunRow | None:
    """The run of that name; `last` is the newest."""
    if run_id == "last":
        return next(iter(last_runs(session, 1)), None)
    return session.get(RunRow, run_id)


def results(session: Session, run_id: str, outcome: str | None) -> Iterator[ClipResult]:
    """The clips of a run with what it said of them, by outcome and key."""
    query = (
        select(ClipRow.key, WorkRow.outcome, WorkRow.reason, WorkRow.seen_by)
        .join(ClipRow, WorkRow.clip_id == ClipRow.id)
        .where(WorkRow.run_id == run_id, WorkRow.outcome.is_not(None))
        .order_by(WorkRow.outcome, ClipRow.key)
    )
    if outcome is not None:
        query = query.where(WorkRow.outcome == outcome)
    for key, found, reason, seen_by in session.execute(query.execution_options(yield_per=1000)):
        yield ClipResult(key, str(found), reason, seen_by)
