"""Promise 6. The scanner cannot open the vault: scan hosts hold public keys only."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from custody_parts import CLIP, Scene, in_folders, keys, make_key, needs_age, opened

import hashmatch
from hashmatch.config import Settings
from hashmatch.custody.vault.sealing import PrivateKeyGiven
from hashmatch.custody.vault.store import open_vault

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


# What unseals.
OPENING = {
    "hashmatch.custody.vault.unsealing",
    "hashmatch.custody.vault.rewrapping",
    "hashmatch.custody.viewing",
    "hashmatch.custody.release",
}


def test_what_opens_is_where_it_is_looked_for():
    assert {name for name in OPENING if importlib.util.find_spec(name)} == OPENING


def test_nothing_that_a_scan_loads_can_open_anything():
    """What unseals is in modules of its own, and no run has them in its memory."""
    loads = (
        "import sys, hashmatch.cli.scan, hashmatch.custody.case\n"
        "import hashmatch.runs.nightly, hashmatch.runs.coordinator, hashmatch.runs.worker\n"
        f"print([name for name in {sorted(OPENING)} if name in sys.modules])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", loads],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert ended.stdout.strip() == "[]"


def test_what_seals_has_no_way_to_open_and_only_what_unseals_has():
    """pyrage is imported in two places, and of it only what each of them is for is used."""
    used: dict[str, set[str]] = {}
    for file in PACKAGE.rglob("*.py"):
        names = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom) and "pyrage" in ast.unparse(node):
                assert ast.unparse(node) == "import pyrage"
                used[str(file.relative_to(PACKAGE))] = names
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("pyrage."):
                names.add(ast.unparse(node))
    assert set(used) == {"custody/vault/sealing.py", "custody/vault/unsealing.py"}
    seals = used["custody/vault/sealing.py"]
    assert {name for name in seals if not any(each.startswith(f"{name}.") for each in seals)} == {
        "pyrage.EncryptError",
        "pyrage.RecipientError",
        "pyrage.encrypt",
        "pyrage.encrypt_io",
        # A case's own key is made here, and its private half sealed before anything is kept.
        "pyrage.x25519.Identity.generate",
        "pyrage.x25519.Recipient.from_str",
    }


def test_no_scan_reaches_what_opens_even_while_it_runs():
    """Imports inside functions too: only commands of custodians have them."""
    importers = set()
    for file in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names] + [node.module]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                continue
            if not OPENING.isdisjoint(names):
                importers.add(str(file.relative_to(PACKAGE)))
    assert importers == {
        "cli/approvals.py",
        "cli/viewing.py",
        "custody/viewing.py",
        "custody/release.py",
    }
