"""`hashmatch quarantine resume|confirm|certificate`: what was decided of a case is brought to its end."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, document, pass_app, say_row, tell
from hashmatch.cli.viewing import (
    NotFinished,
    case_key_of,
    case_key_option,
    custody_of,
    identity_option,
    load_case,
)
from hashmatch.counting import counted

if TYPE_CHECKING:
    from hashmatch.custody.case import Custody
    from hashmatch.custody.vault.sealing import CaseKey


@click.command("resume")
@pass_app
def resume_command(app: App) -> None:
    """Carry on every case that is unfinished: as each run does before it scans.

    Takes cases on from their recorded step; ends destruction and changes of keys that were cut
    short; tells the platform what it has not confirmed. Not while a run goes on (exit code 13).
    Exits with 10 when something is left.

    \b
    Example:
      hashmatch quarantine resume
    """
    from hashmatch.access import Role

    app.person(Role.OPERATOR, Role.CUSTODIAN)
    custody, stuck, count = custody_of(app), 0, 0
    with app.db.run_lock():
        for progress in custody.resume():
            count += 1
            stuck += progress.problem is not None
            say_row(progress.case, progress.state, progress.problem or "")
    done = "has" if count == 1 else "have"
    tell(f"{count - stuck} of {counted(count, 'unfinished case')} {done} come to an end.")
    if stuck:
        raise NotFinished(count=counted(stuck, "case"))


@click.command("confirm")
@click.argument("case")
@identity_option
@case_key_option
@pass_app
def confirm_command(app: App, case: str, identity: Path | None, case_key: Any) -> None:
    """Confirm what another custodian asked of a case, and do it.

    A release takes a private key: the clip goes back, bit for bit, to its old key. Destruction
    erases the case's key, then all else; where stdout is a file or a pipe, its certificate goes
    there. What was confirmed before and was cut short is done to its end.

    \b
    Example:
      hashmatch quarantine confirm case-7hq2k6w4v3mzdpbe --identity custodian.key
    """
    from hashmatch.access import Role
    from hashmatch.custody import approvals, viewing
    from hashmatch.custody.destruction import destroy
    from hashmatch.custody.preconditions import Kind

    by = app.person(Role.CUSTODIAN, named=True)
    case = app.case(case)
    custody = custody_of(app)
    with app.db.custody_lock():
        with app.db.write() as session:
            approvals.expire(session, datetime.now(UTC))
        with app.db.read() as session:
            asked = {one.case_id: one for one in approvals.open_requests(session)}.get(case)
        kind = None if asked is None else Kind(asked.kind)
        if asked is not None and asked.confirmed_by is None:
            approvals.refuse_same_person(asked, by, custody.terms)  # before a key is asked for
        key = None
        if kind is Kind.RELEASE:
            # Before anything is confirmed: the wrong key would leave it half done.
            loaded = viewing.load(app.db, case)
            key = case_key_of(app, custody, loaded, identity, case_key)
        if asked is None or asked.confirmed_by is None:
            _confirm(app, custody, case, by)
        if key is not None:
            _release(app, custody, case, key, by)
        elif kind is Kind.DESTROY:
            with app.db.read() as session:
                loaded = load_case(session, case)
            done = destroy(app.db, custody.vault, loaded, custody.terms, custody.software)
            if not sys.stdout.isatty():
                document(done)
            _tell_destroyed(case, json.loads(done))
        else:
            tell(f"{case} is forgotten: the log still proves what was done, and no longer to whom.")


@click.command("certificate")
@click.argument("case")
@pass_app
def certificate_command(app: App, case: str) -> None:
    """Print the certificate of a case that was destroyed, as JSON.

    Its SHA-256 is in the leaf `case-destroyed` of the audit log.

    \b
    Example:
      hashmatch quarantine certificate case-7hq2k6w4v3mzdpbe > certificate.json
    """
    from hashmatch.access import Role
    from hashmatch.custody.destruction import certificate_of

    app.person(Role.CUSTODIAN, Role.AUDITOR)
    case = app.case(case)
    with app.db.read() as session:
        document(certificate_of(session, case))


def _tell_destroyed(case: str, certificate: dict[str, Any]) -> None:
    """In words, what the certificate attests."""
    erased = counted(len(certificate["erased"]), "object")
    tell(
        f"{case} is destroyed. {certificate['asked_by']} asked for it, {certificate['confirmed_by']} "
        f"confirmed it, because: {certificate['reason']}"
    )
    tell(f"Erased from the vault: {erased}, the keys first; {certificate['checked']}.")
    for rule in certificate["retention"]:
        if rule["ended"] is not None:
            tell(f"Retention by {rule['rule']} ({rule['source']}) ended on {rule['ended'][:10]}.")
    tell(f"The certificate that attests it: hashmatch quarantine certificate {case}")


COMMANDS = (resume_command, confirm_command, certificate_command)


def _confirm(app: App, custody: Custody, case: str, by: str) -> None:
    """Confirm; what is forgotten is forgotten in the same transaction."""
    from hashmatch.custody import approvals, forgetting
    from hashmatch.custody.preconditions import Kind

    now = datetime.now(UTC)
    with app.db.write() as session:
        request = approvals.confirm(session, case, by=by, now=now, terms=custody.terms)
        if request.kind == Kind.FORGET:
            forgetting.forget(session, request, now, custody.terms)


def _release(app: App, custody: Custody, case: str, key: CaseKey, by: str) -> None:
    from hashmatch.custody.release import release

    with app.db.read() as session:
        loaded = load_case(session, case)
    waiting = release(custody, loaded, key, app.settings.review, by=by)
    tell(f"{case} is released: the clip is back at its old key, and its matches count as wrong.")
    if waiting:
        tell(f"The platform has not confirmed it yet, the next run asks again: {waiting}")
