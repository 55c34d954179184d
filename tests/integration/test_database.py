"""The database: transactions that hold, locks that are freed, and troubles with a name."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from postgres_server import PostgresServer
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from hashmatch.db import engines, problems
from hashmatch.db.schema import EntryRow, ListRow
from hashmatch.db.session import Database
from hashmatch.errors import AlreadyRunning, ConfigError, CustodyBusy, DatabaseError

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


def partner(name: str) -> ListRow:
    return ListRow(name=name, created_at=NOW)


def names(db: Database) -> list[str]:
    with db.read() as session:
        return sorted(session.scalars(select(ListRow.name)))


def test_a_write_is_there_when_its_block_ends(db: Database) -> None:
    with db.write() as session:
        session.add(partner("a"))
    assert names(db) == ["a"]


def test_an_error_leaves_nothing_of_a_write(db: Database) -> None:
    with pytest.raises(RuntimeError), db.write() as session:
        session.add(partner("a"))
        session.flush()
        raise RuntimeError
    assert names(db) == []


def test_rows_can_be_used_after_their_transaction(db: Database) -> None:
    with db.write() as session:
        row = partner("a")
        session.add(row)
    assert row.name == "a"
    assert row.created_at == NOW


def test_a_read_sees_one_state_throughout(db: Database) -> None:
    count = select(func.count()).select_from(ListRow)
    with db.read() as reading:
        assert reading.scalar(count) == 0
        with db.write() as session:
            session.add(partner("a"))
        assert reading.scalar(count) == 0
    assert names(db) == ["a"]


def test_a_read_cannot_write(db: Database) -> None:
    with pytest.raises(DBAPIError, match=r"(?i)read.?only"), db.read() as session:
        session.add(partner("a"))
        session.flush()
    assert names(db) == []
    with db.write() as session:  # on the very connection that was used to read
        session.add(partner("a"))
    assert names(db) == ["a"]


def test_rows_that_refer_to_nothing_are_refused(db: Database) -> None:
    with pytest.raises(IntegrityError), db.write() as session:
        session.add(EntryRow(version_id=99, entry_id="x", media="image"))


def test_errors_show_no_values(db: Database) -> None:
    row = {"name": "a", "created_at": NOW, "action": "5ecret"}
    with db.write() as session:
        session.add(ListRow(**row))
    with pytest.raises(IntegrityError) as caught, db.write() as session:
        session.add(ListRow(**row))
    assert "5ecret" not in str(caught.value)


def test_a_commit_is_on_disk_when_it_returns(sqlite_db: Database) -> None:
    with sqlite_db.write() as session:
        assert session.scalar(text("PRAGMA journal_mode")) == "wal"
        assert session.scalar(text("PRAGMA synchronous")) == 2  # FULL
        assert session.scalar(text("PRAGMA foreign_keys")) == 1
        assert session.scalar(text("PRAGMA busy_timeout")) == 30_000


def test_writers_that_read_first_wait_for_each_other(db: Database) -> None:
    """Under WAL, SQLite ends a transaction that reads and then writes, unless it says so first."""
    with db.write() as session:
        session.add(ListRow(name="counter", created_at=NOW, distance=0))
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(20):
                with db.write() as session:
                    row = session.get_one(ListRow, "counter", with_for_update=True)
                    row.distance = (row.distance or 0) + 1
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with db.read() as session:
        assert session.get_one(ListRow, "counter").distance == 80


def test_times_come_back_aware_and_in_utc(db: Database) -> None:
    from datetime import timedelta, timezone

    at = datetime(2026, 11, 22, 4, 0, 0, 123456, tzinfo=timezone(timedelta(hours=1)))
    with db.write() as session:
        session.add(ListRow(name="a", created_at=at))
    with db.read() as session:
        got = session.scalars(select(ListRow.created_at)).one()
    assert got == at
    assert got.utcoffset() == timedelta(0)


# The run lock


def test_one_run_at_a_time(db: Database) -> None:
    with db.run_lock():
        with pytest.raises(AlreadyRunning) as caught, db.run_lock():
            pytest.fail("two runs hold the lock")
        assert str(os.getpid()) in caught.value.message
    with db.run_lock():
        pass


def test_a_run_that_fails_frees_the_lock(db: Database) -> None:
    with pytest.raises(RuntimeError), db.run_lock():
        raise RuntimeError
    with db.run_lock():
        pass


_HOLD = """
import sys, time
from pathlib import Path
from hashmatch.db.session import Database
with Database.connect(sys.argv[1], Path("/")).run_lock():
    print("held", flush=True)
    time.sleep(60)
"""


def test_kill_9_frees_the_lock(db: Database, database_url: str) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD, database_url], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning, match=f"{holder.pid} on {socket.gethostname()}"):
            db.run_lock().__enter__()
        holder.send_signal(signal.SIGKILL)
        holder.wait(10)
        _enter_soon(db)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()


def _enter_soon(db: Database) -> None:
    """PostgreSQL needs a moment to see that a client is gone."""
    deadline = datetime.now(UTC).timestamp() + 10
    while True:
        try:
            with db.run_lock():
                return
        except AlreadyRunning:
            if datetime.now(UTC).timestamp() > deadline:
                raise


def test_a_child_does_not_keep_the_lock(db: Database) -> None:
    with db.run_lock():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        with db.run_lock():
            pass
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_who_may_write_the_database_may_take_its_locks(sqlite_db: Database, mode: int) -> None:
    """Two custodians of one server have two accounts."""
    sqlite_db.file.chmod(mode)
    with sqlite_db.run_lock(), sqlite_db.custody_lock():
        for name in (".lock", ".custody.lock"):
            file = sqlite_db.file.with_name(sqlite_db.file.name + name)
            assert stat.S_IMODE(file.stat().st_mode) == mode
            assert file.stat().st_gid == sqlite_db.file.stat().st_gid


def test_an_act_of_custody_keeps_out_another_and_no_run(db: Database) -> None:
    with db.custody_lock():
        with pytest.raises(CustodyBusy) as caught, db.custody_lock():
            pytest.fail("two hold the lock")
        assert caught.value.exit_code == 13
        with db.run_lock():
            pass


def test_a_lock_file_that_cannot_be_opened_is_named(sqlite_db: Database, tmp_path: Path) -> None:
    (tmp_path / "hashmatch.db.lock").mkdir()
    with pytest.raises(
        DatabaseError, match=r"hashmatch\.db cannot.*lock file hashmatch\.db\.lock cannot be opened"
    ):
        sqlite_db.run_lock().__enter__()


# Troubles, and what to do about them


def problem(db: Database) -> str:
    with pytest.raises(DatabaseError) as caught:
        db.check_revision()
    assert caught.value.exit_code == 16
    return caught.value.message


def test_a_missing_file_is_not_made_anew(tmp_path: Path) -> None:
    db = Database.connect("sqlite:///gone.db", tmp_path)
    assert "there is no such file" in problem(db)
    assert "hashmatch init" in problem(db)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    db = Database.connect("sqlite:///no/such/x.db", tmp_path)
    assert f"the folder {tmp_path}/no/such does not exist" in problem(db)
    with pytest.raises(DatabaseError, match="No such file"):
        db.upgrade()


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"clip,hash\n" * 1000)
    db = Database.connect("sqlite:///x.db", tmp_path)
    assert "not a SQLite database" in problem(db)
    with pytest.raises(DatabaseError, match="not a SQLite database"):
        db.upgrade()
    assert (tmp_path / "x.db").read_bytes() == b"clip,hash\n" * 1000


def test_a_damaged_file_is_called_damaged(sqlite_db: Database) -> None:
    with sqlite_db.write() as session:
        session.add_all(partner(f"list {n}" * 8) for n in range(3000))
    sqlite_db.close()
    assert sqlite_db.file is not None
    with sqlite_db.file.open("r+b") as file:
        file.seek(4096 * 8)
        file.write(b"\xa5" * (sqlite_db.file.stat().st_size - 4096 * 8))
    with pytest.raises(DatabaseError, match="damaged"):
        names(sqlite_db)


def test_a_database_that_is_deleted_under_us_is_noticed(sqlite_db: Database) -> None:
    """SQLite would go on writing to the deleted file, and all of that would be lost."""
    assert names(sqlite_db) == []
    assert sqlite_db.file is not None
    sqlite_db.file.unlink()
    with pytest.raises(DatabaseError, match="there is no such file"), sqlite_db.write() as session:
        session.add(partner("a"))
        session.flush()


def test_a_database_that_is_restored_under_us_is_the_one_that_is_used(
    sqlite_db: Database, tmp_path: Path
) -> None:
    assert sqlite_db.file is not None
    with sqlite_db.write() as session:
        session.add(partner("a"))
    sqlite_db.close()
    shutil.copy(sqlite_db.file, tmp_path / "backup.db")
    with sqlite_db.write() as session:
        session.add(partner("b"))
    assert names(sqlite_db) == ["a", "b"]
    for end in ("-wal", "-shm"):
        (tmp_path / f"hashmatch.db{end}").unlink(missing_ok=True)
    (tmp_path / "backup.db").rename(sqlite_db.file)
    assert names(sqlite_db) == ["a"]


def test_a_file_locked_by_another_program_is_called_locked(
    sqlite_db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 0.2)
    db = Database.connect("sqlite:///hashmatch.db", tmp_path)
    with sqlite_db.write() as other:
        other.add(partner("a"))
        other.flush()
        with pytest.raises(DatabaseError, match="another program kept it locked"):  # noqa: SIM117
            with db.write() as session:
                session.add(partner("b"))
        assert names(db) == []  # readers do not wait


def test_an_io_error_may_be_a_full_disk_and_says_so() -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_SHMSIZE  # what a full disk gives in WAL mode
    assert (problems.problem_of(error, None) or "").startswith("the disk is full, or failed")


def test_a_full_disk_is_called_full_and_keeps_what_was_committed(sqlite_db: Database) -> None:
    with sqlite_db.write() as session:
        session.add(partner("a"))
    with pytest.raises(DatabaseError, match="the disk is full"), sqlite_db.write() as session:
        session.execute(text("PRAGMA max_page_count = 1"))  # SQLite's own SQLITE_FULL
        session.add_all(partner(f"list {n}" * 8) for n in range(3000))
    sqlite_db.close()
    assert names(sqlite_db) == ["a"]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may write all")
def test_a_read_only_file_is_called_read_only(sqlite_db: Database, tmp_path: Path) -> None:
    assert sqlite_db.file is not None
    sqlite_db.close()
    script = (
        "import sys; from pathlib import Path; from sqlalchemy import text\n"
        "from hashmatch.db.session import Database\n"
        "with Database.connect(sys.argv[1], Path('/')).write() as session:\n"
        '    session.execute(text("delete from list"))\n'
    )
    sqlite_db.file.chmod(0o444)
    command = [sys.executable, "-c", script, f"sqlite:///{sqlite_db.file}"]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "DatabaseError" in done.stderr
    assert "it cannot be written" in done.stderr


def test_a_new_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        db = Database.connect("sqlite:///new.db", tmp_path)
        db.upgrade()
        with db.write() as session:
            session.add(partner("a"))
            session.flush()
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_a_name_with_odd_signs_is_one_file(tmp_path: Path) -> None:
    db = Database.connect("sqlite:///a%20%23%3F%25.db", tmp_path)
    db.upgrade()
    db.check_revision()
    db.close()
    assert [path.name for path in tmp_path.iterdir()] == ["a #?%.db"]


def test_an_unreachable_server_is_called_unreachable(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        db = Database.connect(f"postgresql://u:s3cret@127.0.0.1:{port}/x", tmp_path)
        said = problem(db)
    assert "cannot be reached" in said
    assert "s3cret" not in said


def test_a_wrong_password_is_called_wrong_and_not_shown(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    db = Database.connect(postgres.url("postgres", "s3cret"), tmp_path)
    said = problem(db)
    assert "refuses the connection" in said
    assert "password authentication failed" in said
    assert "s3cret" not in said
    assert "***" in said


def test_a_database_that_is_not_there_is_called_missing(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    assert "createdb" in problem(Database.connect(postgres.url("nowhere"), tmp_path))


def test_a_lost_connection_is_named_and_the_next_transaction_works(
    postgres: PostgresServer, postgres_template: str, tmp_path: Path
) -> None:
    name = postgres.create(postgres_template)
    db = Database.connect(postgres.url(name), tmp_path)
    kick = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    with pytest.raises(DatabaseError, match=r"server was stopped|connection broke"):  # noqa: SIM117
        with db.write() as session:
            session.add(partner("a"))
            session.flush()
            postgres.execute(kick)
            session.add(partner("b"))
    assert names(db) == []
    postgres.execute(kick)  # now the one that waits in the pool
    assert names(db) == []
    db.close()
    postgres.drop(name)


def test_a_row_locked_by_another_program_is_called_locked(
    postgres: PostgresServer,
    postgres_template: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = postgres.create(postgres_template)
    db = Database.connect(postgres.url(name), tmp_path)
    monkeypatch.setattr(engines, "BUSY_SECONDS", "0.2")
    other = Database.connect(postgres.url(name), tmp_path)
    with db.write() as session:
        session.add(partner("a"))
        session.flush()
        with pytest.raises(DatabaseError, match="kept a row locked"):  # noqa: SIM117
            with other.write() as second:
                second.add(partner("a"))
    db.close()
    other.close()
    postgres.drop(name)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:s3cret@h/x", "postgresql://u:***@h/x"),
        ("postgres://u:s3cret@h/x", "postgresql://u:***@h/x"),
        ("postgresql+psycopg2://u:s3cret@h/x", "postgresql://u:***@h/x"),
        ("postgresql://u@h/x?password=s3cret", "postgresql://u:***@h/x"),
        ("postgresql://u@h/x?sslpassword=s3cret", "postgresql://u@h/x"),
        ("sqlite:///a.db", "sqlite:////home/a.db"),
        ("sqlite:////srv/a.db", "sqlite:////srv/a.db"),
    ],
)
def test_the_url_that_is_shown_has_no_password(url: str, shown: str) -> None:
    db = Database.connect(url, Path("/home"))
    assert db.url == shown
    assert "s3cret" not in repr(db)
    assert db.engine.dialect.driver in ("psycopg", "pysqlite")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hashmatch.db",
        "mysql://u:s3cret@h/x",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///a.db?mode=ro",
        "sqlite://host/a.db",
        "postgresql://u:s3cret@h:port/x",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database.connect(url, Path("/home"))
    assert "s3cret" not in caught.value.message
    assert caught.value.__cause__ is None


def test_an_error_without_a_code_is_left_as_it_is() -> None:
    assert problems.problem_of(sqlite3.ProgrammingError("closed"), None) is None
    assert problems.problem_of(ValueError("x"), None) is None
