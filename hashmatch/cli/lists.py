"""`hashmatch lists`: from a partner's file to a list that acts, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hashmatch.cli.app import App, pass_app, say, tell
from hashmatch.cli.groups import Sections
from hashmatch.cli.listed import READING
from hashmatch.counting import counted

if TYPE_CHECKING:
    from hashmatch.lists.activation import Change
    from hashmatch.lists.imports import Imported
    from hashmatch.lists.trust import TrialResult

Command = TypeVar("Command", bound=Callable[..., Any])

FORMATS = ("csv", "lines", "jsonl", "vpdq")
ALGORITHMS = ("pdq", "phash", "dhash", "whash", "md5", "sha1", "sha256")


@click.group(
    "lists",
    cls=Sections,
    sections={
        "Look": ("list", "show", "diff"),
        "New versions": ("import", "activate", "rollback"),
        "What acts": ("set", "disable", "enable", "deactivate", "remove"),
    },
)
def lists_command() -> None:
    """Import, activate, compare and switch off hash lists.

    \b
    hashmatch lists import c3p c3p-2026-11.csv --sha256 DIGEST
    hashmatch lists activate c3p 1
    hashmatch lists rollback c3p
    """


for reading in READING:
    lists_command.add_command(reading)


def trial_option(command: Command) -> Command:
    """`--accept-trial`, as the argument accept_trial."""
    return click.option(
        "--accept-trial", is_flag=True, help="Although it matches much of what is stored."
    )(command)


def _columns(
    _context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    from hashmatch.lists.formats.csv_table import COLUMNS

    columns = {}
    for pair in given:
        theirs, _, ours = pair.rpartition("=")
        if not theirs or ours not in COLUMNS:
            raise click.BadParameter(f"write THEIRS=OURS, with one of {', '.join(COLUMNS)}")
        columns[theirs] = ours
    return columns


@lists_command.command("import")
@click.argument("name")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format", "format_", type=click.Choice(FORMATS), help="Default: told from the file."
)
@click.option(
    "--map", "columns", multiple=True, callback=_columns, help="THEIRS=OURS: their column is ours."
)
@click.option("--algorithm", type=click.Choice(ALGORITHMS), help="Of rows that name none.")
@click.option("--sha256", help="The SHA-256 of the file that the partner published.")
@click.option(
    "--max-rejected",
    type=click.FloatRange(0, 1),
    help="Share of bad rows at which all is refused. Default: lists.max_rejected.",
)
@click.option("--source", help="Where the file came from, for the record.")
@pass_app
def import_command(
    app: App,
    name: str,
    files: tuple[Path, ...],
    format_: str | None,
    columns: Mapping[str, str],
    algorithm: str | None,
    sha256: str | None,
    max_rejected: float | None,
    source: str | None,
) -> None:
    """Make a new version of the list NAME of what a partner delivered.

    FILES are read as one list; a folder stands for the .txt files in it. Nothing is compared with
    them before the version is activated.

    \b
    csv    a header with entry_id, algorithm, hash, media, group, timestamp,
           quality, classification; only hash is needed; rows of one group
           are the frames of one video
    lines  `[type ]hash`, one a line
    jsonl  one JSON object a line, with the names of the csv columns
    vpdq   frame,quality,hash,timestamp; a file is a video, its name the entry

    \b
    Hashes of 32, 40 and 64 digits that name no algorithm are md5, sha1 and
    pdq; --algorithm says it otherwise.

    \b
    Example:
      hashmatch lists import c3p c3p-2026-11.csv --map "Hash Value=hash"
    """
    from hashmatch.lists.formats import Format
    from hashmatch.lists.imports import Delivery
    from hashmatch.model import Algorithm
    from hashmatch.services import lists

    delivery = Delivery(
        _spread(files),
        Format(format_) if format_ else None,
        columns,
        Algorithm(algorithm) if algorithm else None,
        sha256,
        source,
    )
    done = lists.import_version(app.ctx, name, delivery, max_rejected=max_rejected)
    _tell_import(done, told=format_ is None)


def _spread(files: tuple[Path, ...]) -> list[Path]:
    paths: list[Path] = []
    for path in files:
        if not path.is_dir():
            paths.append(path)
            continue
        inside = sorted(path.glob("*.txt"))
        if not inside:
            raise click.UsageError("a folder that was given has no .txt file in it")
        paths.extend(inside)
    return paths


def _tell_import(done: Imported, *, told: bool) -> None:
    if told:
        tell(f"The format is {done.format.value}.")
    for text in done.tally.report():
        tell(text)
    for text in done.tally.omissions():
        tell(text)
    for note in done.notes:
        tell(note)
    if not done.created:
        say(f"{done.name}: version {done.version}, the newest, has this content already.")
    else:
        hashes = ", ".join(f"{count} {name}" for name, count in done.algorithms.items())
        rejected = done.tally.rejected.total()
        say(
            f"{done.name}: version {done.version} imported, {counted(done.entries, 'entry')} "
            f"({hashes}), {rejected} of {counted(done.tally.rows, 'row')} rejected."
        )
    say(f"SHA-256 {done.sha256}")
    tell(f"It does not act yet: hashmatch lists activate {done.name} {done.version}")


@lists_command.command("activate")
@click.argument("name")
@click.argument("version", type=click.IntRange(min=1))
@click.option("--accept-shrink", is_flag=True, help="Although it lost many entries.")
@trial_option
@pass_app
def activate_command(
    app: App, name: str, version: int, accept_shrink: bool, accept_trial: bool
) -> None:
    """Let a version act from the next run on.

    It is tried on the fingerprints of the clips that were scanned before; nothing is done to them.

    \b
    Example:
      hashmatch lists activate c3p 2
    """
    from hashmatch.services import lists

    change = lists.activate(
        app.ctx, name, version, accept_shrink=accept_shrink, accept_trial=accept_trial
    )
    if not change.changed:
        say(f"{name}: version {version} is active already.")
        return
    _tell_active(change)
    if change.previous is not None:
        tell(f"To go back to version {change.previous}: hashmatch lists rollback {name}")


def tell_trial(result: TrialResult | None) -> None:
    """What the trial of a change came to, if there was one."""
    if result is None:
        return
    near = f", and {result.near} nearly, for review" if result.near else ""
    tell(f"It matches {result.matched} of {counted(result.clips, 'clip')} scanned before{near}.")


def _tell_active(change: Change) -> None:
    say(f"{change.name}: version {change.version} is active, {counted(change.entries, 'entry')}.")
    tell_trial(change.trial)
    tell("Clips scanned before are matched with it by: hashmatch rescan --stored")


@lists_command.command("deactivate")
@click.argument("name")
@pass_app
def deactivate_command(app: App, name: str) -> None:
    """Stop a list from acting; its versions are kept.

    \b
    Example:
      hashmatch lists deactivate c3p
    """
    from hashmatch.services import lists

    change = lists.deactivate(app.ctx, name)
    say(f"{name}: no version is active.")
    tell(f"To have version {change.previous} act again: hashmatch lists rollback {name}")


@lists_command.command("remove")
@click.argument("name")
@click.argument("version", required=False, type=click.IntRange(min=1))
@click.option("--reason", required=True, help="Why it is removed. Kept on record.")
@click.option(
    "--accept-active",
    is_flag=True,
    help="Although it acts, or is what `lists rollback` would bring back.",
)
@pass_app
def remove_command(
    app: App, name: str, version: int | None, reason: str, accept_active: bool
) -> None:
    """Remove the hashes of a version from the database; without VERSION, of the whole list.

    Its number, file name, digest and counts stay on record, and matches go on naming it. Entries that
    are disabled, and what a match does, are kept for when the list is imported again. It cannot be
    taken back: only importing the file again, as a new version, does that. Not while a run goes on.

    \b
    Example:
      hashmatch lists remove c3p 6 --reason "superseded by 7 and 8"
      hashmatch lists remove old-partner --reason "the agreement ended"
    """
    from hashmatch.services import lists

    done = lists.remove(app.ctx, name, version, reason=reason, accept_active=accept_active)
    which = ", ".join(map(str, done.versions))
    what = "version" if len(done.versions) == 1 else "versions"
    say(f"{name}: {what} {which} removed, {counted(done.entries, 'entry')}.")
    if done.stopped:
        tell(f"No version of {name} is active now.")


@lists_command.command("rollback")
@click.argument("name")
@trial_option
@pass_app
def rollback_command(app: App, name: str, accept_trial: bool) -> None:
    """Go back to the version that acted before.

    It is tried as `activate` does, and refused only if it matches too much and more than what acts now.

    \b
    Example:
      hashmatch lists rollback c3p
    """
    from hashmatch.services import lists

    change = lists.rollback(app.ctx, name, accept_trial=accept_trial)
    _tell_active(change)


@lists_command.command("disable")
@click.argument("name")
@click.argument("entry")
@click.option("--reason", required=True, help="Why it must not act. Kept in the audit log.")
@pass_app
def disable_command(app: App, name: str, entry: str, reason: str) -> None:
    """Keep one entry from acting, in this and all later versions.

    \b
    Example:
      hashmatch lists disable c3p img-1 --reason "matches our logo; told C3P"
    """
    from hashmatch.services import lists

    kept = lists.disable(app.ctx, name, entry, reason=reason)
    say(f"{name}: {kept} does not act from the next run on.")


@lists_command.command("enable")
@click.argument("name")
@click.argument("entry")
@trial_option
@pass_app
def enable_command(app: App, name: str, entry: str, accept_trial: bool) -> None:
    """Let a disabled entry act again. The active version is tried with it first.

    \b
    Example:
      hashmatch lists enable c3p img-1
    """
    from hashmatch.services import lists

    done = lists.enable(app.ctx, name, entry, accept_trial=accept_trial)
    say(f"{name}: {done.entry} acts from the next run on, if the active version has it.")
    tell_trial(done.trial)


@lists_command.command("set")
@click.argument("name")
@click.option(
    "--action",
    type=click.Choice(["quarantine", "review", "log"]),
    help="What a match does. New lists: quarantine.",
)
@click.option("--distance", help="Bits a PDQ hash may differ by, 0 to 31, or `default`.")
@click.option(
    "--orientations",
    type=click.Choice(["mirrored", "all"]),
    help="Compare clips as they are and mirrored (new lists), or also turned.",
)
@trial_option
@pass_app
def set_command(
    app: App,
    name: str,
    action: str | None,
    distance: str | None,
    orientations: str | None,
    accept_trial: bool,
) -> None:
    """Say what a match on a list does, how near is near enough, and whether turned copies are found.

    Where that makes the active version act more strictly, it is tried first, as `activate` does.

    With `--orientations all` clips are hashed in all eight ways that turning and mirroring give, by
    PDQ. Clips scanned before have to be scanned again for that; `hashmatch rescan --stored` says
    which, and the next scan takes them.

    \b
    Example:
      hashmatch lists set c3p --action review --distance 31
      hashmatch lists set c3p --orientations all
    """
    from hashmatch.model import Action, Orientations
    from hashmatch.services import lists

    if (action, distance, orientations) == (None, None, None):
        raise click.UsageError("say what to set: --action, --distance or --orientations")
    by_default = distance == "default"
    bits = None if distance is None or by_default else _distance(distance)
    acting = lists.set_policy(
        app.ctx,
        name,
        action=Action(action) if action else None,
        distance=bits,
        default_distance=by_default,
        orientations=Orientations(orientations) if orientations else None,
        accept_trial=accept_trial,
    )
    near = app.settings.match.distance if acting.distance is None else acting.distance
    say(
        f"{name}: action {acting.action}, distance {near}, orientations {acting.orientations}, "
        "from the next run on."
    )
    tell_trial(acting.trial)


def _distance(given: str) -> int:
    if not (given.isascii() and given.isdecimal() and int(given) <= 31):
        raise click.BadParameter("a whole number from 0 to 31, or `default`", param_hint="distance")
    return int(given)
