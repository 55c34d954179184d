"""The audit log: every decision and every look is a leaf, committed with what it records.

    with db.write() as session:
        session.add(case)
        append(session, "case-opened", {"case": case.id}, at)

A leaf's bytes are canonical JSON (RFC 8785), its hash goes into the Merkle tree of `audit.merkle`.
Leaves are ordered by `seq`; `at` is what the clock said, and a clock may go backwards.
`audit.verification` proves that all of it is still what was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from hashmatch.audit.checkpoint import Checkpoint, sign
from hashmatch.audit.merkle import Frontier, leaf_hash
from hashmatch.db.schema import CheckpointRow, LeafRow, TreeHeadRow
from hashmatch.errors import AuditBroken
from hashmatch.model import Json

FORMAT = 1

_ONLY = 1
_ADD_LEAF = insert(LeafRow.__table__)  # type: ignore[arg-type]
_SET_HEAD = update(TreeHeadRow.__table__).where(TreeHeadRow.id == _ONLY)  # type: ignore[arg-type]
_HEAD = select(TreeHeadRow.size, TreeHeadRow.frontier).where(TreeHeadRow.id == _ONLY)
# SQLite holds the whole database since BEGIN IMMEDIATE and knows no FOR UPDATE.
_LOCK_HEAD = _HEAD.with_for_update()


def append(session: Session, kind: str, body: Mapping[str, Json], at: datetime) -> int:
    """Adds a leaf in the caller's transaction and returns its `seq`.

    The tree's head stays locked until that transaction ends, so that leaves are numbered without
    gaps whoever else writes: append last, and keep the transaction short.
    body: what JSON can hold, whole numbers within 2**53. Raises ValueError for anything else.
    """
    frontier = tree_head(session, lock=True)
    seq = frontier.size
    leaf = leaf_bytes(seq, kind, body, at)
    hashed = leaf_hash(leaf)
    frontier.append(hashed)
    # Below the ORM, which takes three times as long and has nothing to add.
    connection = session.connection()
    connection.execute(
        _ADD_LEAF, {"seq": seq, "at": at, "kind": kind, "body": leaf, "hash": hashed}
    )
    connection.execute(_SET_HEAD, {"size": frontier.size, "frontier": frontier.to_bytes()})
    return seq


def make_checkpoint(session: Session, signer: Ed25519PrivateKey, origin: str, at: datetime) -> str:
    """Signs the log as it is now, keeps the signed note and returns it.

    A log that has not grown since its last checkpoint gets that one again. What was signed before is
    not looked at: `signing.Signer` does that, and calls this.
    """
    frontier = tree_head(session, lock=True)
    kept = session.get(CheckpointRow, frontier.size)
    if kept is not None:
        return kept.note
    root = frontier.root()
    note = sign(Checkpoint(origin, frontier.size, root).text(), origin, signer)
    session.execute(
        insert(CheckpointRow), [{"size": frontier.size, "root": root, "note": note, "made_at": at}]
    )
    return note


def last_leaves(session: Session, count: int, kind: str | None = None) -> list[LeafRow]:
    """The newest leaves (of one kind, if given), oldest first."""
    statement = select(LeafRow).order_by(LeafRow.seq.desc()).limit(count)
    if kind is not None:
        statement = statement.where(LeafRow.kind == kind)
    return list(session.scalars(statement))[::-1]


def last_checkpoint(session: Session) -> str | None:
    """The newest signed note, if there is any."""
    return session.scalar(select(CheckpointRow.note).order_by(CheckpointRow.size.desc()).limit(1))


def leaf_bytes(seq: int, kind: str, body: Mapping[str, Json], at: datetime) -> bytes:
    """What is hashed: {"at", "body", "kind", "seq", "v"} in canonical JSON."""
    leaf: dict[str, Json] = {
        "v": FORMAT,
        "seq": seq,
        "at": written(at),
        "kind": kind,
        "body": dict(body),
    }
    try:
        encoded = rfc8785.dumps(leaf)
        # A whole float beyond 2**53 is written as an integer that cannot be written again.
        rfc8785.dumps(json.loads(encoded))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"this cannot be recorded: {error}") from error
    return encoded


def written(at: datetime) -> str:
    """A time as leaves have it: UTC, to the microsecond, which both databases keep."""
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be recorded")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def tree_head(session: Session, *, lock: bool = False) -> Frontier:
    """The tree as it was kept. lock: keeps other writers out until the transaction ends.

    Raises AuditBroken if there is none, or what is there cannot be one.
    """
    head = session.connection().execute(_LOCK_HEAD if lock else _HEAD).one_or_none()
    if head is None:
        raise AuditBroken(problem="the tree's head is gone", leaf=0)
    # SQLite keeps values of any type in any column.
    if type(head.size) is not int or not isinstance(head.frontier, bytes):
        raise AuditBroken(problem="the tree's head was changed", leaf=0)
    try:
        return Frontier.from_bytes(head.size, head.frontier)
    except ValueError as error:
        raise AuditBroken(problem=f"the tree's head was changed, {error}", leaf=0) from error
