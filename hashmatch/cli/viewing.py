"""`hashmatch quarantine open|key|rewrap`: what custodians do with a private key."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, pass_app, say_row, tell
from hashmatch.cli.custodians import reason_option
from hashmatch.counting import counted
from hashmatch.errors import CustodyError, RunIncomplete

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from hashmatch.custody.case import Custody
    from hashmatch.custody.case_record import Case
    from hashmatch.custody.vault.sealing import CaseKey

identity_option = click.option(
    "--identity",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your private age key. Never on a host that scans.",
)
case_key_option = click.option(
    "--case-key",
    type=click.File("rb"),
    metavar="FILE",
    help="The key of this case alone, opened; - reads it from stdin.",
)


class WhichKey(CustodyError):
    message = (
        "Case {case}: this takes a private key: give --identity FILE, or --case-key FILE, not both."
    )
    remedy = "On a host that scans only the second is taken: see `hashmatch quarantine key --help`."


class NotWritten(CustodyError):
    message = "{path} was not written: {problem}."
    remedy = (
        "Nothing of the clip is left there. Name a file that does not exist yet, in a folder with "
        "room, outside clip storage, vault and the installation's folder."
    )


class NotFinished(RunIncomplete):
    message = "Not brought to an end: {count}; what stands in the way is above."
    remedy = (
        "`hashmatch quarantine show CASE` says more. The next run, or this command, goes on from "
        "there."
    )


@click.command("open")
@click.argument("case")
@identity_option
@case_key_option
@reason_option
@click.option("--to", required=True, metavar="FILE", help="A new file; - is stdout, into a pipe.")
@pass_app
def open_command(
    app: App, case: str, identity: Path | None, case_key: Any, reason: str, to: str
) -> None:
    """Open a sealed clip, to look at it. That you did goes on the audit log first.

    Only this makes a report say that a person viewed the clip. Run it on a custodian's own machine;
    on a host that scans only --case-key with --to - is taken, and the clip passes through.

    \b
    Example:
      hashmatch quarantine open case-7hq2k6w4v3mzdpbe --identity custodian.key \\
          --reason "report of 26 November" --to /secure/case.mp4
    """
    from hashmatch.access import Role
    from hashmatch.custody import viewing, words

    by = app.person(Role.CUSTODIAN, named=True)
    case = app.case(case)
    why = words.checked("reason", reason, case)
    custody = custody_of(app)
    loaded = viewing.load(app.db, case)
    key = case_key_of(app, custody, loaded, identity, case_key)
    if to == "-":
        if sys.stdout.isatty():
            raise click.UsageError("--to -: stdout is a terminal; pipe it to where the clip goes")
    else:
        with app.db.read() as session:
            if viewing.scans_here(session):
                raise viewing.ClipMustNotStay(case=case)
        _refuse_place(app, Path(to))
    chunks = viewing.open_clip(app.db, custody.vault, loaded, key, by=by, reason=why)
    if to == "-":
        for chunk in chunks:
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    else:
        _write(Path(to), chunks)
        tell(f"{case} is in {to}. Delete it there when you have seen it.")


@click.command("key")
@click.argument("case")
@pass_app
def key_command(app: App, case: str) -> None:
    """Print a case's key as it is sealed for the custodians, for `age -d` somewhere else.

    For an installation of one server: the custodian's private key stays on the custodian's machine,
    and the server gets the key of one case only.

    \b
    Example:
      ssh scan hashmatch quarantine key CASE | age -d -i custodian.key |
          ssh scan hashmatch quarantine confirm CASE --case-key -
    """
    from hashmatch.access import Role
    from hashmatch.audit import log
    from hashmatch.audit.commitments import commit_person
    from hashmatch.custody import viewing

    by = app.person(Role.CUSTODIAN, named=True)
    case = app.case(case)
    if sys.stdout.isatty():
        raise click.UsageError("stdout is a terminal; pipe it to `age -d -i custodian.key`")
    sealed = viewing.sealed_key(custody_of(app).vault, viewing.load(app.db, case))
    with app.db.write() as session:
        body = {"case": case, "by": commit_person(session, by)}
        log.append(session, "case-key-given", dict(body), datetime.now(UTC))
    sys.stdout.buffer.write(sealed)
    sys.stdout.buffer.flush()


@click.command("rewrap")
@click.argument("cases", metavar="[CASE]...", nargs=-1)
@identity_option
@case_key_option
@pass_app
def rewrap_command(app: App, cases: tuple[str, ...], identity: Path | None, case_key: Any) -> None:
    """Seal the keys of cases for the custodians that the settings name now, and for nobody else.

    After a custodian came or left, or a key was lost; with a private key that still opens them. No
    clip is read or opened. Without CASE: all that have a key in the vault. Not while a run goes on.
    --case-key is for one case, as in `hashmatch quarantine key --help`.

    \b
    Example:
      hashmatch quarantine rewrap --identity break-glass.key
    """
    from hashmatch.access import Role
    from hashmatch.custody.vault import key_change, rewrapping

    by = app.person(Role.CUSTODIAN, named=True)
    if case_key is not None and len(cases) != 1:
        raise click.UsageError("--case-key opens one case: name it")
    cases = tuple(map(app.case, cases))
    custody, stays = custody_of(app), 0
    with app.db.run_lock(), app.db.custody_lock():
        with app.db.read() as session:
            cases = cases or tuple(rewrapping.rewrappable(session))
        for case in cases:
            key_change.settle(app.db, custody.vault, case)
            with app.db.read() as session:
                loaded = load_case(session, case)
            rewrapping.refuse_without_key(loaded)
            key = case_key_of(app, custody, loaded, identity, case_key)
            problem = rewrapping.rewrap(app.db, custody.vault, loaded, key, by=by)
            stays += problem is not None
            say_row(case, problem or "")
    custodians = counted(len(custody.vault.recipients.keys), "custodian")
    tell(f"Sealed for {custodians}: {counted(len(cases), 'key')}.")
    if stays:
        raise NotFinished(count=counted(stays, "case"))


COMMANDS = (open_command, key_command, rewrap_command)


def custody_of(app: App) -> Custody:
    """What works on cases, as the settings have it."""
    from hashmatch.clips.open_store import open_store
    from hashmatch.runs.job import open_custody

    clips = open_store(app.settings.clips, app.settings.home)
    return open_custody(app.settings, app.db, clips)


def load_case(session: Session, case: str) -> Case:
    from hashmatch.custody import case_record

    return case_record.load(session, case)


def case_key_of(
    app: App, custody: Custody, case: Case, identity: Path | None, given: Any
) -> CaseKey:
    """The key of the case, from one of the two options. Raises WhichKey, ScanHost, …"""
    from hashmatch.custody import viewing
    from hashmatch.custody.vault import unsealing

    if (identity is None) == (given is None):
        raise WhichKey(case=case.id)
    if given is not None:
        assert case.case_key is not None, "what can be opened has a key"
        private = given.read(4096).decode("utf-8", "replace")
        return unsealing.check_case_key(private, case.case_key, case.id)
    with app.db.read() as session:
        if viewing.scans_here(session):
            raise viewing.ScanHost(case=case.id)
    assert identity is not None
    return viewing.key_of(custody.vault, case, unsealing.load_identities(identity))


def _refuse_place(app: App, path: Path) -> None:
    """Raises NotWritten for a place that is part of the installation."""
    settings = app.settings
    folders = [settings.home]
    folders += [
        settings.path(url) for url in (settings.clips.url, settings.vault.url) if "://" not in url
    ]
    where = path.absolute().resolve()
    if any(where.is_relative_to(folder.resolve()) for folder in folders):
        raise NotWritten(path=path, problem="it is in clip storage, the vault or the installation")


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    """A new file for its owner alone, whole or not at all.

    Unlike `newfile`'s under its own name from the start: the file system of a stick may know no
    links, and a copy of a clip must not stay behind under a hidden name.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise NotWritten(path=path, problem=error.strerror) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            _fill(file.write, chunks)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise NotWritten(path=path, problem=error.strerror) from None
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _fill(write: Callable[[bytes], object], chunks: Iterator[bytes]) -> None:
    for chunk in chunks:
        write(chunk)
