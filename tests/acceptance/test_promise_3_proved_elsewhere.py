"""Promise 3: what a real run did is proved to somebody who has the log's key, a bundle, and no hashmatch."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

import pytest
from audit_parts import verify_elsewhere
from drawn import write_clip
from installation import Installation

SIZE = {"width": 192, "height": 144, "seconds": 0.5}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Two nights: a listed clip was taken, another and a text were looked at; then one more came."""
    installed = Installation(tmp_path_factory.mktemp("home"))
    listed = installed.home / "listed.mp4"
    write_clip(listed, seed=3, **SIZE)
    (installed.clips / "listed.mp4").write_bytes(listed.read_bytes())
    write_clip(installed.clips / "clean.mp4", seed=4, **SIZE)
    (installed.clips / "text.mp4").write_text("no video")
    installed.list_videos("partner", {"v1": listed})
    installed.scan(code=10)
    write_clip(installed.clips / "later.mp4", seed=5, **SIZE)
    installed.scan(code=0)
    (installed.home / "audit.pub").write_text(installed.run("audit", "key").stdout)
    return installed


def proved(home: Installation, file: str, *command: str) -> str:
    """What the script says of the bundle that a command makes."""
    home.run("audit", *command, "--out", file)
    key = str(home.home / "audit.pub")
    return verify_elsewhere(home.home / file, "--key", key).stdout


def today() -> str:
    return datetime.now(UTC).date().isoformat()


@pytest.mark.parametrize(
    ("clip", "outcome"),
    [
        ("listed.mp4", "matched"),
        ("clean.mp4", "clean"),
        ("text.mp4", "unscannable"),
        ("later.mp4", "clean"),
    ],
)
def test_that_a_clip_was_looked_at_with_which_list_and_outcome(
    home: Installation, clip: str, outcome: str
) -> None:
    said = proved(home, f"{clip}.zip", "prove", "--coverage", clip, today())
    assert f"Outcome: {outcome}" in said
    assert "Lists: partner 1." in said
    assert "The shard's root, leaf " in said
    assert f" is the clip {clip}\n" in said
    others = {"listed.mp4", "clean.mp4", "text.mp4", "later.mp4"} - {clip}
    content = (home.home / f"{clip}.zip").read_bytes()
    assert not [other for other in others if other.encode() in content]


def test_the_life_of_a_case(home: Installation) -> None:
    (case,) = home.json("quarantine", "list")
    said = proved(home, "case.zip", "export", "--case", case["case"])
    for step in ("detected", "sealed", "verified", "withdrawn", "removed"):
        assert f": case-{step}\n" in said
    assert "listed.mp4" in said
    assert b"listed.mp4" not in _bundle(home, "proof.zip", "prove", case["case"])


def test_all_of_a_day(home: Installation) -> None:
    said = proved(home, "day.zip", "export", "--from", today(), "--to", today())
    assert "2 run-finished" in said
    assert "signed 2 checkpoints that are here" in said


def test_of_a_log_that_was_changed_nothing_is_proved(home: Installation, tmp_path: Path) -> None:
    (case,) = home.json("quarantine", "list")
    twin = home.copied(tmp_path / "twin")
    with sqlite3.connect(twin.home / "hashmatch.db") as db:
        for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'"):
            db.execute(f"DROP TRIGGER {trigger}")
        db.execute("UPDATE leaf SET body = replace(body, 'clean', 'clear')")
    db.close()
    twin.run("audit", "verify", code=20)
    for what in (("--coverage", "clean.mp4", today()), (case["case"],)):
        twin.run("audit", "prove", *what, "--out", "forged.zip", code=20)
        assert not (twin.home / "forged.zip").exists()


def _bundle(home: Installation, file: str, *command: str) -> bytes:
    home.run("audit", *command, "--out", file)
    return (home.home / file).read_bytes()
