"""`hashmatch review entries`, `trust` and `export`: entries whose matches are wrong too often."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, say, table
from hashmatch.cli.lists import tell_trial, trial_option
from hashmatch.counting import counted


@click.command("entries")
@json_option
@pass_app
def entries_command(app: App, as_json: bool) -> None:
    """Entries whose matches keep being rejected. `hashmatch review export` tells the partner.

    \b
    flagged   rejected review.flag_after times more than confirmed
    demoted   rejected review.demote_after times more: acts by review only

    \b
    Example:
      hashmatch review entries
    """
    from hashmatch.access import Role
    from hashmatch.reviews.entry_standing import held

    app.person(*Role)
    with app.db.read() as session:
        rows = [
            {
                "list": one.name.list,
                "entry": one.name.entry,
                "standing": one.level.value,
                "rejected": one.tally.rejected,
                "confirmed": one.tally.confirmed,
                "since": one.since.isoformat(timespec="seconds"),
                "active": one.active,
            }
            for one in held(session)
        ]
    if as_json:
        emit_json(rows)
        return
    columns = ["list", "entry", "standing", "rejected", "confirmed", "since", "active"]
    shown = [[str(row[column]) for column in columns] for row in rows]
    table(columns, shown, none="No entry is flagged or demoted.")


@click.command("trust")
@click.argument("name", metavar="LIST")
@click.argument("entry")
@click.option("--reason", required=True, help="Why it may act again. Kept on record.")
@trial_option
@pass_app
def trust_command(app: App, name: str, entry: str, reason: str, accept_trial: bool) -> None:
    """Let an entry that is flagged or demoted act by itself again; its decisions count anew.

    The active version of its list is tried first, as `hashmatch lists activate` does.

    \b
    Example:
      hashmatch review trust c3p img-1 \\
          --reason "the partner corrected it in version 12"
    """
    from hashmatch.access import Role
    from hashmatch.freetext import problem_with
    from hashmatch.lists.activation import try_again
    from hashmatch.reviews.entry_standing import trust
    from hashmatch.runs.trial import trial

    person = app.person(Role.OPERATOR)
    problem = problem_with(reason)
    if problem is not None:
        raise click.BadParameter(f"it cannot be recorded: {problem}", param_hint="--reason")
    result = try_again(
        app.db,
        name,
        trial=trial(app.db, app.settings),
        max_trial=app.settings.match.breaker_share,
        accept_trial=accept_trial,
    )
    with app.db.write() as session:
        at = datetime.now(UTC)
        was = trust(session, name, entry, by=person, reason=reason.strip(), at=at)
    say(f"{name}/{entry} is no longer {was}: it acts by itself from the next run on.")
    tell_trial(result)


@click.command("export")
@click.option("--list", "name", metavar="NAME", help="Only entries of this list.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="A new file; nothing is overwritten.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "json"]),
    default="csv",
    show_default=True,
    help="What is written.",
)
@pass_app
def export_command(app: App, name: str | None, out: Path, form: str) -> None:
    """Write for the partner which entries had matches that people found wrong, and how often.

    Holds nothing of a clip: no key, no hash, no reason. That it was written goes on the audit log.

    \b
    Example:
      hashmatch review export --list c3p --out c3p-feedback.csv
    """
    from hashmatch.access import Role
    from hashmatch.audit import log
    from hashmatch.audit.commitments import commit_person
    from hashmatch.lists.catalog import get_list
    from hashmatch.newfile import new_file
    from hashmatch.reviews import export

    person = app.person(Role.OPERATOR, Role.REVIEWER, Role.CUSTODIAN)
    with new_file(out) as file:
        with app.db.write() as session:
            if name is not None:
                get_list(session, name)
            rows = export.feedback(session, name)
            by = commit_person(session, person)
            body: dict[str, Any] = {"list": name, "entries": len(rows), "by": by}
            log.append(session, "review-exported", body, datetime.now(UTC))
        # Only what is on record is written.
        text = export.as_json(rows) if form == "json" else export.as_csv(rows)
        file.write(text.encode())
    say(f"{counted(len(rows), 'entry')}: {out}")
