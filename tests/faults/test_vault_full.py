"""The vault's disk is full while a run goes on: nothing is lost, the operator is told what to do."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from drawn import write_clip
from installation import Installation

from hashmatch.custody.vault.marker import MARKER

SIZE = {"width": 192, "height": 144}
DISK_KIB = 128


@pytest.fixture
def hashmatch(template: Installation, tmp_path: Path) -> Iterator[Installation]:
    """An installation whose vault is a small file system of its own."""
    installed = template.copied(tmp_path / "home")
    marker = (installed.vault / MARKER).read_bytes()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(installed.vault)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    (installed.vault / MARKER).write_bytes(marker)
    yield installed
    subprocess.run(["umount", "--lazy", str(installed.vault)], check=True)


@pytest.mark.slow  # custody alone on a full disk is in test_custody_faults
def test_a_full_vault_keeps_the_original_and_space_lets_the_next_scan_finish(hashmatch):
    small, large, clean = (hashmatch.clips / f"{name}.mp4" for name in ("small", "large", "clean"))
    write_clip(small, seed=99, options={"crf": "30"}, **SIZE)
    write_clip(large, seed=99, seconds=2, options={"crf": "2"}, **SIZE)
    write_clip(clean, seed=5, **SIZE)
    originals = [small.read_bytes(), large.read_bytes()]
    assert len(originals[0]) < DISK_KIB * 512
    assert len(originals[1]) > DISK_KIB * 1024

    summary = hashmatch.scan(code=15)
    assert {key: outcome for key, (outcome, _) in hashmatch.outcomes().items()} == {
        "small.mp4": "matched",
        "large.mp4": "matched",
        "clean.mp4": "clean",
    }
    assert large.read_bytes() == originals[1]
    assert not small.exists()
    assert list(hashmatch.sealed().values()) == [originals[0]]
    assert sorted(case["state"] for case in hashmatch.json("quarantine", "list")) == [
        "detected",
        "removed",
    ]
    assert (summary["quarantined"], summary["custody_open"]) == (1, 1)
    (alarm,) = summary["alarms"]
    assert "is full" in alarm
    assert "Free some space or raise the quota" in alarm
    assert "large" not in alarm

    subprocess.run(["mount", "-o", "remount,size=4m", str(hashmatch.vault)], check=True)
    again = hashmatch.scan(code=0)
    assert (again["custody_open"], again["alarms"]) == (0, [])
    assert not large.exists()
    assert sorted(hashmatch.sealed().values()) == sorted(originals)
    assert {case["state"] for case in hashmatch.json("quarantine", "list")} == {"removed"}
    hashmatch.run("quarantine", "verify")
    hashmatch.run("audit", "verify")
