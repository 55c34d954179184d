"""Verification: the audit log is still, byte for byte, what was appended to it.

    with db.read() as session:
        verified = verify(session, signer.public_key())

Found: a leaf that was changed, removed, added, moved or cut off the end, as long as one of these is
left: the tree's head, a later checkpoint in the database, or one that was kept elsewhere. Not found
without the last: a log that somebody with the database and the signing key wrote anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import ColumnElement, Text, select, type_coerce
from sqlalchemy.orm import Session

from hashmatch.audit.canonical import NotCanonical, NotJson, parse
from hashmatch.audit.checkpoint import Checkpoint, CheckpointError, open_note, split
from hashmatch.audit.log import FORMAT, tree_head, written
from hashmatch.audit.merkle import HASH_BYTES, Frontier, leaf_hash
from hashmatch.db.schema import CheckpointRow, LeafRow
from hashmatch.errors import AuditBroken

BATCH = 1000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verified:
    """size: leaves; root: 32 bytes; checkpoints: how many there are, all of which hold."""

    size: int
    root: bytes
    checkpoints: int


class Leaf(NamedTuple):
    """A row as it is stored. SQLite stores a value of any type in any column, so all is checked."""

    seq: int
    at: datetime | str
    kind: object
    body: object
    hash: object


def verify(
    session: Session,
    public_key: Ed25519PublicKey | None = None,
    progress: Progress | None = None,
    kept: Sequence[str] = (),
    each: Callable[[dict[str, Any]], None] | None = None,
) -> Verified:
    """Reads the whole log. Raises AuditBroken with the first leaf that is not what was written.

    session: a `Database.read()`, so that leaves appended meanwhile do not count as wrong.
    public_key: also checks the checkpoints' signatures. progress: called with the leaves done and
    all leaves. kept: signed notes that were kept elsewhere, checked as those in the database are;
    raises CheckpointError if one of them is no such note. each: called with every leaf, in order,
    before it is known that the roots hold.
    A leaf that was changed together with its hash shows only in roots: what is named then is the
    first leaf that no sound root covers.
    """
    head = tree_head(session)
    size = head.size
    checkpoints = _checkpoints(session, public_key) + [_parse_note(n, public_key) for n in kept]
    pending = sorted(checkpoints, key=lambda checkpoint: checkpoint.size, reverse=True)
    frontier = Frontier()
    sound = _compare(pending, frontier, 0)
    for leaf in _leaves(session):
        hashed, content = _check(leaf, frontier.size, size)
        frontier.append(hashed)
        if each is not None:
            each(content)
        sound = _compare(pending, frontier, sound)
        if progress is not None and frontier.size % BATCH == 0:
            progress(frontier.size, size)
    if frontier.size < size:
        raise AuditBroken(problem="the end of the log was cut off", leaf=frontier.size)
    if frontier.to_bytes() != head.to_bytes():
        first = max(sound, _first_difference(size, frontier.to_bytes(), head.to_bytes()))
        raise AuditBroken(problem="the leaves do not give the tree that was kept", leaf=first)
    if pending:
        problem = f"a checkpoint speaks of {pending[-1].size} leaves, there are {size}"
        raise AuditBroken(problem=problem, leaf=size)
    if progress is not None:
        progress(size, size)
    return Verified(size, frontier.root(), len(checkpoints))


def _leaves(session: Session) -> Iterator[Leaf]:
    at: ColumnElement[Any] = LeafRow.at.expression
    if session.get_bind().dialect.name == "sqlite":
        at = type_coerce(at, Text)
    statement = select(LeafRow.seq, at, LeafRow.kind, LeafRow.body, LeafRow.hash)
    ordered = statement.order_by(LeafRow.seq).execution_options(yield_per=BATCH)
    for row in session.execute(ordered):
        yield Leaf(*row)


def _compare(pending: list[Checkpoint], frontier: Frontier, sound: int) -> int:
    """Takes the checkpoints of this size off `pending`; returns how many leaves are now sound."""
    while pending and pending[-1].size == frontier.size:
        if pending.pop().root != frontier.root():
            problem = f"the first {frontier.size} leaves do not give their checkpoint's root"
            raise AuditBroken(problem=problem, leaf=sound)
        sound = frontier.size
    return sound


def _check(leaf: Leaf, expected: int, size: int) -> tuple[bytes, dict[str, Any]]:
    """One leaf by itself: its number, its hash, its bytes, and what the columns repeat of them.

    Returns the hash and the content.
    """
    if leaf.seq > expected:
        raise AuditBroken(problem="a leaf was removed", leaf=expected)
    if leaf.seq < expected or leaf.seq >= size:
        raise AuditBroken(problem="a leaf was added", leaf=leaf.seq)
    if not isinstance(leaf.body, bytes) or (hashed := leaf_hash(leaf.body)) != leaf.hash:
        raise AuditBroken(problem="a leaf was changed", leaf=leaf.seq)
    content = _content(leaf.body, leaf.seq)
    if content["seq"] != leaf.seq:
        # The smaller number is where the order breaks, whether two leaves were swapped or all
        # later ones renumbered to make room for one or to close a gap.
        problem = "leaves were moved, or renumbered around one that was added or removed"
        raise AuditBroken(problem=problem, leaf=min(leaf.seq, content["seq"]))
    if content["kind"] != leaf.kind or content["at"] != _stated(leaf.at):
        raise AuditBroken(problem="a leaf's columns differ from its bytes", leaf=leaf.seq)
    return hashed, content


def _stated(at: datetime | str) -> str:
    """A time column as leaves have it. SQLite's is text, and read as such: it may be any text."""
    return written(at) if isinstance(at, datetime) else f"{at}Z".replace(" ", "T", 1)


def _content(body: bytes, seq: int) -> dict[str, Any]:
    try:
        content = parse(body)
    except NotJson as error:
        raise AuditBroken(problem="a leaf is not JSON", leaf=seq) from error
    except NotCanonical as error:
        raise AuditBroken(problem="a leaf is not canonical JSON", leaf=seq) from error
    if not isinstance(content, dict) or content.keys() != {"v", "seq", "at", "kind", "body"}:
        raise AuditBroken(problem="a leaf lacks what every leaf has", leaf=seq)
    if content["v"] != FORMAT or type(content["seq"]) is not int:
        raise AuditBroken(problem="a leaf has a format nobody knows", leaf=seq)
    return content


def _checkpoints(session: Session, public_key: Ed25519PublicKey | None) -> list[Checkpoint]:
    found = []
    statement = select(CheckpointRow.size, CheckpointRow.root, CheckpointRow.note)
    for row in session.execute(statement.order_by(CheckpointRow.size)):
        if not isinstance(row.note, str):
            raise AuditBroken(problem="a checkpoint was changed", leaf=row.size)
        try:
            checkpoint = _parse_note(row.note, public_key)
        except CheckpointError as error:
            problem = f"a checkpoint cannot be trusted, {error.details['problem']}"
            raise AuditBroken(problem=problem, leaf=row.size) from error
        if (checkpoint.size, checkpoint.root) != (row.size, row.root):
            raise AuditBroken(problem="a checkpoint was changed", leaf=row.size)
        found.append(checkpoint)
    return found


def _parse_note(note: str, public_key: Ed25519PublicKey | None) -> Checkpoint:
    checkpoint = Checkpoint.parse(split(note)[0])
    if public_key is not None:
        open_note(note, checkpoint.origin, public_key)
    return checkpoint


def _first_difference(size: int, computed: bytes, stored: bytes) -> int:
    """The first leaf of the first perfect subtree whose root differs."""
    first = at = 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            if computed[at : at + HASH_BYTES] != stored[at : at + HASH_BYTES]:
                return first
            first, at = first + (1 << bit), at + HASH_BYTES
    return first
