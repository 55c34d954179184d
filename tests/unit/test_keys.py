"""Key files: made once, kept private, and refused in any other state."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from hashmatch.audit.checkpoint import verifier_key
from hashmatch.audit.keys import (
    KeyMalformed,
    KeyMissing,
    KeyUnsafe,
    create_keys,
    load_id_key,
    load_signer,
    load_verifier,
)
from hashmatch.errors import ConfigError


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    key, id_key = tmp_path / "keys" / "audit.key", tmp_path / "keys" / "id.key"
    assert create_keys(key, id_key) == [key, id_key]
    return key, id_key


def private(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    path.chmod(0o600)
    return path


def test_new_keys_load_and_belong_to_their_owner_alone(keys: tuple[Path, Path]) -> None:
    key, id_key = keys
    assert load_signer(key).public_key()
    assert len(load_id_key(id_key)) == 32
    assert [stat.S_IMODE(path.stat().st_mode) for path in keys] == [0o600, 0o600]
    assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert sorted(path.name for path in key.parent.iterdir()) == ["audit.key", "id.key"]


def test_whoever_only_verifies_has_the_public_key(keys: tuple[Path, Path], tmp_path: Path) -> None:
    public = load_signer(keys[0]).public_key()
    assert load_verifier(keys[0]) == public
    printed = verifier_key("hashmatch.example/log", public)
    (tmp_path / "audit.pub").write_text(printed + "\n")
    (tmp_path / "audit.pub").chmod(0o644)
    assert load_verifier(tmp_path / "audit.pub") == public
    with pytest.raises(KeyMalformed):
        load_signer(private(tmp_path / "alone.pub", printed.encode()))
    (tmp_path / "audit.pub").chmod(0o664)
    with pytest.raises(KeyUnsafe, match="others than its owner may change"):
        load_verifier(tmp_path / "audit.pub")


@pytest.mark.parametrize(
    "change", [lambda text: text[:-5], lambda text: "x" + text, lambda text: ""]
)
def test_a_damaged_public_key_is_none(
    keys: tuple[Path, Path], tmp_path: Path, change: Callable[[str], str]
) -> None:
    printed = verifier_key("hashmatch.example/log", load_signer(keys[0]).public_key())
    with pytest.raises(KeyMalformed, match="as `hashmatch audit key` prints it"):
        load_verifier(private(tmp_path / "audit.pub", change(printed).encode()))


def test_an_existing_key_is_never_overwritten(keys: tuple[Path, Path]) -> None:
    before = [path.read_bytes() for path in keys]
    assert create_keys(*keys) == []
    assert [path.read_bytes() for path in keys] == before


def test_only_the_missing_key_is_made(keys: tuple[Path, Path]) -> None:
    key, id_key = keys
    id_key.unlink()
    before = key.read_bytes()
    assert create_keys(key, id_key) == [id_key]
    assert key.read_bytes() == before


def test_a_dangling_link_is_not_replaced_by_a_key(tmp_path: Path) -> None:
    key = tmp_path / "audit.key"
    key.symlink_to(tmp_path / "unmounted" / "audit.key")
    assert create_keys(key, tmp_path / "id.key") == [tmp_path / "id.key"]
    assert key.is_symlink()


def test_two_installations_have_different_keys(tmp_path: Path) -> None:
    for name in ("a", "b"):
        create_keys(tmp_path / name / "audit.key", tmp_path / name / "id.key")
    assert load_id_key(tmp_path / "a" / "id.key") != load_id_key(tmp_path / "b" / "id.key")


def test_the_umask_does_not_open_a_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        create_keys(tmp_path / "audit.key", tmp_path / "id.key")
    finally:
        os.umask(before)
    load_signer(tmp_path / "audit.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o601])
def test_a_key_that_others_may_use_is_refused(keys: tuple[Path, Path], mode: int) -> None:
    key, id_key = keys
    for path in keys:
        path.chmod(mode)
    with pytest.raises(KeyUnsafe, match="others than its owner"):
        load_signer(key)
    with pytest.raises(KeyUnsafe, match="others than its owner") as caught:
        load_id_key(id_key)
    assert "chmod 600" in caught.value.remedy


def test_a_missing_key_is_named_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(KeyMissing, match=r"gone\.key") as caught:
        load_signer(tmp_path / "gone.key")
    assert "hashmatch init" in caught.value.remedy
    with pytest.raises(KeyMissing):
        load_id_key(tmp_path / "gone.key")


def test_every_trouble_with_a_key_is_a_trouble_with_the_settings() -> None:
    assert all(issubclass(each, ConfigError) for each in (KeyMissing, KeyUnsafe, KeyMalformed))
    assert {each.exit_code for each in (KeyMissing, KeyUnsafe, KeyMalformed)} == {14}


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


ED25519 = Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        _pem(ED25519)[:60],
        ED25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")),
        ED25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        generate_private_key(SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
    ],
    ids=["empty", "text", "cut off", "with a passphrase", "public", "another algorithm"],
)
def test_what_is_no_signing_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyMalformed, match="Ed25519"):
        load_signer(private(tmp_path / "audit.key", content))


@pytest.mark.parametrize(
    "content",
    [b"", b"00" * 31, b"00" * 33, b"0" * 63 + b"g", bytes(32), b"\xff" * 64, b"00 " * 32],
    ids=["empty", "short", "long", "no digit", "raw", "not text", "spaced"],
)
def test_what_is_no_naming_key_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(KeyMalformed, match="64 hexadecimal digits"):
        load_id_key(private(tmp_path / "id.key", content))


def test_no_error_shows_what_is_in_a_key_file(tmp_path: Path) -> None:
    path = private(tmp_path / "id.key", b"5ec2e7" * 5)
    with pytest.raises(KeyMalformed) as caught:
        load_id_key(path)
    assert "5ec2e7" not in caught.value.message + caught.value.remedy + repr(caught.value)
    assert caught.value.__cause__ is None


def test_a_folder_or_a_pipe_is_no_key(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(KeyMalformed):
        load_signer(tmp_path / "pipe")
    (tmp_path / "folder").mkdir(0o700)
    with pytest.raises(ConfigError):
        load_signer(tmp_path / "folder")
