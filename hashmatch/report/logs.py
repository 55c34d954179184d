"""Logs: plain lines for a person at a terminal, JSON lines for a collector, both on stderr.

    logs.set_up("auto", "auto")
    with logs.beside(draw_above_the_bar):
        ...

Log lines name clips by their keyed names and never carry a key, a hash or a distance. How a run fails is
one of them, so that a collector meets nothing else on stderr.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from typing import Any, Literal

from hashmatch.visible import json_text, visible

Form = Literal["auto", "plain", "json"]
Level = Literal["auto", "debug", "info", "notice", "warning", "error"]

# Between info, which has a line for every clip, and warning: that a run began, and how it ended.
NOTICE = 25

_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "notice": NOTICE,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime"}

logging.addLevelName(NOTICE, "NOTICE")


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, event, and what the record was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json_text(line, ascii_only=True)


class PlainLines(logging.Formatter):
    """The message, with what was put into it made visible; an unexpected error in lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        shown = copy(record)
        if isinstance(record.args, tuple):
            shown.args = tuple(
                one if isinstance(one, int | float) else visible(one) for one in record.args
            )
        return super().format(shown)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - as logging calls it
        return "\n".join(map(visible, super().formatException(ei).split("\n")))


class _Lines(logging.Handler):
    """To whatever stderr is at the time; while a progress bar is drawn, above it."""

    draw: Callable[[str], None] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record)
        try:
            if self.draw is not None:
                self.draw(line)
            else:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
        except OSError:
            self.handleError(record)


_handler = _Lines()


def set_up(form: Form, level: Level = "auto", *, louder: int = 0) -> None:
    """Send hashmatch's log to stderr.

    form: auto is plain on a terminal. level: auto is info or, where lines are plain and for a
    terminal, warning: the progress bar has the rest. louder: so many levels more, or below 0 fewer.
    """
    terminal = sys.stderr.isatty()
    as_json = form == "json" or (form == "auto" and not terminal)
    if level == "auto":
        level = "warning" if terminal and not as_json else "info"
    order = list(_LEVELS)
    place = min(max(order.index(level) - louder, 0), len(order) - 1)
    _handler.setFormatter(JsonLines() if as_json else PlainLines("%(message)s"))
    logger = logging.getLogger("hashmatch")
    logger.handlers[:] = [_handler]
    logger.propagate = False
    logger.setLevel(_LEVELS[order[place]])


def in_json() -> bool:
    """Whether stderr is a stream of JSON lines, in which nothing else belongs."""
    ours = _handler in logging.getLogger("hashmatch").handlers
    return ours and isinstance(_handler.formatter, JsonLines)


def quiet() -> bool:
    """Whether only errors are wanted."""
    return logging.getLogger("hashmatch").level >= logging.ERROR


def failed(message: str, *, remedy: str = "", exit_code: int, error: BaseException) -> None:
    """A JSON line for what ends a command."""
    about = {"error": type(error).__name__, "remedy": remedy, "exit_code": exit_code}
    logging.getLogger("hashmatch").error("%s", message, extra=about)


@contextmanager
def beside(draw: Callable[[str], None]) -> Iterator[None]:
    """Meanwhile a line is given to `draw`, which puts it where it breaks nothing."""
    _handler.draw = draw
    try:
        yield
    finally:
        _handler.draw = None
