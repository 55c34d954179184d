"""What all tests share: public media, and a real database of each kind."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from postgres_server import PostgresServer, binaries
from s3_server import Bucket, S3Server

from hashmatch.db.session import Database

ROOT = Path(__file__).resolve().parents[1]

# How long drawing an example takes says more of the machine than of the test.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


@pytest.fixture(scope="session")
def media() -> Path:
    """The folder of public media: $HASHMATCH_MEDIA, else ../shared/media beside the repository."""
    folder = Path(os.environ.get("HASHMATCH_MEDIA") or ROOT.parent / "shared" / "media")
    if not folder.is_dir():
        pytest.skip(f"no public media in {folder}; set HASHMATCH_MEDIA to their folder")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server of this worker's own."""
    found = binaries()
    if found is None:
        message = "PostgreSQL is not installed (apt-get install postgresql)"
        if os.environ.get("HASHMATCH_REQUIRE_POSTGRES") == "1":
            pytest.fail(f"{message}, and HASHMATCH_REQUIRE_POSTGRES=1 wants it tested")
        pytest.skip(message)
    server = PostgresServer(found)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("template")
    db = Database.connect("sqlite:///template.db", home)
    db.upgrade()
    db.close()
    return home / "template.db"


@pytest.fixture(scope="session")
def postgres_template(postgres: PostgresServer) -> str:
    name = postgres.create()
    db = Database.connect(postgres.url(name), Path.cwd())
    db.upgrade()
    db.close()
    return name


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without tables; on SQLite the file is not there yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/hashmatch.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.create()
    yield server.url(name)
    server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL, with its password, of a database with all tables; for tests of several processes."""
    if request.param == "sqlite":
        template: Path = request.getfixturevalue("sqlite_template")
        shutil.copy(template, tmp_path / "hashmatch.db")
        yield f"sqlite:///{tmp_path}/hashmatch.db"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = server.borrow(request.getfixturevalue("postgres_template"))
    yield server.url(name)
    server.give_back(name)


@pytest.fixture
def db(database_url: str, tmp_path: Path) -> Iterator[Database]:
    """A database of each kind, with all tables and nothing in it."""
    database = Database.connect(database_url, tmp_path)
    yield database
    database.close()


@pytest.fixture
def sqlite_db(sqlite_template: Path, tmp_path: Path) -> Iterator[Database]:
    """A SQLite database, for tests that are not about databases."""
    shutil.copy(sqlite_template, tmp_path / "hashmatch.db")
    database = Database.connect("sqlite:///hashmatch.db", tmp_path)
    yield database
    database.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture
def s3(s3_server: S3Server) -> Iterator[Bucket]:
    """A new bucket on a real S3 server on the loopback interface."""
    bucket = s3_server.bucket()
    yield bucket
    s3_server.forget(bucket)
