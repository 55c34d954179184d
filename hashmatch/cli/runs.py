"""`hashmatch runs`: which runs there were, and what each said of every clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, say, table, tell
from hashmatch.cli.groups import Sections
from hashmatch.counting import counted

if TYPE_CHECKING:
    from hashmatch.db.queries import ClipResult
    from hashmatch.db.schema import RunRow
    from hashmatch.model import Outcome


@click.group("runs", cls=Sections)
def runs_command() -> None:
    """List and show runs."""


@runs_command.command("list")
@click.option("--last", "count", default=20, show_default=True, help="How many, newest first.")
@json_option
@pass_app
def list_command(app: App, count: int, as_json: bool) -> None:
    """The last runs, newest first: what came of their clips, and how long they took.

    \b
    Example:
      hashmatch runs list --last 5
    """
    from hashmatch.db.ledger import outcomes
    from hashmatch.db.queries import last_runs

    with app.db.read() as session:
        rows = [_about(row, outcomes(session, row.id)) for row in last_runs(session, count)]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        tell("No run yet. Start one with `hashmatch scan`.")
        return
    columns = ["run", "kind", "status", "started", "took", "listed", "outcomes", "canary", "exit"]
    shown = [{**r, "took": _took(r["seconds"]), "outcomes": _counts(r["outcomes"])} for r in rows]
    table(columns, [[_cell(row[column]) for column in columns] for row in shown])


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

    The counts come first, then what is not clean, then the rest.

    \b
    Example:
      hashmatch runs show last --outcome unscannable
    """
    from hashmatch.db.ledger import outcomes
    from hashmatch.db.queries import find_run, lists_matched, results

    run = app.run(run)
    with app.db.read() as session:
        row = find_run(session, run)
        if row is None:
            raise click.UsageError(f"there is no run {run!r}; see hashmatch runs list")
        about = _about(row, outcomes(session, row.id))
        clips = list(results(session, row.id, outcome))
        lists = lists_matched(session, row.id)
        summary = row.summary
    if as_json:
        shown = [asdict(clip) for clip in clips]
        emit_json({**about, "summary": summary, "clips": shown})
        return
    say(
        f"{about['run']}: {about['kind']}, {about['status']}, started {about['started']}, "
        f"took {_cell(_took(about['seconds']))}, canary {about['canary']}, "
        f"exit code {_cell(about['exit'])}"
    )
    if summary.get("error"):
        say(f"failed: {summary['error']}")
    counts = _counts(about["outcomes"])
    if row.selection.get("stored"):
        say(f"compared from what is stored: {counts or 'nothing'}; below, what it changed")
    else:
        say(f"{counts or 'no clip was looked at'}; {row.skipped_unchanged} unchanged")
    for alarm in summary.get("alarms", []):
        say(f"ALARM: {alarm}")
    if summary.get("seen_by_rendition"):
        seen = counted(summary["seen_by_rendition"], "clip was", "clips were")
        say(f"{seen} seen by another rendition of theirs")
    rows = [[c.outcome, c.key, _why(c, lists.get(c.key, []))] for c in clips]
    table(["outcome", "clip", "why"], rows)


def _about(row: RunRow, outcomes: Mapping[Outcome, int]) -> dict[str, Any]:
    from hashmatch.db.queries import OUTCOMES

    took = (row.ended_at - row.started_at).total_seconds() if row.ended_at else None
    return {
        "run": row.id,
        "kind": row.kind,
        "selection": row.selection,
        "status": row.status,
        "started": row.started_at.isoformat(timespec="seconds"),
        "ended": row.ended_at.isoformat(timespec="seconds") if row.ended_at else None,
        "seconds": took,
        "lists": row.lists,
        "listed": row.listed,
        "outcomes": {name.value: outcomes[name] for name in OUTCOMES},
        "skipped_unchanged": row.skipped_unchanged,
        "quarantined": row.quarantined,
        "canary": row.canary,
        "exit": row.exit_code,
    }


def _why(clip: ClipResult, lists: Sequence[str]) -> str:
    from hashmatch.model import Reason

    parts = [Reason(clip.reason).text] if clip.reason else []
    if lists:
        parts.append(f"matches {', '.join(lists)}")
    parts += clip.notes
    if clip.seen_by:
        parts.append(f"seen by {clip.seen_by}")
    return "; ".join(parts)


def _counts(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in outcomes.items() if count)


def _took(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _cell(value: object) -> str:
    return "-" if value is None else str(value)
