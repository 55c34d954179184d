"""Promises 1 and 2 under kill -9 while stored clips are compared: whole pages, and nothing twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from archive_parts import Archive, drawn, near
from sqlalchemy import func, select

from hashmatch.db.schema import CaseRow, ClipRow, LeafRow, RunRow, ShardRow, WorkRow
from hashmatch.db.session import Database
from hashmatch.errors import AlreadyRunning

CLIPS, FOUND = 10, (1, 4, 8)
NEW = drawn(2)


def compare_until(archive: Archive, url: str, kill_at: int) -> bool:
    """Whether it was killed."""
    program = Path(__file__).with_name("retro_driver.py")
    paths = os.pathsep.join(map(str, (program.parents[2], program.parents[1])))
    done = subprocess.run(
        [sys.executable, str(program), str(archive.home), url, str(kill_at)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode != 0


def compare_once_free(archive: Archive) -> None:
    """PostgreSQL notices a moment later that a client was killed, and frees its lock."""
    until = time.monotonic() + 20
    while True:
        try:
            archive.compare()
            return
        except AlreadyRunning:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def test_killed_at_any_commit_whole_pages_are_left_and_nothing_is_done_twice(
    tmp_path: Path, db: Database, database_url: str
):
    archive = Archive(tmp_path / "home", db)
    archive.activate("partner", {"e-old": [drawn(1)]})
    for number in range(CLIPS):
        bits = [drawn(100 + 10 * number + n) for n in range(4)]
        if number in FOUND:
            bits[1:3] = [near(NEW, 20, seed=1), near(NEW, 25, seed=2)]
        archive.remember(f"{number}.mp4", bits)
    archive.activate("partner", {"e-old": [drawn(1)], "e-new": [NEW]})
    chance = random.Random(1)
    kills = sum(compare_until(archive, database_url, chance.randrange(5, 18)) for _ in range(6))
    assert kills >= 3
    compare_once_free(archive)

    keys = [f"{number}.mp4" for number in FOUND]
    assert archive.matches() == [(key, "e-new") for key in keys]
    assert archive.outcomes() == {
        f"{number}.mp4": "matched" if number in FOUND else "clean" for number in range(CLIPS)
    }
    assert not any((archive.home / "clips" / key).exists() for key in keys)
    with db.read() as session:
        assert session.scalars(select(CaseRow.state)).all() == ["removed"] * len(FOUND)
        assert session.scalars(select(WorkRow.state)).all() == ["done"] * len(FOUND)
        # Every clip is accounted for by one shard of one run.
        assert session.scalar(select(func.sum(ShardRow.clips))) == CLIPS
        spans = session.execute(select(ShardRow.first_clip, ShardRow.last_clip)).all()
        covered = [id for first, last in spans for id in range(first, last + 1)]
        assert sorted(covered) == session.scalars(select(ClipRow.id).order_by(ClipRow.id)).all()
        leaves = select(func.count()).select_from(LeafRow)
        assert session.scalar(leaves.where(LeafRow.kind == "clip-scanned")) == len(FOUND)
        states = set(session.scalars(select(RunRow.status)))
        assert states <= {"interrupted", "finished"}
        assert "interrupted" in states
