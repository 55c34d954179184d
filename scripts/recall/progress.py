"""How far a run is, on stderr: a bar on a terminal, else a line now and then.

with Progress("looking", 1240) as progress:
    progress.step("chair-19-sd-bar, cropped 5 %")
"""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

_EVERY_SECONDS = 15.0


class Progress:
    def __init__(self, what: str, steps: int) -> None:
        self._what = what
        self._steps = steps
        self._done = 0
        self._last = time.monotonic()
        self._lock = threading.Lock()
        self._bar: Bar | None = None
        console = Console(stderr=True)
        if console.is_terminal:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[now]}"),
            )
            self._bar = Bar(*columns, console=console, transient=True)
            self._task = self._bar.add_task(what, total=steps, now="")

    def __enter__(self) -> Self:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()
        elif error is None:
            self._say(f"{self._what}: {self._done} of {self._steps}")

    def step(self, now: str) -> None:
        """One more is done; from any thread."""
        with self._lock:
            self._done += 1
            if self._bar:
                self._bar.update(self._task, advance=1, now=now)
            elif time.monotonic() - self._last >= _EVERY_SECONDS:
                self._last = time.monotonic()
                self._say(f"{self._what}: {self._done} of {self._steps}, {now}")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)
