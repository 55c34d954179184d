"""`hashmatch quarantine`, as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from custody_parts import CLIP, KEY, MATCH, Scene, in_folders, keys, needs_age, sha256

from hashmatch.access import account
from hashmatch.audit.commitments import opened
from hashmatch.cli.main import cli
from hashmatch.cli.quarantine import STATES, VaultUnreadable, quarantine_command
from hashmatch.custody.case_record import NoSuchCase, State
from hashmatch.custody.vault.inspection import NothingSealed
from hashmatch.db.schema import MatchRow
from hashmatch.errors import VaultDamaged

__all__ = ["keys"]
pytestmark = needs_age


class Operator:
    """Somebody at the command line of the scene's installation."""

    def __init__(self, home: Path) -> None:
        self.config = home / "hashmatch.toml"
        self.config.write_text('[vault]\nurl = "vault"\n')

    def types(self, *words: str) -> Result:
        return CliRunner().invoke(cli, ["--config", str(self.config), "quarantine", *words])

    def reads(self, *words: str):
        result = self.types(*words, "--json")
        assert result.exception is None, result.output
        return json.loads(result.stdout)


@pytest.fixture
def scene(tmp_path, sqlite_db, keys) -> Scene:
    scene = in_folders(tmp_path, sqlite_db, keys).begin()
    record_match(scene)
    return scene


def record_match(scene: Scene) -> None:
    """As every look at the clip does."""
    with scene.db.write() as session:
        session.add(
            MatchRow(
                run_id="run-1",
                clip_id=scene.row.clip_id,
                etag=scene.row.etag,
                list_name=MATCH.list,
                version=MATCH.version,
                entry_id=MATCH.entry,
                classification=MATCH.classification,
                kind=MATCH.kind,
                action=MATCH.action,
                algorithm=MATCH.algorithm,
                distance=MATCH.distance,
                start=MATCH.start,
                end=MATCH.end,
                frames=MATCH.frames,
                variant=MATCH.variant,
            )
        )


@pytest.fixture
def operator(tmp_path) -> Operator:
    return Operator(tmp_path)


def path_of(scene: Scene, tmp_path: Path) -> Path:
    return tmp_path / "vault" / scene.row.vault_key


def last_bit_flipped(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def test_the_states_of_the_option_are_those_that_cases_have():
    assert set(STATES) == set(State)


def test_list_shows_cases_by_state_and_names_no_clip(scene, operator):
    assert [case["case"] for case in operator.reads("list")] == [scene.case]
    assert operator.reads("list", "--state", "removed") == []
    scene.custody().advance(scene.case)
    [case] = operator.reads("list", "--state", "removed")
    assert (case["state"], case["lists"], case["problem"]) == ("removed", ["partner"], None)
    for words in (["list"], ["list", "--json"]):
        assert "somebody" not in operator.types(*words).output


def test_show_tells_what_matched_and_how_far_custody_has_come(scene, operator):
    scene.custody().advance(scene.case)
    shown = operator.reads("show", scene.case)
    assert shown["clip_key"] == KEY
    assert shown["state"] == "removed"
    assert shown["detected_at"] <= shown["verified_at"] <= shown["removed_at"]
    [match] = shown["matches"]
    assert match["entry"] == MATCH.entry
    assert match["classification"] == "A1"
    assert (match["start"], match["end"], match["frames"]) == (1.25, 14.5, 31)
    assert MATCH.entry in operator.types("show", scene.case).stdout


def test_a_match_that_was_found_twice_is_shown_once(scene, operator):
    record_match(scene)
    assert len(operator.reads("show", scene.case)["matches"]) == 1


def test_show_prints_no_digest_of_the_clip_and_no_distance(scene, operator):
    """A clip's digest may be a listed one, and so may an ETag; a distance tells how to evade."""
    for words in (["show", scene.case], ["show", scene.case, "--json"]):
        output = operator.types(*words).output
        assert sha256(CLIP) not in output
        assert scene.row.etag not in output
        assert "distance" not in output


def test_that_a_case_was_shown_is_on_the_record(scene, operator):
    operator.types("show", scene.case)
    kind, body = scene.leaves()[-1]
    assert kind == "case-shown"
    assert body["case"] == scene.case
    with scene.db.read() as session:
        assert opened(session, body["by"]) == account()


def test_a_case_nobody_opened_is_an_error(operator, scene):
    assert isinstance(operator.types("show", "case-x").exception, NoSuchCase)
    assert isinstance(operator.types("verify", "case-x").exception, NoSuchCase)


def test_verify_finds_whole_objects_whole_and_says_so_on_the_record(scene, operator):
    scene.custody().advance(scene.case)
    [finding] = operator.reads("verify")
    assert (finding["case"], finding["condition"]) == (scene.case, "whole")
    assert finding["size"] == len(scene.sealed())
    assert scene.leaves()[-1] == (
        "vault-verified",
        {"case": scene.case, "found": "whole", "parts": []},
    )
    result = operator.types("verify", scene.case)
    assert result.exit_code == 0
    assert "1 of 1 sealed objects are whole" in result.stderr


def test_a_sealed_object_swapped_with_anothers_is_found(tmp_path, sqlite_db, keys, operator):
    scene = in_folders(tmp_path, sqlite_db, keys)
    files = []
    for number in range(2):
        scene.begin(key=f"clip-{number}.mp4")
        scene.custody().advance(scene.case)
        files.append(path_of(scene, tmp_path))
    one, other = (file.read_bytes() for file in files)
    files[0].write_bytes(other)
    files[1].write_bytes(one)
    result = operator.types("verify", "--json")
    assert isinstance(result.exception, VaultDamaged)
    found = json.loads(result.stdout)
    assert [each["condition"] for each in found] == ["damaged", "damaged"]


@pytest.mark.parametrize(("share", "looked_at"), [("1%", 1), ("50%", 2), ("100%", 3)])
def test_a_sample_is_looked_at(tmp_path, sqlite_db, keys, operator, share, looked_at):
    scene = in_folders(tmp_path, sqlite_db, keys)
    for number in range(3):
        scene.begin(key=f"clip-{number}.mp4")
        scene.custody().advance(scene.case)
    assert len(operator.reads("verify", "--sample", share)) == looked_at
    assert len(operator.reads("verify", "--all")) == 3


@pytest.mark.parametrize("share", ["0%", "101%", "-1", "many", ""])
def test_a_share_that_is_none_is_a_usage_error(operator, share):
    assert operator.types("verify", "--sample", share).exit_code == 2


def test_verify_needs_no_recipients_and_no_private_key(scene, operator):
    """An auditor's host has the database and may read the vault; that is enough."""
    scene.custody().advance(scene.case)
    assert "recipients" not in operator.config.read_text()
    assert operator.types("verify").exit_code == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes() + b"\0"),
        lambda file: file.write_bytes(last_bit_flipped(file.read_bytes())),
    ],
)
@pytest.mark.parametrize("part", ["clip", "key", "manifest"])
def test_verify_finds_every_kind_of_damage(tmp_path, scene, operator, part, damage):
    scene.custody().advance(scene.case)
    file = path_of(scene, tmp_path)
    if part != "clip":
        file = file.with_suffix(f".{part}.age")
    damage(file)
    result = operator.types("verify", "--json")
    assert isinstance(result.exception, VaultDamaged)
    assert result.exception.exit_code == 21
    expected = "damaged" if file.exists() else "missing"
    assert json.loads(result.stdout)[0]["condition"] == expected
    assert scene.leaves()[-1] == (
        "vault-verified",
        {"case": scene.case, "found": expected, "parts": [part]},
    )


def test_one_damaged_object_does_not_keep_others_from_being_looked_at(
    tmp_path, sqlite_db, keys, operator
):
    scene = in_folders(tmp_path, sqlite_db, keys)
    places = []
    for number in range(3):
        scene.begin(key=f"clip-{number}.mp4")
        scene.custody().advance(scene.case)
        places.append(path_of(scene, tmp_path))
    places[1].unlink()
    result = operator.types("verify", "--json")
    conditions = [finding["condition"] for finding in json.loads(result.stdout)]
    assert conditions == ["whole", "missing", "whole"]
    assert scene.kinds().count("vault-verified") == 3


def test_a_vault_that_cannot_be_read_is_not_called_damaged(tmp_path, scene, operator):
    scene.custody().advance(scene.case)
    (tmp_path / "vault").rename(tmp_path / "unmounted")
    result = operator.types("verify", "--json")
    assert isinstance(result.exception, VaultUnreadable)
    assert result.exception.exit_code == 15
    assert json.loads(result.stdout)[0]["condition"] == "unreadable"


def test_verify_of_a_case_with_nothing_sealed_says_so(scene, operator):
    assert operator.reads("verify") == []
    assert isinstance(operator.types("verify", scene.case).exception, NothingSealed)


def test_a_case_that_is_sealed_again_meanwhile_is_not_called_damaged(scene, operator, monkeypatch):
    from hashmatch.custody.vault import inspection

    custody = scene.custody()
    custody.advance(scene.case)
    real = inspection.read_back
    looks = []

    def resealing(store, key):
        found = real(store, key)
        if not looks:
            receipt = custody.vault.seal(key, [CLIP], scene.row.case_key, sha256=sha256(CLIP))
            with scene.db.write() as session:
                row = session.merge(scene.row)
                row.sealed_size, row.sealed_sha256 = receipt.sealed
            found = None
        looks.append(key)
        return found

    monkeypatch.setattr(inspection, "read_back", resealing)
    assert operator.reads("verify")[0]["condition"] == "whole"
    assert looks.count(scene.row.vault_key) == 2


@pytest.mark.parametrize("command", ["list", "show", "verify"])
def test_every_command_has_help_with_an_example(command):
    result = CliRunner().invoke(quarantine_command, [command, "--help"])
    assert result.exit_code == 0
    assert f"hashmatch quarantine {command}" in result.output


def test_a_damaged_vault_ends_the_program_with_21(tmp_path, scene, operator):
    scene.custody().advance(scene.case)
    path_of(scene, tmp_path).unlink()
    command = [sys.executable, "-m", "hashmatch", "--config", str(operator.config)]
    ended = subprocess.run(
        [*command, "quarantine", "verify"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 21
    assert "restore" in ended.stderr
