"""`hashmatch`: the command line's entry, which loads a command only when it is called."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from hashmatch import __version__
from hashmatch.cli.app import App
from hashmatch.errors import HashmatchError

# command -> (module, one line for the overview). Loading them all would take a second.
COMMANDS = {
    "init": ("setup", "Make hashmatch.toml, keys and database in a folder."),
    "lists": ("lists", "Import, activate, compare and switch off hash lists."),
    "scan": ("scan", "Look at every clip that is new, changed or due again."),
    "rescan": ("scan", "Look again at clips that were already scanned."),
    "check": ("look", "Look at files once; nothing is recorded or moved."),
    "hash": ("look", "Digests and frame hashes of a file of your own."),
    "review": ("review", "Decide near matches and single frames."),
    "quarantine": ("quarantine", "List, show and verify what was taken into custody."),
    "audit": ("audit", "Show, verify and prove the audit log."),
    "runs": ("runs", "List and show runs."),
    "db": ("db", "Bring the database up to this version."),
    "config": ("settings", "Show the settings in effect, and where each comes from."),
    "doctor": ("setup", "Check that this installation works and can see."),
}


class Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"hashmatch.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="hashmatch")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="HASHMATCH_CONFIG",
    help="The settings file. Default: hashmatch.toml in this folder.",
)
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Looks at every clip, compares it with vetted hash lists, and keeps what matches safe.

    Start with `hashmatch init`.
    """
    ctx.obj = App(config)


def main() -> None:
    try:
        code = cli.main(standalone_mode=False)  # what click.exceptions.Exit was raised with
        sys.exit(code if isinstance(code, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        sys.exit(130)
    except HashmatchError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.remedy:
            click.echo(error.remedy, err=True)
        sys.exit(error.exit_code)
