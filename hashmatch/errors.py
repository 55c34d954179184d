"""One tree of errors. A class's docstring is its message, and what to do about it.

The first paragraph says what happened and to which thing; the rest says what to do next. Both may
name the details the error was raised with: `raise ListShrank(name="c3p", new=3, old=900)`. What others
chose of them is made visible (`visible`).
"""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from hashmatch.visible import VisibleFields

_FIELDS = VisibleFields()


class HashmatchError(Exception):
    """hashmatch cannot go on: {problem}"""

    exit_code: ClassVar[int] = 1

    def __init__(self, **details: Any) -> None:
        super().__init__(details)
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.details))

    def _paragraphs(self) -> list[str]:
        text = inspect.cleandoc(type(self).__doc__ or type(self).__name__)
        parts = (" ".join(part.split()) for part in text.split("\n\n"))
        return [_FIELDS.vformat(part, (), self.details) for part in parts]

    @property
    def message(self) -> str:
        return self._paragraphs()[0]

    @property
    def remedy(self) -> str:
        return "\n".join(self._paragraphs()[1:])

    def __str__(self) -> str:
        return self.message


def _rebuild(cls: type[HashmatchError], details: dict[str, Any]) -> HashmatchError:
    return cls(**details)


# Exit codes: 0 all well, 1 unexpected, 2 usage, 10 and up below and in docs/operations.md.
INTERRUPTED = 130  # as a shell says it of a program that SIGINT ended


class RunIncomplete(HashmatchError):
    """The run finished, but {count} of its clips could not be seen in full.

    See which and why with `hashmatch runs show {run}`.
    """

    exit_code = 10


class RunBroken(HashmatchError):
    """Run {run} listed {listed} clips and left {left} of them without an outcome.

    This is a fault of hashmatch: please report it. The clips are due again in the next run.
    """

    exit_code = 10


class CanaryFailed(HashmatchError):
    """The canary was not seen at the {when} of the run: {problem}.

    The scanner is blind, so nothing it calls clean can be trusted. Run `hashmatch doctor`.
    """

    exit_code = 11


class NoActiveList(HashmatchError):
    """No hash list is active, so there is nothing to compare clips with.

    Import one with `hashmatch lists import NAME FILE`, then `hashmatch lists activate NAME VERSION`.
    """

    exit_code = 12


class ListTooOld(HashmatchError):
    """{name}: the active version was imported {days} days ago, lists.max_age_days is {limit}.

    Import the partner's current list, or raise lists.max_age_days.
    """

    exit_code = 12


class AlreadyRunning(HashmatchError):
    """Another run holds the lock ({holder}).

    Wait for it to end. `hashmatch runs list` shows it.
    """

    exit_code = 13


class CustodyBusy(HashmatchError):
    """Somebody else works on cases at this moment: {holder}.

    Wait until it has ended, look at the case again, then repeat the command if it is still needed.
    """

    exit_code = 13


class ConfigError(HashmatchError):
    """{source}: {problem}

    `hashmatch init` writes a hashmatch.toml that explains every setting.
    """

    exit_code = 14


class StorageError(HashmatchError):
    """{url}: {problem}"""

    exit_code = 15


class DatabaseError(HashmatchError):
    """The database {url} cannot be used: {problem}"""

    exit_code = 16


class AuditBroken(HashmatchError):
    """The audit log is not what was written: {problem}, first at leaf {leaf}.

    Keep the database as it is, stop the timer, and compare with the checkpoints you kept elsewhere.
    """

    exit_code = 20


class VaultDamaged(HashmatchError):
    """{count} sealed objects of the vault are not what was sealed.

    Keep the vault as it is and restore those objects from its backup.
    """

    exit_code = 21


class CustodyError(HashmatchError):
    """Case {case}: {problem}"""

    exit_code = 22


class MediaError(HashmatchError):
    """{path}: {problem}"""

    exit_code = 23


class FrameTooSmall(HashmatchError):
    """A frame of {width}x{height} pixels is too small to hash; {least} a side are needed."""

    exit_code = 23


class ListError(HashmatchError):
    """{name}: {problem}"""

    exit_code = 30
