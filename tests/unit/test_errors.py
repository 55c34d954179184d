"""Every error of the program: its message, its remedy, its exit code, and its way between processes."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import re
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hashmatch
from hashmatch.errors import HashmatchError, ListError
from hashmatch.model import Reason

ROOT = Path(__file__).resolve().parents[2]


def subclasses(kind: type[HashmatchError]) -> Iterator[type[HashmatchError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from subclasses(inner)


def every_error() -> list[type[HashmatchError]]:
    for module in pkgutil.walk_packages(hashmatch.__path__, "hashmatch."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    ours = {one for one in subclasses(HashmatchError) if one.__module__.startswith("hashmatch.")}
    return sorted(ours, key=lambda one: (one.__module__, one.__qualname__))


ERRORS = every_error()
every = pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__qualname__)


def details(kind: type[HashmatchError]) -> dict[str, Any]:
    """A value for all that its texts name: text, a number where it formats one, a reason."""
    found: dict[str, Any] = {}
    for _, name, form, _ in string.Formatter().parse(f"{kind.message}{kind.remedy}"):
        if name == "reason.text":
            found["reason"] = Reason.DAMAGED
        elif name:
            found[name] = 0.5 if form else f"<{name}>"
    return found


def documented() -> set[int]:
    """The codes of the table in docs/operations.md; `30 and up` stands for those to 99."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    table = text.split("## Exit codes")[1].split("\n## ")[0]
    codes: set[int] = set()
    for code, upwards in re.findall(r"^\| (\d+)( and up)? \|", table, re.MULTILINE):
        codes.update(range(int(code), 100) if upwards else [int(code)])
    return codes


def test_there_are_errors_of_every_part():
    parts = {kind.__module__.split(".")[1] for kind in ERRORS}
    assert parts >= {"errors", "lists", "clips", "custody", "audit", "media", "hashing", "matching"}


@every
def test_an_error_has_a_message_that_is_its_own(kind):
    assert "message" in vars(kind)
    error = kind(**details(kind))
    assert error.message
    assert "{" not in f"{error.message}{error.remedy}"
    assert "\n" not in error.message
    assert str(error) == error.message


@every
def test_an_error_says_every_detail_that_its_text_names(kind):
    given = details(kind)
    error = kind(**given)
    for value in given.values():
        if type(value) is str:
            assert value in f"{error.message} {error.remedy}"


@every
def test_an_exit_code_is_documented(kind):
    assert kind.exit_code in documented() - {0, 130}


@every
def test_an_error_comes_through_between_processes(kind):
    error = kind(**details(kind))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.remedy, again.details) == (
        error.message,
        error.remedy,
        error.details,
    )


def test_braces_in_a_detail_are_only_text():
    assert ListError(name="{name}", problem="{0} {").message == "{name}: {0} {"


def test_a_list_that_is_refused_exits_with_30_and_up():
    codes = {kind.exit_code for kind in ERRORS if issubclass(kind, ListError)}
    assert all(30 <= code < 40 for code in codes), codes


def test_no_code_means_both_a_list_and_something_else():
    others = {kind.exit_code for kind in ERRORS if not issubclass(kind, ListError)}
    assert others == {code for code in others if code < 30}
