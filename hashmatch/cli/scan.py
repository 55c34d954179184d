"""`hashmatch scan` and `hashmatch rescan`: the nightly job, and the job on demand."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from hashmatch.cli.app import (
    App,
    emit_json,
    json_option,
    louder,
    pass_app,
    say,
    table,
    tell,
    verbosity,
)
from hashmatch.counting import counted

if TYPE_CHECKING:
    from hashmatch.report.summary import RunSummary
    from hashmatch.runs.plan import Selection


def _until(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    from hashmatch.runs.stop import parse_until

    try:
        return parse_until(value, datetime.now().astimezone())
    except ValueError:
        raise click.BadParameter(
            "a time of this host's clock is written HH:MM, like 06:00"
        ) from None


def _since(ctx: click.Context, param: click.Parameter, value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value else None


until_option = click.option(
    "--until",
    metavar="HH:MM",
    callback=_until,
    help="Take no more clips from this time of the host's clock on, and end tidily.",
)


@click.command("scan")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only say which clips it would look at, and why. Writes nothing.",
)
@until_option
@json_option
@verbosity
@pass_app
def scan_command(app: App, dry_run: bool, until: datetime | None, as_json: bool) -> None:
    """Look at every clip that is new, changed, or due for another try.

    Matches are sealed into the vault and removed from clip storage. Safe to run again at any time,
    also after a crash.

    \b
    Example:
      hashmatch scan --until 06:00
      hashmatch scan --dry-run

    \b
    Exit codes:
      0   every clip was seen
      10  finished, but some clips could not be seen in full (hashmatch runs show)
      11  the canary was not seen: nothing this run called clean can be trusted
      12  no hash list is active, or one is too old
      13  another run is going on
      14  the settings are wrong
      15  clip storage or the vault is away, or lists far less than before; or an
          anchor or the metrics file could not be written
      16  the database cannot be reached or does not fit this version
      130 ended with Ctrl-C, tidily; the next run takes the rest
    """
    from hashmatch.runs.plan import Selection

    if dry_run:
        _rehearse(app, as_json)
        return
    _run(app, Selection(), until, as_json)


@click.command("rescan")
@click.option("--prefix", metavar="KEY", help="Clips whose key begins with this.")
@click.option("--clip", metavar="KEY", help="One clip, with its renditions.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]),
    callback=_since,
    help="Clips created (or, without a feed, modified) since then, UTC.",
)
@click.option(
    "--stored",
    is_flag=True,
    help="Compare what is stored of every clip with what is new in the lists; reads no media.",
)
@click.option(
    "--orientations",
    is_flag=True,
    help="Look for turned copies too, for all lists, this once.",
)
@until_option
@json_option
@verbosity
@pass_app
def rescan_command(
    app: App,
    prefix: str | None,
    clip: str | None,
    since: datetime | None,
    stored: bool,
    orientations: bool,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Look again at clips that have an outcome already.

    After a new list version, `--stored` finds old clips that it matches without decoding them again.
    It compares what is new in the lists only; clips that it does not find keep their outcome.
    Mirrored copies are always found; copies that are turned by 90, 180 or 270 degrees or upside down,
    on lists that ask for it (`hashmatch lists set NAME --orientations all`) or with `--orientations`.

    \b
    Examples:
      hashmatch rescan --prefix 2026/11/
      hashmatch rescan --clip 2026/11/clip.mp4 --orientations
      hashmatch rescan --since 2026-11-01
      hashmatch rescan --stored
    """
    from hashmatch.model import Orientations
    from hashmatch.runs.plan import Selection

    if (prefix, clip, since, stored) == (None, None, None, False):
        raise click.UsageError("say which clips: --prefix, --clip, --since or --stored")
    if stored and (prefix or clip or since):
        raise click.UsageError("--stored takes every clip; it goes with no other choice")
    if stored and orientations:
        raise click.UsageError("--orientations hashes clips anew, and --stored reads none")
    selection = Selection(
        force=True,
        stored=stored,
        prefix=prefix or "",
        clip=clip,
        since=since,
        orientations=Orientations.ALL if orientations else Orientations.MIRRORED,
    )
    _run(app, selection, until, as_json)


def _rehearse(app: App, as_json: bool) -> None:
    """What a scan would look at. Exits with 10 where storage could not be listed in full."""
    from hashmatch.access import Role
    from hashmatch.errors import RunIncomplete
    from hashmatch.runs.dry_run import Tally, Why, rehearse

    app.person(Role.OPERATOR)
    tally = Tally()
    due = list(rehearse(app.settings, app.db, datetime.now(UTC), tally))
    counts = {why.value: sum(one.why is why for one in due) for why in Why}
    if as_json:
        clips = [{"key": one.key, "why": one.why.value, "detail": one.detail} for one in due]
        emit_json({**asdict(tally), "due": counts, "clips": clips})
    else:
        table(["why", "clip", "detail"], [[one.why, one.key, one.detail] for one in due])
        said = ", ".join(f"{count} {why}" for why, count in counts.items() if count) or "none"
        tell(f"{counted(tally.listed, 'clip')} listed; would be looked at: {said}.")
        tell(f"{tally.unchanged} unchanged, of which {tally.later} wait for another try.")
        for problem in tally.problems:
            tell(f"ALARM: {problem}")
        tell("Nothing was looked at, and nothing was written.")
    if tally.incomplete:
        raise click.exceptions.Exit(RunIncomplete.exit_code)


def _run(app: App, selection: Selection, until: datetime | None, as_json: bool) -> RunSummary:
    from hashmatch.access import Role
    from hashmatch.cli.progress import bar
    from hashmatch.report import logs
    from hashmatch.runs.nightly import nightly
    from hashmatch.runs.stop import Stop

    logs.set_up("auto", louder=louder())  # also for what the settings themselves may be refused for
    report = app.settings.report
    logs.set_up(report.log_format, report.log_level, louder=louder())
    app.person(Role.OPERATOR)
    with Stop(until) as stop, bar() as watch:
        summary = nightly(app.settings, app.db, app.names, selection, stop=stop, watch=watch)
    if as_json:
        emit_json(summary.as_json())
    else:
        _show(summary, selection)
    if summary.exit_code:
        raise click.exceptions.Exit(summary.exit_code)
    return summary


def _show(summary: RunSummary, selection: Selection) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.items() if count)
    say(f"run {summary.run}: {counted(summary.listed, 'clip')} in {summary.seconds:.1f} s")
    say(f"  {counts or summary.of_none}; {summary.skipped_unchanged} unchanged")
    if summary.seen_by_rendition:
        say(f"  {summary.seen_by_rendition} seen by another rendition of theirs")
    for reason, count in summary.unscannable.items():
        say(f"  unscannable: {count} {reason}")
    if summary.quarantined:
        say(f"  {summary.quarantined} taken into custody (hashmatch quarantine list)")
    if summary.custody_open:
        say(f"  {counted(summary.custody_open, 'case')} unfinished: the next run carries on")
    if summary.reviews_open:
        clips = counted(summary.reviews_open, "clip waits", "clips wait")
        say(f"  {clips} for a person (hashmatch review list)")
    if summary.left:
        say(f"  {counted(summary.left, 'clip')} not reached: {_who_takes_them(selection)}")
    if summary.waiting:
        waits = counted(
            summary.waiting, "clip not seen in full waits", "clips not seen in full wait"
        )
        say(f"  {waits} for another look")
    if summary.excluded:
        say(f"  {counted(summary.excluded, 'object')} left out, as the settings say")
    if summary.behind:
        say(
            f"  {counted(summary.behind, 'clip')} not compared with the lists as they are now: "
            "hashmatch rescan --stored"
        )
    for alarm in summary.alarms:
        say(f"  ALARM: {alarm}")  # not on stderr, which is the log and names no clip


def _who_takes_them(selection: Selection) -> str:
    if selection.stored:
        return "hashmatch rescan --stored carries on"
    if selection.force:
        return "a scan does not look at them again; start the same rescan again"
    return "the next run takes them"
