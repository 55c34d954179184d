"""What a driver's error means to an operator, and what to do about it.

`problem_of` returns None for errors that are no fault of the database (a broken constraint, a bad
statement): those stay what they are. No text made here carries a password, a statement or a value.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg

BUSY_SECONDS = 30

_INIT = "`hashmatch init` makes a new one"

# Primary result codes, https://www.sqlite.org/rescode.html
_SQLITE = {
    sqlite3.SQLITE_BUSY: f"another program kept it locked for more than {BUSY_SECONDS} seconds. "
    "See what else has it open (`fuser FILE`), then run again",
    sqlite3.SQLITE_LOCKED: f"another program kept it locked for more than {BUSY_SECONDS} seconds. "
    "See what else has it open (`fuser FILE`), then run again",
    sqlite3.SQLITE_READONLY: "it cannot be written. Check owner and permissions of the file and of "
    "its folder, and that the file system is not mounted read-only",
    sqlite3.SQLITE_PERM: "it cannot be opened. Check owner and permissions of the file",
    sqlite3.SQLITE_IOERR: "the disk is full, or failed while it was read or written. Make room; if "
    "there is some, check the disk, then the file with `sqlite3 FILE 'pragma integrity_check'`",
    sqlite3.SQLITE_CORRUPT: "the file is damaged. Keep a copy of it and restore the last backup",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database. Check database.url",
    sqlite3.SQLITE_FULL: "the disk is full. Make room, then run again; what was committed is safe",
}

# SQLSTATEs, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES = {
    "42501": "the user of database.url may not do that. Grant it the rights on its schema",
    "53100": "the server's disk is full. Make room, then run again; what was committed is safe",
    "53200": "the server is out of memory",
    "53300": "the server has no connection left. Raise its max_connections",
    "25006": "it is read-only (a standby?). Check database.url",
    "55P03": f"another program kept a row locked for more than {BUSY_SECONDS} seconds. "
    "See pg_stat_activity, then run again",
    "40P01": "two programs waited for each other and the server ended one. Run again",
    "57P01": "the server was stopped. Run again when it is back",
    "57P02": "the server crashed. Run again when it is back",
    "57P03": "the server is starting up or shutting down. Run again in a moment",
}


def problem_of(error: BaseException, file: Path | None) -> str | None:
    """The problem in words, or None. `file` is the SQLite database's, where it is one."""
    if isinstance(error, sqlite3.Error):
        return _sqlite(error, file)
    if isinstance(error, psycopg.Error):
        return _postgres(error)
    return None


def refuses_writes(error: BaseException) -> bool:
    """The database, or its transaction, is read-only."""
    if isinstance(error, psycopg.Error):
        return error.sqlstate == "25006"
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY


def _sqlite(error: sqlite3.Error, file: Path | None) -> str | None:
    # Errors of the sqlite3 module itself have no code. Extended codes keep the primary one below.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_CANTOPEN and file is not None:
        if not file.parent.is_dir():
            return f"the folder {file.parent} does not exist. Check database.url"
        if not file.exists():
            return f"there is no such file. If it was moved, put it back; {_INIT}"
        return "it cannot be opened. Check owner and permissions of the file and of its folder"
    return _SQLITE.get(code)


def _postgres(error: psycopg.Error) -> str | None:
    if error.sqlstate in _POSTGRES:
        return _POSTGRES[error.sqlstate]
    if isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith("08"):
        # What fails before there is a connection has no SQLSTATE, only the server's words.
        said = " ".join(str(error).split())
        if "FATAL" in said:
            return (
                f"the server refuses the connection ({said}). Check user, password and name in "
                "database.url; `createdb NAME` makes a database"
            )
        return (
            f"the server cannot be reached or the connection broke ({said}). "
            "Check that it runs and that database.url is right"
        )
    return None
