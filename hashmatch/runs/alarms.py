"""A run's alarms: each goes to the log and onto the run's record, once.

    alarms = Alarms()
    alarms.add("the disk of run.state is full")
    alarms.stuck(progress)                          # a case that cannot go on
    alarms.texts()

What holds up many cases, a vault that is away for one, is one alarm with their number; after the first
of them the log has the others at level info.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from hashmatch.custody.progress import Progress

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Alarms:
    """storage_failed: clip storage or the vault kept a case where it was."""

    storage_failed: bool = False
    _cases: dict[str, list[str]] = field(default_factory=dict)

    def add(self, *texts: str, logged: str | None = None, **about: object) -> None:
        """logged: what the log says instead, where a text names what a log must not."""
        for text in texts:
            self._cases.setdefault(text, [])
        for line in texts if logged is None else (logged,):
            logger.error("%s", line, extra=about)

    def stuck(self, progress: Progress, **about: object) -> None:
        """A case that cannot go on; nothing of one that can."""
        if progress.problem is None:
            return
        level = logging.INFO if progress.problem in self._cases else logging.ERROR
        cases = self._cases.setdefault(progress.problem, [])
        if progress.case not in cases:
            cases.append(progress.case)
        self.storage_failed |= progress.storage_failed
        logger.log(level, "%s: %s", progress.case, progress.problem, extra=about)

    def texts(self) -> tuple[str, ...]:
        """In the order in which they came up."""
        return tuple(_text(problem, cases) for problem, cases in self._cases.items())


def _text(problem: str, cases: list[str]) -> str:
    match cases:
        case []:
            return problem
        case [only]:
            return f"{only}: {problem}"
    return f"{cases[0]} and {len(cases) - 1} more: {problem}"
