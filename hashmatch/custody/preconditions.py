"""Permission: may a case be released, destroyed or forgotten now, whoever asks for it?

    refuse(session, row, Kind.DESTROY, now, rules)       # raises, or returns

Release: of a case whose original was removed. Destruction: of one that has a sealed copy, when every
content rule's clock has started and ended. Forgetting: when no copy is left, as nobody could end it
afterwards, and every reference rule's clock has ended. Never against a legal hold, and
never by a clock that cannot be believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.counting import counted
from hashmatch.custody.case_record import KEPT, State, copy_kept
from hashmatch.custody.disposition import active_holds, refuse_forgotten
from hashmatch.custody.retention import timekeeping
from hashmatch.custody.retention.rules import Clock, Keeps, NoJurisdiction, Rule, clocks
from hashmatch.db.schema import CaseRow
from hashmatch.errors import CustodyError


class Kind(StrEnum):
    """What takes two people."""

    RELEASE = "release"
    DESTROY = "destroy"
    FORGET = "forget"


_DONE = {Kind.RELEASE: "released", Kind.DESTROY: "destroyed", Kind.FORGET: "forgotten"}
_FROM: dict[Kind, tuple[State, ...]] = {
    Kind.RELEASE: KEPT,
    Kind.DESTROY: (*KEPT, State.RELEASED, State.LOST),
    Kind.FORGET: (State.RELEASED, State.DESTROYED, State.LOST),
}


class WrongState(CustodyError):
    message = "Case {case} is {state}, so it cannot be {done}: only one that is {states} can."
    remedy = (
        "`hashmatch quarantine show {case}` says how far it has come; one that is still being "
        "taken goes on with `hashmatch quarantine resume`."
    )


class CopyKept(CustodyError):
    message = (
        "Case {case} is {state}, and the vault still holds a sealed copy: it cannot be forgotten "
        "yet."
    )
    remedy = (
        "Nobody could end that copy afterwards. First `hashmatch quarantine destroy {case} "
        "--reason …`, which leaves a released clip where it is; then forget the case."
    )


class NothingSealedLeft(CustodyError):
    message = "Case {case} is lost: the vault holds no sealed copy of it that could be destroyed."
    remedy = "`hashmatch quarantine forget {case} --reason …` ends it."


class HoldForbids(CustodyError):
    message = "Case {case} is under {holds}, and cannot be {done} whatever clock has ended."
    remedy = (
        "`hashmatch quarantine show {case}` says why it is held, `hashmatch quarantine lift "
        "{case}` lifts a hold."
    )


class NeverReported(CustodyError):
    message = (
        "Case {case} was never reported, and {rule} ({source}) keeps its {keeps} from the report "
        "on."
    )
    remedy = (
        "Report it and put that on record with `hashmatch quarantine report {case}`; or, if the "
        "match was wrong, `hashmatch quarantine release {case}`."
    )


class StillKept(CustodyError):
    message = "Case {case}: {rule} ({source}) keeps its {keeps} for {length}, until {end}."
    remedy = "`hashmatch quarantine due` shows what has ended."


def refuse(
    session: Session, row: CaseRow, kind: Kind, now: datetime, rules: Sequence[Rule]
) -> None:
    """Raises if this may not be done to a locked case now.

    Raises Forgotten, HoldForbids, WrongState, CopyKept, NothingSealedLeft, ClockWrong; and for what
    is destroyed or forgotten, NoJurisdiction, NeverReported, StillKept.
    """
    kept = copy_kept(row)
    # One that an earlier version forgot while its copy was there: the copy may still be destroyed.
    if not (kept and kind is Kind.DESTROY):
        refuse_forgotten(row)
    holds = active_holds(session, row.id)
    if holds or row.state == State.HELD:
        raise HoldForbids(case=row.id, holds=counted(len(holds), "legal hold"), done=_DONE[kind])
    if row.state not in _FROM[kind]:
        states = " or ".join(state for state in _FROM[kind] if state is not State.HELD)
        raise WrongState(case=row.id, state=row.state, done=_DONE[kind], states=states)
    if kept and kind is Kind.FORGET:
        raise CopyKept(case=row.id, state=row.state)
    if not kept and kind is Kind.DESTROY:
        raise NothingSealedLeft(case=row.id)
    timekeeping.believe(session, now, for_good=kind is not Kind.RELEASE)
    if kind is Kind.RELEASE:
        return
    if not rules:
        raise NoJurisdiction
    for clock in what_keeps(row, kind, rules):
        if not clock.ended(now):
            _refuse(row, clock)


def what_keeps(row: CaseRow, kind: Kind, rules: Sequence[Rule]) -> list[Clock]:
    """The clocks that must have ended before a case is destroyed or forgotten.

    One that was released was no case for a report: if there was none, nothing of it need be kept,
    also once its copy was destroyed.
    """
    keeps = Keeps.CONTENT if kind is Kind.DESTROY else Keeps.REFERENCE
    found = [clock for clock in clocks(rules, row) if clock.rule.keeps is keeps]
    if row.released_at is not None:
        return [clock for clock in found if clock.start is not None]
    return found


def _refuse(row: CaseRow, clock: Clock) -> None:
    rule = clock.rule
    about = {"case": row.id, "rule": rule.name, "source": rule.source, "keeps": rule.keeps}
    if clock.end is None:
        raise NeverReported(**about)
    raise StillKept(**about, length=rule.length, end=log.written(clock.end))
