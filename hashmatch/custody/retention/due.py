"""What is due: cases whose retention has ended or ends soon, and those no report has started it for.

    for case in due(session, rules, now):
        case.id, case.next, case.clocks

Looks only at the clocks that matter now: the content's while a sealed copy is there, also that of a
case that was released, the reference's once it is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.custody.case_record import KEPT, State, copy_kept
from hashmatch.custody.preconditions import Kind, what_keeps
from hashmatch.custody.retention.rules import Clock, Rule
from hashmatch.db.schema import CaseRow, HoldRow

SOON = timedelta(days=30)
_OVER = (State.RELEASED, State.DESTROYED, State.LOST)


class Due(NamedTuple):
    """A case, what may be asked next of it, how many holds forbid that, and the clocks that count."""

    id: str
    state: str
    next: Kind
    holds: int
    clocks: Sequence[Clock]

    @property
    def reported(self) -> bool:
        """Whether every clock has started."""
        return all(clock.end is not None for clock in self.clocks)


def due(session: Session, rules: Sequence[Rule], now: datetime) -> list[Due]:
    """Cases with a clock that ended, ends within SOON, or has not started; oldest first."""
    held = select(HoldRow.case_id).where(HoldRow.lifted_at.is_(None))
    holds = Counter(session.scalars(held))
    rows = session.scalars(
        select(CaseRow)
        .where(CaseRow.state.in_((*KEPT, *_OVER)))
        .order_by(CaseRow.detected_at, CaseRow.id)
    )
    found = []
    for row in rows:
        kept = copy_kept(row)
        if not (kept or row.sha256):
            continue  # forgotten
        kind = Kind.DESTROY if kept else Kind.FORGET
        clocks = what_keeps(row, kind, rules)
        # Without a clock nothing of it need be kept.
        if not clocks or any(clock.end is None or clock.end <= now + SOON for clock in clocks):
            found.append(Due(row.id, row.state, kind, holds[row.id], clocks))
    return found
