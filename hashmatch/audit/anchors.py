"""Anchors: whoever keeps checkpoints elsewhere, so that nobody here can take one back.

    for problem in hand_over(db, settings):
        logger.error("%s", problem)

A folder, a bucket, a time-stamp authority, a command: each gets the newest checkpoint once, and what
it answered is on record (`anchor`) with a leaf. One that fails keeps nothing from going on: the caller
raises the alarm, and it gets the newest checkpoint the next time.
"""

from __future__ import annotations

import glob
import hashlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.checkpoint import Checkpoint, split
from hashmatch.audit.timestamp import stamp
from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import ObjectExists, Store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import Settings
from hashmatch.db.schema import AnchorRow, CheckpointRow
from hashmatch.db.session import Database
from hashmatch.errors import ConfigError, HashmatchError
from hashmatch.model import Json

# Takes a signed note; returns the receipt, if there is one. Raises HashmatchError.
Keeper = Callable[[str], bytes | None]


class OtherKept(HashmatchError):
    message = "{url} has another checkpoint of {size} leaves of {origin}."
    remedy = (
        "Two logs were signed under one name. Keep both, and compare them with `hashmatch audit "
        "verify`."
    )
    exit_code = 20


class CommandFailed(HashmatchError):
    message = "{problem}"
    remedy = "Try it by hand: `hashmatch audit checkpoint | COMMAND`."
    exit_code = 15


@dataclass(frozen=True, slots=True)
class _Answer:
    kind: str
    receipt: bytes | None
    problem: str | None


def hand_over(db: Database, settings: Settings) -> list[str]:
    """Give the newest checkpoint to every anchor that has not got it. Returns what went wrong.

    The network is asked outside any transaction.
    """
    with db.read() as session:
        newest = select(CheckpointRow).order_by(CheckpointRow.size.desc()).limit(1)
        row = session.scalar(newest)
        if row is None:
            return []
        kept = select(AnchorRow.kind).where(
            AnchorRow.size == row.size, AnchorRow.anchored_at.is_not(None)
        )
        done = set(session.scalars(kept))
    answers = [_ask(kind, keep, row.note) for kind, keep in keepers(settings) if kind not in done]
    if answers:
        with db.write() as session:
            for answer in answers:
                _record(session, row, answer, datetime.now(UTC))
    return [f"anchor {a.kind}: {a.problem}" for a in answers if a.problem is not None]


def keepers(settings: Settings) -> Iterator[tuple[str, Keeper]]:
    """The anchors of the settings, by kind. Each opens what it needs when it is called."""
    anchors, bucket = settings.anchors, settings.anchor_bucket
    if anchors.folder:
        folder = settings.path(anchors.folder)
        yield "folder", lambda note: _keep(FolderStore(folder), note)
    if bucket.url:
        yield "bucket", lambda note: _keep(open_store(bucket, settings.home), note)
    if anchors.timestamp_url:
        url = anchors.timestamp_url
        roots = settings.path(anchors.timestamp_roots) if anchors.timestamp_roots else None
        yield "timestamp", lambda note: stamp(note.encode(), url, roots, anchors.timeout_seconds)
    if anchors.command:
        yield (
            "command",
            lambda note: _run(anchors.command, note, settings.home, anchors.timeout_seconds),
        )


def kept_in_folder(settings: Settings, origin: str) -> tuple[Path, str] | None:
    """The newest checkpoint of an origin in the folder of the settings: its file, the signed note.

    None where no folder is set, or it has none. Raises ConfigError where it cannot be read.
    """
    if not settings.anchors.folder:
        return None
    folder = settings.path(settings.anchors.folder)
    try:
        files = sorted(
            folder.glob(f"{glob.escape(quote(origin, safe=''))}-{'[0-9]' * 20}.checkpoint")
        )
        return (files[-1], files[-1].read_text("utf-8", "replace")) if files else None
    except OSError as error:
        problem = f"{folder} cannot be read: {error.strerror}"
        raise ConfigError(source="anchors.folder", problem=problem) from error


def object_name(checkpoint: Checkpoint) -> str:
    """Under which a checkpoint is kept: sorted by name, those of an origin are in their order."""
    return f"{quote(checkpoint.origin, safe='')}-{checkpoint.size:020d}.checkpoint"


def _ask(kind: str, keep: Keeper, note: str) -> _Answer:
    try:
        return _Answer(kind, keep(note), None)
    except HashmatchError as error:
        return _Answer(kind, None, f"{error.message} {error.remedy}".strip())


def _keep(store: Store, note: str) -> None:
    checkpoint = Checkpoint.parse(split(note)[0])
    name, content = object_name(checkpoint), note.encode()
    try:
        store.write(name, [content])
    except ObjectExists:
        if b"".join(store.read(name)) != content:
            size, origin = checkpoint.size, checkpoint.origin
            raise OtherKept(url=store.url, size=size, origin=origin) from None


def _run(command: Sequence[str], note: str, home: Path, seconds: float) -> None:
    """The note on its stdin, exit code 0, in time; else it and its children are ended."""
    nowhere = subprocess.DEVNULL
    try:
        process = subprocess.Popen(  # noqa: S603 - the operator's own
            command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, cwd=home,
            start_new_session=True,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is no command"
        raise CommandFailed(problem=f"the command cannot be started: {why}.") from error
    try:
        process.communicate(note.encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise CommandFailed(problem=f"the command took more than {seconds:g} s.") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise CommandFailed(problem=f"the command ended with {process.returncode}.")


def _record(session: Session, checkpoint: CheckpointRow, answer: _Answer, at: datetime) -> None:
    """What an anchor answered, with a leaf if it keeps the checkpoint now."""
    which = (AnchorRow.size == checkpoint.size, AnchorRow.kind == answer.kind)
    row = session.scalar(select(AnchorRow).where(*which))
    if row is None:
        row = AnchorRow(size=checkpoint.size, kind=answer.kind, attempts=0)
        session.add(row)
    row.tried_at, row.problem, row.receipt = at, answer.problem, answer.receipt
    row.attempts += 1
    if answer.problem is None:
        row.anchored_at = at
        receipt = answer.receipt
        body: dict[str, Json] = {
            "kind": answer.kind,
            "origin": checkpoint.note.partition("\n")[0],
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
            "receipt": hashlib.sha256(receipt).hexdigest() if receipt is not None else None,
        }
        log.append(session, "checkpoint-anchored", body, at)
