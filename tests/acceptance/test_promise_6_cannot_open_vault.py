"""Promise 6. The scanner cannot open the vault: scan hosts hold public keys only."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from custody_parts import CLIP, Scene, in_folders, keys, make_key, needs_age, opened

import hashmatch
from hashmatch.config import Settings
from hashmatch.custody.seal import PrivateKeyGiven
from hashmatch.custody.vault import open_vault

__all__ = ["keys"]
pytestmark = needs_age

PACKAGE = Path(hashmatch.__file__).parent


@pytest.fixture
def scene(tmp_path, sqlite_db, keys) -> Scene:
    scene = in_folders(tmp_path, sqlite_db, keys).begin()
    scene.custody().advance(scene.case)
    return scene


def secret_of(key) -> str:
    return key.file.read_text().split()[-1]


def test_nobody_else_opens_what_was_sealed(tmp_path, scene):
    stranger = make_key(tmp_path, "stranger")
    with pytest.raises(subprocess.CalledProcessError):
        opened(scene.sealed(), stranger)


def test_nothing_a_scan_host_keeps_opens_what_was_sealed(tmp_path, scene):
    """Every file of the host, the database and the vault among them, is tried as a key."""
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) >= 2
    (tmp_path / "sealed").write_bytes(scene.sealed())
    for file in files:
        command = ["age", "--decrypt", "--identity", str(file), str(tmp_path / "sealed")]
        ended = subprocess.run(command, capture_output=True)
        assert ended.returncode != 0
        assert CLIP[:64] not in ended.stdout


def test_no_private_key_is_anywhere_on_the_scan_host(tmp_path, scene):
    for file in tmp_path.rglob("*"):
        if file.is_file():
            assert b"AGE-SECRET-KEY-" not in file.read_bytes().upper()


def test_a_private_key_in_the_settings_is_refused_and_not_repeated(tmp_path, keys):
    secret = secret_of(keys[1])
    assert secret.startswith("AGE-SECRET-KEY-")
    settings = Settings(
        clips={"url": str(tmp_path / "clips")},
        vault={"url": str(tmp_path / "vault"), "recipients": [keys[0].public, secret]},
    )
    with pytest.raises(PrivateKeyGiven) as refused:
        open_vault(settings)
    assert refused.value.exit_code == 14
    assert secret not in f"{refused.value} {refused.value.remedy} {refused.value!r}"
    assert "replace that key" in refused.value.remedy


def test_the_code_has_no_way_to_open_anything():
    """pyrage is imported in one place, and of it only what seals is used."""
    used: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom) and "pyrage" in ast.unparse(node):
                assert file == PACKAGE / "custody" / "seal.py"
                assert ast.unparse(node) == "import pyrage"
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("pyrage."):
                used.add(ast.unparse(node))
    used = {name for name in used if not any(other.startswith(f"{name}.") for other in used)}
    assert used == {
        "pyrage.RecipientError",
        "pyrage.encrypt_io",
        "pyrage.x25519.Recipient.from_str",
    }
