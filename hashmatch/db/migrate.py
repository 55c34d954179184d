"""Migrations: which revision a database has, which this code needs, and how to get there.

The scripts are the top-level folder `alembic/` of a source checkout; an installed copy carries them
as `hashmatch/db/migrations`. A script's file is named REVISION_what_it_does.py and revisions count
up (0001, 0002, …), so that the newest is known without loading Alembic. There is no way down:
restore the backup that was made before the upgrade.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sqlalchemy import Connection, inspect, text

# "hm" "up"
_UPGRADE_KEY = 0x686D7570


def folder() -> Path:
    """Where the migration scripts are."""
    package = Path(str(files("hashmatch.db")))
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parents[1] / "alembic"


def known_revisions() -> list[str]:
    """The revisions this code knows, oldest first; the last is the one it needs."""
    found = sorted(path.name.split("_")[0] for path in (folder() / "versions").glob("[0-9]*_*.py"))
    if not found:
        raise FileNotFoundError(f"no migration scripts in {folder()}: install hashmatch again")
    return found


def revision_of(connection: Connection) -> str | None:
    """The database's revision, or None if hashmatch never made its tables there."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def problem_with(revision: str | None) -> str | None:
    """Why this code cannot work with a database of this revision, or None."""
    known = known_revisions()
    if revision == known[-1]:
        return None
    if revision is None:
        return "it has no hashmatch tables. Make them with `hashmatch init`"
    if revision in known:
        return (
            f"its tables are of revision {revision}, this hashmatch needs {known[-1]}. "
            "Back it up, then run `hashmatch db upgrade`"
        )
    return (
        f"its tables are of revision {revision}, which is newer than this hashmatch knows "
        f"({known[-1]}). Install a newer hashmatch"
    )


def run(connection: Connection) -> None:
    """Brings the database to the newest revision, in the connection's transaction."""
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_KEY})
    config = Config()
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
