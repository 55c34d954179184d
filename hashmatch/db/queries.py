"""What the reading commands show of runs, and which record is meant by the beginning of its id."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hashmatch.db.schema import CaseRow, ClipRow, MatchRow, ReviewRow, RunRow, WorkRow
from hashmatch.model import Action, Outcome

OUTCOMES = (
    Outcome.MATCHED,
    Outcome.REVIEW,
    Outcome.UNSCANNABLE,
    Outcome.PARTIAL,
    Outcome.CLEAN,
)
_WORDS: dict[Any, str] = {CaseRow: "case-", ReviewRow: "review-"}

# Of what follows `case-`, `review-` or nothing: less is no id that somebody meant.
LEAST_OF_AN_ID = 4


@dataclass(frozen=True, slots=True)
class ClipResult:
    """What one run said of one clip. seen_by: the key of the rendition decoded in its place; notes:
    what there is to say beside outcome and reason.
    """

    key: str
    outcome: str
    reason: str | None
    seen_by: str | None
    notes: tuple[str, ...] = ()


def last_runs(session: Session, count: int) -> Sequence[RunRow]:
    """The newest runs first."""
    query = select(RunRow).order_by(RunRow.started_at.desc(), RunRow.id.desc()).limit(count)
    return session.scalars(query).all()


def ids_that_begin(
    session: Session, column: InstrumentedAttribute[str], given: str, most: int
) -> Sequence[str]:
    """The ids that begin with what was given, `most` of them at most; the one that is it, if one is.

    column: of our own ids. A list's entries are named by partners, and the whole name of one may be how
    another's begins. `case-` and `review-` may be left out.
    """
    word = _WORDS.get(column.class_, "")
    rest = given.removeprefix(word)
    if len(rest) < LEAST_OF_AN_ID:
        return []
    known = select(column).where(column.startswith(word + rest, autoescape=True))
    found = session.scalars(known.order_by(column).limit(most)).all()
    return [word + rest] if word + rest in found else found


def find_run(session: Session, run_id: str) -> RunRow | None:
    """The run of that name; `last` is the newest."""
    if run_id == "last":
        return next(iter(last_runs(session, 1)), None)
    return session.get(RunRow, run_id)


def results(session: Session, run_id: str, outcome: str | None) -> Iterator[ClipResult]:
    """The clips of a run with what it said of them: what needs somebody first, what is clean last."""
    order = case({name.value: n for n, name in enumerate(OUTCOMES)}, value=WorkRow.outcome)
    query = (
        select(ClipRow.key, WorkRow.outcome, WorkRow.reason, WorkRow.seen_by, WorkRow.notes)
        .join(ClipRow, WorkRow.clip_id == ClipRow.id)
        .where(WorkRow.run_id == run_id, WorkRow.outcome.is_not(None))
        .order_by(order, ClipRow.key)
    )
    if outcome is not None:
        query = query.where(WorkRow.outcome == outcome)
    for key, found, reason, seen_by, notes in session.execute(
        query.execution_options(yield_per=1000)
    ):
        yield ClipResult(key, str(found), reason, seen_by, tuple(notes or ()))


def lists_matched(session: Session, run_id: str) -> dict[str, list[str]]:
    """The lists that the clips which a run took match, by the clips' keys."""
    query = (
        select(ClipRow.key, MatchRow.list_name)
        .join(MatchRow, MatchRow.clip_id == ClipRow.id)
        .join(WorkRow, (WorkRow.clip_id == ClipRow.id) & (WorkRow.run_id == MatchRow.run_id))
        .where(
            MatchRow.run_id == run_id,
            MatchRow.action != Action.LOG,
            WorkRow.outcome == Outcome.MATCHED,
        )
        .distinct()
        .order_by(ClipRow.key, MatchRow.list_name)
    )
    found: dict[str, list[str]] = {}
    for key, name in session.execute(query):
        found.setdefault(key, []).append(name)
    return found


def work_of(session: Session, run_id: str, clip_id: int) -> WorkRow | None:
    """What a run said of one clip."""
    return session.scalars(
        select(WorkRow).where(WorkRow.run_id == run_id, WorkRow.clip_id == clip_id)
    ).one_or_none()
