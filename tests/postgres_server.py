"""A PostgreSQL of the tests' own: made in a temporary folder, gone with the tests.

It keeps nothing through a power cut (fsync off) and takes no connection from outside this machine.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

PASSWORD = "tests only"  # with a space, which a URL must quote
_SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "listen_addresses": "127.0.0.1",
}


def binaries() -> Path | None:
    """The folder with `initdb` and `postgres`; the newest where there are several."""
    found = [
        path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")
        if (path.parent / "postgres").exists()
    ]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgresServer:
    """Started by `start`. Databases are copies of a template and used again where that is safe."""

    def __init__(self, bin_folder: Path) -> None:
        self._bin = bin_folder
        self._folder = Path(tempfile.mkdtemp(prefix="hashmatch-pg-"))
        # The server refuses to run as root.
        self._as: dict[str, Any] = {}
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(self._folder, account.pw_uid, account.pw_gid)
            self._as = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.port = 0
        self._idle: list[str] = []
        self._catalog: dict[str, object] = {}
        self._rows: dict[str, list[tuple[Any, ...]]] = {}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        command = [self._bin / "initdb", "-D", self._folder / "data", "-U", "postgres", "-A"]
        command += ["scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-locale", "-N"]
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            cwd=self._folder,
            env=_environment(),
            **self._as,
        )
        for _ in range(3):  # somebody else may take the port in between
            self.port = _free_port()
            self._process = self._launch()
            if self._answers():
                return
        raise RuntimeError(
            f"PostgreSQL does not start: {(self._folder / 'log').read_text()[-2000:]}"
        )

    @property
    def pid(self) -> int:
        """The server's own process; those of its connections are its children."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """Ends the server by its own pid, without a shutdown, and removes its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, template: str | None = None) -> str:
        """A fresh database's name; a copy of `template`, which nobody may be connected to."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
        return name

    def drop(self, name: str) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def borrow(self, template: str) -> str:
        """A database that is like `template`: a fresh copy, or one that was given back."""
        if self._idle:
            return self._idle.pop()
        name = self.create(template)
        with self._session(name) as session:
            self._catalog[name] = _catalog(session)
            if not self._rows:
                self._rows = {table: _rows(session, table) for table in _tables(session)}
        return name

    def give_back(self, name: str) -> None:
        """Puts the template's rows back, or drops it if more than rows was changed."""
        ours = f"datname = '{name}' AND pid <> pg_backend_pid()"
        self.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {ours}")
        with self._session(name) as session:
            changed = _catalog(session) != self._catalog.pop(name)
        if changed:
            self.drop(name)
            return
        with self._session(name) as session:
            # Neither triggers nor foreign keys: the log's tables refuse DELETE otherwise.
            session.execute("SET session_replication_role = replica")
            for table, rows in self._rows.items():
                session.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
                for row in rows:
                    values = sql.SQL(", ").join([sql.Placeholder()] * len(row))
                    session.execute(
                        sql.SQL("INSERT INTO {} VALUES ({})").format(sql.Identifier(table), values),
                        row,
                    )
            self._catalog[name] = _catalog(session)
        self._idle.append(name)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)

    def url(self, name: str, password: str = PASSWORD, user: str = "postgres") -> str:
        quoted = password.replace(" ", "%20")
        return f"postgresql://{user}:{quoted}@127.0.0.1:{self.port}/{name}"

    def _session(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.url(name))

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [self._bin / "postgres", "-D", self._folder / "data", "-k", self._folder]
        command += ["-p", str(self.port)]
        for name, value in _SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=_environment(),
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
                start_new_session=True,
                **self._as,
            )

    def _answers(self) -> bool:
        assert self._process is not None
        deadline = time.monotonic() + 30
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return True
        return False


def _tables(session: psycopg.Connection[tuple[Any, ...]]) -> list[str]:
    found = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return [table for (table,) in found]


def _rows(session: psycopg.Connection[tuple[Any, ...]], table: str) -> list[tuple[Any, ...]]:
    return session.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))).fetchall()


def _catalog(session: psycopg.Connection[tuple[Any, ...]]) -> object:
    """Changes with every CREATE, ALTER and DROP: which transactions wrote the catalog's rows."""
    catalogs = ("pg_class", "pg_attribute", "pg_constraint", "pg_trigger", "pg_proc")
    return [
        session.execute(f"SELECT count(*), max(xmin::text::bigint) FROM {catalog}").fetchone()
        for catalog in catalogs
    ]


def _end_with_parent() -> None:
    """PR_SET_PDEATHSIG: tests that are killed leave no server behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
