"""`hashmatch lists list`, `show` and `diff`: what there is, and what changed. Prints no hash."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, say, table, tell
from hashmatch.counting import counted

if TYPE_CHECKING:
    from hashmatch.db.schema import ListVersionRow
    from hashmatch.lists.catalog import Summary


@click.command("list")
@json_option
@pass_app
def list_command(app: App, as_json: bool) -> None:
    """The lists, which version of each acts, and what a match does.

    \b
    Example:
      hashmatch lists list
    """
    from hashmatch.lists.catalog import list_names, summary

    with app.db.read() as session:
        found = [summary(session, name) for name in list_names(session)]
    rows = [_about(one, app.settings.match.distance) for one in found]
    if as_json:
        emit_json(rows)
        return
    if not rows:
        tell("There is no list yet: hashmatch lists import NAME FILE")
        return
    columns = ["name", "active", "newest", "entries", "imported", "action", "distance"]
    columns += ["orientations", "disabled"]
    table(columns, [[_cell(row[column]) for column in columns] for row in rows])


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
    from hashmatch.lists.catalog import summary

    with app.db.read() as session:
        one = summary(session, name)
    about = _about(one, app.settings.match.distance)
    versions = [_version(row, one) for row in one.versions]
    if as_json:
        emit_json({**about, "versions": versions, "disabled_entries": dict(one.disabled)})
        return
    active = f"version {about['active']} acts" if about["active"] else "no version acts"
    policy = ", ".join(f"{word} {about[word]}" for word in ("action", "distance", "orientations"))
    say(f"{name}: {active}; {policy}")
    columns = ["version", "state", "imported", "by", "source", "entries", "rejected", "sha256"]
    table(columns, [[_cell(row[column]) for column in columns] for row in versions])
    for entry, reason in one.disabled.items():
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
    from hashmatch.lists.catalog import get_version, summary
    from hashmatch.lists.differences import ChangeKind, differences

    counts = dict.fromkeys(ChangeKind, 0)
    shown: dict[ChangeKind, list[str]] = {kind: [] for kind in ChangeKind}
    with app.db.read() as session:
        one = summary(session, name)
        before = old or one.list.active_version
        if before is None:
            raise click.UsageError("no version is active: say which two to compare")
        newest = one.newest.version if one.newest is not None else before
        after = new or newest
        versions = [get_version(session, name, number) for number in (before, after)]
        for change in differences(session, *versions):
            counts[change.kind] += 1
            if not limit or len(shown[change.kind]) < limit:
                shown[change.kind].append(change.entry)
    if as_json:
        numbers = {kind.value: count for kind, count in counts.items()}
        ids = {kind.value: entries for kind, entries in shown.items()}
        emit_json({"name": name, "old": before, "new": after, "counts": numbers, "entries": ids})
        return
    say(
        f"{name}: version {before} has {counted(versions[0].entries, 'entry')}, "
        f"version {after} has {versions[1].entries}"
    )
    for kind, entries in shown.items():
        say(f"{kind.value}: {counts[kind]}")
        for entry in entries:
            say(f"  {entry}")
        if counts[kind] > len(entries):
            say(f"  and {counts[kind] - len(entries)} more (--limit 0 shows all)")


READING = (list_command, show_command, diff_command)


def _about(one: Summary, distance: int) -> dict[str, Any]:
    active = one.active
    return {
        "name": one.list.name,
        "active": one.list.active_version,
        "previous": one.list.previous_version,
        "newest": one.newest.version if one.newest else None,
        "entries": active.entries if active else None,
        "imported": _time(active.imported_at) if active else None,
        "action": one.list.action,
        "distance": distance if one.list.distance is None else one.list.distance,
        "orientations": one.list.orientations,
        "disabled": len(one.disabled),
    }


def _version(row: ListVersionRow, one: Summary) -> dict[str, Any]:
    states = {one.list.previous_version: "previous", one.list.active_version: "active"}
    return {
        "version": row.version,
        "state": "removed" if row.removed_at is not None else states.get(row.version),
        "imported": _time(row.imported_at),
        "by": row.imported_by,
        "source": row.source,
        "format": row.format,
        "sha256": row.sha256,
        "entries": row.entries,
        "hashes": row.algorithms,
        "rejected": row.rejected,
        "removed": _time(row.removed_at) if row.removed_at is not None else None,
    }


def _cell(value: Any) -> str:
    return "-" if value is None else str(value)


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
