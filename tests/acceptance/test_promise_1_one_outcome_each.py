"""Promise 1: every clip that a run lists ends it in exactly one outcome, and the counts add up."""

from __future__ import annotations

from pathlib import Path

import pytest
from bad_inputs import BAD_INPUTS, BadInput, draw_all
from drawn import write_clip
from installation import Installation


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Installation, dict, dict]:
    """An installation that has scanned every bad input once, its summary, and its outcomes."""
    hashmatch = Installation(tmp_path_factory.mktemp("one-outcome"))
    listed = hashmatch.home / "listed.mp4"
    write_clip(listed, seed=99, width=320, height=240)
    hashmatch.list_videos("partner", {"v1": listed})
    draw_all(hashmatch.clips)
    return hashmatch, hashmatch.scan(code=10), hashmatch.outcomes()


def test_the_counts_add_up(scanned):
    _, summary, _ = scanned
    assert summary["listed"] == len(BAD_INPUTS)
    assert summary["listed"] == sum(summary["outcomes"].values()) + summary["skipped_unchanged"]


def test_every_clip_has_an_outcome(scanned):
    _, _, outcomes = scanned
    assert sorted(outcomes) == sorted(bad.key for bad in BAD_INPUTS)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: ascii(bad.key))
def test_the_outcome_and_its_reason_are_right(scanned, bad: BadInput):
    _, _, outcomes = scanned
    assert outcomes[bad.key] == (bad.outcome, bad.reason)


def test_what_cannot_get_better_is_not_tried_again(scanned):
    hashmatch, _, _ = scanned
    again = hashmatch.scan()
    assert again["skipped_unchanged"] == again["listed"] == len(BAD_INPUTS)


def test_a_changed_clip_is_looked_at_again(tmp_path: Path):
    hashmatch = Installation(tmp_path)
    listed = tmp_path / "listed.mp4"
    write_clip(listed, seed=99, width=320, height=240)
    hashmatch.list_videos("partner", {"v1": listed})
    clip = hashmatch.clips / "clip.mp4"
    clip.write_text("not yet a video")
    assert hashmatch.scan()["outcomes"]["unscannable"] == 1
    write_clip(clip, seed=5, width=320, height=240)
    assert hashmatch.scan()["outcomes"]["clean"] == 1
    assert hashmatch.scan()["skipped_unchanged"] == 1
