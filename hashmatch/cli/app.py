"""What every command shares: settings, database, keyed names, and how results are shown.

stdout is data, stderr is for people. Everything is made at first use, so that `--help` and commands
that hash nothing stay fast.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from hashmatch.audit.names import KeyedNames
    from hashmatch.config import Settings
    from hashmatch.custody.people import Role
    from hashmatch.db.session import Database

Command = TypeVar("Command", bound=Callable[..., Any])


class App:
    """The command line's context. `config` is the path given by --config, or None."""

    def __init__(self, config: Path | None = None) -> None:
        self.config = config

    @cached_property
    def settings(self) -> Settings:
        from hashmatch import config

        return config.load(self.config)

    @cached_property
    def db(self) -> Database:
        """The database, reached and of this code's revision."""
        from hashmatch.db.session import Database

        db = Database.connect(self.settings.database.url, self.settings.home)
        db.check_revision()
        return db

    @cached_property
    def names(self) -> KeyedNames:
        from hashmatch.audit.keys import load_id_key
        from hashmatch.audit.names import KeyedNames

        return KeyedNames(load_id_key(self.settings.path(self.settings.audit.id_key)))

    def person(self, *roles: Role, named: bool = False) -> str:
        """Who runs this command, if they have one of these roles. Raises RoleMissing, NobodyNamed.

        named: [people] must name somebody for it.
        """
        from hashmatch.custody import people

        return people.permitted(self.settings.people, people.account(), *roles, named=named)


pass_app = click.make_pass_decorator(App)


def json_option(command: Command) -> Command:
    """`--json`, as the argument as_json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")(
        command
    )


def emit_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def tell(text: str) -> None:
    """A line for people, on stderr."""
    click.echo(text, err=True)


def counted(count: int, thing: str, things: str | None = None) -> str:
    """A number of things in words: 1 case, 2 cases, 0 entries. things: a plural of its own."""
    plural = f"{thing[:-1]}ies" if thing.endswith("y") else f"{thing}s"
    return f"{count} {thing if count == 1 else things or plural}"


def cell(value: Any) -> str:
    """A value as a table shows it: lists with commas, nothing as nothing."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def shown_time(at: datetime | None) -> str | None:
    """A time as commands show it, to the second."""
    return at.isoformat(timespec="seconds") if at is not None else None


def show_details(shown: dict[str, Any], columns: list[str]) -> None:
    """What is known of a case or a review, and under it its matches with what speaks for each."""
    matches = shown.pop("matches")
    table(["", ""], [[name, cell(value)] for name, value in shown.items()])
    click.echo()
    table(columns, [[cell(match[column]) for column in columns] for match in matches])
    for match in matches:
        for line in match["evidence"]:
            click.echo(f"{match['list']}/{match['entry']}: {line}")


def table(columns: list[str], rows: list[list[str]]) -> None:
    """A table on stdout: drawn on a terminal, tab-separated otherwise."""
    if not sys.stdout.isatty():
        for row in rows:
            click.echo("\t".join(row))
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)
