"""Holds, reports, and the clock they are judged by, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from people_parts import BY_REPORT, CONTENT, KEY, LONG_AGO, REFERENCE, Office, terms

from hashmatch.audit.commitments import opened
from hashmatch.audit.log import written
from hashmatch.custody import holds, reporting
from hashmatch.custody.case_record import NoSuchCase, State
from hashmatch.custody.disposition import standing
from hashmatch.custody.holds import HoldTooLate, NotHeld, NothingToHold, WhichHold
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.reporting import ReportOfReleased, ReportTimeWrong
from hashmatch.custody.retention import timekeeping
from hashmatch.custody.retention.due import due
from hashmatch.custody.retention.timekeeping import SILENCE, ClockJumped, ClockWrong, believe
from hashmatch.custody.words import WordsWrong
from hashmatch.db.schema import CaseRow, CaseStepRow, HoldRow

DAY = timedelta(days=1)


@pytest.fixture
def office(db) -> Office:
    return Office(db)


def place(office: Office, case: str, reason: str = "court order", by: str = "alice") -> int:
    with office.db.write() as session:
        return holds.place(session, case, reason=reason, by=by, at=office.now)


def lift(office: Office, case: str, hold: int | None = None, by: str = "bob") -> int:
    with office.db.write() as session:
        return holds.lift(session, case, reason="over", by=by, at=office.now, hold=hold)


def report(office: Office, case: str, reported=None, reference: str = "CyberTip 1") -> CaseRow:
    with office.db.write() as session:
        return reporting.report(
            session,
            case,
            reference=reference,
            reported=reported or office.now,
            by="alice",
            now=office.now,
        )


def stands(office: Office, case: str) -> State:
    with office.db.read() as session:
        return standing(session, case)


@pytest.mark.parametrize("state", ["removed", "reported"])
def test_a_hold_shows_as_the_state_until_the_last_one_is_lifted(office, state):
    case = office.case(state, reported_at=office.start if state == "reported" else None)
    first, second = place(office, case), place(office, case, "another order")
    assert office.row(case).state == "held"
    assert lift(office, case, first) == 1
    assert office.row(case).state == "held"
    assert lift(office, case) == 0
    assert office.row(case).state == state
    assert office.kinds()[1:] == ["case-held"] * 2 + ["case-hold-lifted"] * 2
    assert [body["state"] for _, body in office.leaves()[1:]] == ["held", "held", "held", state]
    with office.db.read() as session:
        row = session.get_one(HoldRow, second)
    assert (row.placed_by, row.lifted_by, row.lift_reason) == ("alice", "bob", "over")


@pytest.mark.parametrize("state", ["detected", "sealed", "verified", "withdrawn", "lost"])
def test_a_hold_on_a_case_that_is_still_being_taken_waits_for_its_state(office, state):
    case = office.case(state)
    assert stands(office, case) is State.REMOVED
    place(office, case)
    assert office.row(case).state == state
    assert stands(office, case) is State.HELD
    lift(office, case)
    assert office.row(case).state == state
    assert stands(office, case) is State.REMOVED


def test_a_report_on_a_case_that_is_still_being_taken_waits_for_its_state(office):
    case = office.case("verified")
    report(office, case)
    assert office.row(case).state == "verified"
    assert stands(office, case) is State.REPORTED


@pytest.mark.parametrize("state", ["released", "destroyed"])
def test_a_case_that_is_over_cannot_be_held(office, state):
    case = office.case(state)
    with pytest.raises(NothingToHold, match=state):
        place(office, case)
    assert office.kinds() == ["case-detected"]


def test_a_hold_comes_too_late_once_the_destruction_has_begun(office):
    case = office.case()
    with office.db.write() as session:
        session.add(CaseStepRow(case_id=case, step="destroy", intended_at=office.start, leaf=0))
    with pytest.raises(HoldTooLate, match="destroy"):
        place(office, case)


def test_only_a_hold_that_is_there_can_be_lifted_and_it_must_be_clear_which(office):
    case = office.case()
    other = place(office, office.case())
    with pytest.raises(NotHeld):
        lift(office, case)
    first, second = place(office, case), place(office, case)
    with pytest.raises(WhichHold, match=f"{first}, {second}"):
        lift(office, case)
    for wrong in (0, other, 10**6):
        with pytest.raises(NotHeld):
            lift(office, case, wrong)
    lift(office, case, first)
    with pytest.raises(NotHeld):
        lift(office, case, first)
    with pytest.raises(NoSuchCase):
        place(office, "case-x")


@pytest.mark.parametrize("words", ["", "  ", "two\nlines", "x" * 1001, "ab" * 16])
def test_a_reason_that_cannot_be_recorded_is_refused(office, words):
    case = office.case()
    with pytest.raises(WordsWrong):
        place(office, case, words)
    assert office.row(case).state == "removed"


def test_leaves_commit_to_names_and_reasons_and_do_not_say_them(office):
    case = office.case()
    place(office, case, "order of judge Smith", by="alice")
    lift(office, case)
    report(office, case, reference="CyberTip 1234567")
    said = str(office.leaves())
    for word in ("Smith", "alice", "bob", "1234567", "somebody", KEY):
        assert word not in said
    with office.db.read() as session:
        values = {
            opened(session, str(body[name]))
            for kind, body in office.leaves()
            for name in ("by", "reason", "reference")
            if kind != "case-detected" and name in body
        }
    assert values == {"alice", "bob", "order of judge Smith", "over", "CyberTip 1234567"}


def test_a_report_moves_a_removed_case_and_leaves_a_held_one_held(office):
    case = office.case()
    assert report(office, case).state == "reported"
    held = office.case()
    place(office, held)
    assert report(office, held).state == "held"
    lift(office, held)
    assert office.row(held).state == "reported"


@pytest.mark.parametrize("supplement", [-2 * DAY, 2 * DAY])
def test_a_second_report_never_shortens_the_retention_and_both_references_are_kept(
    office, supplement
):
    case, first = office.case(), office.start - 9 * DAY
    report(office, case, first, "one")
    report(office, case, first + supplement, "two")
    report(office, case, first, "one")
    row = office.row(case)
    assert row.reported_at == max(first, first + supplement)
    assert row.report_reference == "one; two"
    assert [b["reported"] for k, b in office.leaves() if k == "case-reported"] == [
        written(first),
        written(first + supplement),
        written(first),
    ]


def test_a_report_from_before_the_case_was_detected_anew_does_not_count(office):
    case = office.case(ago=DAY, reported_at=office.start - 400 * DAY, report_reference="old")
    assert stands(office, case) is State.REMOVED
    report(office, case, office.start - DAY / 2, "new")
    assert office.row(case).report_reference == "new"
    assert office.row(case).reported_at == office.start - DAY / 2


def test_a_report_can_be_neither_in_the_future_nor_before_the_detection(office):
    case = office.case(ago=DAY)
    with pytest.raises(ReportTimeWrong, match="still to come"):
        report(office, case, office.start + timedelta(seconds=1))
    with pytest.raises(ReportTimeWrong, match="before it was detected"):
        report(office, case, office.start - DAY - timedelta(seconds=1))
    with pytest.raises(ReportOfReleased):
        report(office, office.case("released"))
    assert "case-reported" not in office.kinds()


def test_a_clock_behind_the_newest_leaf_is_not_believed(office):
    office.leaf(office.start)
    case = office.case()
    office.now = office.start - timedelta(minutes=4)
    report(office, case)
    office.now = office.start - timedelta(minutes=10)
    with pytest.raises(ClockWrong, match=r"newest leaf|server's clock"):
        report(office, case)


def test_a_leaf_from_the_future_locks_nobody_out_once_there_is_a_true_one(office):
    case = office.case()
    office.leaf(office.start + 4000 * DAY)
    with pytest.raises(ClockWrong):
        office.ask(Kind.DESTROY, case)
    office.leaf(office.start)
    office.ask(Kind.DESTROY, case)


def test_a_clock_that_is_not_the_database_servers_is_not_believed(db):
    if db.file is not None:
        pytest.skip("SQLite has no clock of its own")
    now = datetime.now(UTC)
    for wrong in (now + timedelta(minutes=10), now - timedelta(minutes=10)):
        with db.read() as session, pytest.raises(ClockWrong, match="server's clock"):
            believe(session, wrong)
    with db.read() as session:
        believe(session, now + timedelta(minutes=1))


def judge(office: Office, now, *, for_good: bool = True) -> None:
    with office.db.read() as session:
        believe(session, now, for_good=for_good)


def test_after_a_silence_of_the_log_nothing_is_undone_for_good(sqlite_db):
    """A clock that jumped ahead looks just like that, and would end every retention at once."""
    office = Office(sqlite_db)
    office.leaf(office.start)
    judge(office, office.start + SILENCE)
    later = office.start + SILENCE + timedelta(seconds=1)
    with pytest.raises(ClockJumped, match="has passed"):
        judge(office, later)
    judge(office, later, for_good=False)
    # A look with the wrong clock leaves a leaf, which proves nothing.
    office.leaf(later)
    with pytest.raises(ClockJumped) as caught:
        judge(office, later)
    assert caught.value.details["again"] == written(later + SILENCE)


def test_nightly_runs_after_a_silence_show_that_time_passes(sqlite_db):
    office = Office(sqlite_db)
    office.leaf(office.start)
    back = office.start + 400 * DAY
    for night in range(SILENCE.days):
        office.leaf(back + night * DAY)
        with pytest.raises(ClockJumped):
            judge(office, back + night * DAY)
    judge(office, back + SILENCE)


def test_a_jump_ahead_that_was_put_right_stops_nothing(sqlite_db):
    office = Office(sqlite_db)
    for night in range(20):
        office.leaf(office.start + night * DAY)
    office.leaf(office.start + 4000 * DAY)
    with pytest.raises(ClockJumped):
        judge(office, office.start + 4000 * DAY)
    office.leaf(office.start + 20 * DAY)
    judge(office, office.start + 20 * DAY)


def test_an_empty_log_has_nothing_against_a_clock(sqlite_db):
    judge(Office(sqlite_db), datetime.now(UTC))
    assert timedelta(days=14) > timekeeping.SILENCE, "a wrong clock would end Canada's 21 days"


def test_due_are_cases_whose_clocks_end_soon_or_wait_for_a_report(office):
    soon = office.case(ago=timedelta(days=15))
    ended = office.case(reported_at=office.start - 500 * DAY, state="reported")
    office.case("detected")
    reference = office.case("destroyed", reported_at=office.start - 500 * DAY)
    freed = office.case("released")
    place(office, ended)
    rules = terms(CONTENT, BY_REPORT, REFERENCE).rules
    with office.db.read() as session:
        found = {case.id: case for case in due(session, rules, office.start)}
    assert found.keys() == {soon, ended, freed}, "the reference is kept for years still"
    assert not found[soon].reported
    assert found[ended].reported
    assert (found[ended].next, found[ended].holds) == (Kind.DESTROY, 1)
    assert [clock.ended(office.start) for clock in found[ended].clocks] == [True, True]
    assert found[freed].next == Kind.DESTROY, "a copy is left"
    with office.db.read() as session:
        later = {case.id for case in due(session, rules, office.start + LONG_AGO)}
    assert reference in later
