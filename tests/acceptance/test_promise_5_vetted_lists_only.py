"""Promise 5: a list version acts only after its provenance was checked, it was tried against what
is already stored, and it was activated; it can be rolled back with one command.
"""

from __future__ import annotations

import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from drawn import write_clip
from installation import Installation, vpdq_lines
from lists_parts import pdq_hash

UNRELATED = "".join(f"pdq {pdq_hash(i)}\n" for i in range(10))


@pytest.fixture
def hashmatch(tmp_path: Path) -> Installation:
    installed = Installation(tmp_path / "home")
    write_clip(installed.clips / "clip.mp4", seed=5, width=320, height=240)
    return installed


def listed(hashmatch: Installation, text: str, *options: str, code: int = 0) -> None:
    """Import this text as the next version of the list `partner`."""
    file = hashmatch.home / "partner.txt"
    file.write_text(text)
    hashmatch.run("lists", "import", "partner", str(file), *options, code=code)


def listing_the_clip(hashmatch: Installation) -> str:
    """A list that has the first clip, as the reference hashes it."""
    lines = vpdq_lines(hashmatch.clips / "clip.mp4")
    return UNRELATED + "".join(f"pdq {line.split(',')[2]}\n" for line in lines)


def active(hashmatch: Installation) -> int | None:
    version: int | None = hashmatch.json("lists", "show", "partner")["active"]
    return version


def test_an_imported_list_does_not_act_until_it_is_activated(hashmatch):
    listed(hashmatch, listing_the_clip(hashmatch))
    refused = hashmatch.run("scan", code=12)
    assert "hashmatch lists activate" in refused.stderr
    assert (hashmatch.clips / "clip.mp4").exists()
    hashmatch.run("lists", "activate", "partner", "1")
    hashmatch.scan()
    assert hashmatch.outcomes()["clip.mp4"][0] == "matched"


def test_one_command_takes_a_bad_version_back(hashmatch):
    listed(hashmatch, UNRELATED)
    hashmatch.run("lists", "activate", "partner", "1")
    listed(hashmatch, listing_the_clip(hashmatch))
    hashmatch.run("lists", "activate", "partner", "2")
    hashmatch.run("lists", "rollback", "partner")
    hashmatch.scan()
    assert hashmatch.outcomes()["clip.mp4"][0] == "clean"
    assert (hashmatch.clips / "clip.mp4").exists()


@pytest.mark.parametrize(
    ("update", "options", "code"),
    [
        ("", (), 31),
        (UNRELATED[:-30], (), 31),
        (UNRELATED + "pdq " + "z" * 64 + "\n", (), 31),
        (UNRELATED + UNRELATED, ("--sha256", "0" * 64), 32),
    ],
    ids=["empty", "truncated", "malformed", "not what was published"],
)
def test_an_update_that_is_not_whole_changes_nothing(hashmatch, update, options, code):
    listed(hashmatch, UNRELATED)
    hashmatch.run("lists", "activate", "partner", "1")
    listed(hashmatch, update, *options, code=code)
    shown = hashmatch.json("lists", "show", "partner")
    assert (shown["active"], len(shown["versions"])) == (1, 1)
    hashmatch.run("audit", "verify")


def test_a_version_that_lost_its_entries_does_not_replace_the_active_one(hashmatch):
    listed(hashmatch, UNRELATED)
    hashmatch.run("lists", "activate", "partner", "1")
    listed(hashmatch, "".join(UNRELATED.splitlines(keepends=True)[:5]))
    refused = hashmatch.run("lists", "activate", "partner", "2", code=33)
    assert "the new version has 5 entries, the active one 10" in refused.stderr
    assert active(hashmatch) == 1


def test_a_version_that_would_take_most_clips_does_not_act(hashmatch):
    """Twenty clips of the same opening, and a list that has it by mistake."""
    for number in range(20):
        shutil.copy(hashmatch.clips / "clip.mp4", hashmatch.clips / f"{number}.mp4")
    listed(hashmatch, UNRELATED)
    hashmatch.run("lists", "activate", "partner", "1")
    hashmatch.scan()
    listed(hashmatch, listing_the_clip(hashmatch))
    refused = hashmatch.run("lists", "activate", "partner", "2", code=34)
    assert "would match 21 of 21 stored clips" in refused.stderr
    assert active(hashmatch) == 1
    assert len(list(hashmatch.clips.iterdir())) == 21


def test_a_disabled_entry_does_not_act(hashmatch):
    lines = vpdq_lines(hashmatch.clips / "clip.mp4")
    file = hashmatch.home / "opening.txt"
    file.write_text("".join(lines))
    hashmatch.run("lists", "import", "partner", str(file))
    hashmatch.run("lists", "activate", "partner", "1")
    hashmatch.run("lists", "disable", "partner", "opening", "--reason", "it is our own opening")
    hashmatch.scan()
    assert hashmatch.outcomes()["clip.mp4"][0] == "clean"


@pytest.mark.parametrize("written", [200_000, 2_000_000])
def test_an_import_that_is_killed_leaves_all_or_nothing_and_can_be_repeated(tmp_path, written):
    """Killed when the transaction has written that many bytes to SQLite's log.

    On a busy machine the kill may come after the commit: then the version is there, and whole.
    """
    hashmatch = Installation(tmp_path / "home")
    chance = random.Random(5)
    file = tmp_path / "list.txt"
    file.write_text("".join(f"pdq {chance.getrandbits(256):064x}\n" for _ in range(60_000)))
    log = hashmatch.home / "hashmatch.db-wal"
    with hashmatch.start("lists", "import", "partner", str(file)) as process:
        while process.poll() is None and not (log.exists() and log.stat().st_size > written):
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    for there in hashmatch.json("lists", "list"):
        assert there["active"] is None
        (version,) = hashmatch.json("lists", "show", there["name"])["versions"]
        assert version["entries"] == 60_000
    hashmatch.run("audit", "verify")
    hashmatch.run("lists", "import", "partner", str(file))
    assert hashmatch.json("lists", "show", "partner")["versions"][0]["entries"] == 60_000
