"""Telling the platform, and waiting for its answer: before an original goes, it is taken down.

    platform = open_platform(db, settings)           # checks the settings
    answer = platform.deliver(message)               # an id that outbox.put gave
    if answer.done: ...

The network is used outside any transaction, and each attempt is noted in one of its own. Not
guaranteed: that the platform hears a message once. A process that dies between sending and noting
sends it again, under the same id.

One clip's answer is waited for `withdraw.wait_seconds`. Half of what was waited without
an answer is taken off the next wait, until there is one again: a platform that is slow for all clips
costs a run two waits, not one a clip. One that does not answer at all is then left alone for REST seconds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hashmatch.config import Settings, Withdraw
from hashmatch.custody.notify import outbox
from hashmatch.custody.notify.channel import Channel, Message, Nothing, Reply, Status
from hashmatch.custody.notify.command import open_command
from hashmatch.custody.notify.webhook import open_webhook
from hashmatch.db.schema import OutboxRow
from hashmatch.db.session import Database
from hashmatch.errors import ConfigError

REST = 300.0
LONGEST_PAUSE = 30.0
# Nobody is asked to wait for so long: the clock was wrong when this was written down.
_ABSURD = timedelta(days=1)
_OVERTAKEN = "what was to be said of the clip was overtaken by the contrary"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a message stands. problem: why it is not done, for logs; it names no clip.

    status: done, pending, refused, no-answer, nobody-told, overtaken, or None before it was first said.
    code: HTTP status or exit code. attempts: how often it was said, or asked about, in all.
    """

    message: str
    how: str
    done: bool
    status: str | None
    code: int | None
    attempts: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Clock:
    """What time it is, how time passes, and how to let it pass."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    passed: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Platform:
    """The platform, as one run knows it: told by one channel, and remembered to be slow or down."""

    def __init__(
        self, db: Database, channel: Channel, wait_seconds: float, clock: Clock | None = None
    ) -> None:
        self.db = db
        self.channel = channel
        self.wait_seconds = wait_seconds
        self.clock = clock or Clock()
        self._patience = wait_seconds
        self._down_until = -REST
        self._down: str | None = None

    def check(self) -> str:
        """Whether it could be told; nothing is. Raises PlatformUnreachable."""
        return self.channel.check()

    def deliver(self, message: str) -> Answer:
        """Say it until it is done, refused, or waited for long enough. See Answer.

        A message that was answered before is not said again. Raises DatabaseError.
        """
        with self.db.read() as session:
            row = session.get_one(OutboxRow, message)
        if row.answered_at is not None:
            return self._answer(row)
        if self.clock.passed() < self._down_until:
            return self._answer(row, self._down)
        began, tries = self.clock.passed(), 0
        pause = self._left(row)
        # What is due is said once, however short the patience.
        while pause == 0 or self.clock.passed() + pause <= began + self._patience:
            if pause > 0:
                self.clock.sleep(pause)
            reply = self.channel.ask(Message(row.id, row.body, row.poll_url))
            tries += 1
            pause = _pause(tries, reply)
            row = self._note(row, reply, pause)
            if row.answered_at is not None or reply.status is Status.REFUSED:
                self._patience, self._down = self.wait_seconds, None
                return self._answer(row)
        if tries and reply.status is Status.NO_ANSWER:
            self._down, self._down_until = reply.problem, self.clock.passed() + (reply.wait or REST)
        # What was waited is gone for the others, so that all of it is two waits at the most.
        self._patience = max(0.0, self._patience - (self.clock.passed() - began) / 2)
        return self._answer(row)

    def _left(self, row: OutboxRow) -> float:
        """Seconds until a message may be said again."""
        if row.next_at is None:
            return 0
        left = row.next_at - self.clock.now()
        return 0 if left > _ABSURD else max(0, left.total_seconds())

    def _note(self, row: OutboxRow, reply: Reply, pause: float) -> OutboxRow:
        now = self.clock.now()
        with self.db.write() as session:
            return outbox.note(
                session, row.id, self.channel.how, reply, now, now + timedelta(seconds=pause)
            )

    def _answer(self, row: OutboxRow, problem: str | None = None) -> Answer:
        answer: dict[str, Any] = row.answer
        status = answer.get("status")
        if status == outbox.OVERTAKEN:
            problem = _OVERTAKEN
        return Answer(
            message=row.id,
            how=answer.get("how", self.channel.how),
            done=status in (Status.DONE, Status.NOBODY_TOLD),
            status=status,
            code=answer.get("code"),
            attempts=row.attempts,
            problem=problem or row.problem,
        )


class NobodyTold(ConfigError):
    message = (
        '{source} is given, but withdraw.how is "nothing": originals go, and the platform is not '
        "told."
    )
    remedy = 'Set withdraw.how = "{how}", or remove {source}.'


def nobody_told(withdraw: Withdraw) -> NobodyTold | None:
    """Whether the settings say how to tell the platform, and that it is not told."""
    if withdraw.how == "nothing" and withdraw.url:
        return NobodyTold(source="withdraw.url", how="webhook")
    if withdraw.how == "nothing" and withdraw.command:
        return NobodyTold(source="withdraw.command", how="command")
    return None


def open_platform(db: Database, settings: Settings) -> Platform:
    """The platform of [withdraw]. Reaches nobody yet. Raises ConfigError."""
    return Platform(db, _channel(settings.withdraw, settings), settings.withdraw.wait_seconds)


def _channel(withdraw: Withdraw, settings: Settings) -> Channel:
    if withdraw.how == "webhook":
        return open_webhook(withdraw)
    if withdraw.how == "command":
        return open_command(withdraw, settings.home)
    return Nothing()


def _pause(tries: int, reply: Reply) -> float:
    """Seconds until the next attempt: doubled each time, scattered, and no less than was asked for."""
    ours = min(2.0 ** (tries - 1), LONGEST_PAUSE) * random.uniform(0.8, 1.2)
    return max(ours, reply.wait or 0)
