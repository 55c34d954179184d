"""What a run comes to: its figures, its exit code, its JSON."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hashmatch.cli.scan import _show
from hashmatch.model import Outcome
from hashmatch.report.summary import RunSummary
from hashmatch.runs.plan import Selection

SEEN = RunSummary(
    run="20261122T030000Z-abcdef",
    listed=10,
    outcomes={
        Outcome.MATCHED: 1,
        Outcome.REVIEW: 2,
        Outcome.CLEAN: 4,
        Outcome.PARTIAL: 0,
        Outcome.UNSCANNABLE: 0,
    },
    skipped_unchanged=3,
    quarantined=1,
    canary="seen",
    seconds=12.34567,
    checkpoint="a signed note",
)


def with_count(outcome: Outcome, count: int) -> RunSummary:
    return replace(SEEN, outcomes={**SEEN.outcomes, outcome: count})


def test_a_run_that_saw_every_clip_exits_0():
    assert SEEN.exit_code == 0


@pytest.mark.parametrize(
    "short",
    [
        with_count(Outcome.UNSCANNABLE, 1),
        with_count(Outcome.PARTIAL, 1),
        replace(SEEN, left=1),
        replace(SEEN, incomplete=True),
        replace(SEEN, custody_open=1),
    ],
    ids=["unscannable", "partial", "not reached", "not listed in full", "custody unfinished"],
)
def test_a_run_that_fell_short_exits_10(short):
    assert short.exit_code == 10


@pytest.mark.parametrize("storage", ["missing", "vault_away", "storage_failed"])
def test_storage_that_fails_is_told_before_clips_that_were_not_seen(storage):
    short = replace(with_count(Outcome.UNSCANNABLE, 1), custody_open=1)
    assert replace(short, **{storage: 1}).exit_code == 15


@pytest.mark.parametrize("unwritten", ["metrics_failed", "anchors_failed"])
def test_what_could_not_be_handed_on_is_told_where_all_else_is_well(unwritten):
    assert replace(SEEN, **{unwritten: True}).exit_code == 15
    assert replace(SEEN, **{unwritten: True}, left=1).exit_code == 10


def test_a_run_that_was_stopped_by_hand_says_so_whatever_else_there_is():
    assert replace(SEEN, interrupted=True, left=3, vault_away=True).exit_code == 130


@pytest.mark.parametrize("outcome", [Outcome.MATCHED, Outcome.REVIEW, Outcome.CLEAN])
def test_a_clip_that_was_seen_is_no_shortfall_whatever_it_is(outcome):
    assert with_count(outcome, 50).exit_code == 0


def test_what_is_left_out_or_alarming_does_not_change_the_exit_code():
    assert replace(SEEN, excluded=5, behind=3, alarms=("the breaker",)).exit_code == 0


def test_unseen_are_those_not_seen_in_full_and_those_not_reached():
    short = replace(with_count(Outcome.PARTIAL, 2), left=3)
    assert replace(short, outcomes={**short.outcomes, Outcome.UNSCANNABLE: 4}).unseen == 9


@pytest.mark.parametrize(
    ("listed", "skipped", "adds_up"),
    [(10, 3, True), (11, 3, False), (9, 3, False), (10, 2, False)],
)
def test_listed_clips_have_an_outcome_or_had_one(listed, skipped, adds_up):
    assert replace(SEEN, listed=listed, skipped_unchanged=skipped).adds_up is adds_up


def test_json_has_every_outcome_by_name_and_nothing_that_json_cannot_hold():
    shown = json.loads(json.dumps(replace(SEEN, unscannable={"damaged": 1}).as_json()))
    assert shown["outcomes"] == {
        "matched": 1,
        "review": 2,
        "clean": 4,
        "partial": 0,
        "unscannable": 0,
    }
    assert shown["unscannable"] == {"damaged": 1}
    assert shown["seconds"] == 12.346
    assert shown["checkpoint"] == "a signed note"
    assert shown["alarms"] == []


def test_every_figure_is_in_the_json():
    assert SEEN.as_json().keys() == set(RunSummary.__dataclass_fields__)


@pytest.mark.parametrize(
    ("selection", "says"),
    [
        (Selection(), "the next run takes them"),
        (Selection(force=True, prefix="a"), "start the same rescan again"),
        (Selection(force=True, stored=True), "hashmatch rescan --stored carries on"),
    ],
)
def test_who_takes_what_was_not_reached_is_said(selection, says, capsys):
    _show(replace(SEEN, left=2), selection)
    assert says in capsys.readouterr().out
