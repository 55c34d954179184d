"""What takes two people: asked, confirmed, cancelled, expired, on both databases."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

import pytest
from people_parts import BY_REPORT, CONTENT, LONG_AGO, PEOPLE, REFERENCE, Office, terms
from sqlalchemy import update

from hashmatch.access import NobodyNamed, RoleMissing
from hashmatch.audit.commitments import opened
from hashmatch.audit.verification import verify
from hashmatch.config import Custody, People, Settings
from hashmatch.custody import approvals, holds
from hashmatch.custody.approvals import (
    AlreadyConfirmed,
    HasBegun,
    NobodyElse,
    NothingAsked,
    RequestExpired,
    RequestOpen,
    SamePerson,
    Terms,
)
from hashmatch.custody.case_record import NoSuchCase, State, vault_key
from hashmatch.custody.disposition import Forgotten
from hashmatch.custody.preconditions import (
    CopyKept,
    HoldForbids,
    Kind,
    NeverReported,
    NothingSealedLeft,
    StillKept,
    WrongState,
)
from hashmatch.custody.retention.due import due
from hashmatch.custody.retention.rules import NoJurisdiction
from hashmatch.custody.retention.timekeeping import ClockJumped, ClockWrong
from hashmatch.custody.words import WordsWrong
from hashmatch.db.schema import CaseRow, CaseStepRow, RequestRow
from hashmatch.db.session import Database
from hashmatch.errors import ConfigError, HashmatchError

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def office(db) -> Office:
    return Office(db)


def cancel(office: Office, case: str, by: str = "alice") -> RequestRow:
    with office.db.write() as session:
        return approvals.cancel(session, case, by=by, now=office.now, people=PEOPLE)


def act(office: Office, request: RequestRow) -> None:
    with office.db.write() as session:
        approvals.still_allowed(session, request, office.now, office.terms)


def place(office: Office, case: str) -> int:
    with office.db.write() as session:
        return holds.place(session, case, reason="order", by="carol", at=office.now)


def reported(office: Office, case: str, at: datetime) -> None:
    with office.db.write() as session:
        session.execute(update(CaseRow).where(CaseRow.id == case).values(reported_at=at))


def age(office: Office, case: str, by: timedelta) -> None:
    """Let the case's open request have been asked that much earlier."""
    with office.db.write() as session:
        row = session.query(RequestRow).filter_by(case_id=case, ended_at=None).one()
        row.asked_at, row.expires_at = row.asked_at - by, row.expires_at - by


def request_of(office: Office, request: RequestRow) -> RequestRow:
    with office.db.read() as session:
        return session.get_one(RequestRow, request.id)


@pytest.mark.parametrize("kind", [Kind.RELEASE, Kind.DESTROY])
def test_what_one_asks_another_confirms_and_it_stays_open_until_it_is_done(office, kind):
    case = office.case()
    asked = office.ask(kind, case)
    assert asked.expires_at == office.start + 72 * HOUR
    confirmed = office.confirm(case)
    assert (confirmed.id, confirmed.kind) == (asked.id, kind)
    assert (confirmed.asked_by, confirmed.confirmed_by) == ("alice", "bob")
    act(office, confirmed)
    with office.db.read() as session:
        assert [one.id for one in approvals.open_requests(session)] == [asked.id]
    with office.db.write() as session:
        approvals.finish(session, confirmed, office.start)
    with office.db.read() as session:
        assert approvals.open_requests(session) == []
    with pytest.raises(NothingAsked):
        act(office, confirmed)
    assert office.kinds()[1:] == ["request-asked", "request-confirmed"]


def test_leaves_name_people_and_reasons_by_commitments(office):
    case = office.case()
    office.ask(Kind.DESTROY, case, reason="the year is over")
    office.confirm(case)
    (_, asked), (_, confirmed) = office.leaves()[1:]
    with office.db.read() as session:
        assert opened(session, asked["by"]) == "alice"
        assert opened(session, asked["reason"]) == "the year is over"
        assert opened(session, confirmed["by"]) == "bob"
        assert verify(session).size == 3
    said = str(office.leaves())
    assert [word for word in ("alice", "bob", "year") if word in said] == []
    assert (asked["case"], asked["kind"]) == (case, "destroy")


def test_the_same_person_cannot_confirm(office):
    case = office.case()
    office.ask(Kind.DESTROY, case)
    with pytest.raises(SamePerson, match="alice") as caught:
        office.confirm(case, "alice")
    assert "bob, carol" in caught.value.remedy
    assert office.kinds()[-1] == "request-asked"
    office.confirm(case, "bob")


@pytest.mark.parametrize("by", ["otto", "mallory", "Alice", ""])
def test_only_custodians_ask_and_confirm(office, by):
    case = office.case()
    with pytest.raises(RoleMissing):
        office.ask(Kind.RELEASE, case, by)
    office.ask(Kind.RELEASE, case)
    with pytest.raises(RoleMissing):
        office.confirm(case, by)
    with pytest.raises(RoleMissing):
        cancel(office, case, by)


@pytest.mark.parametrize(
    ("people", "error"),
    [
        (People(), NobodyNamed),
        (People(custodians=("alice",)), NobodyElse),
        (People(custodians=("alice", "alice")), NobodyElse),
        (People(custodians=("bob", "carol")), RoleMissing),
    ],
)
def test_it_takes_two_custodians_who_are_named(office, people, error):
    office.terms = terms(CONTENT, people=people)
    with pytest.raises(error):
        office.ask(Kind.RELEASE, office.case())


def test_who_asked_and_is_no_custodian_any_more_counts_no_more(office):
    case = office.case()
    office.ask(Kind.DESTROY, case)
    office.terms = terms(CONTENT, people=People(custodians=("bob", "carol")))
    with pytest.raises(RoleMissing, match="alice"):
        office.confirm(case)


def test_one_request_of_a_case_excludes_others(office):
    case, other = office.case(), office.case()
    office.ask(Kind.DESTROY, case)
    for kind, by in ((Kind.DESTROY, "alice"), (Kind.RELEASE, "bob")):
        with pytest.raises(RequestOpen, match="alice"):
            office.ask(kind, case, by)
    office.ask(Kind.RELEASE, other, "bob")
    office.confirm(case)
    with pytest.raises(RequestOpen):
        office.ask(Kind.RELEASE, case, "carol")
    with pytest.raises(AlreadyConfirmed, match="bob"):
        office.confirm(case, "carol")


def test_what_was_not_confirmed_in_time_is_void_and_must_be_asked_anew(office):
    case = office.case()
    first = office.ask(Kind.DESTROY, case)
    age(office, case, 72 * HOUR - timedelta(seconds=1))
    with pytest.raises(SamePerson):  # and not RequestExpired
        office.confirm(case, "alice")
    age(office, case, timedelta(seconds=1))
    with pytest.raises(RequestExpired):
        office.confirm(case)
    second = office.ask(Kind.DESTROY, case, "bob")
    assert office.confirm(case, "alice").id == second.id
    assert request_of(office, first).end == "expired"
    assert office.kinds()[1:] == [
        "request-asked",
        "request-expired",
        "request-asked",
        "request-confirmed",
    ]


def test_expiring_ends_all_that_is_void_and_nothing_that_was_confirmed(office):
    cases = [office.case() for _ in range(4)]
    for case in cases:
        office.ask(Kind.DESTROY, case)
    office.confirm(cases[0])
    for case in cases[:3]:
        age(office, case, 100 * HOUR)
    with office.db.write() as session:
        assert approvals.expire(session, office.start) == cases[1:3]
    with office.db.write() as session:
        assert approvals.expire(session, office.start) == []
        assert {one.case_id for one in approvals.open_requests(session)} == {cases[0], cases[3]}
    assert office.kinds().count("request-expired") == 2


def test_any_custodian_may_cancel_and_then_it_may_be_asked_again(office):
    case = office.case()
    with pytest.raises(NothingAsked):
        cancel(office, case)
    office.ask(Kind.DESTROY, case)
    assert cancel(office, case, "carol").end == "cancelled"
    for what in (cancel, Office.confirm):
        with pytest.raises(NothingAsked):
            what(office, case, "bob")
    office.ask(Kind.RELEASE, case)
    confirmed = office.confirm(case)
    cancel(office, case)
    with pytest.raises(NothingAsked):
        act(office, confirmed)


def test_what_has_begun_cannot_be_cancelled(office):
    case = office.case()
    office.ask(Kind.DESTROY, case)
    office.confirm(case)
    with office.db.write() as session:
        session.add(CaseStepRow(case_id=case, step="destroy", intended_at=office.start, leaf=0))
    with pytest.raises(HasBegun):
        cancel(office, case)


TAKEN = {"removed", "reported"}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("kind", list(Kind))
def test_a_case_must_have_come_far_enough(sqlite_db, state, kind):
    office = Office(sqlite_db)
    case = office.case(state)
    # What was released and is kept no longer may be erased from the vault.
    enough = {
        Kind.FORGET: {"destroyed", "lost"},
        Kind.DESTROY: {*TAKEN, "released"},
        Kind.RELEASE: TAKEN,
    }
    if state in enough[kind]:
        office.ask(kind, case)
        return
    others = {
        (Kind.FORGET, State.RELEASED): CopyKept,
        (Kind.DESTROY, State.LOST): NothingSealedLeft,
    }
    refusal = HoldForbids if state is State.HELD else others.get((kind, state), WrongState)
    with pytest.raises(refusal, match=case):
        office.ask(kind, case)


def test_promise_2_a_lost_case_with_a_copy_from_before_ends_like_any_other(office):
    """Taken once, taken again with other bytes that were gone before they could be sealed."""
    case = office.case("lost")
    with office.db.write() as session:
        session.get_one(CaseRow, case).vault_key = vault_key(case, 2)
    with pytest.raises(CopyKept, match="lost"):
        office.ask(Kind.FORGET, case)
    with office.db.read() as session:
        assert [one.next for one in due(session, office.terms.rules, office.now)] == [Kind.DESTROY]
    office.ask(Kind.DESTROY, case)


def test_a_hold_stands_above_every_clock_at_every_step(office):
    case = office.case()
    hold = place(office, case)
    for kind in (Kind.DESTROY, Kind.RELEASE):
        with pytest.raises(HoldForbids):
            office.ask(kind, case)
    with office.db.write() as session:
        holds.lift(session, case, reason="over", by="carol", at=office.start, hold=hold)
    office.ask(Kind.DESTROY, case)
    hold = place(office, case)
    with pytest.raises(HoldForbids):
        office.confirm(case)
    with office.db.write() as session:
        holds.lift(session, case, reason="over", by="carol", at=office.start, hold=hold)
    confirmed = office.confirm(case)
    place(office, case)
    with pytest.raises(HoldForbids):
        act(office, confirmed)


def test_without_a_jurisdiction_nothing_is_destroyed_or_forgotten(office):
    office.terms = terms()
    case, destroyed = office.case(), office.case("destroyed")
    for kind, which in ((Kind.DESTROY, case), (Kind.FORGET, destroyed)):
        with pytest.raises(NoJurisdiction, match=r"\[custody\] jurisdictions"):
            office.ask(kind, which)
    office.ask(Kind.RELEASE, case)


def test_content_is_kept_until_every_rules_clock_has_ended(office):
    office.terms = terms(CONTENT, BY_REPORT, REFERENCE)
    case = office.case()
    with pytest.raises(NeverReported, match="xx-report") as caught:
        office.ask(Kind.DESTROY, case)
    assert "quarantine report" in caught.value.remedy
    assert "quarantine release" in caught.value.remedy
    reported(office, case, office.start - 364 * DAY)
    with pytest.raises(StillKept, match="1 year"):
        office.ask(Kind.DESTROY, case)
    reported(office, case, office.start - 370 * DAY)
    office.ask(Kind.DESTROY, case)  # the reference's five years are no matter
    reported(office, case, office.start - DAY)
    with pytest.raises(StillKept):
        office.confirm(case)
    reported(office, case, office.start - 370 * DAY)
    confirmed = office.confirm(case)
    reported(office, case, office.start - DAY)
    with pytest.raises(StillKept):
        act(office, confirmed)


def test_the_reference_is_kept_until_its_clock_has_ended(office):
    office.terms = terms(CONTENT, REFERENCE)
    case = office.case("destroyed", reported_at=office.start - 4 * 365 * DAY)
    with pytest.raises(StillKept, match=r"xx-reference .* keeps its reference for 5 years"):
        office.ask(Kind.FORGET, case)
    reported(office, case, office.start - LONG_AGO)
    office.ask(Kind.FORGET, case)
    with pytest.raises(NeverReported):
        office.ask(Kind.FORGET, office.case("destroyed"))
    released = office.case("destroyed", released_at=office.start)
    office.ask(Kind.FORGET, released)  # a wrong match has no report to refer to


def test_a_clock_that_cannot_be_believed_stops_every_step(sqlite_db):
    office = Office(sqlite_db)
    case = office.case()
    office.now = office.start + 30 * DAY
    with pytest.raises(ClockJumped):
        office.ask(Kind.DESTROY, case)
    office.now = office.start - HOUR
    for kind in (Kind.DESTROY, Kind.RELEASE):
        with pytest.raises(ClockWrong):
            office.ask(kind, case)
    office.now = office.start
    office.ask(Kind.DESTROY, case)
    office.now = office.start - HOUR
    with pytest.raises(ClockWrong):
        office.confirm(case)
    office.now = office.start
    confirmed = office.confirm(case)
    office.now = office.start + 30 * DAY
    with pytest.raises(ClockJumped):
        act(office, confirmed)


@pytest.mark.parametrize("reason", ["", "\t", "a\nb", "0123456789abcdef" * 2])
def test_a_request_needs_a_reason_that_can_be_shown(sqlite_db, reason):
    office = Office(sqlite_db)
    with pytest.raises(WordsWrong):
        office.ask(Kind.RELEASE, office.case(), reason=reason)


def test_of_a_case_that_is_not_there_nothing_can_be_asked(office):
    for what in (
        lambda: office.ask(Kind.RELEASE, "case-x"),
        lambda: office.confirm("case-x"),
        lambda: cancel(office, "case-x"),
    ):
        with pytest.raises(NoSuchCase):
            what()


def test_a_forgotten_case_is_beyond_everything(office):
    case = office.case("destroyed")
    with office.db.write() as session:
        session.execute(update(CaseRow).values(sha256=""))
    with pytest.raises(Forgotten):
        office.ask(Kind.FORGET, case)


def test_nothing_is_on_record_of_what_was_refused(office):
    case = office.case()
    with pytest.raises(RoleMissing):
        office.ask(Kind.RELEASE, case, "otto")
    with pytest.raises(WrongState):
        office.ask(Kind.FORGET, case)
    assert office.kinds() == ["case-detected"]
    with office.db.read() as session:
        assert approvals.open_requests(session) == []


def at_once(office: Office, database_url: str, *acts) -> list[object]:
    """Do things in as many threads, each on connections of its own; results or errors."""
    gate = threading.Barrier(len(acts))
    results: list[object] = [None] * len(acts)

    def do(place: int) -> None:
        db = Database.connect(database_url, office.db.file.parent if office.db.file else None)
        try:
            gate.wait()
            results[place] = acts[place](Office(db, office.now, office.terms))
        except HashmatchError as error:
            results[place] = error
        finally:
            db.close()

    threads = [threading.Thread(target=do, args=(n,)) for n in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


@pytest.mark.parametrize("attempt", range(3))
def test_of_two_who_confirm_at_once_exactly_one_does(office, database_url, attempt):
    case = office.case()
    office.ask(Kind.DESTROY, case)
    confirming = [lambda o, by=by: o.confirm(case, by) for by in ("bob", "carol", "bob", "carol")]
    results = at_once(office, database_url, *confirming)
    won = [one for one in results if isinstance(one, RequestRow)]
    lost = [one for one in results if isinstance(one, AlreadyConfirmed)]
    assert (len(won), len(lost)) == (1, 3), results
    assert request_of(office, won[0]).confirmed_by == won[0].confirmed_by
    assert office.kinds().count("request-confirmed") == 1
    with office.db.read() as session:
        verify(session)


def test_of_three_who_ask_at_once_exactly_one_does(office, database_url):
    case = office.case()
    results = at_once(
        office,
        database_url,
        lambda o: o.ask(Kind.DESTROY, case, "alice"),
        lambda o: o.ask(Kind.RELEASE, case, "bob"),
        lambda o: o.ask(Kind.RELEASE, case, "carol"),
    )
    assert sum(isinstance(one, RequestRow) for one in results) == 1, results
    assert sum(isinstance(one, RequestOpen) for one in results) == 2
    assert office.kinds().count("request-asked") == 1


@pytest.mark.parametrize("attempt", range(3))
def test_a_hold_and_a_confirmation_at_once_end_with_nothing_destroyed(
    office, database_url, attempt
):
    case = office.case()
    request = office.ask(Kind.DESTROY, case)
    at_once(office, database_url, lambda o: o.confirm(case), lambda o: place(o, case))
    assert office.row(case).state == "held"
    with pytest.raises((HoldForbids, NothingAsked)):
        act(office, request)


@pytest.mark.parametrize("attempt", range(3))
def test_what_is_confirmed_and_cancelled_at_once_is_not_done(office, database_url, attempt):
    case = office.case()
    asked = office.ask(Kind.DESTROY, case)
    _, cancelled = at_once(
        office, database_url, lambda o: o.confirm(case), lambda o: cancel(o, case)
    )
    assert isinstance(cancelled, RequestRow)
    assert request_of(office, asked).end == "cancelled"
    with pytest.raises(NothingAsked):
        act(office, asked)


def test_terms_come_from_the_settings():
    custody = Custody(confirm_hours=1.5, jurisdictions=("CA",))
    found = Terms.of(Settings(custody=custody, people=PEOPLE))
    assert found.within == timedelta(minutes=90)
    assert [rule.name for rule in found.rules] == ["ca-content"]
    with pytest.raises(ConfigError):
        Terms.of(Settings(custody=Custody(jurisdictions=("ca",))))
