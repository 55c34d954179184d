"""When a run stops taking work: at a time of day, at Ctrl-C, at a stop signal.

    with Stop(until=parse_until("06:00")) as stop:
        while not stop: ...

What is in a worker's hands is finished and recorded. A second Ctrl-C ends the run at once, which is as
safe as a crash: the next run carries on.
"""

from __future__ import annotations

import logging
import signal
from datetime import datetime, timedelta
from threading import Thread
from types import FrameType, TracebackType
from typing import Self

from hashmatch.report.logs import NOTICE

logger = logging.getLogger(__name__)

_STOPPING = (
    "stopping: what is being looked at is finished, then the canary is looked at once more;"
    " Ctrl-C once more ends the run at once"
)


class Stop:
    def __init__(self, until: datetime | None = None) -> None:
        self._until = until
        self._asked = False
        self.interrupted = False  # by Ctrl-C
        self._before: dict[int, object] = {}

    def __bool__(self) -> bool:
        return self._asked or (
            self._until is not None and datetime.now(self._until.tzinfo) >= self._until
        )

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self._asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._asked:
            # In a thread of its own: this may have interrupted the log in the middle of a line.
            Thread(target=logger.log, args=(NOTICE, _STOPPING), daemon=True).start()
        self._asked = True
        self.interrupted = self.interrupted or number == signal.SIGINT

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._ask)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)  # type: ignore[arg-type]


def parse_until(text: str, now: datetime) -> datetime:
    """The next time that the host's clock shows `HH:MM`. Raises ValueError for other texts.

    now: aware, in the zone that `text` is meant in.
    """
    clock = datetime.strptime(text, "%H:%M")  # noqa: DTZ007
    until = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return until if until > now else until + timedelta(days=1)
