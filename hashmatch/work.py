"""Units of work: what a worker takes at a time, and when a clip is looked at again.

Knows no database, so that a process which only looks at clips need not load one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from hashmatch.model import Clip, Digests, Reason

LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Retry:
    """When a clip whose trouble may pass is looked at again: after wait·2ⁿ, at most `attempts` looks.

    What this host had no room for was not looked at: every run tries it.
    """

    attempts: int
    wait: timedelta

    def next(self, looks: int, reason: Reason | None, now: datetime) -> datetime | None:
        """looks: how often this version was looked at, this time included."""
        if reason is Reason.SPOOL_FULL:
            return now
        if reason is None or not reason.retryable or looks >= self.attempts:
            return None
        doubled: timedelta = self.wait * 2 ** min(looks - 1, 20)
        return now + min(doubled, LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class Task:
    """One clip's turn in a run, as it is handed to a worker."""

    work_id: int
    clip_id: int
    clip: Clip
    deaths: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a worker takes at a time: one clip, or all renditions of one.

    remembered: digests of renditions of it that are not in this turn, because storage has them no
    longer or did not list them.
    """

    tasks: tuple[Task, ...]
    remembered: tuple[Digests, ...] = ()

    @property
    def clips(self) -> tuple[Clip, ...]:
        return tuple(task.clip for task in self.tasks)
