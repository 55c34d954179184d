"""What every command shares: settings, database, keyed names, and how results are shown.

stdout is data, stderr is for people. Everything is made at first use, so that `--help` and commands
that hash nothing stay fast. No command writes by itself: what others chose (keys, metadata, entry ids,
reasons) is made visible here.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import click

from hashmatch.errors import StorageError

if TYPE_CHECKING:
    from hashmatch.access import Role
    from hashmatch.audit.names import KeyedNames
    from hashmatch.config import Settings
    from hashmatch.db.session import Database
    from hashmatch.services.context import Context

Command = TypeVar("Command", bound=Callable[..., Any])

_LOUDER = "hashmatch.louder"


class StdoutFailed(StorageError):
    message = "What was asked for could not be written to stdout: {problem}."
    remedy = "The command did its work all the same. Where stdout goes to a file, look at its disk."


class NobodyReads(Exception):
    """stdout is a pipe whose other end is closed, as `| head` does."""


class App:
    """The command line's context. `config` is the path given by --config, or None."""

    def __init__(self, config: Path | None = None) -> None:
        self.config = config

    @cached_property
    def settings(self) -> Settings:
        from hashmatch import compiledcode, config

        settings = config.load(self.config)
        compiledcode.keep_in(settings.path(settings.run.state) / "kernels")
        return settings

    @cached_property
    def ctx(self) -> Context:
        """What services work with, for the account of this process."""
        from hashmatch.access import account
        from hashmatch.services.context import Context

        return Context(self.settings, account())

    @property
    def db(self) -> Database:
        return self.ctx.db

    @property
    def names(self) -> KeyedNames:
        return self.ctx.names

    def person(self, *roles: Role, named: bool = False) -> str:
        """Who runs this command, if they have one of these roles. Raises RoleMissing, NobodyNamed.

        named: [people] must name somebody for it.
        """
        return self.ctx.permitted(*roles, named=named)

    def close(self) -> None:
        """Let go of the database, if it was reached."""
        if "ctx" in vars(self):
            self.ctx.close()

    def case(self, given: str) -> str:
        """The id of the case that is meant: the only one that begins so, or what was given."""
        from hashmatch.services import ids

        return ids.case(self.ctx, given)

    def review(self, given: str) -> str:
        """As `case`, of a review."""
        from hashmatch.services import ids

        return ids.review(self.ctx, given)

    def run(self, given: str) -> str:
        """As `case`, of a run."""
        from hashmatch.services import ids

        return ids.run(self.ctx, given)


pass_app = click.make_pass_decorator(App)


def json_option(command: Command) -> Command:
    """`--json`, as the argument as_json."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for other programs.")(
        command
    )


def verbosity(command: Command) -> Command:
    """`-v` and `-q`, before and after the command's name; `louder` says what they come to."""
    for letter, sign, about in (
        ("q", -1, "Log less; may be repeated. See report.log_level."),
        ("v", 1, "Log more; may be repeated. See report.log_level."),
    ):

        def count(
            ctx: click.Context, _option: click.Parameter, times: int, sign: int = sign
        ) -> None:
            ctx.meta[_LOUDER] = ctx.meta.get(_LOUDER, 0) + sign * times

        command = click.option(
            f"-{letter}", letter, count=True, expose_value=False, callback=count, help=about
        )(command)
    return command


def louder() -> int:
    """How many levels more the log is to say; below 0 fewer."""
    return int(click.get_current_context().meta.get(_LOUDER, 0))


def emit_json(value: Any) -> None:
    """One JSON document on stdout, in UTF-8 or, where that writes something else, in ASCII."""
    from hashmatch.visible import json_text

    ascii_only = (sys.stdout.encoding or "utf-8").lower().replace("_", "-") != "utf-8"
    _write(json_text(value, indent=2, ascii_only=ascii_only) + "\n")


def emit_result(result: Any) -> None:
    """What a service returned, as `emit_json` writes it."""
    emit_json(as_document(result))


def as_document(result: Any) -> Any:
    """What a service returned, as JSON has it."""
    from hashmatch.services.documents import document

    return document(result)


def document(text: str) -> None:
    """A document on stdout as it was made, byte for byte; for a person on a terminal, made visible."""
    if sys.stdout.isatty():
        for line in text.splitlines():
            say(line)
    elif isinstance(sys.stdout, io.TextIOWrapper):
        _write("")
        with _written():
            sys.stdout.buffer.write(text.encode())
            sys.stdout.buffer.flush()
    else:
        _write(text)


def say(text: object = "") -> None:
    """One line on stdout, whatever is in it."""
    _write(_lines(sys.stdout, text))


def say_row(*cells: object) -> None:
    """One line of a table on stdout, as soon as it is known."""
    from hashmatch.visible import visible

    _write("\t".join(map(visible, cells)) + "\n")


def tell(text: object = "") -> None:
    """One line for people, on stderr, whatever is in it."""
    with contextlib.suppress(OSError):  # nobody is left to be told
        sys.stderr.write(_lines(sys.stderr, text))
        sys.stderr.flush()


def _lines(stream: TextIO, text: object) -> str:
    """A line as the stream takes it: on a terminal in several, broken between words."""
    from hashmatch.visible import visible

    line = visible(text)
    if not stream.isatty():
        return f"{line}\n"
    from hashmatch.cli.layout import wrapped

    return "".join(f"{part}\n" for part in wrapped(line, _width(stream)))


def _write(text: str) -> None:
    with _written():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _written() -> Iterator[None]:
    """Raises StdoutFailed; NobodyReads where who read it has enough."""
    try:
        yield
    except BrokenPipeError:
        raise NobodyReads from None  # click would make exit code 1 of it
    except OSError as error:
        from hashmatch.cli import streams

        streams.let_go()  # or Python tries once more when it ends
        raise StdoutFailed(problem=error.strerror) from None


def _width(stream: TextIO) -> int:
    """Of a terminal, in cells."""
    if os.environ.get("COLUMNS", "").isdecimal():
        return int(os.environ["COLUMNS"])
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def cell(value: Any, none: str = "") -> str:
    """A value as a table shows it: lists with commas, nothing as `none`."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return none if value is None else str(value)


def cells(results: Iterable[Any], columns: Sequence[str], none: str = "") -> list[list[str]]:
    """What services returned, a row each, with these of its fields."""
    rows = (as_document(one) for one in results)
    return [[cell(row[column], none) for column in columns] for row in rows]


def shown_time(at: datetime | None) -> str | None:
    """A time as commands show it, to the second."""
    return at.isoformat(timespec="seconds") if at is not None else None


def show_details(shown: dict[str, Any], columns: list[str]) -> None:
    """What is known of a case or a review, and under it its matches with what speaks for each."""
    matches = shown.pop("matches")
    table(["", ""], [[name, cell(value)] for name, value in shown.items()])
    say()
    table(columns, [[cell(match[column]) for column in columns] for match in matches])
    for match in matches:
        for line in match["evidence"]:
            say(f"{match['list']}/{match['entry']}: {line}")


def table(columns: list[str], rows: list[list[str]], *, none: str = "") -> None:
    """A table on stdout: drawn on a terminal, tab-separated otherwise. none: told where it has no row."""
    from hashmatch.visible import visible

    if none and not rows:
        tell(none)
        return
    shown = [[visible(one) for one in row] for row in rows]
    if not sys.stdout.isatty():
        _write("".join("\t".join(row) + "\n" for row in shown))
        return
    from hashmatch.cli.layout import table_of

    lines = table_of(columns, shown, _width(sys.stdout))
    _write("".join(f"{line}\n" for line in lines))
