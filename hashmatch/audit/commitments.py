"""Commitments: how leaves speak of what must be erasable one day.

    name = commit(session, "person", "alice", subject="person")    # in the log
    opened(session, name)                                          # 'alice', as long as it is kept
    forget(session, subject="case-7hq2k6w4v3mzdpbe")               # closed for ever; the tree stands

A commitment is SHA-256 over a label, 16 random bytes and the value. Whoever has only the log can
test no guess; whoever is given salt and value can check that the leaf spoke of just that. Salts are
in the database (`opening`, and `clip.salt`), never in a leaf.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from hashmatch.db.schema import ClipRow, OpeningRow

SALT_BYTES = 16
_CLOSED = b""  # the salt of a clip that was forgotten
_VERSION = re.compile(r"version-[a-z2-7]{52}")
_LABEL = b"hashmatch commitment v1\0"


def commitment(kind: str, salt: bytes, value: str) -> str:
    """`kind-` and 52 letters and digits: all 256 bits, so that no second value fits.

    Raises ValueError for a salt of another length.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    encoded = value.encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(_LABEL + kind.encode() + b"\0" + salt + encoded).digest()
    return f"{kind}-{base64.b32encode(digest).decode().lower().rstrip('=')}"


def new_salt() -> bytes:
    return secrets.token_bytes(SALT_BYTES)


def commit(session: Session, kind: str, value: str, *, subject: str) -> str:
    """The commitment to a value of a subject, made at first use, the same one from then on."""
    query = select(OpeningRow.commitment).where(
        OpeningRow.subject == subject, OpeningRow.kind == kind, OpeningRow.value == value
    )
    known = session.scalar(query.limit(1))
    if known is not None:
        return known
    salt = new_salt()
    name = commitment(kind, salt, value)
    row = {"commitment": name, "kind": kind, "salt": salt, "value": value, "subject": subject}
    session.execute(insert(OpeningRow), [row])
    return name


def commit_clip(session: Session, clip: ClipRow) -> str:
    """The commitment by which leaves name a clip; its salt is made at first use.

    A clip that was forgotten has it for its key.
    """
    if clip.salt == _CLOSED:
        return clip.key
    return commitment("clip", _salt(session, clip), clip.key)


def commit_version(session: Session, clip: ClipRow, etag: str) -> str:
    """To an ETag of a clip, which may be a digest of its bytes, under the same salt.

    etag: or the commitment itself, which stands where a version was forgotten.
    """
    if _VERSION.fullmatch(etag):
        return etag
    return commitment("version", _salt(session, clip), etag)


def close_clip(session: Session, clip: ClipRow) -> None:
    """Forget which clip its commitment means: it takes the place of the key, and the salt goes.

    What is kept of its versions must be closed before, while the salt is there.
    """
    clip.key, clip.salt = commit_clip(session, clip), _CLOSED
    session.flush()


def opened(session: Session, name: str) -> str | None:
    """The value, or None where the opening was destroyed or never was."""
    return session.scalar(select(OpeningRow.value).where(OpeningRow.commitment == name))


def forget(session: Session, *, subject: str) -> int:
    """Destroy all openings of a subject; returns how many there were."""
    gone = delete(OpeningRow).where(OpeningRow.subject == subject).returning(OpeningRow.kind)
    return len(session.scalars(gone).all())


def _salt(session: Session, clip: ClipRow) -> bytes:
    if clip.salt is None:
        clip.salt = new_salt()
        session.flush()
    return clip.salt
