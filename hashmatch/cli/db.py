"""`hashmatch db`: the database's tables."""

from __future__ import annotations

from contextlib import closing

import click

from hashmatch.cli.app import App, pass_app, say
from hashmatch.cli.groups import Sections


@click.group("db", cls=Sections)
def db_command() -> None:
    """Bring the database up to this version of hashmatch."""


@db_command.command("upgrade")
@pass_app
def upgrade_command(app: App) -> None:
    """Bring the tables up to this version: all of it, or nothing. Back the database up first.

    Says from which revision to which. There is no way down but the back-up.

    \b
    Example:
      hashmatch db upgrade
    """
    from hashmatch.db.session import Database

    with closing(Database.connect(app.settings.database.url, app.settings.home)) as db:
        before, now = db.upgrade()
    if before == now:
        say(f"{db.url} has revision {now}, which this version needs; nothing to do.")
    else:
        was = "no tables" if before is None else f"revision {before}"
        say(f"{db.url}: from {was} to revision {now}.")
