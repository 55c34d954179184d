"""One tree of errors, each with what happened, what to do about it, and its exit code.

    class ListShrank(ListError):
        message = "{name}: the new version has {new} entries, the active one {old}."
        remedy = "Compare the two with `hashmatch lists diff {name}`."
        exit_code = 33

    raise ListShrank(name="c3p", new=3, old=900)

Texts are class attributes and not docstrings, which `python -OO` drops. Both may name the details the
error was raised with; what others chose of them is made visible (`visible`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from hashmatch.visible import VisibleFields

_FIELDS = VisibleFields()


class HashmatchError(Exception):
    """The root of the tree. Of a class `message` and `remedy` are templates, of an error its texts.

    message: one line; remedy: what to do next, a line a paragraph, empty where nothing can be said.
    details: what the error was raised with.
    """

    message = "hashmatch cannot go on: {problem}"
    remedy = ""
    exit_code: ClassVar[int] = 1

    def __init__(self, **details: Any) -> None:
        super().__init__(details)
        self.details = details
        self.message = _FIELDS.vformat(type(self).message, (), details)
        self.remedy = _FIELDS.vformat(type(self).remedy, (), details)

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.details))

    def __str__(self) -> str:
        return self.message


def _rebuild(cls: type[HashmatchError], details: dict[str, Any]) -> HashmatchError:
    return cls(**details)


# Exit codes: 0 all well, 1 unexpected, 2 usage, 10 and up below and in docs/operations.md.
INTERRUPTED = 130  # as a shell says it of a program that SIGINT ended


class RunIncomplete(HashmatchError):
    message = "The run finished, but {count} of its clips could not be seen in full."
    remedy = "See which and why with `hashmatch runs show {run}`."
    exit_code = 10


class RunBroken(HashmatchError):
    message = "Run {run} listed {listed} clips and left {left} of them without an outcome."
    remedy = (
        "This is a fault of hashmatch: please report it. The clips are due again in the next run."
    )
    exit_code = 10


class CanaryFailed(HashmatchError):
    message = "The canary was not seen at the {when} of the run: {problem}."
    remedy = (
        "The scanner is blind, so nothing it calls clean can be trusted. Run `hashmatch doctor`."
    )
    exit_code = 11


class NoActiveList(HashmatchError):
    message = "No hash list is active, so there is nothing to compare clips with."
    remedy = (
        "Import one with `hashmatch lists import NAME FILE`, then `hashmatch lists activate NAME "
        "VERSION`."
    )
    exit_code = 12


class ListTooOld(HashmatchError):
    message = (
        "{name}: the active version was imported {days} days ago, lists.max_age_days is {limit}."
    )
    remedy = "Import the partner's current list, or raise lists.max_age_days."
    exit_code = 12


class AlreadyRunning(HashmatchError):
    message = "Another run holds the lock ({holder})."
    remedy = "Wait for it to end. `hashmatch runs list` shows it."
    exit_code = 13


class CustodyBusy(HashmatchError):
    message = "Somebody else works on cases at this moment: {holder}."
    remedy = (
        "Wait until it has ended, look at the case again, then repeat the command if it is still "
        "needed."
    )
    exit_code = 13


class ConfigError(HashmatchError):
    message = "{source}: {problem}"
    remedy = "`hashmatch init` writes a hashmatch.toml that explains every setting."
    exit_code = 14


class StorageError(HashmatchError):
    message = "{url}: {problem}"
    exit_code = 15


class DatabaseError(HashmatchError):
    message = "The database {url} cannot be used: {problem}"
    exit_code = 16


class AuditBroken(HashmatchError):
    message = "The audit log is not what was written: {problem}, first at leaf {leaf}."
    remedy = (
        "Keep the database as it is, stop the timer, and compare with the checkpoints you kept "
        "elsewhere."
    )
    exit_code = 20


class VaultDamaged(HashmatchError):
    message = "{count} sealed objects of the vault are not what was sealed."
    remedy = "Keep the vault as it is and restore those objects from its backup."
    exit_code = 21


class CustodyError(HashmatchError):
    message = "Case {case}: {problem}"
    exit_code = 22


class MediaError(HashmatchError):
    message = "{path}: {problem}"
    exit_code = 23


class FrameTooSmall(HashmatchError):
    message = "A frame of {width}x{height} pixels is too small to hash; {least} a side are needed."
    exit_code = 23


class ListError(HashmatchError):
    message = "{name}: {problem}"
    exit_code = 30
