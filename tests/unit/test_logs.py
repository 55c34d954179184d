"""Logs: one JSON object a line for collectors, plain lines for a person, on stderr."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from hashmatch.model import Outcome
from hashmatch.report import logs

logger = logging.getLogger("hashmatch.tests")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    ours = logging.getLogger("hashmatch")
    before = ours.handlers[:], ours.level, ours.propagate
    yield
    ours.handlers[:], ours.level, ours.propagate = before


def logged(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, form: str) -> str:
    """What a few lines become."""
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up(form)
    about = {"run": "r-1", "clip": "clip-7hq2k6w4v3mzdpbe", "outcome": Outcome.CLEAN}
    logger.info("%s: %s", "clip-7hq2k6w4v3mzdpbe", Outcome.CLEAN, extra=about)
    logger.error("two\nlines, %s", "“quoted”", extra={"run": "r-1"})
    logger.debug("detail")
    return stream.getvalue()


def test_a_collector_gets_one_json_object_a_line(monkeypatch):
    info, error = map(json.loads, logged(monkeypatch, io.StringIO(), "auto").splitlines())
    at = datetime.fromisoformat(info.pop("time"))
    assert at.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert info == {
        "level": "info",
        "event": "clip-7hq2k6w4v3mzdpbe: clean",
        "run": "r-1",
        "clip": "clip-7hq2k6w4v3mzdpbe",
        "outcome": "clean",
    }
    assert error["level"] == "error"
    assert error["event"] == "two\nlines, “quoted”"


def test_a_terminal_gets_plain_lines_and_only_what_is_wrong(monkeypatch):
    """The rest is in the progress bar."""
    assert logged(monkeypatch, Terminal(), "auto") == "two\nlines, “quoted”\n"


def test_the_form_can_be_said(monkeypatch):
    assert len(logged(monkeypatch, Terminal(), "json").splitlines()) == 2
    plain = logged(monkeypatch, io.StringIO(), "plain")
    assert plain == "clip-7hq2k6w4v3mzdpbe: clean\ntwo\nlines, “quoted”\n"


def test_an_error_that_was_not_expected_stays_on_its_line(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up("json")
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        logger.exception("it failed")
    (line,) = stream.getvalue().splitlines()
    assert "ZeroDivisionError: by zero" in json.loads(line)["error"]


def test_setting_up_twice_does_not_say_everything_twice(monkeypatch):
    logged(monkeypatch, io.StringIO(), "json")
    assert len(logged(monkeypatch, io.StringIO(), "json").splitlines()) == 2


def test_what_libraries_log_is_not_ours(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.set_up("json")
    logging.getLogger("botocore").warning("a key of somebody's clip")
    assert stream.getvalue() == ""


def test_a_value_that_json_has_not_is_written_as_text():
    record = logging.makeLogRecord({"msg": "at", "at": datetime(2026, 11, 22, tzinfo=UTC)})
    assert json.loads(logs.JsonLines().format(record))["at"] == "2026-11-22 00:00:00+00:00"
