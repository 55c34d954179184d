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
from collections.abc import Iterator, Sequence

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from hashmatch.db.schema import ClipRow, OpeningRow

SALT_BYTES = 16
_CLOSED = b""  # the salt of a clip that was forgotten
_VERSION = re.compile(r"version-[a-z2-7]{52}")
_LABEL = b"hashmatch commitment v1\0"
_COMMITMENT = re.compile(r"[a-z]+-[a-z2-7]{52}")
_AT_ONCE = 500  # names in one statement


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


def commit_person(session: Session, name: str) -> str:
    """To an account, or what else somebody was called; the same one in every leaf."""
    return commit(session, "person", name, subject="person")


def named(kind: str, salt: bytes | None, value: str) -> str:
    """What leaves call a clip (by its key) or a version of it (by its ETag).

    Of what was forgotten, its commitment stands in the place of the value. Empty where there is no
    salt yet, so that no leaf can have named it.
    """
    # A key is whatever somebody uploads: only its salt says that it was closed.
    if salt == _CLOSED or (kind == "version" and _VERSION.fullmatch(value)):
        return value
    return commitment(kind, salt, value) if salt else ""


def commit_clip(session: Session, clip: ClipRow) -> str:
    """The commitment by which leaves name a clip; its salt is made at first use."""
    return named("clip", _salt(session, clip), clip.key)


def commit_version(session: Session, clip: ClipRow, etag: str) -> str:
    """To an ETag of a clip, which may be a digest of its bytes, under the same salt."""
    return named("version", _salt(session, clip), etag)


def close_clip(session: Session, clip: ClipRow) -> None:
    """Forget which clip its commitment means: it takes the place of the key, and the salt goes.

    What is kept of its versions must be closed before, while the salt is there.
    """
    clip.key, clip.salt = commit_clip(session, clip), _CLOSED
    session.flush()


def salt_clips(session: Session, ids: Sequence[int]) -> dict[int, bytes]:
    """Give salts to clips that have none, in bulk; returns those they have now.

    To be called before the session holds any of them.
    """
    if not ids:
        return {}
    clip = ClipRow.__table__.c
    give = (
        update(ClipRow.__table__)  # type: ignore[arg-type]
        .where(clip.id == bindparam("which"), clip.salt.is_(None))
        .values(salt=bindparam("made"))
    )
    connection = session.connection()
    connection.execute(give, [{"which": id, "made": new_salt()} for id in ids])
    made = select(clip.id, clip.salt).where(clip.id.in_(ids))
    return {row.id: row.salt for row in connection.execute(made)}


def opened(session: Session, name: str) -> str | None:
    """The value, or None where the opening was destroyed or never was."""
    return session.scalar(select(OpeningRow.value).where(OpeningRow.commitment == name))


def openings(session: Session, content: object) -> dict[str, str]:
    """The values of the commitments in a leaf, or in several, as far as they are kept.

    Clips stay as they are: their values are not in `opening`. So does content: a file's digest may
    be a listed hash.
    """
    names = sorted(set(_commitments(content)))
    known: dict[str, str] = {}
    for start in range(0, len(names), _AT_ONCE):
        query = select(OpeningRow.commitment, OpeningRow.value)
        some = OpeningRow.commitment.in_(names[start : start + _AT_ONCE])
        shown = query.where(some, OpeningRow.kind != "content")
        known |= {row.commitment: row.value for row in session.execute(shown)}
    return known


def forget(session: Session, *, subject: str) -> int:
    """Destroy all openings of a subject; returns how many there were."""
    gone = delete(OpeningRow).where(OpeningRow.subject == subject).returning(OpeningRow.kind)
    return len(session.scalars(gone).all())


def _commitments(content: object) -> Iterator[str]:
    match content:
        case str() if _COMMITMENT.fullmatch(content):
            yield content
        case dict():
            for value in content.values():
                yield from _commitments(value)
        case list():
            for value in content:
                yield from _commitments(value)


def _salt(session: Session, clip: ClipRow) -> bytes:
    if clip.salt is None:
        clip.salt = new_salt()
        session.flush()
    return clip.salt
