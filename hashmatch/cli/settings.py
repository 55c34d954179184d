"""`hashmatch config`: the settings as they are in effect."""

from __future__ import annotations

import json

import click

from hashmatch.cli.app import App, emit_json, json_option, pass_app, table
from hashmatch.cli.groups import Sections


@click.group("config", cls=Sections)
def config_command() -> None:
    """Show the settings in effect, and where each comes from."""


@config_command.command("show")
@json_option
@pass_app
def show_command(app: App, as_json: bool) -> None:
    """Show every setting: its value, and whether the settings file, the environment or a default
    gives it.

    Secrets are hidden: keys, passwords in addresses, arguments of commands. Settings that cannot be
    right are refused with exit code 14, as by every command.

    \b
    Example:
      hashmatch config show | grep -v default
    """
    from hashmatch.config.origins import effective

    settings = list(effective(app.config))
    if as_json:
        emit_json([setting._asdict() for setting in settings])
        return
    rows = [[s.name, _written(s.value), s.variable or s.origin] for s in settings]
    table(["setting", "value", "from"], rows)


def _written(value: object) -> str:
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
