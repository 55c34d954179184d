"""The installation's two secrets: the key that signs checkpoints, and the one that names records.

    create_keys(settings.path(settings.audit.key), settings.path(settings.audit.id_key))
    signer = load_signer(settings.path(settings.audit.key))
    verifier = load_verifier(settings.path(settings.audit.key))

Both files belong to one account (0600) and are refused otherwise. Where only is verified, the first
may be a file with the public key. Whoever has the signing key can sign a forged log: keep
checkpoints elsewhere. Whoever loses the naming key can look up no clip that the log names: back it
up.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hashmatch.audit.checkpoint import CheckpointError, public_key
from hashmatch.errors import ConfigError
from hashmatch.newfile import new_file

ID_KEY_BYTES = 32
_MAX_BYTES = 4096


class KeyMissing(ConfigError):
    message = "{source}: there is no such key file."
    remedy = "Restore it from its backup. On a new installation `hashmatch init` makes it."


class VerifierMissing(KeyMissing):
    message = "{source}: there is no such key file."
    remedy = (
        "On the scan host restore it from its backup. Elsewhere let audit.key name a file with the "
        "public key, which `hashmatch audit key` prints on the scan host."
    )


class KeyUnsafe(ConfigError):
    message = "{source}: others than its owner may {do} this key file ({mode})."
    remedy = "Replace it if somebody may have; otherwise run `chmod {right}` on it."


class KeyMalformed(ConfigError):
    message = "{source}: not {expected}."
    remedy = (
        "Restore it from its backup. Do not make a new one in its place: the log would change "
        "hands."
    )


def create_keys(key: Path, id_key: Path) -> list[Path]:
    """Makes the key files that are missing, with their folders (0700), and returns those made.

    A file that exists is never touched. Each is complete and on disk when it appears.
    """
    made = []
    if not _exists(key):
        signer = Ed25519PrivateKey.generate()
        _create(key, signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        made.append(key)
    if not _exists(id_key):
        _create(id_key, secrets.token_hex(ID_KEY_BYTES).encode() + b"\n")
        made.append(id_key)
    return made


def load_signer(path: Path) -> Ed25519PrivateKey:
    """The key that signs checkpoints. Raises KeyMissing, KeyUnsafe or KeyMalformed."""
    try:
        key = load_pem_private_key(read_secret(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyMalformed(source=path, expected="an unencrypted Ed25519 key in PEM")
    return key


def load_verifier(path: Path) -> Ed25519PublicKey:
    """The log's public key, of the signing key or as `hashmatch audit key` printed it.

    Raises VerifierMissing, KeyUnsafe (a public key that others may change) or KeyMalformed.
    """
    try:
        content, mode = _read(path)
    except KeyMissing:
        raise VerifierMissing(source=path) from None
    if content.startswith(b"-----BEGIN"):
        return load_signer(path).public_key()
    if mode & 0o022:
        raise KeyUnsafe(source=path, do="change", mode=stat.filemode(mode), right="644")
    try:
        return public_key(content.decode().strip())
    except (UnicodeDecodeError, CheckpointError):
        expected = "the log's key in PEM, nor its public key as `hashmatch audit key` prints it"
        raise KeyMalformed(source=path, expected=expected) from None


def load_id_key(path: Path) -> bytes:
    """The 32 bytes that name records. Raises KeyMissing, KeyUnsafe or KeyMalformed."""
    text = read_secret(path).strip()
    try:
        key = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        key = b""
    if len(key) != ID_KEY_BYTES or len(text) != 2 * ID_KEY_BYTES:
        raise KeyMalformed(source=path, expected=f"{2 * ID_KEY_BYTES} hexadecimal digits")
    return key


def _exists(path: Path) -> bool:
    return os.path.lexists(path)


def _create(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with new_file(path) as file:
        file.write(content)


def read_secret(path: Path) -> bytes:
    """A small file that belongs to one account. Raises KeyMissing, KeyUnsafe or KeyMalformed."""
    content, mode = _read(path)
    if mode & 0o077:
        raise KeyUnsafe(source=path, do="use", mode=stat.filemode(mode), right="600")
    return content


def _read(path: Path) -> tuple[bytes, int]:
    """A small file and its mode."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise KeyMissing(source=path) from None
    except OSError as error:
        raise ConfigError(source=path, problem=f"cannot be read: {error.strerror}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise KeyMalformed(source=path, expected="a file")
        return os.read(descriptor, _MAX_BYTES), status.st_mode
    finally:
        os.close(descriptor)
