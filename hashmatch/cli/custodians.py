"""`hashmatch quarantine …`: what custodians decide about a case that was taken."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, cell, emit_json, json_option, pass_app, shown_time, table, tell

if TYPE_CHECKING:
    from hashmatch.custody.retention.due import Due
    from hashmatch.custody.retention.rules import Clock
    from hashmatch.db.schema import RequestRow

_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]

reason_option = click.option(
    "--reason", required=True, metavar="TEXT", help="Why, in a line. It is kept with the case."
)
case_argument = click.argument("case")


def _now() -> datetime:
    return datetime.now(UTC)


@click.command("hold")
@case_argument
@reason_option
@pass_app
def hold_command(app: App, case: str, reason: str) -> None:
    """Put a legal hold on a case: until it is lifted, nobody can release, destroy or forget it.

    A case may have several holds. One stands above every retention clock and above what two people
    have asked for, as long as that has not begun.

    \b
    Example:
      hashmatch quarantine hold case-7hq2k6w4v3mzdpbe \\
          --reason "court order 12/2026"
    """
    from hashmatch.access import Role
    from hashmatch.custody import holds

    by = app.person(Role.CUSTODIAN)
    case = app.case(case)
    with app.db.write() as session:
        number = holds.place(session, case, reason=reason, by=by, at=_now())
    tell(
        f"{case} is under hold {number}. It stays so until a custodian runs "
        f"`hashmatch quarantine lift {case} --hold {number} --reason …`."
    )


@click.command("lift")
@case_argument
@click.option("--hold", type=int, metavar="N", help="Which hold, where the case has several.")
@reason_option
@pass_app
def lift_command(app: App, case: str, hold: int | None, reason: str) -> None:
    """Lift a legal hold. What may follow, release or destruction, still takes two people.

    \b
    Example:
      hashmatch quarantine lift case-7hq2k6w4v3mzdpbe --hold 3 \\
          --reason "the order was withdrawn"
    """
    from hashmatch.access import Role
    from hashmatch.custody import holds

    by = app.person(Role.CUSTODIAN)
    case = app.case(case)
    with app.db.write() as session:
        left = holds.lift(session, case, reason=reason, by=by, at=_now(), hold=hold)
    if left:
        tell(f"The hold is lifted. {case} stays held: {left} more.")
    else:
        tell(f"The hold is lifted. {case} is no longer held; its retention clocks count again.")


def _utc(ctx: click.Context, param: click.Parameter, value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None


@click.command("report")
@case_argument
@click.option(
    "--reference", required=True, metavar="TEXT", help="What the authority calls the report."
)
@click.option(
    "--at",
    "reported",
    type=click.DateTime(_TIMES),
    callback=_utc,
    help="When the authority took it, UTC. Default: now.",
)
@pass_app
def report_command(app: App, case: str, reference: str, reported: datetime | None) -> None:
    """Note that a person has reported a case to the authority. hashmatch itself reports nothing.

    Retention clocks that run from the report start at that time; a later report starts them anew,
    an earlier one does not shorten them. It cannot be taken back.

    \b
    Example:
      hashmatch quarantine report case-7hq2k6w4v3mzdpbe \\
          --reference "CyberTip 1234567"
      hashmatch quarantine report case-7hq2k6w4v3mzdpbe \\
          --reference 1234567 --at 2026-11-22T03:10
    """
    from hashmatch.access import Role
    from hashmatch.custody import reporting

    by = app.person(Role.CUSTODIAN)
    case = app.case(case)
    now = _now()
    with app.db.write() as session:
        row = reporting.report(
            session, case, reference=reference, reported=reported or now, by=by, now=now
        )
    at = shown_time(row.reported_at)
    tell(
        f"{case} counts as reported at {at}. `hashmatch quarantine due` shows when its clocks end."
    )


@click.command("due")
@json_option
@pass_app
def due_command(app: App, as_json: bool) -> None:
    """List cases whose retention has ended, ends within 30 days, or waits for a report.

    Which rules apply, [custody] jurisdictions says. A clock that ended deletes nothing: then two
    custodians may have the case destroyed, or what the database knows of it forgotten.

    \b
    Example:
      hashmatch quarantine due
    """
    from hashmatch.access import Role
    from hashmatch.custody.retention import timekeeping
    from hashmatch.custody.retention.due import due
    from hashmatch.custody.retention.rules import NOT_REVIEWED, NoJurisdiction, applying

    app.person(Role.CUSTODIAN, Role.OPERATOR, Role.AUDITOR)
    rules = applying(app.settings)
    if not rules:
        raise NoJurisdiction
    now = _now()
    with app.db.read() as session:
        timekeeping.believe(session, now)
        cases = due(session, rules, now)
    if as_json:
        emit_json([_case(case, now) for case in cases])
    else:
        columns = ["case", "state", "next", "holds", "rule", "start", "end", "source", "counsel"]
        rows = [row for case in cases for row in _rows(case)]
        table(columns, rows, none="There is no case whose time runs.")
    waiting = sum(not case.reported for case in cases)
    if waiting:
        tell(
            f"Waiting for a report: {waiting}. `hashmatch quarantine report CASE` notes that it was sent."
        )
    unread = sorted({rule.name for rule in rules if rule.counsel == NOT_REVIEWED})
    if unread:
        tell(f"Not reviewed by your counsel: {', '.join(unread)}.")


@click.command("release")
@case_argument
@reason_option
@pass_app
def release_command(app: App, case: str, reason: str) -> None:
    """Ask for the release of a case whose match was wrong: its clip goes back to where it was.

    Nothing happens yet. Another custodian must confirm it within [custody] confirm_hours, with
    `hashmatch quarantine confirm CASE`; that puts the clip back.

    \b
    Example:
      hashmatch quarantine release case-7hq2k6w4v3mzdpbe \\
          --reason "it is our own trailer"
    """
    _ask(app, "release", case, reason)


@click.command("destroy")
@case_argument
@reason_option
@pass_app
def destroy_command(app: App, case: str, reason: str) -> None:
    """Ask for the destruction of a case's sealed copy, once every rule that keeps it has ended.

    Also of one that was released: the clip stays where it was put back.

    Nothing happens yet. Another custodian must confirm it within [custody] confirm_hours, with
    `hashmatch quarantine confirm CASE`; that erases the case's key and its copy, for good.

    \b
    Example:
      hashmatch quarantine destroy case-7hq2k6w4v3mzdpbe \\
          --reason "the year is over"
    """
    _ask(app, "destroy", case, reason)


@click.command("forget")
@case_argument
@reason_option
@pass_app
def forget_command(app: App, case: str, reason: str) -> None:
    """Ask to forget a case that is over: which clip it was, why, and what opens the log about it.

    Not while the vault holds a sealed copy of it, as after a release: have that destroyed first.

    Nothing happens yet. Another custodian must confirm it within [custody] confirm_hours, with
    `hashmatch quarantine confirm CASE`; then the log still holds, and says of whom no more.

    \b
    Example:
      hashmatch quarantine forget case-7hq2k6w4v3mzdpbe \\
          --reason "the five years are over"
    """
    _ask(app, "forget", case, reason)


@click.command("requests")
@json_option
@pass_app
def requests_command(app: App, as_json: bool) -> None:
    """List what was asked and is not done yet, oldest first, and who may confirm it.

    \b
    open        another custodian may confirm it
    confirmed   two people want it; `quarantine resume` brings it to its end
    expired     not confirmed in time, and void: ask anew

    \b
    Example:
      hashmatch quarantine requests
    """
    from hashmatch.access import Role, members
    from hashmatch.custody import approvals

    app.person(Role.CUSTODIAN, Role.OPERATOR, Role.AUDITOR)
    custodians = members(app.settings.people, Role.CUSTODIAN)
    now = _now()
    with app.db.read() as session:
        shown = [_request(one, custodians, now) for one in approvals.open_requests(session)]
    if as_json:
        emit_json(shown)
        return
    columns = ["case", "kind", "state", "asked_by", "expires_at", "may_confirm", "reason"]
    rows = [[cell(one[column]) for column in columns] for one in shown]
    table(columns, rows, none="There is no request that waits for a second person.")


@click.command("cancel")
@case_argument
@pass_app
def cancel_command(app: App, case: str) -> None:
    """Take back what you or another custodian asked of a case, as long as it has not begun.

    \b
    Example:
      hashmatch quarantine cancel case-7hq2k6w4v3mzdpbe
    """
    from hashmatch.access import Role
    from hashmatch.custody import approvals

    by = app.person(Role.CUSTODIAN, named=True)
    case = app.case(case)
    with app.db.write() as session:
        request = approvals.cancel(session, case, by=by, now=_now(), people=app.settings.people)
    tell(f"{case}: {request.asked_by}'s request to {request.kind} it is cancelled.")


def _ask(app: App, kind: str, case: str, reason: str) -> None:
    from hashmatch.access import Role
    from hashmatch.custody import approvals
    from hashmatch.custody.preconditions import Kind

    by = app.person(Role.CUSTODIAN, named=True)
    case = app.case(case)
    terms = approvals.Terms.of(app.settings)
    with app.db.write() as session:
        request = approvals.ask(
            session, Kind(kind), case, reason=reason, by=by, now=_now(), terms=terms
        )
    hours = app.settings.custody.confirm_hours
    tell(
        f"Nothing is done yet. {' or '.join(terms.others(by))}, a custodian, must confirm within "
        f"{hours:g} hours, until {shown_time(request.expires_at)}, with "
        f"`hashmatch quarantine confirm {case}`."
    )


def _case(case: Due, now: datetime) -> dict[str, Any]:
    return {
        "case": case.id,
        "state": case.state,
        "next": case.next,
        "holds": case.holds,
        "clocks": [_clock(clock, now) for clock in case.clocks],
    }


def _rows(case: Due) -> list[list[str]]:
    """One line a clock."""
    about = [case.id, case.state, case.next, str(case.holds)]
    lines = []
    for clock in case.clocks:
        rule = clock.rule
        start, end = shown_time(clock.start) or "not reported", shown_time(clock.end) or ""
        lines.append([*about, rule.name, start, end, rule.source, rule.counsel])
    return lines or [[*about, "nothing keeps it", "", "", "", ""]]


def _clock(clock: Clock, now: datetime) -> dict[str, Any]:
    rule = clock.rule
    return {
        "rule": rule.name,
        "jurisdiction": rule.jurisdiction,
        "keeps": rule.keeps,
        "from": rule.clock,
        "length": str(rule.length),
        "start": shown_time(clock.start),
        "end": shown_time(clock.end),
        "ended": clock.ended(now),
        "source": rule.source,
        "counsel": rule.counsel,
    }


def _request(row: RequestRow, custodians: Collection[str], now: datetime) -> dict[str, Any]:
    state = "open" if now < row.expires_at else "expired"
    if row.confirmed_by is not None:
        state = "confirmed"
    return {
        "case": row.case_id,
        "kind": row.kind,
        "state": state,
        "asked_by": row.asked_by,
        "asked_at": shown_time(row.asked_at),
        "expires_at": shown_time(row.expires_at),
        "confirmed_by": row.confirmed_by,
        "may_confirm": sorted(set(custodians) - {row.asked_by}) if state == "open" else [],
        "reason": row.reason,
    }


COMMANDS = (
    hold_command,
    lift_command,
    report_command,
    due_command,
    release_command,
    destroy_command,
    forget_command,
    requests_command,
    cancel_command,
)
