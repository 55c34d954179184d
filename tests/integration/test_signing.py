"""Signing: whatever becomes of the database, no two checkpoints of one name contradict each other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymerkle import InmemoryTree, verify_consistency
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from hashmatch.audit.checkpoint import Checkpoint, open_note, split
from hashmatch.audit.keys import create_keys
from hashmatch.audit.log import append, last_leaves, make_checkpoint
from hashmatch.audit.signing import (
    CheckpointUnknown,
    LogDiffers,
    LogRolledBack,
    MemoryDamaged,
    Signer,
    load,
)
from hashmatch.audit.verification import verify
from hashmatch.db.schema import CheckpointRow, LeafRow
from hashmatch.db.session import Database
from hashmatch.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ORIGIN = "hashmatch.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return Signer(KEY, ORIGIN, tmp_path / "audit.signed")


def fill(db: Database, count: int, what: str = "") -> None:
    with db.write() as session:
        for number in range(count):
            append(session, "scan", {"clip": f"clip-{number}", "what": what}, AT)


def said(note: str) -> Checkpoint:
    return Checkpoint.parse(split(note)[0])


def size_of(db: Database) -> int:
    with db.read() as session:
        return session.scalar(select(func.count()).select_from(LeafRow)) or 0


def continued(db: Database) -> list[dict]:
    with db.read() as session:
        leaves = last_leaves(session, 9, "log-continued")
    return [json.loads(leaf.body)["body"] for leaf in leaves]


@contextmanager
def tampering(db: Database) -> Iterator[Session]:
    """A session past the triggers that keep the log."""
    with db.write() as session:
        if db.file is None:
            session.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for table in ("leaf", "checkpoint"):
                for event in ("update", "delete", "insert"):
                    session.execute(text(f"DROP TRIGGER IF EXISTS {table}_keeps_{event}"))
        yield session


@pytest.fixture
def restored(sqlite_db: Database, signer: Signer, tmp_path: Path) -> Database:
    """Of a database with checkpoints of 5 and 8 leaves, the copy that was taken after the first."""
    fill(sqlite_db, 5)
    signer.checkpoint(sqlite_db, AT)
    with (
        closing(sqlite3.connect(tmp_path / "yesterday.db")) as backup,
        closing(sqlite3.connect(tmp_path / "hashmatch.db")) as database,
    ):
        database.backup(backup)
    fill(sqlite_db, 3)
    signer.checkpoint(sqlite_db, AT)
    return Database.connect("sqlite:///yesterday.db", tmp_path)


def test_checkpoints_follow_each_other_and_are_remembered(db: Database, signer: Signer) -> None:
    tree = InmemoryTree(algorithm="sha256")
    notes = []
    for turn in range(4):
        fill(db, turn)
        notes.append(said(signer.checkpoint(db, AT)))
        assert said(load(signer.memory)[ORIGIN].note) == notes[-1]
    assert [note.size for note in notes] == [0, 1, 3, 6]
    assert signer.memory.stat().st_mode & 0o777 == 0o600
    with db.read() as session:
        for leaf in last_leaves(session, 6):
            tree.append_entry(leaf.body)
        assert verify(session, KEY.public_key()).checkpoints == 4
    for before, after in pairwise(notes[1:]):
        proof = tree.prove_consistency(before.size, after.size)
        verify_consistency(before.root, after.root, proof)
    assert continued(db) == []


def test_a_log_that_has_not_grown_keeps_its_checkpoint(db: Database, signer: Signer) -> None:
    fill(db, 2)
    assert signer.checkpoint(db, AT) == signer.checkpoint(db, AT)


def test_a_database_restored_from_yesterday_is_not_signed(
    restored: Database, signer: Signer
) -> None:
    before = signer.memory.read_bytes()
    with pytest.raises(LogRolledBack, match="of 8 leaves") as refused:
        signer.checkpoint(restored, AT)
    assert refused.value.exit_code == 20
    assert "hashmatch.example/log/2" in refused.value.remedy
    with restored.read() as session, pytest.raises(LogRolledBack):
        signer.check(session)
    assert signer.memory.read_bytes() == before


@pytest.mark.parametrize("leaves", [3, 30])
def test_a_restored_database_is_not_signed_either_once_it_has_grown(
    restored: Database, signer: Signer, leaves: int
) -> None:
    fill(restored, leaves, "after the restore")
    with pytest.raises(LogRolledBack, match="of 8 leaves"):
        signer.checkpoint(restored, AT)


def test_a_restored_database_goes_on_under_another_name_and_says_so(
    restored: Database, signer: Signer
) -> None:
    fill(restored, 2, "after the restore")
    lost = load(signer.memory)[ORIGIN].note
    second = replace(signer, origin=f"{ORIGIN}/2")
    first = said(second.checkpoint(restored, AT))
    assert (first.origin, first.size) == (f"{ORIGIN}/2", 5 + 2 + 1)
    assert continued(restored) == [{"origin": f"{ORIGIN}/2", "former": [lost]}]
    fill(restored, 4)
    assert said(second.checkpoint(restored, AT)).size == 12
    assert len(continued(restored)) == 1
    with restored.read() as session:
        assert verify(session, KEY.public_key()).checkpoints == 3
    with pytest.raises(LogRolledBack):  # the old name stays closed to it
        signer.checkpoint(restored, AT)
    with pytest.raises(LogRolledBack) as refused:
        signer.checkpoint(restored, AT)
    assert f"{ORIGIN}/3" in refused.value.remedy


def test_another_name_is_not_taken_silently(db: Database, signer: Signer) -> None:
    fill(db, 2)
    note = signer.checkpoint(db, AT)
    second = replace(signer, origin="other.example/log")
    assert said(second.checkpoint(db, AT)).size == 3  # at the same size there is no room
    assert continued(db) == [{"origin": "other.example/log", "former": [note]}]
    assert said(signer.checkpoint(db, AT)).size == 4
    assert signer.checkpoint(db, AT) != note


def test_a_name_on_a_database_without_any_checkpoint_tells_of_those_signed_here(
    sqlite_db: Database, signer: Signer, tmp_path: Path
) -> None:
    shutil.copy(tmp_path / "hashmatch.db", tmp_path / "empty.db")
    fill(sqlite_db, 3)
    notes = [signer.checkpoint(sqlite_db, AT)]
    notes.append(replace(signer, origin="b.example/log").checkpoint(sqlite_db, AT))
    empty = Database.connect("sqlite:///empty.db", tmp_path)
    replace(signer, origin="c.example/log").checkpoint(empty, AT)
    (leaf,) = continued(empty)
    assert leaf["former"] == sorted(notes, key=lambda note: note.split("\n")[0])


def test_a_changed_leaf_is_not_signed(db: Database, signer: Signer) -> None:
    fill(db, 3)
    signer.checkpoint(db, AT)
    fill(db, 3)
    with tampering(db) as session:
        forged = session.scalars(select(LeafRow.body).where(LeafRow.seq == 4)).one()
        values = {"body": forged.replace(b"clip-1", b"clip-9")}
        session.execute(text("UPDATE leaf SET body = :body WHERE seq = 4"), values)
    with pytest.raises(LogDiffers, match="of 3 leaves"):
        signer.checkpoint(db, AT)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM leaf WHERE seq = 4",
        "DELETE FROM leaf WHERE seq = 5",
        "INSERT INTO leaf (seq, at, kind, body, hash)"
        " SELECT 6, at, kind, body, hash FROM leaf WHERE seq = 5",
    ],
)
def test_a_leaf_too_few_or_too_many_is_not_signed(
    db: Database, signer: Signer, statement: str
) -> None:
    fill(db, 3)
    signer.checkpoint(db, AT)
    fill(db, 3)
    with tampering(db) as session:
        session.execute(text(statement))
    with pytest.raises(LogDiffers):
        signer.checkpoint(db, AT)


def test_another_tree_under_the_same_leaves_is_not_signed(db: Database, signer: Signer) -> None:
    fill(db, 2)
    signer.checkpoint(db, AT)
    with tampering(db) as session:
        session.execute(text("UPDATE tree_head SET frontier = :roots"), {"roots": bytes(32)})
    with pytest.raises(LogDiffers):
        signer.checkpoint(db, AT)


def test_a_checkpoint_that_the_file_does_not_know_stops_the_signing(
    db: Database, signer: Signer
) -> None:
    """The file is lost, from a back-up, or somebody else signs under this name."""
    fill(db, 2)
    signer.checkpoint(db, AT)
    kept = signer.memory.read_bytes()
    fill(db, 2)
    signer.checkpoint(db, AT)
    signer.memory.write_bytes(kept)
    with pytest.raises(CheckpointUnknown, match="of 4 leaves"):
        signer.checkpoint(db, AT)
    signer.memory.unlink()
    with pytest.raises(CheckpointUnknown, match="of 4 leaves"):
        signer.checkpoint(db, AT)
    replace(signer, origin=f"{ORIGIN}/2").checkpoint(db, AT)
    assert [said(note).size for note in continued(db)[0]["former"]] == [4]


def test_a_row_that_contradicts_the_file_stops_the_signing(db: Database, signer: Signer) -> None:
    fill(db, 2)
    signer.checkpoint(db, AT)
    with tampering(db) as session:
        session.execute(text("UPDATE checkpoint SET root = :zero"), {"zero": bytes(32)})
    with pytest.raises(CheckpointUnknown):
        signer.checkpoint(db, AT)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"v": 2, "origins": {}}', '{"v": 1, "origins": {"a": {}}}',
     '{"v": 1, "origins": {"a": {"note": "x", "frontier": ""}}}', "[" * 10_000, "\x00"],
)  # fmt: skip
def test_a_damaged_file_stops_the_signing(
    sqlite_db: Database, signer: Signer, content: str
) -> None:
    signer.memory.write_text(content)
    with pytest.raises(MemoryDamaged):
        signer.checkpoint(sqlite_db, AT)


def test_a_file_with_the_frontier_of_another_tree_is_damaged(
    sqlite_db: Database, signer: Signer
) -> None:
    fill(sqlite_db, 2)
    signer.checkpoint(sqlite_db, AT)
    told = json.loads(signer.memory.read_text())
    told["origins"][ORIGIN]["frontier"] = "00" * 32
    signer.memory.write_text(json.dumps(told))
    with pytest.raises(MemoryDamaged):
        signer.checkpoint(sqlite_db, AT)


def test_a_file_that_others_may_write_is_not_believed(sqlite_db: Database, signer: Signer) -> None:
    signer.checkpoint(sqlite_db, AT)
    signer.memory.chmod(0o620)
    with pytest.raises(MemoryDamaged, match="others may write"):
        signer.checkpoint(sqlite_db, AT)


def test_what_cannot_be_remembered_is_not_signed(
    sqlite_db: Database, signer: Signer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = replace(signer, memory=tmp_path / "nowhere" / "audit.signed")
    with pytest.raises(ConfigError, match="cannot be locked"):
        lost.checkpoint(sqlite_db, AT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        signer.checkpoint(sqlite_db, AT)
    with sqlite_db.read() as session:
        assert session.scalar(select(func.count()).select_from(CheckpointRow)) == 0
    assert not signer.memory.exists()
    assert [path.name for path in tmp_path.glob(".audit*")] == []


_SIGN = """
import os, signal, sys
from pathlib import Path
from hashmatch.audit import signing
from hashmatch.audit.keys import load_signer
from hashmatch.db.session import Database
from datetime import UTC, datetime
db = Database.connect(sys.argv[1], Path("/"))
keys = Path(sys.argv[2])
signer = signing.Signer(load_signer(keys / "audit.key"), "hashmatch.example/log", keys / "audit.signed")
save = signing.save
def save_and_die(*given):
    save(*given)
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[3] == "die":
    signing.save = save_and_die
for turn in range(int(sys.argv[4])):
    with db.write() as session:
        signing.append(session, "scan", {"turn": turn}, datetime.now(UTC))
    signer.checkpoint(db, datetime.now(UTC))
"""


def signing(url: str, keys: Path, how: str, turns: int) -> subprocess.Popen[bytes]:
    create_keys(keys / "audit.key", keys / "id.key")
    words = [sys.executable, "-c", _SIGN, url, str(keys), how, str(turns)]
    return subprocess.Popen(words, cwd=ROOT)


def test_killed_between_the_file_and_the_commit_the_next_signing_goes_on(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    for expected in (1, 2):
        assert signing(database_url, tmp_path / "keys", "die", 1).wait() == -signal.SIGKILL
        lost = said(load(tmp_path / "keys" / "audit.signed")["hashmatch.example/log"].note)
        assert lost.size == expected == size_of(db)
        with db.read() as session:
            assert session.scalar(select(func.count()).select_from(CheckpointRow)) == 0
    assert signing(database_url, tmp_path / "keys", "live", 1).wait() == 0
    with db.read() as session:
        assert verify(session).checkpoints == 1


def test_processes_that_sign_at_once_do_not_contradict_each_other(
    db: Database, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "keys").mkdir()
    create_keys(tmp_path / "keys" / "audit.key", tmp_path / "keys" / "id.key")
    both = [signing(database_url, tmp_path / "keys", "live", 12) for _ in range(3)]
    assert [one.wait() for one in both] == [0, 0, 0]
    with db.read() as session:
        found = verify(session)
        last = session.scalars(select(CheckpointRow.note).order_by(CheckpointRow.size)).all()[-1]
    assert found.size == 36
    assert load(tmp_path / "keys" / "audit.signed")["hashmatch.example/log"].note == last


def test_two_databases_with_one_key_do_not_both_sign_under_one_name(
    sqlite_db: Database, tmp_path: Path, signer: Signer
) -> None:
    sqlite_db.close()
    shutil.copy(tmp_path / "hashmatch.db", tmp_path / "twin.db")
    twin = Database.connect("sqlite:///twin.db", tmp_path)
    fill(sqlite_db, 2, "one")
    fill(twin, 2, "other")
    signer.checkpoint(sqlite_db, AT)
    with pytest.raises(LogRolledBack):
        signer.checkpoint(twin, AT)


def test_a_leaf_that_continues_is_written_once_though_its_writer_died(
    db: Database, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(db, 1)
    signer.checkpoint(db, AT)
    second = replace(signer, origin="b.example/log")

    def die(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr("hashmatch.audit.signing.make_checkpoint", die)
        with pytest.raises(KeyboardInterrupt):
            second.checkpoint(db, AT)
    second.checkpoint(db, AT)
    assert len(continued(db)) == 1
    open_note(load(signer.memory)["b.example/log"].note, "b.example/log", KEY.public_key())


def test_a_checkpoint_made_past_the_file_is_refused(db: Database, signer: Signer) -> None:
    fill(db, 1)
    with db.write() as session:
        make_checkpoint(session, KEY, ORIGIN, AT)
    with pytest.raises(CheckpointUnknown):
        signer.checkpoint(db, AT)
