"""Locks on one database: one run at a time, and one act of custody at a time beside it.

Freed by the system when their holder dies.
"""

from __future__ import annotations

import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine, text

from hashmatch.errors import DatabaseError, HashmatchError

# "hm" "ru" and "hm" "cu": any fixed numbers do, they are counted for each database by itself.
RUN_KEY = 0x686D7275
CUSTODY_KEY = 0x686D6375

_HOLDER = text(
    "SELECT a.application_name || coalesce(' from ' || host(a.client_addr), '')"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :key"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@contextmanager
def file_lock(database: Path, name: str, refused: type[HashmatchError]) -> Iterator[None]:
    """flock on a file beside the database that names its holder. Raises `refused` if there is one.

    Who may write the database may take the lock: the file has its mode and group. It stays: to
    unlink it would let two holders lock two files of one name.
    """
    path = database.with_name(database.name + name)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        problem = (
            f"its lock file {path.name} cannot be opened, {error.strerror}. "
            "Give it the group and the mode of the database"
        )
        raise DatabaseError(url=database, problem=problem) from error
    try:
        with suppress(OSError):  # somebody else's file has been given its mode by them
            like = database.stat()
            os.fchown(descriptor, -1, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip()
            raise refused(holder=holder or "a process that has just started") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def advisory_lock(engine: Engine, key: int, refused: type[HashmatchError]) -> Iterator[None]:
    """PostgreSQL's session lock, on a connection of its own. Raises `refused` if it is held.

    The server frees it when the connection ends, so a run whose network broke may be followed by
    another while it still thinks it holds the lock: its writes fail on the same broken network.
    """
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": key}):
            holder = connection.scalar(_HOLDER, {"key": key})
            raise refused(holder=holder or "a process that has just ended")
        try:
            yield
        finally:
            # The server notices a closed session only after a while; a broken one it frees by itself.
            with suppress(DatabaseError):
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": key})
            connection.invalidate()
