"""The database: reached, checked, and used in transactions.

    db = Database.connect("sqlite:///hashmatch.db", home=Path("/srv/hashmatch"))
    db.check_revision()
    with db.write() as session:
        session.add(row)

SQLite is for one writing program at a time, PostgreSQL for more. Every trouble with the database
itself comes out as DatabaseError; broken constraints stay SQLAlchemy's IntegrityError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from sqlalchemy import URL, Engine, ExceptionContext, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session

from hashmatch.db import lock, migrate
from hashmatch.db.engines import postgres_engine, reader, reads_only, sqlite_engine
from hashmatch.db.problems import problem_of, refuses_writes
from hashmatch.errors import AlreadyRunning, ConfigError, CustodyBusy, DatabaseError


class Database:
    """One database. `url` is for people: it has no password. `file` is None on PostgreSQL."""

    def __init__(self, engine: Engine, url: str, file: Path | None) -> None:
        self.engine = engine
        self.url = url
        self.file = file
        self._reader = reader(engine)
        self._name_errors(engine)

    @classmethod
    def connect(cls, url: str, home: Path) -> Database:
        """The database of `database.url`; a relative SQLite file starts from `home`.

        Nothing is opened yet: the first transaction, `check_revision` or `upgrade` does.
        Raises ConfigError for a URL that cannot be one.
        """
        parsed = _parse(url)
        if parsed.get_backend_name() == "sqlite":
            file = (home / str(parsed.database)).absolute()
            return cls(sqlite_engine(file), f"sqlite:///{file}", file)
        return cls(postgres_engine(parsed), _shown(parsed), None)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that commits at its end, or rolls back when an error leaves it.

        SQLite: begun with BEGIN IMMEDIATE, so it waits for other writers at its beginning only.
        PostgreSQL: read committed.
        """
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that sees one state of the database throughout, and cannot write."""
        with Session(self._reader, expire_on_commit=False) as session:
            yield session

    def check_revision(self) -> None:
        """Raises DatabaseError unless the tables are exactly those this code was written for."""
        with self._reader.connect() as connection:
            problem = migrate.problem_with(migrate.revision_of(connection))
        if problem is not None:
            raise DatabaseError(url=self.url, problem=problem)

    def upgrade(self) -> tuple[str | None, str | None]:
        """Makes the tables, or brings older ones up to date. All of it or nothing.

        Returns the revision before, None for no tables, and the one now.

        A new SQLite file belongs to its owner alone (0600): it holds the lists' hashes.
        Raises DatabaseError if the tables are newer than this code.
        """
        if self.file is None:
            return self._upgrade(self.engine)
        self._create(self.file)
        engine = sqlite_engine(self.file, foreign_keys=False)
        self._name_errors(engine)
        try:
            return self._upgrade(engine)
        finally:
            engine.dispose()

    def run_lock(self) -> AbstractContextManager[None]:
        """Held by one run at a time; raises AlreadyRunning. Freed when its process dies."""
        if self.file is None:
            return lock.advisory_lock(self.engine, lock.RUN_KEY, AlreadyRunning)
        return lock.file_lock(self.file, ".lock", AlreadyRunning)

    def custody_lock(self) -> AbstractContextManager[None]:
        """Held by one act of a person on a case at a time, also during a run; raises CustodyBusy."""
        if self.file is None:
            return lock.advisory_lock(self.engine, lock.CUSTODY_KEY, CustodyBusy)
        return lock.file_lock(self.file, ".custody.lock", CustodyBusy)

    def close(self) -> None:
        """Closes the connections that wait in the pool."""
        self.engine.dispose()

    def _upgrade(self, engine: Engine) -> tuple[str | None, str | None]:
        with engine.begin() as connection:
            revision = migrate.revision_of(connection)
            if revision is not None and revision not in migrate.known_revisions():
                raise DatabaseError(url=self.url, problem=migrate.problem_with(revision))
            migrate.run(connection)
            if engine.dialect.name == "sqlite":
                orphan = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if orphan is not None:
                    problem = f"a row of {orphan[0]} refers to a missing row of {orphan[2]}"
                    raise DatabaseError(url=self.url, problem=problem)
            return revision, migrate.revision_of(connection)

    def _create(self, file: Path) -> None:
        try:
            os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            problem = f"{error.strerror}. Check database.url, and that its folder can be written"
            raise DatabaseError(url=self.url, problem=problem) from error

    def _name_errors(self, engine: Engine) -> None:
        @event.listens_for(engine, "handle_error")
        def name_error(context: ExceptionContext) -> None:
            if context.is_pre_ping:
                return  # the pool opens a new connection
            reading = context.connection is not None and reads_only(context.connection)
            if reading and refuses_writes(context.original_exception):
                return  # `read()` was used to write: a mistake in our code, not in the database
            problem = problem_of(context.original_exception, self.file)
            if problem is not None:
                raise DatabaseError(url=self.url, problem=problem) from context.original_exception


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            source="database.url",
            problem="not a URL; sqlite:///FILE and postgresql://USER:PASSWORD@HOST/NAME are",
        ) from None
    kind = parsed.drivername.partition("+")[0]
    if kind == "postgres":
        parsed, kind = parsed.set(drivername="postgresql"), "postgresql"
    if kind not in ("sqlite", "postgresql"):
        raise ConfigError(
            source="database.url", problem=f"{kind} is not supported; sqlite and postgresql are"
        )
    if kind == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            problem = "a database in memory would forget everything; name a file: sqlite:///FILE"
            raise ConfigError(source="database.url", problem=problem)
        if parsed.query or parsed.host:
            problem = "a SQLite URL is sqlite:///FILE (sqlite:////FILE if absolute), nothing more"
            raise ConfigError(source="database.url", problem=problem)
    secret = parsed.query.get("password")
    if isinstance(secret, str):
        # Where SQLAlchemy knows to hide it.
        parsed = parsed.difference_update_query(["password"]).set(password=secret)
    return parsed


def _shown(url: URL) -> str:
    # The query may have a passphrase (sslpassword) or say where secrets are.
    return url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)
