"""The installation's two secrets: the key that signs checkpoints, and the one that names records.

    create_keys(settings.path(settings.audit.key), settings.path(settings.audit.id_key))
    signer = load_signer(settings.path(settings.audit.key))

Both files belong to one account (0600) and are refused otherwise. Whoever has the signing key can
sign a forged log: keep checkpoints elsewhere. Whoever loses the naming key can look up no clip that
the log names: back it up.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from hashmatch.errors import ConfigError

ID_KEY_BYTES = 32
_MAX_BYTES = 4096


class KeyMissing(ConfigError):
    """{source}: there is no such key file.

    Restore it from its backup. On a new installation `hashmatch init` makes it.
    """


class KeyUnsafe(ConfigError):
    """{source}: others than its owner may use this key file ({mode}).

    Make a new key if somebody may have read it; otherwise run `chmod 600` on it.
    """


class KeyMalformed(ConfigError):
    """{source}: not {expected}.

    Restore it from its backup. Do not make a new one in its place: the log would change hands.
    """


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
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        # Unlike rename, link does not replace a file that appeared meanwhile.
        os.link(fresh, path)
    finally:
        fresh.unlink()
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_secret(path: Path) -> bytes:
    """A small file that belongs to one account. Raises KeyMissing, KeyUnsafe or KeyMalformed."""
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
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise KeyUnsafe(source=path, mode=stat.filemode(status.st_mode))
        return os.read(descriptor, _MAX_BYTES)
    finally:
        os.close(descriptor)
