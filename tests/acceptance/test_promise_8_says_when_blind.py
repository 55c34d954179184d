"""Promise 8: a run that could not see says so, exits non-zero, and what it called clean is due again."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pdqhash
import pytest
from drawn import write_clip
from installation import Installation

from hashmatch.scanning import canary


@pytest.fixture
def hashmatch(tmp_path: Path) -> Installation:
    installed = Installation(tmp_path)
    listed = tmp_path / "listed.mp4"
    write_clip(listed, seed=99, width=320, height=240)
    installed.list_videos("partner", {"v1": listed})
    write_clip(installed.clips / "clip.mp4", seed=5, width=320, height=240)
    return installed


def blind(installed: Installation, tmp_path: Path, code: str) -> None:
    """Break the scanner from outside: `code` runs in every process that Python starts."""
    broken = tmp_path / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "sitecustomize.py").write_text(code)
    installed.environment["PYTHONPATH"] += f":{broken}"


def test_a_run_that_sees_its_canary_says_so(hashmatch):
    assert hashmatch.scan(code=0)["canary"] == "seen"


def test_a_blind_run_looks_at_nothing_and_exits_11(hashmatch, tmp_path):
    blind(
        hashmatch,
        tmp_path,
        "import hashmatch.scanning.canary as canary\n"
        "canary.problem = lambda matches: 'it is dark'\n",
    )
    failed = hashmatch.run("scan", code=11)
    assert "it is dark" in failed.stderr
    assert "hashmatch doctor" in failed.stderr
    shown = hashmatch.json("runs", "show")
    assert (shown["status"], shown["canary"], shown["exit"]) == ("failed", "failed", 11)
    assert shown["clips"] == []


def test_what_a_run_called_clean_is_due_again_when_it_went_blind(hashmatch, tmp_path):
    """The canary is seen at the start and not at the end: nothing in between can be trusted."""
    blind(
        hashmatch,
        tmp_path,
        "import hashmatch.scanning.canary as canary\n"
        "looks = []\n"
        "def problem(matches):\n"
        "    looks.append(1)\n"
        "    return None if len(looks) == 1 else 'it went dark'\n"
        "canary.problem = problem\n",
    )
    hashmatch.run("scan", code=11)
    hashmatch.environment["PYTHONPATH"] = hashmatch.environment["PYTHONPATH"].rpartition(":")[0]
    healed = hashmatch.scan(code=0)
    assert healed["outcomes"]["clean"] == 1
    assert healed["skipped_unchanged"] == 0


def test_without_an_active_list_nothing_is_called_clean(tmp_path):
    installed = Installation(tmp_path)
    write_clip(installed.clips / "clip.mp4", seed=5, width=320, height=240)
    failed = installed.run("scan", code=12)
    assert "hashmatch lists import" in failed.stderr


def test_an_old_list_is_refused(hashmatch):
    hashmatch.environment["HASHMATCH_LISTS__MAX_AGE_DAYS"] = "1"
    assert hashmatch.scan(code=0)["canary"] == "seen"
    import sqlite3

    with sqlite3.connect(hashmatch.home / "hashmatch.db") as db:
        db.execute("update list_version set imported_at = '2020-01-01 00:00:00'")
    assert "partner" in hashmatch.run("scan", code=12).stderr


def test_the_canarys_hashes_are_another_implementations(tmp_path):
    """Otherwise a kernel that is wrong the same way twice would see its own canary."""
    import av

    frames, _ = (entry for entry in canary.active_list().entries)
    with canary.clip(tmp_path) as spooled, av.open(spooled.file) as clip:
        pictures = [frame.to_ndarray(format="rgb24", threads=1) for frame in clip.decode(video=0)]
    assert len(pictures) == len(frames.hashes) >= 10
    for picture, known in zip(pictures, frames.hashes, strict=True):
        bits, _ = pdqhash.compute(picture)
        assert np.packbits(np.asarray(bits, np.uint8)).tobytes() == known.bits


def test_a_canary_needs_both_of_its_entries():
    assert canary.problem(()) == "its digest did not match"


def test_a_damaged_listed_hash_is_an_alarm_and_everything_else_is_looked_for(hashmatch, tmp_path):
    write_clip(hashmatch.clips / "copy.mp4", seed=99, width=320, height=240)
    with sqlite3.connect(hashmatch.home / "hashmatch.db") as database:
        database.execute(
            "update entry_hash set bits = x'00' where id = (select min(id) from entry_hash)"
        )
    summary = hashmatch.scan(code=0)
    assert summary["outcomes"]["matched"] == 1
    (alarm,) = summary["alarms"]
    assert "partner: entry v1" in alarm
