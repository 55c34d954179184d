"""An installation wherever its parts may be: folders or S3 buckets, SQLite or PostgreSQL.

    site = make_site(tmp_path, "s3", "postgresql", request)
    site.clips.put("2026/11/a.mp4", data)
    site.hashmatch.scan()
    site.clips.objects(), site.sealed(), site.ask(select(ClipRow.outcome))

What the site shows of storage and database is read past hashmatch's commands, as the platform sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from installation import Installation
from s3_server import Bucket, S3Server
from sqlalchemy import Select

from hashmatch.db.session import Database


@dataclass(frozen=True)
class Folder:
    """A folder with the methods of a Bucket."""

    path: Path

    def settings(self, section: str) -> dict[str, str]:
        return {f"HASHMATCH_{section}__URL": str(self.path)}

    def put(self, key: str, body: bytes) -> None:
        file = self.path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)

    def objects(self) -> dict[str, bytes]:
        return {
            str(file.relative_to(self.path)): file.read_bytes()
            for file in self.path.rglob("*")
            if file.is_file()
        }


@dataclass
class Site:
    hashmatch: Installation
    clips: Folder | Bucket
    vault: Folder | Bucket
    db: Database

    def sealed(self) -> list[bytes]:
        """What the custodian gets out of the vault."""
        return list(self.hashmatch.unseal(self.vault.objects()).values())

    def ask(self, query: Select[Any]) -> list[Any]:
        """The rows of a query, all from one state of the database."""
        with self.db.read() as session:
            return list(session.execute(query).all())


def site_of(hashmatch: Installation) -> Site:
    """The site of an installation with its own folders and its own SQLite file."""
    db = Database.connect("sqlite:///hashmatch.db", hashmatch.home)
    return Site(hashmatch, Folder(hashmatch.clips), Folder(hashmatch.vault), db)


def make_site(
    home: Path, storage: str, database: str, request: pytest.FixtureRequest, **environment: str
) -> Site:
    """storage: folder or s3, for clips and vault; database: sqlite or postgresql.

    Everything is given by the environment, as a container would be, and the database is empty: its
    tables are made by `hashmatch init`.
    """
    clips, vault = (_place(home / name, storage, request) for name in ("clips", "vault"))
    url = "sqlite:///hashmatch.db"
    if database == "postgresql":
        postgres = request.getfixturevalue("postgres")
        name = postgres.create()
        request.addfinalizer(lambda: postgres.drop(name))
        url = postgres.url(name)
    given = {**clips.settings("CLIPS"), **vault.settings("VAULT"), "HASHMATCH_DATABASE__URL": url}
    hashmatch = Installation(home, environment={**given, **environment})
    db = Database.connect(url, home)
    request.addfinalizer(db.close)
    return Site(hashmatch, clips, vault, db)


def _place(folder: Path, storage: str, request: pytest.FixtureRequest) -> Folder | Bucket:
    if storage == "folder":
        return Folder(folder)
    server: S3Server = request.getfixturevalue("s3_server")
    return server.bucket()
