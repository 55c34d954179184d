"""Anchors: each checkpoint is kept elsewhere once, and whoever fails to is an alarm, never an end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
from s3_server import Bucket, S3Server
from sqlalchemy import select
from tsa_server import TimestampAuthority

from hashmatch.audit.anchors import hand_over, object_name
from hashmatch.audit.checkpoint import Checkpoint
from hashmatch.audit.log import append, last_leaves
from hashmatch.audit.signing import Signer
from hashmatch.audit.timestamp import NoTimestamp, stamp
from hashmatch.config import AnchorBucket, Anchors, Settings
from hashmatch.db.schema import AnchorRow
from hashmatch.db.session import Database

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ORIGIN = "hashmatch.example/log"
NAME = "hashmatch.example%2Flog-00000000000000000001.checkpoint"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampAuthority]:
    made = TimestampAuthority(tmp_path_factory.mktemp("tsa") / "tsa")
    yield made
    made.stop()


@pytest.fixture
def tsa(authority: TimestampAuthority) -> Iterator[TimestampAuthority]:
    yield authority
    authority.answer, authority.status = authority.reply, 200


def grow(db: Database, home: Path) -> str:
    """One leaf more, and its checkpoint."""
    with db.write() as session:
        append(session, "scan", {}, AT)
    return Signer(KEY, ORIGIN, home / "audit.signed").checkpoint(db, AT)


def handing(db: Database, bucket: AnchorBucket | None = None, **anchors: object) -> list[str]:
    given = Settings(anchors=Anchors(**anchors), anchor_bucket=bucket or AnchorBucket())  # type: ignore[arg-type]
    return hand_over(db, given)


def rows(db: Database) -> list[AnchorRow]:
    with db.read() as session:
        return list(session.scalars(select(AnchorRow).order_by(AnchorRow.id)))


def leaves(db: Database) -> list[dict]:
    with db.read() as session:
        found = last_leaves(session, 99, "checkpoint-anchored")
    return [json.loads(leaf.body)["body"] for leaf in found]


def on_s3(s3: Bucket) -> AnchorBucket:
    return AnchorBucket(**s3.storage("log").model_dump(), lock_days=0)


def test_names_are_sorted_as_checkpoints_are_and_lead_nowhere() -> None:
    assert object_name(Checkpoint(ORIGIN, 1, bytes(32))) == NAME
    assert object_name(Checkpoint("../x", 7, bytes(32))).startswith("..%2Fx-")
    sizes = [1, 9, 10, 10**18]
    names = [object_name(Checkpoint(ORIGIN, size, bytes(32))) for size in sizes]
    assert names == sorted(names)


def test_every_anchor_gets_the_newest_checkpoint_once(
    db: Database, tmp_path: Path, s3: Bucket, tsa: TimestampAuthority
) -> None:
    (tmp_path / "kept").mkdir()
    append_to = f"open({str(tmp_path / 'told')!r}, 'a').write(sys.stdin.read())"
    given = {
        "folder": str(tmp_path / "kept"),
        "timestamp_url": tsa.url,
        "timestamp_roots": str(tsa.roots),
        "command": (sys.executable, "-c", f"import sys; {append_to}"),
    }
    note = grow(db, tmp_path)
    assert handing(db, on_s3(s3), **given) == []
    assert (tmp_path / "kept" / NAME).read_text() == note
    assert s3.objects() == {f"log/{NAME}": note.encode()}
    assert (tmp_path / "told").read_text() == note
    kinds = ["folder", "bucket", "timestamp", "command"]
    assert [(row.kind, row.size, row.attempts) for row in rows(db)] == [(k, 1, 1) for k in kinds]
    assert [leaf["kind"] for leaf in leaves(db)] == kinds
    assert handing(db, on_s3(s3), **given) == []
    assert (tmp_path / "told").read_text() == note
    assert len(leaves(db)) == 4
    second = grow(db, tmp_path)
    assert handing(db, on_s3(s3), **given) == []
    assert len(s3.keys()) == 2
    assert (tmp_path / "told").read_text() == note + second


def test_without_a_checkpoint_or_an_anchor_nothing_is_handed_over(
    sqlite_db: Database, tmp_path: Path
) -> None:
    assert handing(sqlite_db, folder=str(tmp_path)) == []
    grow(sqlite_db, tmp_path)
    assert handing(sqlite_db) == []
    assert rows(sqlite_db) == []


def test_openssl_verifies_a_token_that_was_kept(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority
) -> None:
    note = grow(sqlite_db, tmp_path)
    handing(sqlite_db, timestamp_url=tsa.url, timestamp_roots=str(tsa.roots))
    (row,) = rows(sqlite_db)
    (tmp_path / "token").write_bytes(row.receipt or b"")

    def verified(data: str) -> str:
        (tmp_path / "note").write_text(data)
        words = f"ts -verify -token_in -in token -data note -CAfile {tsa.roots}"
        done = subprocess.run(
            ["openssl", *words.split()], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        return done.stdout

    assert "Verification: OK" in verified(note)
    assert "Verification: OK" not in verified(note + " ")


@pytest.mark.parametrize("reverse", [False, True])
def test_certificates_may_come_in_any_order(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority, reverse: bool
) -> None:
    other = TimestampAuthority(tmp_path / "other")
    other.stop()
    both = sorted([tsa.roots.read_text(), other.roots.read_text()], reverse=reverse)
    tsa.chain.write_text("".join(both))
    grow(sqlite_db, tmp_path)
    problems = handing(sqlite_db, timestamp_url=tsa.url, timestamp_roots=str(tsa.roots))
    tsa.chain.write_text(tsa.roots.read_text())
    assert problems == []


def test_one_that_fails_is_an_alarm_and_gets_the_next_checkpoint(
    db: Database, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    kept.write_text("no folder")
    grow(db, tmp_path)
    (problem,) = handing(db, folder=str(kept))
    assert problem.startswith("anchor folder: ")
    (problem,) = handing(db, folder=str(kept))
    (row,) = rows(db)
    assert (row.attempts, row.anchored_at) == (2, None)
    assert row.problem is not None
    assert leaves(db) == []
    kept.unlink()
    kept.mkdir()
    assert handing(db, folder=str(kept)) == []
    (row,) = rows(db)
    assert (row.attempts, row.problem) == (3, None)
    assert row.anchored_at is not None
    assert [leaf["size"] for leaf in leaves(db)] == [1]


def test_what_is_there_already_is_fine_if_it_is_the_same(
    db: Database, tmp_path: Path, s3: Bucket
) -> None:
    """The row can have been lost in a crash."""
    note = grow(db, tmp_path)
    (tmp_path / NAME).write_text(note)
    s3.put(f"log/{NAME}", note.encode())
    assert handing(db, on_s3(s3), folder=str(tmp_path)) == []
    assert len(leaves(db)) == 2


def test_another_checkpoint_under_the_name_is_an_alarm_and_stays(
    db: Database, tmp_path: Path, s3: Bucket
) -> None:
    grow(db, tmp_path)
    (tmp_path / NAME).write_text("other")
    s3.put(f"log/{NAME}", b"other")
    problems = handing(db, on_s3(s3), folder=str(tmp_path))
    assert len(problems) == 2
    assert all("has another checkpoint of 1 leaves of hashmatch.example/log" in p for p in problems)
    assert (tmp_path / NAME).read_text() == "other"
    assert s3.objects() == {f"log/{NAME}": b"other"}


def test_in_a_bucket_with_object_lock_the_checkpoint_is_locked(
    sqlite_db: Database, tmp_path: Path, s3_server: S3Server
) -> None:
    grow(sqlite_db, tmp_path)
    locked = s3_server.bucket(lock=True)
    storage = AnchorBucket(**locked.storage("log").model_dump(), lock_days=30)
    assert handing(sqlite_db, storage) == []
    found = locked.client.head_object(Bucket=locked.name, Key=f"log/{NAME}")
    assert found["ObjectLockMode"] == "COMPLIANCE"
    days = (found["ObjectLockRetainUntilDate"] - datetime.now(UTC)).total_seconds() / 86400
    assert 29.9 < days < 30.1


def test_a_bucket_that_is_not_there_is_an_alarm(
    sqlite_db: Database, tmp_path: Path, s3: Bucket
) -> None:
    grow(sqlite_db, tmp_path)
    bucket = AnchorBucket(**s3.storage().model_dump() | {"url": "s3://nowhere", "lock_days": 0})
    (problem,) = handing(sqlite_db, bucket)
    assert problem.startswith("anchor bucket: ")
    (problem,) = handing(sqlite_db, AnchorBucket(url="ftp://x"))
    assert problem.startswith("anchor bucket: ")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("no-such-program",), "cannot be started"),
        (("a\0b",), "it is no command"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "ended with 3"),
        ((sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"), "ended with -9"),
    ],
)
def test_a_command_that_fails_is_an_alarm(
    sqlite_db: Database, tmp_path: Path, command: tuple[str, ...], said: str
) -> None:
    grow(sqlite_db, tmp_path)
    (problem,) = handing(sqlite_db, command=command)
    assert said in problem
    assert "hashmatch audit checkpoint | COMMAND" in problem


def test_a_command_that_reads_nothing_may_still_succeed(
    sqlite_db: Database, tmp_path: Path
) -> None:
    grow(sqlite_db, tmp_path)
    assert handing(sqlite_db, command=("true",)) == []


def test_a_command_that_hangs_is_ended_with_its_children(
    sqlite_db: Database, tmp_path: Path
) -> None:
    grow(sqlite_db, tmp_path)
    child = tmp_path / "child"
    script = f"sleep 60 & echo $! > {child}; wait"
    started = time.monotonic()
    (problem,) = handing(sqlite_db, command=("sh", "-c", script), timeout_seconds=0.5)
    assert "took more than 0.5 s" in problem
    assert time.monotonic() - started < 10
    deadline = time.monotonic() + 5
    status = Path(f"/proc/{child.read_text().strip()}/stat")
    while status.exists() and " Z " not in status.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not status.exists() or " Z " in status.read_text()


# The time-stamp authority


def alarm(db: Database, tmp_path: Path, tsa: TimestampAuthority, **given: object) -> str:
    grow(db, tmp_path)
    wanted = {"timestamp_url": tsa.url, "timestamp_roots": str(tsa.roots), **given}
    (problem,) = handing(db, **wanted)
    assert problem.startswith("anchor timestamp: ")
    assert rows(db)[-1].receipt is None
    return problem


@pytest.mark.parametrize("with_roots", [True, False])
def test_an_answer_to_another_request_is_not_taken(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority, with_roots: bool
) -> None:
    """Of other bytes it has another imprint; of the same ones, another nonce."""
    roots = str(tsa.roots) if with_roots else None
    grow(sqlite_db, tmp_path)
    handing(sqlite_db, timestamp_url=tsa.url)
    old = (tsa.folder / "reply").read_bytes()
    tsa.answer = lambda query: old
    assert "something else" in alarm(sqlite_db, tmp_path, tsa, timestamp_roots=roots)

    def ask_again(query: bytes) -> bytes:
        note = Signer(KEY, ORIGIN, tmp_path / "audit.signed").checkpoint(sqlite_db, AT).encode()
        return tsa.reply(TimestampRequestBuilder(note, HashAlgorithm.SHA256).build().as_bytes())

    tsa.answer = ask_again
    assert "another request" in alarm(sqlite_db, tmp_path, tsa, timestamp_roots=roots)


def test_an_authority_of_another_root_is_not_believed(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority
) -> None:
    other = TimestampAuthority(tmp_path / "other")
    other.stop()
    problem = alarm(sqlite_db, tmp_path, tsa, timestamp_roots=str(other.roots))
    assert "signature does not hold" in problem


def test_a_token_with_a_turned_bit_is_not_believed(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority
) -> None:
    def turned(query: bytes) -> bytes:
        answer = bytearray(tsa.reply(query))
        answer[-5] ^= 1
        return bytes(answer)

    tsa.answer = turned
    assert "signature does not hold" in alarm(sqlite_db, tmp_path, tsa)


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"", 200, "no time-stamp response"),
        (b"<html>", 200, "no time-stamp response"),
        (b"0", 200, "no time-stamp response"),
        (b"0\x80", 200, "no time-stamp response"),
        (b"0\x85\xff\xff\xff\xff\xff", 200, "no time-stamp response"),
        (bytes.fromhex("3007300302010030 00"), 200, "no time-stamp response"),
        (bytes.fromhex("30053003020102"), 200, "refused, with status 2"),
        (b"x" * (2 << 20), 200, "too long"),
        (b"", 302, "answers with 302"),
        (b"busy", 503, "answers with 503"),
    ],
)
def test_an_authority_that_gives_no_token_is_an_alarm(
    sqlite_db: Database,
    tmp_path: Path,
    tsa: TimestampAuthority,
    answer: bytes,
    status: int,
    said: str,
) -> None:
    tsa.answer, tsa.status = lambda query: answer, status
    assert said in alarm(sqlite_db, tmp_path, tsa)


def test_an_authority_that_hangs_or_is_gone_is_an_alarm_without_its_url(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority
) -> None:
    def hang(query: bytes) -> bytes:
        time.sleep(1)
        return b""

    tsa.answer = hang
    assert "cannot be asked" in alarm(sqlite_db, tmp_path, tsa, timeout_seconds=0.3)
    for url in (
        "http://user:secret@127.0.0.1:1/",
        "ftp://user:secret@x/",
        "secret",
        "http://[secret",
    ):
        problem = alarm(sqlite_db, tmp_path, tsa, timestamp_url=url)
        assert ("cannot be asked" in problem) == url.startswith("http")
        assert "secret" not in problem


@given(
    st.binary(max_size=60)
    | st.binary(max_size=60).map(lambda some: b"0" + bytes([len(some)]) + some)
)
def test_whatever_an_authority_answers_is_a_token_or_an_error(answer: bytes) -> None:
    with (
        mock.patch("hashmatch.audit.timestamp._post", return_value=answer),
        pytest.raises(NoTimestamp),
    ):
        stamp(b"x", "http://tsa.example", None, 1)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_roots_that_cannot_be_read_are_an_alarm(
    sqlite_db: Database, tmp_path: Path, tsa: TimestampAuthority, content: str | None
) -> None:
    roots = tmp_path / "roots.pem"
    if content is not None:
        roots.write_text(content)
    assert "timestamp_roots" in alarm(sqlite_db, tmp_path, tsa, timestamp_roots=str(roots))


def test_a_folder_that_cannot_be_written_is_an_alarm(sqlite_db: Database, tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    grow(sqlite_db, tmp_path)
    (problem,) = handing(sqlite_db, folder=str(closed))
    assert problem.startswith("anchor folder: ")
