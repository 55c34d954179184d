"""A run's alarms: one for each thing that is wrong, however many cases it holds up."""

from __future__ import annotations

import logging

from hashmatch.custody.case_record import State
from hashmatch.custody.progress import Progress
from hashmatch.runs.alarms import Alarms

FULL = "The vault: /mnt/vault is full"


def stuck(case: str, problem: str | None = FULL, *, storage: bool = True) -> Progress:
    return Progress(case, State.DETECTED, problem, storage)


def test_what_holds_up_many_cases_is_one_alarm_with_their_number():
    alarms = Alarms()
    for number in range(13):
        alarms.stuck(stuck(f"case-{number}"))
    alarms.stuck(stuck("case-0"))  # again, in the same run
    alarms.stuck(stuck("case-x", "the platform answers 503", storage=False))
    assert alarms.texts() == (
        f"case-0 and 12 more: {FULL}",
        "case-x: the platform answers 503",
    )


def test_what_was_found_before_any_case_is_the_same_alarm():
    alarms = Alarms()
    alarms.add(FULL)
    alarms.stuck(stuck("case-1"))
    assert alarms.texts() == (f"case-1: {FULL}",)


def test_a_case_that_goes_on_is_none():
    alarms = Alarms()
    alarms.stuck(stuck("case-1", None, storage=False))
    assert (alarms.texts(), alarms.storage_failed) == ((), False)


def test_storage_that_failed_is_remembered_whatever_comes_after():
    alarms = Alarms()
    alarms.stuck(stuck("case-1"))
    alarms.stuck(stuck("case-2", "the platform answers 503", storage=False))
    assert alarms.storage_failed


def test_every_case_is_in_the_log_but_one_alarm_is_one_error_and_what_names_clips_is_not(caplog):
    alarms = Alarms()
    with caplog.at_level(logging.INFO):
        alarms.stuck(stuck("case-1"), run="r")
        alarms.stuck(stuck("case-2"), run="r")
        alarms.add("a.mp4 is a link", "b.mp4 is a link", logged="2 alarms", run="r")
    assert caplog.messages == [f"case-1: {FULL}", f"case-2: {FULL}", "2 alarms"]
    assert [record.levelname for record in caplog.records] == ["ERROR", "INFO", "ERROR"]
    assert {record.__dict__["run"] for record in caplog.records} == {"r"}
    assert alarms.texts()[1:] == ("a.mp4 is a link", "b.mp4 is a link")
