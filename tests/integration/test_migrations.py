"""Migrations: from nothing to what the code needs, whole or not at all, wherever the code lies."""

from __future__ import annotations

import configparser
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.schema import CheckConstraint

from hashmatch.db import migrate
from hashmatch.db.schema import Base, ListRow
from hashmatch.db.session import Database
from hashmatch.errors import DatabaseError

ROOT = Path(__file__).resolve().parents[2]
NEWEST = migrate.known_revisions()[-1]
NEXT = f"{int(NEWEST) + 1:04}"


@pytest.fixture
def empty(empty_database_url: str, tmp_path: Path) -> Database:
    return Database.connect(empty_database_url, tmp_path)


def set_revision(db: Database, revision: str) -> None:
    with db.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :r"), {"r": revision})


def test_the_migrations_make_what_the_code_expects(db: Database) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, Base.metadata) == []


def test_the_migrations_make_every_check_of_the_code(db: Database) -> None:
    """Autogeneration does not compare CHECK constraints."""
    expected = {
        (table.name, str(check.name))
        for table in Base.metadata.tables.values()
        for check in table.constraints
        if isinstance(check, CheckConstraint)
    }
    with db.engine.connect() as connection:
        found = {
            (table, check["name"])
            for table in inspect(connection).get_table_names()
            for check in inspect(connection).get_check_constraints(table)
        }
    assert found == expected
    assert len(expected) >= 4


def test_every_constraint_and_index_has_a_name(db: Database) -> None:
    """Who has none cannot be dropped by a later migration."""
    with db.engine.connect() as connection:
        seen = inspect(connection)
        for table in Base.metadata.tables:
            named = [
                seen.get_pk_constraint(table),
                *seen.get_foreign_keys(table),
                *seen.get_unique_constraints(table),
                *seen.get_indexes(table),
            ]
            assert all(each["name"] for each in named), table


def test_an_empty_database_is_brought_up_and_then_left_alone(empty: Database) -> None:
    empty.upgrade()
    empty.check_revision()
    with empty.write() as session:
        session.execute(text("UPDATE tree_head SET size = 7"))
    empty.upgrade()
    with empty.read() as session:
        assert session.execute(text("SELECT id, size FROM tree_head")).all() == [(1, 7)]


def test_a_new_log_is_empty(db: Database) -> None:
    with db.read() as session:
        assert session.execute(text("SELECT id, size, frontier FROM tree_head")).all() == [
            (1, 0, b"")
        ]


def test_a_database_without_tables_is_told_how_to_get_them(empty: Database, tmp_path: Path) -> None:
    if empty.file is not None:
        empty.file.touch()
    with pytest.raises(DatabaseError, match=r"no hashmatch tables.*hashmatch init"):
        empty.check_revision()


def test_a_newer_database_is_neither_used_nor_changed(db: Database) -> None:
    set_revision(db, "9999")
    with pytest.raises(DatabaseError, match=r"9999, which is newer.*Install a newer hashmatch"):
        db.check_revision()
    with pytest.raises(DatabaseError, match="newer"):
        db.upgrade()


def test_an_older_database_is_told_to_upgrade(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "known_revisions", lambda: [NEWEST, NEXT])
    told = rf"{NEWEST}, this hashmatch needs {NEXT}.*Back it up"
    with pytest.raises(DatabaseError, match=told):
        db.check_revision()


_BROKEN = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{NEWEST}"


def upgrade() -> None:
    op.add_column("run", sa.Column("half", sa.Text()))
    op.execute("INSERT INTO no_such_table VALUES (1)")
"""


@pytest.fixture
def further(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the migrations that a test may add to."""
    copy = tmp_path / "100% more" / "alembic"
    (copy / "versions").mkdir(parents=True)
    for path in migrate.folder().rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            (copy / path.relative_to(migrate.folder())).write_bytes(path.read_bytes())
    monkeypatch.setattr(migrate, "folder", lambda: copy)
    return copy


def test_lists_from_before_are_compared_as_they_were(
    empty: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0001"))
        empty.upgrade()
    with empty.write() as session:
        old = "INSERT INTO list (name, created_at, action) VALUES ('a', '2026-11-22 03:00', 'log')"
        session.execute(text(old))
    empty.upgrade()
    empty.check_revision()
    with empty.read() as session:
        assert session.get_one(ListRow, "a").orientations == "mirrored"


def test_a_migration_that_fails_leaves_nothing(db: Database, further: Path) -> None:
    (further / "versions" / f"{NEXT}_broken.py").write_text(_BROKEN)
    with pytest.raises(Exception, match="no_such_table"):
        db.upgrade()
    with db.engine.connect() as connection:
        assert "half" not in {each["name"] for each in inspect(connection).get_columns("run")}
        assert migrate.revision_of(connection) == NEWEST


_REBUILD = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{NEWEST}"


def upgrade() -> None:
    with op.batch_alter_table("list") as table:
        table.alter_column("action", existing_type=sa.String(16), type_=sa.String(32))
"""


def test_a_table_that_others_refer_to_can_be_rebuilt(db: Database, further: Path) -> None:
    """SQLite rebuilds a table to alter it; with foreign keys on, that deletes what refers to it."""
    at = "'2026-11-22 03:00:00+00'"
    with db.write() as session:
        session.execute(
            text(f"INSERT INTO list (name, created_at, action) VALUES ('a', {at}, 'log')")
        )
        session.execute(
            text(
                "INSERT INTO disabled_entry (list_name, entry_id, reason, disabled_at, disabled_by)"
                f" VALUES ('a', 'x', 'y', {at}, 'z')"
            )
        )
    (further / "versions" / f"{NEXT}_rebuild.py").write_text(_REBUILD)
    db.upgrade()
    db.check_revision()
    with db.read() as session:
        assert session.scalar(text("SELECT count(*) FROM disabled_entry")) == 1


def test_two_upgrades_at_once_make_one_set_of_tables(
    empty_database_url: str, tmp_path: Path
) -> None:
    # Two processes, as Alembic's context is not for threads.
    script = (
        "import sys; from pathlib import Path; from hashmatch.db.session import Database\n"
        "Database.connect(sys.argv[1], Path('/')).upgrade()\n"
    )
    python = [sys.executable, "-c", script, empty_database_url]
    both = [subprocess.Popen(python, cwd=ROOT, stderr=subprocess.PIPE) for _ in range(2)]
    said = [each.communicate(timeout=60)[1] for each in both]
    assert [each.returncode for each in both] == [0, 0], said
    Database.connect(empty_database_url, tmp_path).check_revision()


def test_the_newest_revision_is_the_one_that_alembic_goes_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(migrate.folder()))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [migrate.known_revisions()[-1]]
    assert sorted(each.revision for each in scripts.walk_revisions()) == migrate.known_revisions()


def test_developers_can_call_alembic(tmp_path: Path) -> None:
    db = Database.connect("sqlite:///dev.db", tmp_path)
    db.upgrade()
    environment = {**os.environ, "HASHMATCH_DATABASE__URL": f"sqlite:///{tmp_path}/dev.db"}
    done = subprocess.run(
        [sys.executable, "-m", "alembic", "check"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "No new upgrade operations" in done.stdout


def test_every_package_is_listed_for_the_wheel() -> None:
    """setup.cfg lists them, as the migrations come from another folder."""
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    listed = set(settings["options"]["packages"].split())
    found = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "hashmatch").rglob("*.py")
    }
    assert listed == found | {"hashmatch.db.migrations", "hashmatch.standalone"}


@pytest.mark.slow
def test_a_wheel_carries_its_migrations(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in (
        "hashmatch",
        "alembic",
        "scripts",
        "setup.cfg",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    ):
        subprocess.run(["cp", "-r", str(ROOT / name), str(source)], check=True)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path)]
    subprocess.run([*command, str(source)], check=True, timeout=200)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    script = (
        "import hashmatch; from pathlib import Path\n"
        "from hashmatch.db.session import Database\n"
        "assert hashmatch.__file__.startswith(str(Path.cwd())), hashmatch.__file__\n"
        "db = Database.connect('sqlite:///x.db', Path.cwd()); db.upgrade(); db.check_revision()\n"
        "from hashmatch.audit import standalone\n"
        "assert str(standalone.script()).startswith(str(Path.cwd())), standalone.script()\n"
        "assert standalone.verifier().main(['--', 'no-such-file']) == 3\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path / "installed", check=True)
    assert not (tmp_path / "installed" / "alembic").exists()
