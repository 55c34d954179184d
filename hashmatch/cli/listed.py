"""`hashmatch lists list`, `show` and `diff`: what there is, and what changed. Prints no hash."""

from __future__ import annotations

import click

from hashmatch.cli.app import App, cells, emit_result, json_option, pass_app, say, table, tell
from hashmatch.counting import counted


@click.command("list")
@json_option
@pass_app
def list_command(app: App, as_json: bool) -> None:
    """The lists, which version of each acts, and what a match does.

    \b
    Example:
      hashmatch lists list
    """
    from hashmatch.services import lists

    found = lists.overviews(app.ctx)
    if as_json:
        emit_result(found)
        return
    if not found:
        tell("There is no list yet: hashmatch lists import NAME FILE")
        return
    columns = ["name", "active", "newest", "entries", "imported", "action", "distance"]
    columns += ["orientations", "disabled"]
    table(columns, cells(found, columns, none="-"))


@click.command("show")
@click.argument("name")
@json_option
@pass_app
def show_command(app: App, name: str, as_json: bool) -> None:
    """A list's versions, where they came from, and its disabled entries.

    \b
    Example:
      hashmatch lists show c3p
    """
    from hashmatch.services import lists

    one = lists.show(app.ctx, name)
    if as_json:
        emit_result(one)
        return
    active = f"version {one.active} acts" if one.active else "no version acts"
    say(
        f"{name}: {active}; action {one.action}, distance {one.distance}, "
        f"orientations {one.orientations}"
    )
    columns = ["version", "state", "imported", "by", "source", "entries", "rejected", "sha256"]
    table(columns, cells(one.versions, columns, none="-"))
    for entry, reason in one.disabled_entries.items():
        say(f"disabled: {entry} ({reason})")


@click.command("diff")
@click.argument("name")
@click.argument("old", required=False, type=click.IntRange(min=1))
@click.argument("new", required=False, type=click.IntRange(min=1))
@click.option("--limit", default=20, show_default=True, help="Ids to show of each kind; 0: all.")
@json_option
@pass_app
def diff_command(
    app: App, name: str, old: int | None, new: int | None, limit: int, as_json: bool
) -> None:
    """Which entries were added, removed or changed between two versions.

    OLD is the active version, NEW the newest one, where they are not given.

    \b
    Example:
      hashmatch lists diff c3p 6 7
    """
    from hashmatch.services import lists

    found = lists.diff(app.ctx, name, old, new, most=limit)
    if as_json:
        emit_result(found)
        return
    say(
        f"{name}: version {found.old} has {counted(found.old_entries, 'entry')}, "
        f"version {found.new} has {found.new_entries}"
    )
    for kind, entries in found.entries.items():
        count = found.counts[kind]
        say(f"{kind.value}: {count}")
        for entry in entries:
            say(f"  {entry}")
        if count > len(entries):
            say(f"  and {count - len(entries)} more (--limit 0 shows all)")


READING = (list_command, show_command, diff_command)
