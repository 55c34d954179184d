"""Promise 2 where the vault's disk is not mounted: an empty folder takes no case and no original."""

from __future__ import annotations

import json

from custody_parts import needs_age
from drawn import write_clip
from installation import Installation

from hashmatch.custody.vault.marker import MARKER

pytestmark = needs_age


def test_promise_2_no_run_and_no_doctor_is_content_with_an_unmounted_vault(tmp_path):
    hashmatch = Installation(tmp_path / "site")
    assert (hashmatch.vault / MARKER).is_file(), "init marks it"
    listed = tmp_path / "listed.mp4"
    write_clip(listed, seed=41, seconds=1, width=192, height=144)
    hashmatch.list_videos("partner", {"v1": listed})
    (hashmatch.clips / "one.mp4").write_bytes(listed.read_bytes())
    assert json.loads(hashmatch.run("scan", "--json").stdout)["quarantined"] == 1

    disk = hashmatch.vault.rename(tmp_path / "disk")
    hashmatch.vault.mkdir()
    for name in ("two.mp4", "three.mp4"):
        (hashmatch.clips / name).write_bytes(listed.read_bytes())
    night = json.loads(hashmatch.run("scan", "--json", code=15).stdout)
    assert (night["quarantined"], night["custody_open"], night["vault_away"]) == (0, 2, True)
    (alarm,) = night["alarms"]
    assert MARKER in alarm
    assert alarm.partition(":")[0].endswith(" and 1 more")
    assert (hashmatch.clips / "two.mp4").read_bytes() == listed.read_bytes()
    findings = json.loads(hashmatch.run("doctor", "--json", code=15).stdout)
    assert [one["what"] for one in findings if not one["ok"]] == ["vault"]
    for command in (("init",), ("quarantine", "verify")):
        assert "Is it mounted?" in hashmatch.run(*command, code=15).stderr
    assert list(hashmatch.vault.iterdir()) == []

    hashmatch.vault.rmdir()
    disk.rename(hashmatch.vault)
    hashmatch.run("quarantine", "resume")
    assert list(hashmatch.clips.iterdir()) == []
    assert list(hashmatch.sealed().values()) == [listed.read_bytes()] * 3
    hashmatch.run("audit", "verify")
