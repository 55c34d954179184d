"""Checkpoints: signed statements of the log's size and root hash, to be kept elsewhere.

    note = sign(Checkpoint("hashmatch.example/log", 3, root).text(), origin, private_key)
    Checkpoint.parse(open_note(note, origin, public_key))

Formats: C2SP tlog-checkpoint (origin, size, root) in a C2SP signed-note with Ed25519 signatures
(type 0x01), so that any transparency-log tool can read them: https://c2sp.org/tlog-checkpoint,
https://c2sp.org/signed-note.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hashmatch.audit.merkle import HASH_BYTES
from hashmatch.errors import HashmatchError

MAX_BYTES = 64 * 1024
MAX_SIZE = 2**63 - 1
MAX_SIGNATURES = 16

_ED25519 = b"\x01"
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
_SIGNATURE = re.compile(r"— (\S+) ([A-Za-z0-9+/]+={0,2})")


class CheckpointError(HashmatchError):
    message = "The checkpoint cannot be trusted: {problem}."
    remedy = "Take it again from where it was kept, and check that the public key is this log's."
    exit_code = 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """size: leaves, 0 to 2**63-1; root: 32 bytes; extensions: further lines, kept as they are."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        """What is signed. Ends with a newline."""
        lines = (self.origin, str(self.size), base64.b64encode(self.root).decode())
        return "".join(line + "\n" for line in (*lines, *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint of a note's text, without its signatures. Raises CheckpointError."""
        if not text.endswith("\n"):
            raise CheckpointError(problem="its text does not end with a newline")
        lines = text[:-1].split("\n")
        if len(lines) < 3:
            raise CheckpointError(problem="it needs three lines: origin, size and root hash")
        origin, size, root, *extensions = lines
        if not origin:
            raise CheckpointError(problem="its origin is empty")
        if not _DECIMAL.fullmatch(size) or int(size) > MAX_SIZE:
            raise CheckpointError(problem="its size is not a plain decimal number below 2**63")
        if any(not line for line in extensions):
            raise CheckpointError(problem="an extension line is empty")
        return cls(origin, int(size), _root(root), tuple(extensions))


def key_id(name: str, key: Ed25519PublicKey) -> bytes:
    """The four bytes that tell which key signed."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + key.public_bytes_raw()).digest()[:4]


def verifier_key(name: str, key: Ed25519PublicKey) -> str:
    """The public key as other tools take it: NAME+KEYID+BASE64."""
    encoded = base64.b64encode(_ED25519 + key.public_bytes_raw()).decode()
    return f"{_name(name)}+{key_id(name, key).hex()}+{encoded}"


def public_key(verifier: str) -> Ed25519PublicKey:
    """The key in NAME+KEYID+BASE64. Raises CheckpointError for anything else."""
    name, _, rest = verifier.partition("+")
    identity, _, encoded = rest.partition("+")
    raw = _base64(encoded) or b""
    if raw[:1] != _ED25519 or len(raw) != 33:
        raise CheckpointError(problem="it is no Ed25519 verifier key, NAME+KEYID+BASE64")
    key = Ed25519PublicKey.from_public_bytes(raw[1:])
    if key_id(name, key).hex() != identity:
        raise CheckpointError(problem="its key id is that of another key or name")
    return key


def sign(text: str, name: str, key: Ed25519PrivateKey) -> str:
    """The signed note over `text`, which ends with a newline. Raises ValueError for a bad name."""
    if not text.endswith("\n"):
        raise ValueError("a note's text ends with a newline")
    signature = key_id(_name(name), key.public_key()) + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(signature).decode()}\n"


def split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """A note's text, and the name and bytes (key id first) of each signature; nothing is verified.

    Raises CheckpointError for what is no signed note.
    """
    if len(note.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise CheckpointError(problem=f"it is larger than {MAX_BYTES} bytes")
    if any((sign < " " and sign != "\n") or "\ud800" <= sign <= "\udfff" for sign in note):
        raise CheckpointError(problem="it has control characters or is not UTF-8")
    text, separator, tail = note.rpartition("\n\n")
    if not separator or not tail.endswith("\n"):
        raise CheckpointError(problem="it has no signature after an empty line, or is cut off")
    signatures: list[tuple[str, bytes]] = []
    for line in tail[:-1].split("\n"):
        found = _SIGNATURE.fullmatch(line)
        if found is None:
            raise CheckpointError(problem="a signature line is malformed")
        name, encoded = found.groups()
        signature = _base64(encoded)
        if signature is None or len(signature) < 5 or "+" in name:
            raise CheckpointError(problem="a signature line is malformed")
        signatures.append((name, signature))
    if len(signatures) > MAX_SIGNATURES:
        raise CheckpointError(problem=f"it has more than {MAX_SIGNATURES} signatures")
    return text + "\n", signatures


def open_note(note: str, name: str, key: Ed25519PublicKey) -> str:
    """The text of a note that `key` signed under `name`. Others' signatures are passed over.

    Raises CheckpointError unless there is such a signature and it holds.
    """
    text, signatures = split(note)
    wanted = key_id(name, key)
    ours = [each[4:] for signer, each in signatures if signer == name and each[:4] == wanted]
    if not ours:
        raise CheckpointError(problem="it is not signed by this key")
    for signature in ours:
        try:
            key.verify(signature, text.encode())
        except InvalidSignature:
            raise CheckpointError(problem="its signature does not hold") from None
    return text


def _name(name: str) -> str:
    if not name or "+" in name or any(sign.isspace() or not sign.isprintable() for sign in name):
        raise ValueError("a log's name is not empty and has neither spaces nor plus signs")
    return name


def _root(encoded: str) -> bytes:
    root = _base64(encoded)
    if root is None:
        raise CheckpointError(problem="its root hash is not base64")
    if len(root) != HASH_BYTES:
        raise CheckpointError(problem=f"its root hash has {len(root)} bytes, not {HASH_BYTES}")
    return root


def _base64(encoded: str) -> bytes | None:
    """Strict: one spelling for each value, or None."""
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if base64.b64encode(decoded).decode() == encoded else None
