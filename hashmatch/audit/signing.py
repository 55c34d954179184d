"""Signing: no two checkpoints of one log contradict each other, whatever becomes of the database.

    signer = Signer.of(settings)
    note = signer.checkpoint(db, now())

A file beside the key remembers, for every name of the log (`audit.origin`), the last checkpoint
that was signed here and the tree's frontier then. The next one is signed only if the leaves since,
hashed again from their bytes, lead from that frontier to the tree that the database claims. A
database that was restored from a back-up can therefore go on only under another name, and its first
checkpoint there comes with a leaf that holds the last known ones (`log-continued`).

Not guaranteed here: anything against somebody who has the key, or puts an old copy of the file in
its place. Back the key up, never the file.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hashmatch.audit.checkpoint import Checkpoint, CheckpointError, split
from hashmatch.audit.keys import load_signer
from hashmatch.audit.log import append, last_leaves, make_checkpoint, tree_head
from hashmatch.audit.merkle import Frontier, leaf_hash
from hashmatch.config import Settings
from hashmatch.db.schema import CheckpointRow, LeafRow
from hashmatch.db.session import Database
from hashmatch.errors import AuditBroken, ConfigError, HashmatchError
from hashmatch.model import Json

FORMAT = 1
_BATCH = 1000


class SigningRefused(HashmatchError):
    message = "No checkpoint is signed: {problem}"
    exit_code = 20


class LogRolledBack(SigningRefused):
    message = (
        "The database is older than the last checkpoint of {origin} signed here, of {signed} "
        "leaves."
    )
    remedy = (
        "It was restored from a back-up that ends before that one. Restore a newer one if there is "
        "any. To go on with this one, set audit.origin to a name that was never used, such as "
        "{free}: its first checkpoint says what came before."
    )


class LogDiffers(SigningRefused):
    message = (
        "The audit log does not continue the last checkpoint that was signed here, of {signed} "
        "leaves."
    )
    remedy = (
        "Leaves after it, or the tree, are not what was written. Keep the database as it is, stop "
        "the timer, and look with `hashmatch audit verify`."
    )


class CheckpointUnknown(SigningRefused):
    message = (
        "The database has a checkpoint of {origin}, of {size} leaves, that {file} does not know."
    )
    remedy = (
        "Somebody else signs under that name, or the file was lost, or comes from a back-up: bring "
        "the newest one back. If it is gone, set audit.origin to a name that was never used, such "
        "as {free}."
    )


class MemoryDamaged(SigningRefused):
    message = "{file}: what was signed here cannot be read from it: {problem}."
    remedy = "Move it away, and set audit.origin to a name that was never used."


class Signed(NamedTuple):
    """The last checkpoint of one origin, and the tree then."""

    note: str
    frontier: Frontier


@dataclass(frozen=True, slots=True)
class Signer:
    """memory: the file that remembers what was signed."""

    key: Ed25519PrivateKey
    origin: str
    memory: Path

    @classmethod
    def of(cls, settings: Settings) -> Signer:
        """Raises `load_signer`'s errors."""
        path = settings.path(settings.audit.key)
        return cls(load_signer(path), settings.audit.origin, memory_of(settings))

    def checkpoint(self, db: Database, at: datetime) -> str:
        """Sign the log as it is, keep the signed note in the database and return it.

        In a transaction of its own: a leaf that was signed and then rolled back would be missing
        for ever. A log that has not grown since its last checkpoint gets that one again.
        Raises SigningRefused, AuditBroken, ConfigError where the file cannot be written.
        """
        while True:
            with db.write() as session:
                # The head first, then the file: everybody in the same order.
                head = tree_head(session, lock=True)
                with _locked(self.memory):
                    signed = load(self.memory)
                    _check(session, head, signed, self.origin, self.memory)
                    former = self._former(session, head, signed)
                    if not former:
                        note = make_checkpoint(session, self.key, self.origin, at)
                        signed.pop(self.origin, None)
                        save(self.memory, {**signed, self.origin: Signed(note, head)})
                        return note
                body: dict[str, Json] = {"origin": self.origin, "former": list(former)}
                append(session, "log-continued", body, at)

    def check(self, session: Session) -> None:
        """Raises what `checkpoint` would raise of the log as it is. session: nothing was read yet."""
        refused = refusal(session, self.origin, self.memory)
        if refused is not None:
            raise refused
        if not os.access(self.memory.parent, os.W_OK):
            problem = "its folder cannot be written, and what is signed has to be remembered"
            raise ConfigError(source=self.memory, problem=problem)

    def _former(self, session: Session, head: Frontier, signed: Mapping[str, Signed]) -> list[str]:
        """The notes that a `log-continued` leaf has to hold before this origin signs; else none."""
        newest = _newest(session)
        if self.origin not in signed:
            known = {origin: (one.frontier.size, one.note) for origin, one in signed.items()}
            if newest is not None:
                origin, kept = _origin(newest), (newest.size, newest.note)
                known[origin] = max(kept, known.get(origin, kept))
            former = [note for _, (_, note) in sorted(known.items())]
            if former and not _said(session, self.origin, former):
                return former
        if newest is not None and newest.size == head.size and _origin(newest) != self.origin:
            return [newest.note]  # a size has room for one checkpoint
        return []


def memory_of(settings: Settings) -> Path:
    """The file that remembers what was signed: beside the key, on the host that signs."""
    path = settings.path(settings.audit.key)
    return path.with_name(path.name.removesuffix(".key") + ".signed")


def refusal(session: Session, origin: str, memory: Path) -> SigningRefused | None:
    """Why the log would not be signed as it is, if so; leaves before the last checkpoint are not read.

    session: nothing was read in it yet, as a run may sign meanwhile. Raises AuditBroken.
    """
    before = load(memory)
    head = tree_head(session)
    try:
        _check(session, head, before, origin, memory)
    except SigningRefused as refused:
        try:
            _check(session, head, load(memory), origin, memory)
        except SigningRefused:
            return refused
    return None


def _check(
    session: Session, head: Frontier, signed: Mapping[str, Signed], origin: str, memory: Path
) -> None:
    ours = signed.get(origin)
    tree = ours.frontier if ours is not None else Frontier()
    free = _free(origin, signed)
    row = _newest(session, origin)
    if row is not None and (ours is None or row.size > tree.size or _differs(row, tree)):
        raise CheckpointUnknown(origin=origin, size=row.size, file=memory, free=free)
    if _continues(session, tree, head):
        return
    # A crash can have lost the last checkpoint's row, but then its leaves are still there.
    if ours is not None and (head.size < tree.size or row is None or row.size < tree.size):
        raise LogRolledBack(origin=origin, signed=tree.size, free=free)
    raise LogDiffers(signed=tree.size)


def load(file: Path) -> dict[str, Signed]:
    """What was signed here, by origin; nothing where there is no file. Raises MemoryDamaged."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(source=file, problem=f"cannot be read: {error.strerror}") from error
    with os.fdopen(descriptor, "rb") as opened:
        if os.fstat(opened.fileno()).st_mode & 0o022:
            raise MemoryDamaged(file=file, problem="others may write to it")
        content = opened.read()
    try:
        said: dict[str, Any] = json.loads(content)
        if said["v"] != FORMAT:
            raise ValueError("a format nobody knows")
        return {origin: _signed(origin, **one) for origin, one in said["origins"].items()}
    except (
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        RecursionError,
        CheckpointError,
    ) as error:
        raise MemoryDamaged(file=file, problem="it is not what was written") from error


def save(file: Path, signed: Mapping[str, Signed]) -> None:
    """Replace the file, whole or not at all; on disk when this returns. Raises ConfigError."""
    origins = {
        origin: {"note": one.note, "frontier": one.frontier.to_bytes().hex()}
        for origin, one in signed.items()
    }
    content = json.dumps({"v": FORMAT, "origins": origins}, indent=1).encode() + b"\n"
    fresh = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            fresh.replace(file)
        finally:
            fresh.unlink(missing_ok=True)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise ConfigError(source=file, problem=f"cannot be written: {error.strerror}") from error


def _signed(origin: str, note: str, frontier: str) -> Signed:
    said = Checkpoint.parse(split(note)[0])
    tree = Frontier.from_bytes(said.size, bytes.fromhex(frontier))
    if (said.origin, said.root) != (origin, tree.root()):
        raise ValueError("the note is of another tree")
    return Signed(note, tree)


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """One process at a time, also of two databases with one key."""
    try:
        lock = file.with_name(file.name + ".lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(source=file, problem=f"cannot be locked: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _continues(session: Session, frontier: Frontier, head: Frontier) -> bool:
    """Whether the leaves from `frontier` on, by their bytes, lead to `head`."""
    tree = Frontier.from_bytes(frontier.size, frontier.to_bytes())
    query = select(LeafRow.seq, LeafRow.body).where(LeafRow.seq >= tree.size).order_by(LeafRow.seq)
    rows = session.connection().execute(query, execution_options={"yield_per": _BATCH})
    for seq, body in rows:
        if seq != tree.size or not isinstance(body, bytes):
            return False
        tree.append(leaf_hash(body))
    return (tree.size, tree.to_bytes()) == (head.size, head.to_bytes())


def _newest(session: Session, origin: str | None = None) -> CheckpointRow | None:
    """The newest checkpoint of the database, or of one origin in it."""
    query = select(CheckpointRow).order_by(CheckpointRow.size.desc()).limit(1)
    if origin is not None:
        first = func.substr(CheckpointRow.note, 1, len(origin) + 1)
        query = query.where(first == f"{origin}\n")
    row = session.scalar(query)
    if row is not None and not isinstance(row.note, str):  # SQLite keeps values of any type
        raise AuditBroken(problem="a checkpoint was changed", leaf=row.size)
    return row


def _differs(row: CheckpointRow, tree: Frontier) -> bool:
    return row.size == tree.size and row.root != tree.root()


def _origin(row: CheckpointRow) -> str:
    return row.note.partition("\n")[0]


def _said(session: Session, origin: str, former: list[str]) -> bool:
    """Whether a leaf says so already: its writer may have died before it signed."""
    for leaf in last_leaves(session, 1, "log-continued"):
        body: object = json.loads(leaf.body)["body"]
        return body == {"origin": origin, "former": former}
    return False


def _free(origin: str, signed: Mapping[str, Signed]) -> str:
    """A name like this one that was never signed under here."""
    name = re.sub(r"/[0-9]+$", "", origin)
    numbers = (f"{name}/{number}" for number in count(2))
    return next(free for free in numbers if free != origin and free not in signed)
