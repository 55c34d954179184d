"""Promise 2, the way back: what was taken by mistake is given back, and stays given back."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from custody_parts import needs_age
from drawn import write_clip
from installation import Installation

from hashmatch import access

pytestmark = needs_age


@pytest.fixture
def hashmatch(tmp_path, monkeypatch) -> Installation:
    return Installation(
        tmp_path / "site",
        environment={
            "HASHMATCH_PEOPLE__CUSTODIANS": '["alice", "bob"]',
            "HASHMATCH_PEOPLE__OPERATORS": '["cron"]',
        },
    )


def test_promise_2_a_released_clip_is_back_and_no_later_scan_takes_it(
    hashmatch, tmp_path, monkeypatch
):
    listed = tmp_path / "listed.mp4"
    write_clip(listed, seed=31, seconds=4, width=192, height=144)
    hashmatch.environment.pop("HASHMATCH_PEOPLE__OPERATORS")
    hashmatch.environment.pop("HASHMATCH_PEOPLE__CUSTODIANS")
    hashmatch.list_videos("partner", {"v1": listed})
    clip = hashmatch.clips / "2026/logo.mp4"
    clip.parent.mkdir()
    clip.write_bytes(listed.read_bytes())
    assert hashmatch.scan()["quarantined"] == 1
    assert not clip.exists()
    [case] = hashmatch.json("quarantine", "list")
    name = case["case"]
    hashmatch.environment["HASHMATCH_PEOPLE__CUSTODIANS"] = '["alice", "bob"]'
    person = {"name": "alice"}
    monkeypatch.setattr(access, "account", lambda: person["name"])
    hashmatch.run("quarantine", "release", name, "--reason", "our own logo")
    person["name"] = "bob"
    said = hashmatch.run("quarantine", "confirm", name, code=22).stderr
    assert "private key" in said
    [sealed] = hashmatch.vault.rglob("*.key.age")
    key = tmp_path / "case.key"
    key.write_bytes(pyrage.decrypt(sealed.read_bytes(), [hashmatch.custodian]))
    hashmatch.run("quarantine", "confirm", name, "--case-key", str(key))
    assert clip.read_bytes() == listed.read_bytes()
    del hashmatch.environment["HASHMATCH_PEOPLE__CUSTODIANS"]
    again = hashmatch.scan()
    assert (again["quarantined"], again["outcomes"]["matched"]) == (0, 0)
    assert clip.read_bytes() == listed.read_bytes()
    assert hashmatch.outcomes()["2026/logo.mp4"][0] == "clean"
    # The same bytes elsewhere are the same mistake; another clip of the scene is not.
    (hashmatch.clips / "copy.mp4").write_bytes(listed.read_bytes())
    other = hashmatch.clips / "other.mp4"
    write_clip(other, seed=31, seconds=4, width=192, height=144, options={"crf": "28"})
    assert hashmatch.scan()["quarantined"] == 1
    assert not other.exists()
    assert (hashmatch.clips / "copy.mp4").exists()
    hashmatch.run("audit", "verify")


def test_what_takes_a_role_is_refused_to_who_lacks_it(hashmatch, monkeypatch, tmp_path: Path):
    monkeypatch.setattr(access, "account", lambda: "mallory")
    for command in (
        ("scan",),
        ("lists", "import", "partner", "nothing.csv"),
        ("quarantine", "resume"),
        ("quarantine", "confirm", "case-a"),
        ("quarantine", "hold", "case-a", "--reason", "r"),
        ("review", "reject", "review-a", "--reason", "r"),
    ):
        if command[0] == "lists":
            (hashmatch.home / "nothing.csv").write_text("hash\n")
        said = hashmatch.run(*command, code=25).stderr
        assert "mallory may not do this" in said
        assert "Traceback" not in said
