"""Another program keeps the database locked while a run goes on."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from drawn import write_clip
from installation import Installation

from hashmatch.db.problems import BUSY_SECONDS

CLIPS = 12


@pytest.fixture
def hashmatch(template: Installation, tmp_path: Path) -> Installation:
    installed = template.copied(tmp_path / "home")
    for number in range(CLIPS):
        clip = installed.clips / f"{number:02}.mp4"
        write_clip(clip, seed=number, seconds=0.5, width=192, height=144)
    return installed


@contextmanager
def locked(home: Path, scan: subprocess.Popen[str]) -> Iterator[None]:
    """Locked against writers as soon as the run has its first outcome."""
    with closing(sqlite3.connect(home / "hashmatch.db", isolation_level=None)) as db:
        while not db.execute("SELECT count(*) FROM work WHERE state = 'done'").fetchone()[0]:
            assert scan.poll() is None, "the run ended before its first outcome"
            time.sleep(0.002)
        db.execute("BEGIN IMMEDIATE")
        assert done(db) < CLIPS
        yield
        db.execute("ROLLBACK")


def done(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM work WHERE state = 'done'").fetchone()[0])


def lock_for_good(hashmatch: Installation) -> str:
    """Lock until the run has given up. Returns what it said to its operator."""
    with hashmatch.start("scan") as scan:
        with locked(hashmatch.home, scan):
            _, errors = scan.communicate(timeout=4 * BUSY_SECONDS)
        assert scan.returncode == 16, errors
    assert "Traceback" not in errors
    return errors


def check_that_the_next_scan_carries_on(hashmatch: Installation) -> None:
    rest = hashmatch.scan(code=0)
    assert rest["outcomes"]["clean"] + rest["skipped_unchanged"] == CLIPS
    assert rest["skipped_unchanged"] >= 1
    last, broken = hashmatch.json("runs", "list")
    assert (last["status"], broken["status"]) == ("finished", "interrupted")
    hashmatch.run("audit", "verify")


def test_a_run_waits_for_a_database_that_is_locked_for_seconds(hashmatch):
    with hashmatch.start("scan", "--json") as scan:
        with locked(hashmatch.home, scan):
            time.sleep(3)
            assert scan.poll() is None
        _, errors = scan.communicate()
    assert scan.returncode == 0, errors
    assert hashmatch.outcomes() == {f"{n:02}.mp4": ("clean", None) for n in range(CLIPS)}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_gives_up_a_database_that_stays_locked_and_the_next_carries_on(hashmatch):
    errors = lock_for_good(hashmatch)
    assert f"another program kept it locked for more than {BUSY_SECONDS} seconds" in errors
    assert "run again" in errors
    check_that_the_next_scan_carries_on(hashmatch)
