"""Engines: how a connection to each database is opened and how its transactions begin.

Every connection is for writing unless it has the execution option `access="read"`; a statement with
the option `binary_results` gets its bytes from PostgreSQL as bytes. Durability: a
commit is on disk when it returns (SQLite: WAL with synchronous=FULL; PostgreSQL: its default). Not
guaranteed: a disk that acknowledges writes it has not made.
"""

from __future__ import annotations

import os
import socket
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import ExecutionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from hashmatch.db.problems import BUSY_SECONDS
from hashmatch.errors import DatabaseError

CONNECT_SECONDS = 10

# A pooler answers a connection by itself, with another process number than the server's.
_POOLER = (
    "a connection pooler such as PgBouncer is in between, and locks do not hold through one. "
    "Let database.url name the PostgreSQL server itself"
)


def sqlite_engine(file: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine on an existing file; a missing one is an error, never a new empty database.

    foreign_keys: False only for migrations, which rebuild tables that others refer to.
    Source of the isolation_level and BEGIN hooks: SQLAlchemy, "Transactions with SQLite and the
    sqlite3 driver". They work alike on every supported Python.
    """
    url = URL.create(
        "sqlite", database="file:" + quote(str(file)), query={"uri": "true", "mode": "rw"}
    )
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def opened(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA foreign_keys = {'ON' if foreign_keys else 'OFF'}")
        record.info["file"] = _identity(file)

    @event.listens_for(engine, "checkout")
    def still_there(_connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
        # SQLite goes on writing to a file that was deleted or replaced, and all of it is lost.
        if record.info["file"] != _identity(file):
            raise DisconnectionError("the database file was moved")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if reads_only(connection):
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("PRAGMA query_only = ON")
        else:
            # A transaction that reads first and writes later fails at once when another one
            # has written in between, however long the timeout.
            connection.exec_driver_sql("PRAGMA query_only = OFF")
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def postgres_engine(url: URL) -> Engine:
    """An engine through psycopg 3, whatever driver the URL names.

    Its connections raise DatabaseError behind a pooler: locks and settings belong to a session, and
    a pooler may give each transaction another one, so that two runs held the run lock at once.
    """
    defaults = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": f"hashmatch {os.getpid()} on {socket.gethostname()}",
        # A prepared statement is a session's, and is worth little for ours.
        "prepare_threshold": None,
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args={name: value for name, value in defaults.items() if name not in url.query},
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def opened(connection: psycopg.Connection[Any], _record: ConnectionPoolEntry) -> None:
        [server] = connection.execute("SELECT pg_backend_pid()").fetchone() or [None]
        if server != connection.info.backend_pid:
            raise DatabaseError(url=url.render_as_string(), problem=_POOLER)
        connection.execute(f"SET lock_timeout = '{BUSY_SECONDS}s'")
        connection.commit()

    @event.listens_for(engine, "before_cursor_execute")
    def answer_in_binary(
        _connection: Connection,
        cursor: psycopg.Cursor[Any],
        _statement: str,
        _parameters: Any,
        context: ExecutionContext,
        _executemany: bool,
    ) -> None:
        # As text, bytes come in hex: twice as many, written by the server and read again here.
        if context.execution_options.get("binary_results"):
            cursor.format = psycopg.pq.Format.BINARY

    return engine


def reader(engine: Engine) -> Engine:
    """The same engine, for transactions that see one state of the database and write nothing."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(access="read")
    return engine.execution_options(
        access="read", isolation_level="REPEATABLE READ", postgresql_readonly=True
    )


def reads_only(connection: Connection) -> bool:
    return connection.get_execution_options().get("access") == "read"


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
