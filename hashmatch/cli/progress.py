"""The bar of a run on a terminal: how far it is, how many clips a second, and when it may end.

    with bar() as watch:
        nightly(…, watch=watch)

What is logged meanwhile is drawn above it.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashmatch.runs.dispatcher import Progress

# Seconds over which the rate is taken: a long clip makes it no riddle, a slower night shows.
WINDOW = 60.0


class Rate:
    """How many a second, over the last minute or the last two counts, whichever is more."""

    def __init__(self, at: float) -> None:
        self._counts = deque([(at, 0)])

    def counted(self, count: int, at: float) -> float:
        """The rate, now that so many are done."""
        self._counts.append((at, count))
        while len(self._counts) > 2 and self._counts[1][0] <= at - WINDOW:
            self._counts.popleft()
        began, before = self._counts[0]
        return (count - before) / (at - began) if at > began else 0.0


@contextmanager
def bar() -> Iterator[Callable[[Progress], None]]:
    """Nothing where stderr is no terminal or a stream of JSON, or little is to be said."""
    from hashmatch.report import logs

    if not sys.stderr.isatty() or logs.in_json() or logs.quiet():
        yield lambda progress: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar
    from rich.text import Text

    from hashmatch.cli.layout import wrapped

    console = Console(stderr=True)

    def above(line: str) -> None:
        for part in line.split("\n"):
            for shown in wrapped(part, console.width):
                console.print(Text(shown), soft_wrap=True)

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    rates = (TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    with Bar(*columns, *rates, console=console, transient=True) as shown, logs.beside(above):
        task = shown.add_task("looking", total=None, rate="")
        clips, hashes = Rate(time.monotonic()), Rate(time.monotonic())

        def watch(progress: Progress) -> None:
            at = time.monotonic()
            rate = f"{clips.counted(progress.done, at):,.1f} clips/s"
            shown.update(task, completed=progress.done, total=progress.planned, rate=rate)
            if progress.hashes:
                speed = hashes.counted(progress.hashes, at)
                shown.update(task, description=f"comparing, {speed:,.0f} hashes/s")

        yield watch
