"""What the reading commands show of runs, and which record is meant by the beginning of its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hashmatch.db.schema import CaseRow, ClipRow, ReviewRow, RunRow, WorkRow
from hashmatch.errors import HashmatchError

_MOST_SHOWN = 5
_WORDS: dict[Any, str] = {CaseRow: "case-", ReviewRow: "review-"}


# Of what follows `case-`, `review-` or nothing: less is no id that somebody meant.
LEAST_OF_AN_ID = 4


class IdNotUnique(HashmatchError):
    """{given} is how {count} ids begin: {some}.

    Give more of the one that you mean.
    """

    exit_code = 2


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


def full_id(session: Session, column: InstrumentedAttribute[str], given: str) -> str:
    """The one id that begins with what was given; what was given where there is none.

    column: of our own ids. A list's entries are named by partners, and the whole name of one may be how
    another's begins. `case-` and `review-` may be left out. Raises IdNotUnique.
    """
    word = _WORDS.get(column.class_, "")
    rest = given.removeprefix(word)
    if len(rest) < LEAST_OF_AN_ID:
        return given
    known = select(column).where(column.startswith(word + rest, autoescape=True))
    found = session.scalars(known.order_by(column).limit(_MOST_SHOWN + 1)).all()
    if word + rest in found:
        return word + rest
    if len(found) > 1:
        count = str(len(found)) if len(found) <= _MOST_SHOWN else f"more than {_MOST_SHOWN}"
        raise IdNotUnique(given=given, count=count, some=", ".join(found[:_MOST_SHOWN]))
    return found[0] if found else given


def find_run(session: Session, run_id: str) -> RunRow | None:
    """The run of that name, or the only one that begins so; `last` is the newest."""
    if run_id == "last":
        return next(iter(last_runs(session, 1)), None)
    return session.get(RunRow, full_id(session, RunRow.id, run_id))


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
