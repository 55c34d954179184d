"""`hashmatch`: the command line's entry, which loads a command only when it is called."""

from __future__ import annotations

import difflib
import importlib
import sys
import traceback
from pathlib import Path
from types import TracebackType

import click

from hashmatch import __version__
from hashmatch.cli import streams
from hashmatch.cli.app import App, NobodyReads, louder, tell, verbosity
from hashmatch.cli.groups import Sections
from hashmatch.errors import INTERRUPTED, HashmatchError
from hashmatch.report import logs

# command -> (module, one line for the overview). Loading them all would take a second.
COMMANDS = {
    "help": ("help", "Explain a command, or a topic: outcomes, exit-codes, roles, settings."),
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

BROKEN_PIPE = 141  # as a shell says it of a program that SIGPIPE ended


SECTIONS = {
    "Set up": ("init", "doctor", "config", "db"),
    "Hash lists": ("lists",),
    "Every night": ("scan", "rescan", "runs"),
    "What was found": ("review", "quarantine", "audit"),
    "Files of your own": ("check", "hash"),
    "Help": ("help",),
}


class Commands(Sections):
    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"hashmatch.cli.{COMMANDS[name][0]}")
        command: click.Command = getattr(module, f"{name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:  # click knows the names of loaded commands only
            if near := difflib.get_close_matches(args[0], COMMANDS, n=1):
                text = f"{error.message} Did you mean '{near[0]}'?"
                raise click.UsageError(text, ctx) from None
            raise

    def about(self, ctx: click.Context, name: str) -> str:
        return COMMANDS[name][1]


@click.command(
    cls=Commands, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="hashmatch")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="HASHMATCH_CONFIG",
    help="The settings file. Default: hashmatch.toml in this folder.",
)
@verbosity
@click.pass_context
def cli(ctx: click.Context, config: Path | None) -> None:
    """Looks at every clip, compares it with vetted hash lists, and keeps what matches safe.

    Start with `hashmatch init`.
    """
    ctx.obj = App(config)
    ctx.call_on_close(ctx.obj.close)
    logs.set_up("plain", louder=louder())


def main() -> None:
    streams.prepare()
    logs.set_up("plain")
    sys.excepthook = _unexpected
    try:
        code = _status()
        sys.stdout.flush()
    except (NobodyReads, BrokenPipeError):
        streams.let_go()
        code = BROKEN_PIPE
    sys.exit(code)


def _status() -> int:
    """Run the command. Returns the exit code; says on stderr why it is not 0."""
    try:
        code = cli.main(standalone_mode=False)  # what click.exceptions.Exit was raised with
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        _refused(error)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as stop:
        _failed("Stopped.", "Stopped.", INTERRUPTED, stop)
        return INTERRUPTED
    except HashmatchError as error:
        _failed(error.message, f"error: {error.message}", error.exit_code, error, error.remedy)
        return error.exit_code


def _refused(error: click.ClickException) -> None:
    """As click says it, but for what others chose, which may be in a name or a path that was given."""
    message = error.format_message()
    if isinstance(error, click.MissingParameter):
        message = " ".join(message.split())  # the choices there are, a line each
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None and not logs.in_json():
        for line in context.get_usage().splitlines():
            tell(line)
        tell(f"Try '{context.command_path} --help' for help.")
        tell()
    _failed(message, f"Error: {message}", error.exit_code, error)


def _failed(
    message: str, shown: str, exit_code: int, error: BaseException, remedy: str = ""
) -> None:
    """Why a command ended: as what the log is, if it has begun one."""
    if logs.in_json():
        logs.failed(message, remedy=remedy, exit_code=exit_code, error=error)
        return
    tell(shown)
    for paragraph in remedy.splitlines():
        tell(paragraph)


def _unexpected(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """A fault of hashmatch, with where it is."""
    where = traceback.format_exception(kind, error, trace)
    if logs.in_json():
        said = "".join(where)
        logs.failed(f"unexpected: {said}", exit_code=HashmatchError.exit_code, error=error)
        return
    for part in where:
        for line in part.splitlines():
            tell(line)
