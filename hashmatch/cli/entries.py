"""`hashmatch review entries`, `trust` and `export`: entries whose matches are wrong too often."""

from __future__ import annotations

from pathlib import Path

import click

from hashmatch.cli.app import App, cells, emit_result, json_option, pass_app, say, table
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
    from hashmatch.services import entries

    found = entries.overviews(app.ctx)
    if as_json:
        emit_result(found)
        return
    columns = ["list", "entry", "standing", "rejected", "confirmed", "since", "active"]
    table(columns, cells(found, columns), none="No entry is flagged or demoted.")


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
    from hashmatch.services import entries

    done = entries.trust(app.ctx, name, entry, reason=reason, accept_trial=accept_trial)
    say(f"{name}/{entry} is no longer {done.was}: it acts by itself from the next run on.")
    tell_trial(done.trial)


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
    from hashmatch.services import entries

    done = entries.export(app.ctx, name, entries.Form(form), out)
    say(f"{counted(done.entries, 'entry')}: {done.file}")
