"""`hashmatch runs`: which runs there were, and what each said of every clip."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, say, table

if TYPE_CHECKING:
    from hashmatch.db.queries import ClipResult
    from hashmatch.db.schema import RunRow


@click.group("runs")
def runs_command() -> None:
    """List and show runs."""


@runs_command.command("list")
@click.option("--last", "count", default=20, show_default=True, help="How many, newest first.")
@json_option
@pass_app
def list_command(app: App, count: int, as_json: bool) -> None:
    """The last runs, newest first.

    \b
    Example:
      hashmatch runs list --last 5
    """
    from hashmatch.db.queries import last_runs

    with app.db.read() as session:
        rows = [_about(row) for row in last_runs(session, count)]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        say("No run yet. Start one with `hashmatch scan`.")
        return
    columns = ["run", "kind", "status", "started", "listed", "quarantined", "canary", "exit"]
    table(columns, [[_cell(row[column]) for column in columns] for row in rows])


@runs_command.command("show")
@click.argument("run", default="last")
@click.option(
    "--outcome",
    type=click.Choice(["matched", "review", "clean", "partial", "unscannable"]),
    help="Only clips with this outcome.",
)
@json_option
@pass_app
def show_command(app: App, run: str, outcome: str | None, as_json: bool) -> None:
    """What a run said of its clips, and why. RUN is a run's name, or `last`.

    \b
    Example:
      hashmatch runs show last --outcome unscannable
    """
    from hashmatch.db.queries import find_run, results

    run = app.run(run)
    with app.db.read() as session:
        row = find_run(session, run)
        if row is None:
            raise click.UsageError(f"there is no run {run!r}; see hashmatch runs list")
        about = _about(row)
        clips = list(results(session, row.id, outcome))
        summary = row.summary
    if as_json:
        shown = [asdict(clip) for clip in clips]
        emit_json({**about, "summary": summary, "clips": shown})
        return
    say(
        f"{about['run']}: {about['kind']}, {about['status']}, started {about['started']}, "
        f"canary {about['canary']}, exit code {_cell(about['exit'])}"
    )
    if row.selection.get("stored") and "outcomes" in summary:
        counts = ", ".join(f"{n} {name}" for name, n in summary["outcomes"].items() if n)
        say(f"compared from what is stored: {counts or 'nothing'}; below, what it changed")
    for alarm in summary.get("alarms", []):
        say(f"ALARM: {alarm}")
    if summary.get("seen_by_rendition"):
        say(f"{summary['seen_by_rendition']} clips were seen by another rendition of theirs")
    rows = [[c.outcome, c.key, _why(c)] for c in clips]
    table(["outcome", "clip", "why"], rows)


def _about(row: RunRow) -> dict[str, Any]:
    return {
        "run": row.id,
        "kind": row.kind,
        "selection": row.selection,
        "status": row.status,
        "started": row.started_at.isoformat(timespec="seconds"),
        "ended": row.ended_at.isoformat(timespec="seconds") if row.ended_at else None,
        "lists": row.lists,
        "listed": row.listed,
        "skipped_unchanged": row.skipped_unchanged,
        "quarantined": row.quarantined,
        "canary": row.canary,
        "exit": row.exit_code,
    }


def _why(clip: ClipResult) -> str:
    from hashmatch.model import Reason

    why = Reason(clip.reason).text if clip.reason else ""
    return f"seen by {clip.seen_by}" if clip.seen_by and not why else why


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
