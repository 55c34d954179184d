"""Promise 3: every decision and every look has an audit leaf, committed with what it records.

Here: what the log itself promises whoever writes into it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import func, insert, select, text, update

from hashmatch.audit.log import append, leaf_bytes, make_checkpoint
from hashmatch.audit.merkle import Frontier, leaf_hash
from hashmatch.audit.verification import verify
from hashmatch.db.schema import LeafRow, ListRow, TreeHeadRow
from hashmatch.db.session import Database
from hashmatch.errors import AuditBroken

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

_RECORDER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from hashmatch.audit.log import append
from hashmatch.db.schema import ListRow
from hashmatch.db.session import Database
db = Database.connect(sys.argv[1], Path("/"))
for number in range(100_000):
    at = datetime.now(UTC)
    with db.write() as session:
        session.add(ListRow(name=f"{sys.argv[2]}-{number}", created_at=at))
        append(session, "list-made", {"list": f"{sys.argv[2]}-{number}"}, at)
    print("did", flush=True)
"""


def decisions_and_leaves(db: Database) -> tuple[set[str], set[str]]:
    with db.read() as session:
        decided = set(session.scalars(select(ListRow.name)))
        leaves = session.scalars(select(LeafRow.body).where(LeafRow.kind == "list-made"))
        return decided, {json.loads(leaf)["body"]["list"] for leaf in leaves}


def test_kill_9_never_parts_a_decision_from_its_leaf(db: Database, database_url: str) -> None:
    chance = random.Random(3)
    promised = 0
    for turn in range(4):
        recorder = subprocess.Popen(
            [sys.executable, "-c", _RECORDER, database_url, str(turn)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
        )
        assert recorder.stdout is not None
        for _ in range(chance.randint(3, 20)):
            recorder.stdout.readline()
        time.sleep(chance.random() / 100)
        recorder.kill()
        promised += 3
        recorder.communicate()
        decided, recorded = decisions_and_leaves(db)
        assert decided == recorded
        assert len(recorded) >= promised
        with db.read() as session:
            assert verify(session).size == len(recorded)


def test_a_decision_that_fails_leaves_no_leaf_and_a_leaf_that_fails_no_decision(
    db: Database,
) -> None:
    with pytest.raises(RuntimeError), db.write() as session:
        append(session, "list-made", {"list": "a"}, AT)
        session.add(ListRow(name="a", created_at=AT))
        session.flush()
        raise RuntimeError
    with pytest.raises(ValueError, match="recorded"), db.write() as session:
        session.add(ListRow(name="b", created_at=AT))
        append(session, "list-made", {"list": "b", "share": float("nan")}, AT)
    assert decisions_and_leaves(db) == (set(), set())


def test_what_was_recorded_cannot_be_taken_back_by_the_program(db: Database) -> None:
    with db.write() as session:
        append(session, "list-made", {"list": "a"}, AT)
    for statement in ("UPDATE leaf SET kind = 'x'", "DELETE FROM leaf"):
        with pytest.raises(Exception, match="only grows"), db.write() as session:
            session.execute(text(statement))
    with db.read() as session:
        assert verify(session).size == 1


def test_an_outsider_can_check_the_log_with_standard_tools(
    sqlite_db: Database, tmp_path: Path
) -> None:
    """Nothing of ours but the stored bytes: SHA-256, JSON, RFC 6962's tree, the openssl program."""
    key = Ed25519PrivateKey.generate()
    with sqlite_db.write() as session:
        for number in range(11):
            append(session, "scan", {"clip": f"clip-{number}"}, AT)
        note = make_checkpoint(session, key, "hashmatch.example/log", AT)

    with sqlite_db.read() as session:
        leaves = list(session.scalars(select(LeafRow.body).order_by(LeafRow.seq)))

    def tree(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return hashlib.sha256(b"\0" + part[0]).digest()
        k = 1 << ((len(part) - 1).bit_length() - 1)
        return hashlib.sha256(b"\1" + tree(part[:k]) + tree(part[k:])).digest()

    signed, signature = note.split("\n\n")
    assert [json.loads(leaf)["seq"] for leaf in leaves] == list(range(11))
    assert signed.split("\n") == [
        "hashmatch.example/log",
        "11",
        base64.b64encode(tree(leaves)).decode(),
    ]
    (tmp_path / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "signed").write_text(signed + "\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(signature.split()[2])[4:])
    command = (
        "openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in signed -sigfile signature"
    )
    done = subprocess.run(
        command.split(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Signature Verified Successfully" in done.stdout, done.stderr


def test_somebody_with_the_database_alone_cannot_rewrite_the_log_unseen(
    db: Database,
) -> None:
    """They can rebuild leaves, hashes and head, but not the signature of a checkpoint."""
    key, theirs = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    with db.write() as session:
        for number in range(4):
            append(session, "scan", {"clip": f"clip-{number}"}, AT)
        make_checkpoint(session, key, "hashmatch.example/log", AT)
    with db.write() as session:
        if db.file is None:
            session.execute(text("SET LOCAL session_replication_role = replica"))
        else:
            for table in ("leaf", "checkpoint"):
                for event in ("update", "delete", "insert"):
                    session.execute(text(f"DROP TRIGGER {table}_keeps_{event}"))
        session.execute(text("DELETE FROM leaf"))
        session.execute(text("DELETE FROM checkpoint"))
        empty = {"nothing": b""}
        session.execute(text("UPDATE tree_head SET size = 0, frontier = :nothing"), empty)
        for number in range(4):
            append(session, "scan", {"clip": f"clip-{number + 10}"}, AT)
        make_checkpoint(session, theirs, "hashmatch.example/log", AT)
    with pytest.raises(AuditBroken, match="not signed by this key"), db.read() as session:
        verify(session, key.public_key())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_leaves_are_verified_within_a_minute(sqlite_db: Database) -> None:
    frontier = Frontier()
    body = {"clip": "clip-7hq2k6w4v3mzdpbe", "outcome": "clean", "run": "r-1", "coverage": 1.0}
    with sqlite_db.write() as session:
        for start in range(0, 1_000_000, 5000):
            rows = []
            for seq in range(start, start + 5000):
                leaf = leaf_bytes(seq, "scan", body, AT)
                rows.append(
                    {"seq": seq, "at": AT, "kind": "scan", "body": leaf, "hash": leaf_hash(leaf)}
                )
                frontier.append(rows[-1]["hash"])  # type: ignore[arg-type]
            session.execute(insert(LeafRow), rows)
        head = {"size": frontier.size, "frontier": frontier.to_bytes()}
        session.execute(update(TreeHeadRow).values(**head))
    before = time.process_time()
    with sqlite_db.read() as session:
        assert verify(session).size == session.scalar(select(func.count()).select_from(LeafRow))
    assert time.process_time() - before < 60
