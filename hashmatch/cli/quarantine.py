"""`hashmatch quarantine`: what was taken into custody, why, and whether it is still whole."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli import approvals, custodians, viewing
from hashmatch.cli.app import (
    App,
    cell,
    emit_json,
    json_option,
    pass_app,
    say_row,
    show_details,
    shown_time,
    table,
    tell,
)
from hashmatch.cli.groups import Sections
from hashmatch.cli.report_draft import export_command
from hashmatch.errors import StorageError, VaultDamaged

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hashmatch.custody.vault.inspection import Finding
    from hashmatch.db.schema import CaseRow, CaseStepRow

STATES = (
    "detected",
    "sealed",
    "verified",
    "withdrawn",
    "removed",
    "held",
    "reported",
    "released",
    "destroyed",
    "lost",
)


class VaultUnreadable(StorageError):
    message = "{count} sealed objects of the vault {url} could not be read: {problem}"
    remedy = "Whether they are whole is not known. Check the vault's storage, then verify again."


class Share(click.ParamType[float]):
    """A share in percent, as 0 to 1."""

    name = "percent"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            share = float(str(value).removesuffix("%")) / 100
        except ValueError:
            share = 0
        if not 0 < share <= 1:
            self.fail(f"{value!r} is no share: give more than 0% and at most 100%", param, ctx)
        return share


@click.group(
    "quarantine",
    cls=Sections,
    sections={
        "Look": ("list", "show", "requests", "due", "certificate"),
        "Keep whole": ("resume", "verify", "rewrap"),
        "One custodian": ("open", "key", "hold", "lift", "export", "report"),
        "Two custodians": ("release", "destroy", "forget", "confirm", "cancel"),
    },
)
def quarantine_command() -> None:
    """What was taken into custody: look at it, keep it whole, decide about it.

    \b
    hashmatch quarantine list --state detected
    hashmatch quarantine show case-7hq2k6w4v3mzdpbe
    hashmatch quarantine verify
    """


@quarantine_command.command("list")
@click.option(
    "--state",
    type=click.Choice(STATES),
    metavar="STATE",
    help="Only cases in this state, as above.",
)
@json_option
@pass_app
def list_command(app: App, state: str | None, as_json: bool) -> None:
    """List cases, newest first.

    \b
    detected   matched; the original is still in clip storage
    sealed     a sealed copy was written, and is not verified yet
    verified   the sealed copy was read back whole; the platform is being told
    withdrawn  the platform shows the clip to nobody, or nobody was told
               ([withdraw] how = "nothing"); the original is still there
    removed    the original was removed from clip storage
    held       as removed, and a legal hold is on it
    reported   as removed, and it was reported
    released   the clip was put back to where it was
    destroyed  two people had it erased from the vault
    lost       the clip was gone or replaced before it could be sealed

    \b
    Example:
      hashmatch quarantine list --state lost
    """
    from sqlalchemy import select

    from hashmatch.access import Role
    from hashmatch.db.schema import CaseRow

    app.person(*Role)
    query = select(CaseRow).order_by(CaseRow.detected_at.desc(), CaseRow.id)
    if state is not None:
        query = query.where(CaseRow.state == state)
    with app.db.read() as session:
        cases = [_overview(session, row) for row in session.scalars(query)]
    if as_json:
        emit_json(cases)
        return
    columns = ["case", "state", "detected_at", "lists", "problem"]
    rows = [[cell(case[column]) for column in columns] for case in cases]
    table(
        columns, rows, none=f"There is no case that is {state}." if state else "There is no case."
    )


@quarantine_command.command("show")
@click.argument("case")
@json_option
@pass_app
def show_command(app: App, case: str, as_json: bool) -> None:
    """Show one case: which clip, what it matched, and how far custody has come.

    Shows no hash and no picture. That it was shown goes on the audit log.

    \b
    Example:
      hashmatch quarantine show case-7hq2k6w4v3mzdpbe
    """
    from hashmatch.access import Role
    from hashmatch.audit import log
    from hashmatch.audit.commitments import commit_person
    from hashmatch.custody.case_record import NoSuchCase
    from hashmatch.db.schema import CaseRow

    person = app.person(*Role)
    case = app.case(case)
    with app.db.write() as session:
        row = session.get(CaseRow, case)
        if row is None:
            raise NoSuchCase(case=case)
        shown = _details(session, row)
        by = commit_person(session, person)
        log.append(session, "case-shown", {"case": case, "by": by}, datetime.now(UTC))
    if as_json:
        emit_json(shown)
        return
    columns = ["list", "version", "entry", "classification", "kind", "start", "end", "frames"]
    show_details(_one_timeline(shown), columns)


@quarantine_command.command("verify")
@click.argument("cases", metavar="[CASE]...", nargs=-1)
@click.option("--sample", type=Share(), metavar="PERCENT", help="Some, picked by chance: 5%.")
@click.option("--all", "every", is_flag=True, help="All that are kept; so it is without CASE.")
@json_option
@pass_app
def verify_command(
    app: App, cases: tuple[str, ...], sample: float | None, every: bool, as_json: bool
) -> None:
    """Read sealed objects whole and compare them with what was recorded when they were sealed.

    Clip, key and manifest of each case. Needs no private key. Each look goes on the audit
    log. Exits with 21 when an object is damaged or missing, with 15 when one cannot be read.

    \b
    Example:
      hashmatch quarantine verify --sample 5%
    """
    from hashmatch.access import Role
    from hashmatch.clips.open_store import open_store
    from hashmatch.custody.vault.inspection import Condition, inspect, inspectable, sample_of
    from hashmatch.custody.vault.marker import refuse_unmarked

    store = open_store(app.settings.vault, app.settings.home)
    app.person(Role.OPERATOR, Role.CUSTODIAN, Role.AUDITOR)
    if sum((bool(cases), sample is not None, every)) > 1:
        raise click.UsageError("give cases, or --sample, or --all")
    refuse_unmarked(app.db, store)
    cases = tuple(map(app.case, cases))
    if not cases:
        with app.db.read() as session:
            cases = tuple(sample_of(inspectable(session), 1 if sample is None else sample))
    findings: list[Finding] = []
    for case in cases:
        finding = inspect(app.db, store, case)
        findings.append(finding)
        if not as_json:
            what = ",".join(finding.parts)
            columns = (finding.case, finding.condition, str(finding.size), finding.vault_key, what)
            say_row(*columns)
    if as_json:
        emit_json([finding._asdict() for finding in findings])
    count = dict.fromkeys(Condition, 0)
    for finding in findings:
        count[finding.condition] += 1
    bad = count[Condition.DAMAGED] + count[Condition.MISSING]
    tell(f"{count[Condition.WHOLE]} of {len(findings)} sealed objects are whole.")
    if bad:
        raise VaultDamaged(count=bad)
    for finding in findings:
        if finding.problem is not None:
            unread = count[Condition.UNREADABLE]
            raise VaultUnreadable(count=unread, url=store.url, problem=finding.problem)


def _overview(session: Session, row: CaseRow) -> dict[str, Any]:
    return {
        "case": row.id,
        "state": row.state,
        "detected_at": shown_time(row.detected_at),
        "lists": sorted({match["list"] for match in _matches(session, row)}),
        "run": row.run_id,
        "attempts": row.attempts,
        "problem": row.problem,
    }


def _details(session: Session, row: CaseRow) -> dict[str, Any]:
    from hashmatch.db.schema import ClipRow

    clip = session.get_one(ClipRow, row.clip_id)
    return {
        "case": row.id,
        "state": row.state,
        "clip_key": row.clip_key,
        "size": row.size,
        "platform_id": clip.platform_id,
        "channel": clip.channel,
        "run": row.run_id,
        "detected_at": shown_time(row.detected_at),
        "verified_at": shown_time(row.verified_at),
        "withdrawn_at": shown_time(row.withdrawn_at),
        "removed_at": shown_time(row.removed_at),
        "reported_at": shown_time(row.reported_at),
        "released_at": shown_time(row.released_at),
        "destroyed_at": shown_time(row.destroyed_at),
        "holds": _holds(session, row),
        "steps": _steps(session, row),
        "vault_key": row.vault_key,
        "sealed_size": row.sealed_size,
        "sealed_sha256": row.sealed_sha256,
        "attempts": row.attempts,
        "problem": row.problem,
        "renditions": _renditions(session, row),
        "matches": _matches(session, row),
    }


def _one_timeline(shown: dict[str, Any]) -> dict[str, Any]:
    """For people: when which state was reached and which step was taken, in one order of time.

    In the place of one row for each time and a row of steps.
    """
    times = [name for name in shown if name.endswith("_at")]
    events = [(shown[name], name.removesuffix("_at")) for name in times if shown[name]]
    for step in shown["steps"]:
        what, at, came = step.split(" ", 2)
        events.append((at.removesuffix(":"), f"{what} ({came})"))
    merged: dict[str, Any] = {}
    for name, value in shown.items():
        if name == times[0]:
            for at, what in sorted(events, key=lambda event: event[0]):
                merged[at] = f"{merged[at]}, {what}" if at in merged else what
        if name not in (*times, "steps"):
            merged[name] = value
    return merged


def _holds(session: Session, row: CaseRow) -> list[str]:
    """The legal holds that are on the case."""
    from hashmatch.custody.disposition import active_holds

    return [f"{hold.id}: {hold.reason}" for hold in active_holds(session, row.id)]


def _steps(session: Session, row: CaseRow) -> list[str]:
    """What was intended, when, and what came of it, oldest first."""
    from sqlalchemy import select

    from hashmatch.db.schema import CaseStepRow

    query = select(CaseStepRow).where(CaseStepRow.case_id == row.id).order_by(CaseStepRow.id)
    return [
        f"{step.step} {shown_time(step.intended_at)}: {_came_of(step)}"
        for step in session.scalars(query)
    ]


def _came_of(step: CaseStepRow) -> str:
    if step.ended_at is None:
        return "not finished"
    return str(step.result.get("leaf", "finished; what is known of it was forgotten"))


def _renditions(session: Session, row: CaseRow) -> list[str]:
    """The cases of the same clip at other heights."""
    from sqlalchemy import select

    from hashmatch.db.schema import CaseRow

    if row.rendition_of is None:
        return []
    query = select(CaseRow.id).where(CaseRow.rendition_of == row.rendition_of, CaseRow.id != row.id)
    return list(session.scalars(query.order_by(CaseRow.id)))


def _matches(session: Session, row: CaseRow) -> list[dict[str, Any]]:
    """What a case's version of its clip matched. No distance: it would say how to stay below it."""
    from sqlalchemy import select

    from hashmatch.db.schema import MatchRow
    from hashmatch.report.evidence import in_words

    query = (
        select(MatchRow)
        .where(MatchRow.clip_id == row.clip_id, MatchRow.etag == row.etag)
        .order_by(MatchRow.id)
    )
    # Each look at the same version leaves its matches once more: the last one counts.
    last = {(m.list_name, m.version, m.entry_id): m for m in session.scalars(query)}
    return [
        {
            "list": match.list_name,
            "version": match.version,
            "entry": match.entry_id,
            "classification": match.classification,
            "kind": match.kind,
            "start": round(match.start, 2),
            "end": round(match.end, 2),
            "frames": match.frames,
            "evidence": in_words(match),
        }
        for _, match in sorted(last.items())
    ]


for command in (
    *viewing.COMMANDS,
    *custodians.COMMANDS,
    *approvals.COMMANDS,
    export_command,
):
    quarantine_command.add_command(command)
