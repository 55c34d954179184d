"""What comes back when the platform is told something, however it is told.

Channels (`webhook`, `command`) ask once and say in a Reply what came of it; `platform` decides what
to do about it, `outbox` keeps it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from hashmatch.errors import CustodyError

MOST_DETAIL = 200

# What may be a digest or a secret: what the platform says is shown to people.
_TOKEN = re.compile(r"[0-9A-Za-z+/=_-]{32,}")


class Status(StrEnum):
    """How the platform stands to a message.

    `no-answer` may pass by itself: it could not be reached, or could not answer now. `refused` is for
    a person to look at. `nobody-told`: the settings name no way to tell it.
    """

    DONE = "done"
    PENDING = "pending"
    REFUSED = "refused"
    NO_ANSWER = "no-answer"
    NOBODY_TOLD = "nobody-told"

    @property
    def settled(self) -> bool:
        """There is no more to say or to wait for."""
        return self in (Status.DONE, Status.NOBODY_TOLD)


@dataclass(frozen=True, slots=True)
class Reply:
    """One attempt's outcome. problem: in our words, for logs; it names no clip and no address.

    detail: what the platform said, which may name the clip: for the record, not for logs.
    code: HTTP status or exit code. wait: seconds it wants us to wait. poll: where to ask next.
    """

    status: Status
    code: int | None = None
    problem: str | None = None
    detail: str = ""
    wait: float | None = None
    poll: str | None = None


class PlatformUnreachable(CustodyError):
    message = "The platform cannot be told: {problem}"
    remedy = (
        "Until it can, originals stay where they are, and runs end with exit code 10. Check "
        "[withdraw]."
    )
    exit_code = 10


class Message(NamedTuple):
    """What is to be said. poll: where the platform wants to be asked, after it accepted this."""

    id: str
    body: str
    poll: str | None


class Channel(Protocol):
    """A way to tell the platform. how: its name, as in the settings."""

    @property
    def how(self) -> str: ...

    def ask(self, message: Message) -> Reply:
        """Tell it once, or ask once how far it is. Never raises for what the other side does."""
        ...

    def check(self) -> str:
        """Whether it could be told, without telling it anything: what was found, in words.

        Raises PlatformUnreachable.
        """
        ...


class Nothing:
    """The platform is not told."""

    how = "nothing"

    def ask(self, message: Message) -> Reply:
        return Reply(Status.NOBODY_TOLD)

    def check(self) -> str:
        return "nobody is told before an original goes"


def bounded(said: str) -> str:
    """What the other side said, fit to be kept: short, printable, without anything like a digest."""
    printable = "".join(char if char.isprintable() else " " for char in said[: 20 * MOST_DETAIL])
    return _TOKEN.sub("…", " ".join(printable.split()))[:MOST_DETAIL]
