"""The audit log: gap-free whoever writes, closed to changes, and every change found."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hashmatch.audit.checkpoint import Checkpoint, CheckpointError, open_note, sign
from hashmatch.audit.log import append, last_leaves, leaf_bytes, make_checkpoint
from hashmatch.audit.merkle import Frontier, leaf_hash, root_of
from hashmatch.audit.verification import verify
from hashmatch.db.session import Database
from hashmatch.errors import AuditBroken

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ORIGIN = "hashmatch.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def fill(db: Database, count: int) -> None:
    with db.write() as session:
        for number in range(count):
            append(session, "scan", {"clip": f"clip-{number}"}, AT + timedelta(seconds=number))


def checkpoint(db: Database) -> str:
    with db.write() as session:
        return make_checkpoint(session, KEY, ORIGIN, AT)


def verified(db: Database, **more: object) -> tuple[int, int]:
    with db.read() as session:
        found = verify(session, KEY.public_key(), **more)  # type: ignore[arg-type]
    return found.size, found.checkpoints


def test_an_empty_log_is_what_was_written(db: Database) -> None:
    with db.read() as session:
        found = verify(session)
    # SHA-256 of nothing, RFC 6962, 2.1
    assert (found.size, found.checkpoints) == (0, 0)
    assert found.root.hex().startswith("e3b0c44298fc1c149afbf4c8996fb924")


def test_leaves_are_numbered_from_0_and_come_back_as_they_were(db: Database) -> None:
    with db.write() as session:
        assert append(session, "case-opened", {"case": "case-x", "frames": 3}, AT) == 0
        assert append(session, "scan", {}, AT) == 1
    with db.read() as session:
        first, second = last_leaves(session, 5)
    # Canonical JSON by hand: keys in order, no spaces. RFC 8785.
    assert first.body == (
        b'{"at":"2026-11-22T03:00:00.000000Z","body":{"case":"case-x","frames":3},'
        b'"kind":"case-opened","seq":0,"v":1}'
    )
    assert first.hash == leaf_hash(first.body)
    assert (second.seq, second.kind, second.at) == (1, "scan", AT)
    assert verified(db) == (2, 0)


def test_a_leaf_goes_with_what_it_records(db: Database) -> None:
    with pytest.raises(RuntimeError), db.write() as session:
        append(session, "scan", {}, AT)
        raise RuntimeError
    fill(db, 1)
    assert verified(db) == (1, 0)


def test_the_newest_leaves_are_shown_oldest_first(db: Database) -> None:
    fill(db, 5)
    with db.write() as session:
        append(session, "run-ended", {}, AT)
    with db.read() as session:
        assert [leaf.seq for leaf in last_leaves(session, 3)] == [3, 4, 5]
        assert [leaf.seq for leaf in last_leaves(session, 2, "scan")] == [3, 4]
        assert last_leaves(session, 3, "no such kind") == []


def test_a_clock_that_goes_back_is_no_tampering(db: Database) -> None:
    with db.write() as session:
        append(session, "scan", {}, AT)
        append(session, "scan", {}, AT - timedelta(hours=2))
    assert verified(db) == (2, 0)


def test_times_are_recorded_in_utc(db: Database) -> None:
    with db.write() as session:
        append(session, "scan", {}, AT.astimezone(timezone(timedelta(hours=-5))))
    with db.read() as session:
        (leaf,) = last_leaves(session, 1)
    assert json.loads(leaf.body)["at"] == "2026-11-22T03:00:00.000000Z"
    assert verified(db) == (1, 0)


@pytest.mark.parametrize(
    "body",
    [
        {"x": float("nan")},
        {"x": float("inf")},
        {"x": 2**53},
        {"x": 1e17},
        {"x": b"raw"},
        {"x": "\ud800"},
        {1: 2},
    ],
    ids=str,
)
def test_what_cannot_be_written_the_same_twice_is_refused(
    sqlite_db: Database, body: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="recorded"), sqlite_db.write() as session:
        append(session, "scan", body, AT)  # type: ignore[arg-type]
    assert verified(sqlite_db) == (0, 0)


def test_a_time_without_zone_is_refused(sqlite_db: Database) -> None:
    with pytest.raises(ValueError, match="zone"), sqlite_db.write() as session:
        append(session, "scan", {}, datetime(2026, 11, 22))


def writable(number: float) -> bool:
    return not number.is_integer() or abs(number) < 2**53


bodies = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.floats(allow_nan=False, allow_infinity=False).filter(writable)
        | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=6,
    ),
    max_size=4,
)


@given(st.lists(bodies, min_size=1, max_size=5))
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_is_written_verifies(
    sqlite_db: Database, written: list[dict[str, object]]
) -> None:
    with sqlite_db.write() as session:
        for body in written:
            append(session, "scan", body, AT)  # type: ignore[arg-type]
    with sqlite_db.read() as session:
        verify(session)
        read = [json.loads(leaf.body)["body"] for leaf in last_leaves(session, len(written))]
    assert read == written


# Writers at once


def test_threads_leave_no_gap(db: Database) -> None:
    failures: list[BaseException] = []
    taken: list[int] = []

    def work() -> None:
        try:
            for turn in range(15):
                with db.write() as session:
                    taken.append(append(session, "scan", {"turn": turn}, AT))
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sorted(taken) == list(range(60))
    assert verified(db) == (60, 0)


_WRITE = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from hashmatch.audit.log import append
from hashmatch.db.session import Database
db = Database.connect(sys.argv[1], Path("/"))
print("ready", flush=True)
sys.stdin.readline()
for turn in range(25):
    try:
        with db.write() as session:
            append(session, "scan", {"turn": turn}, datetime.now(UTC))
            if turn % 5 == 0:
                raise RuntimeError  # a transaction that ends badly must leave no gap either
    except RuntimeError:
        pass
"""


def test_processes_leave_no_gap(db: Database, database_url: str) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITE, database_url],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.communicate("go\n", timeout=100)
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert verified(db) == (60, 0)


def test_a_log_that_grows_while_it_is_read_verifies(db: Database) -> None:
    fill(db, 5)
    with db.read() as session:
        session.execute(text("SELECT 1 FROM tree_head"))
        fill(db, 5)
        assert verify(session).size == 5
    assert verified(db)[0] == 10


def test_progress_ends_at_the_whole_log(db: Database) -> None:
    fill(db, 3)
    seen: list[tuple[int, int]] = []
    with db.read() as session:
        verify(session, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)


# Checkpoints


def test_a_checkpoint_says_what_the_log_is(db: Database) -> None:
    fill(db, 5)
    note = checkpoint(db)
    with db.read() as session:
        hashes = [leaf.hash for leaf in last_leaves(session, 5)]
    said = Checkpoint.parse(open_note(note, ORIGIN, KEY.public_key()))
    assert said == Checkpoint(ORIGIN, 5, root_of(hashes))
    fill(db, 3)
    checkpoint(db)
    assert verified(db) == (8, 2)


def test_a_log_that_has_not_grown_keeps_its_checkpoint(db: Database) -> None:
    fill(db, 1)
    first = checkpoint(db)
    with db.write() as session:
        again = make_checkpoint(session, KEY, ORIGIN, AT + timedelta(days=1))
    assert again == first
    assert verified(db) == (1, 1)


def test_an_empty_log_can_be_signed(db: Database) -> None:
    checkpoint(db)
    assert verified(db) == (0, 1)
    fill(db, 1)
    assert verified(db) == (1, 1)


def test_a_checkpoint_that_was_kept_elsewhere_is_compared(db: Database) -> None:
    fill(db, 5)
    note = checkpoint(db)
    fill(db, 1)
    assert verified(db, kept=[note]) == (6, 2)
    other = sign(Checkpoint(ORIGIN, 4, bytes(32)).text(), ORIGIN, KEY)
    with pytest.raises(AuditBroken, match="first 4 leaves"):
        verified(db, kept=[note, other])
    with pytest.raises(CheckpointError, match="not signed"):
        verified(db, kept=[sign(Checkpoint(ORIGIN, 4, bytes(32)).text(), ORIGIN, OTHER_KEY)])


OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


# Changes are refused


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE leaf SET kind = 'other' WHERE seq = 1",
        "UPDATE leaf SET seq = 9 WHERE seq = 1",
        "DELETE FROM leaf WHERE seq = 1",
        "DELETE FROM leaf",
        "UPDATE checkpoint SET note = ''",
        "DELETE FROM checkpoint",
    ],
)
def test_the_database_refuses_to_change_the_log(db: Database, statement: str) -> None:
    fill(db, 3)
    checkpoint(db)
    with pytest.raises(IntegrityError, match="only grows"), db.write() as session:
        session.execute(text(statement))
    assert verified(db) == (3, 1)


@pytest.mark.parametrize("table", ["leaf", "checkpoint"])
def test_replacing_a_row_is_refused_like_changing_it(sqlite_db: Database, table: str) -> None:
    fill(sqlite_db, 3)
    checkpoint(sqlite_db)
    with pytest.raises(IntegrityError, match="only grows"), sqlite_db.write() as session:
        session.execute(text(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1"))


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_emptying_the_tables_is_refused(db: Database) -> None:
    fill(db, 3)
    for table in ("leaf", "checkpoint, anchor", "leaf, checkpoint, anchor"):
        with pytest.raises(IntegrityError, match="only grows"), db.write() as session:
            session.execute(text(f"TRUNCATE {table}"))


# Changes are found. From here on no trigger works, as for who owns the database.


def stop_triggers(session: Session) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL session_replication_role = replica"))
        return
    found = session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
    for name in list(found):
        session.execute(text(f"DROP TRIGGER {name}"))


@pytest.fixture
def tamper(db: Database) -> Callable[..., None]:
    """Runs statements on a log of ten leaves with a checkpoint after six."""
    fill(db, 6)
    checkpoint(db)
    fill(db, 4)
    assert verified(db) == (10, 1)

    def run(*statements: str, **values: object) -> None:
        with db.write() as session:
            stop_triggers(session)
            for statement in statements:
                session.execute(text(statement), values)

    return run


def broken(db: Database, leaf: int, problem: str, **more: object) -> None:
    with pytest.raises(AuditBroken, match=problem) as caught:
        verified(db, **more)
    assert caught.value.details["leaf"] == leaf
    assert caught.value.exit_code == 20


def move(source: int, target: int) -> str:
    return f"UPDATE leaf SET seq = {target} WHERE seq = {source}"


def insert_like(seq: int, body: bytes) -> tuple[str, dict[str, object]]:
    statement = (
        f"INSERT INTO leaf (seq, at, kind, body, hash)"
        f" SELECT {seq}, at, kind, :body, :hash FROM leaf WHERE seq = 0"
    )
    return statement, {"body": body, "hash": leaf_hash(body)}


def forged(seq: int) -> bytes:
    return leaf_bytes(seq, "scan", {"clip": "never"}, AT)


def test_a_changed_leaf_is_found(db: Database, tamper: Callable[..., None]) -> None:
    tamper("UPDATE leaf SET body = :body WHERE seq = 4", body=forged(4))
    broken(db, 4, "a leaf was changed")


@pytest.mark.parametrize("seq", [0, 4, 9])
def test_a_changed_hash_is_found(db: Database, tamper: Callable[..., None], seq: int) -> None:
    tamper(f"UPDATE leaf SET hash = :hash WHERE seq = {seq}", hash=bytes(32))
    broken(db, seq, "a leaf was changed")


@pytest.mark.parametrize(
    ("seq", "named", "problem"),
    [
        (4, 0, "checkpoint's root"),
        (7, 6, "the tree that was kept"),
        (9, 8, "the tree that was kept"),
    ],
)
def test_a_leaf_changed_with_its_hash_is_found_as_near_as_the_roots_tell(
    db: Database, tamper: Callable[..., None], seq: int, named: int, problem: str
) -> None:
    at = AT + timedelta(seconds=seq if seq < 6 else seq - 6)  # as `fill` had it
    body = leaf_bytes(seq, "scan", {"clip": "never"}, at)
    tamper(
        f"UPDATE leaf SET body = :body, hash = :hash WHERE seq = {seq}",
        body=body,
        hash=leaf_hash(body),
    )
    broken(db, named, problem)


@pytest.mark.parametrize("column", ["kind = 'other'", "at = '2026-11-22 03:00:09.5'"])
def test_a_changed_column_is_found(db: Database, tamper: Callable[..., None], column: str) -> None:
    tamper(f"UPDATE leaf SET {column} WHERE seq = 4")
    broken(db, 4, "columns differ")


@pytest.mark.parametrize("seq", [0, 4])
def test_a_removed_leaf_is_found(db: Database, tamper: Callable[..., None], seq: int) -> None:
    tamper(f"DELETE FROM leaf WHERE seq = {seq}")
    broken(db, seq, "a leaf was removed")


def test_a_removed_leaf_is_found_when_the_gap_was_closed(
    db: Database, tamper: Callable[..., None]
) -> None:
    tamper("DELETE FROM leaf WHERE seq = 4", *(move(n, n - 1) for n in range(5, 10)))
    broken(db, 4, "moved, or renumbered")


def test_swapped_leaves_are_found(db: Database, tamper: Callable[..., None]) -> None:
    tamper(move(3, 99), move(7, 3), move(99, 7))
    broken(db, 3, "moved, or renumbered")


def test_a_leaf_that_was_put_in_is_found(db: Database, tamper: Callable[..., None]) -> None:
    insert, values = insert_like(4, forged(4))
    tamper(
        *(move(n, n + 1) for n in range(9, 3, -1)), insert, "UPDATE tree_head SET id = 1", **values
    )
    broken(db, 4, "moved, or renumbered")


@pytest.mark.parametrize(("seq", "named"), [(10, 10), (-1, -1)])
def test_a_leaf_that_was_put_at_an_end_is_found(
    db: Database, tamper: Callable[..., None], seq: int, named: int
) -> None:
    insert, values = insert_like(seq, forged(seq))
    tamper(insert, **values)
    broken(db, named, "a leaf was added")


def test_a_cut_tail_is_found(db: Database, tamper: Callable[..., None]) -> None:
    tamper("DELETE FROM leaf WHERE seq >= 8")
    broken(db, 8, "cut off")


def rewrite_head(db: Database, size: int) -> dict[str, object]:
    frontier = Frontier()
    with db.read() as session:
        for hashed in session.scalars(
            text(f"SELECT hash FROM leaf WHERE seq < {size} ORDER BY seq")
        ):
            frontier.append(hashed)
    return {"size": size, "frontier": frontier.to_bytes()}


def test_a_tail_cut_before_a_checkpoint_is_found_though_the_head_was_rewritten(
    db: Database, tamper: Callable[..., None]
) -> None:
    head = rewrite_head(db, 5)
    tamper(
        "DELETE FROM leaf WHERE seq >= 5",
        "UPDATE tree_head SET size = :size, frontier = :frontier",
        **head,
    )
    broken(db, 5, "a checkpoint speaks of 6 leaves, there are 5")


def test_a_log_rewritten_with_its_head_and_checkpoints_is_found_by_one_kept_elsewhere(
    db: Database, tamper: Callable[..., None]
) -> None:
    kept = checkpoint(db)
    head = rewrite_head(db, 5)
    tamper(
        "DELETE FROM leaf WHERE seq >= 5",
        "DELETE FROM checkpoint",
        "UPDATE tree_head SET size = :size, frontier = :frontier",
        **head,
    )
    assert verified(db) == (5, 0)
    broken(db, 5, "a checkpoint speaks of 10 leaves", kept=[kept])


@pytest.mark.parametrize(
    ("statement", "leaf", "problem"),
    [
        ("DELETE FROM tree_head", 0, "head is gone"),
        ("UPDATE tree_head SET size = 11", 0, "head was changed"),
        ("UPDATE tree_head SET size = 9", 0, "the tree that was kept|a leaf was added"),
        ("UPDATE checkpoint SET root = :zero", 6, "a checkpoint was changed"),
        ("UPDATE checkpoint SET size = 7", 7, "a checkpoint was changed"),
        ("UPDATE checkpoint SET note = 'x'", 6, "a checkpoint cannot be trusted"),
    ],
)
def test_a_changed_head_or_checkpoint_is_found(
    db: Database, tamper: Callable[..., None], statement: str, leaf: int, problem: str
) -> None:
    tamper(statement, **({"zero": bytes(32)} if ":zero" in statement else {}))
    if statement == "UPDATE tree_head SET size = 9":
        leaf = 9  # nine and ten leaves have as many perfect subtrees
    broken(db, leaf, problem)


def test_a_checkpoint_signed_by_somebody_else_is_found(
    db: Database, tamper: Callable[..., None]
) -> None:
    with db.read() as session:
        root = root_of([leaf.hash for leaf in last_leaves(session, 10)][:6])
    note = sign(Checkpoint(ORIGIN, 6, root).text(), ORIGIN, OTHER_KEY)
    tamper("UPDATE checkpoint SET note = :note", note=note)
    broken(db, 6, "not signed by this key")
    with db.read() as session:
        assert verify(session).checkpoints == 1  # without a key, only the roots are compared


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (forged(4).replace(b'"seq"', b' "seq"'), "not canonical"),
        (forged(4).replace(b'"kind":"scan",', b'"kind":"scan","kind":"scan",'), "not canonical"),
        (b"[]", "lacks"),
        (b'{"seq":4}', "lacks"),
        (forged(4).replace(b'"v":1', b'"v":2'), "format"),
        (forged(4).replace(b'"seq":4', b'"seq":"4"'), "format"),
    ],
    ids=lambda value: str(value[:24]) if isinstance(value, bytes) else "",
)
def test_a_leaf_that_nobody_can_have_written_is_found(
    db: Database, tamper: Callable[..., None], body: bytes, problem: str
) -> None:
    tamper(
        "UPDATE leaf SET body = :body, hash = :hash WHERE seq = 4",
        body=body,
        hash=leaf_hash(body),
    )
    broken(db, 4, problem)


@pytest.mark.parametrize(
    ("statement", "leaf"),
    [
        ("UPDATE leaf SET body = CAST(body AS TEXT) WHERE seq = 1", 1),
        ("UPDATE leaf SET body = 5 WHERE seq = 1", 1),
        ("UPDATE leaf SET hash = 'x' WHERE seq = 1", 1),
        ("UPDATE leaf SET kind = x'00' WHERE seq = 1", 1),
        ("UPDATE leaf SET at = 'yesterday' WHERE seq = 1", 1),
        ("UPDATE leaf SET at = 5 WHERE seq = 1", 1),
        ("UPDATE tree_head SET size = 'x'", 0),
        ("UPDATE tree_head SET frontier = 'x'", 0),
        ("UPDATE checkpoint SET note = x'ff'", 2),
        ("UPDATE checkpoint SET root = 'x'", 2),
    ],
)
def test_a_value_of_another_type_is_found(sqlite_db: Database, statement: str, leaf: int) -> None:
    """SQLite takes any value in any column."""
    fill(sqlite_db, 2)
    checkpoint(sqlite_db)
    with sqlite_db.write() as session:
        stop_triggers(session)
        session.execute(text(statement))
    broken(sqlite_db, leaf, "was changed|columns differ")


def test_nothing_is_appended_to_a_log_without_its_head(
    db: Database, tamper: Callable[..., None]
) -> None:
    tamper("UPDATE tree_head SET size = 11")
    with pytest.raises(AuditBroken, match="head was changed"):
        fill(db, 1)


@given(seq=st.integers(0, 9), at=st.integers(0, 60), bit=st.integers(0, 7))
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_flipped_bit_goes_unseen(sqlite_db: Database, seq: int, at: int, bit: int) -> None:
    with sqlite_db.write() as session:
        stop_triggers(session)
        session.execute(text("DELETE FROM leaf"))
        session.execute(text("UPDATE tree_head SET size = 0, frontier = x''"))
    fill(sqlite_db, 10)
    with sqlite_db.write() as session:
        body = bytearray(session.scalars(text(f"SELECT body FROM leaf WHERE seq = {seq}")).one())
        body[at] ^= 1 << bit
        values = {"body": bytes(body)}
        session.execute(text(f"UPDATE leaf SET body = :body WHERE seq = {seq}"), values)
    broken(sqlite_db, seq, "a leaf was changed")
