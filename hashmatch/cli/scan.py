"""`hashmatch scan` and `hashmatch rescan`: the nightly job, and the job on demand."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from hashmatch.cli.app import App, emit_json, json_option, louder, pass_app, say, verbosity

if TYPE_CHECKING:
    from hashmatch.pipeline.plan import Selection
    from hashmatch.report.summary import RunSummary


def _until(ctx: click.Context, param: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    from hashmatch.pipeline.stop import parse_until

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
@until_option
@json_option
@verbosity
@pass_app
def scan_command(app: App, until: datetime | None, as_json: bool) -> None:
    """Look at every clip that is new, changed, or due for another try.

    Matches are sealed into the vault and removed from clip storage. Safe to run again at any time,
    also after a crash.

    \b
    Example:
      hashmatch scan --until 06:00

    \b
    Exit codes:
      0   every clip was seen
      10  finished, but some clips could not be seen in full (hashmatch runs show)
      11  the canary was not seen: nothing this run called clean can be trusted
      12  no hash list is active, or one is too old
      13  another run is going on
      14  the settings are wrong
      15  clip storage or the vault cannot be reached
      16  the database cannot be reached or does not fit this version
    """
    from hashmatch.pipeline.plan import Selection

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
    from hashmatch.pipeline.plan import Selection

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
    summary = _run(app, selection, until, as_json)
    if clip and not summary.listed:
        raise click.UsageError(f"clip storage has no clip {clip!r} that the settings include")


def _run(app: App, selection: Selection, until: datetime | None, as_json: bool) -> RunSummary:
    from hashmatch.cli.progress import bar
    from hashmatch.custody.people import Role
    from hashmatch.pipeline.nightly import nightly
    from hashmatch.pipeline.stop import Stop
    from hashmatch.report import logs

    logs.set_up("auto", louder=louder())  # also for what the settings themselves may be refused for
    report = app.settings.report
    logs.set_up(report.log_format, report.log_level, louder=louder())
    app.person(Role.OPERATOR)
    with Stop(until) as stop, bar() as watch:
        summary = nightly(app.settings, app.db, app.names, selection, stop=stop, watch=watch)
    if as_json:
        emit_json(summary.as_json())
    else:
        _show(summary)
    if summary.exit_code:
        raise click.exceptions.Exit(summary.exit_code)
    return summary


def _show(summary: RunSummary) -> None:
    counts = ", ".join(f"{count} {outcome}" for outcome, count in summary.outcomes.items() if count)
    say(f"run {summary.run}: {summary.listed} clips in {summary.seconds:.1f} s")
    say(f"  {counts or 'nothing to look at'}; {summary.skipped_unchanged} unchanged")
    if summary.seen_by_rendition:
        say(f"  {summary.seen_by_rendition} seen by another rendition of theirs")
    for reason, count in summary.unscannable.items():
        say(f"  unscannable: {count} {reason}")
    if summary.quarantined:
        say(f"  {summary.quarantined} taken into custody (hashmatch quarantine list)")
    if summary.custody_open:
        say(f"  {summary.custody_open} cases unfinished: the next run carries on")
    if summary.reviews_open:
        say(f"  {summary.reviews_open} clips wait for a person (hashmatch review list)")
    if summary.left:
        say(f"  {summary.left} clips not reached: the next run takes them")
    if summary.excluded:
        say(f"  {summary.excluded} objects left out, as the settings say")
    if summary.behind:
        say(
            f"  {summary.behind} clips were not compared with the lists as they are now: "
            "hashmatch rescan --stored"
        )
    for alarm in summary.alarms:
        say(f"  ALARM: {alarm}")  # not on stderr, which is the log and names no clip
