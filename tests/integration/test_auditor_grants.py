"""What docs/security.md grants an auditor on PostgreSQL is enough for the role, and for no more."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from audit_parts import KEY, ORIGIN, Night, verify_elsewhere
from click.testing import CliRunner
from custody_parts import Key, in_folders, keys
from postgres_server import PASSWORD, PostgresServer

from hashmatch.access import account
from hashmatch.audit.checkpoint import verifier_key
from hashmatch.cli.main import cli
from hashmatch.db.session import Database

__all__ = ["keys"]

SECURITY = Path(__file__).resolve().parents[2] / "docs/security.md"


@dataclass
class Auditor:
    """An installation's database as its owner has it, and an auditor's machine."""

    db: Database
    url: str
    home: Path

    def does(self, *words: str) -> str:
        config = str(self.home / "hashmatch.toml")
        done = CliRunner().invoke(cli, ["--config", config, *words], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout


@pytest.fixture
def auditor(postgres: PostgresServer, postgres_template: str, tmp_path: Path) -> Iterator[Auditor]:
    name = postgres.create(postgres_template)
    (grants,) = re.findall(r"```sql\n(.*?)```", SECURITY.read_text(), re.DOTALL)
    postgres.execute(f"CREATE ROLE auditor LOGIN PASSWORD '{PASSWORD}'")
    with psycopg.connect(postgres.url(name), autocommit=True) as session:
        session.execute(grants)
    url = postgres.url(name, user="auditor")
    (tmp_path / "audit.pub").write_text(verifier_key(ORIGIN, KEY.public_key()))
    (tmp_path / "hashmatch.toml").write_text(
        f'[database]\nurl = "{url}"\n[audit]\nkey = "audit.pub"\n'
        f'[people]\nauditors = ["{account()}"]\n'
    )
    db = Database.connect(postgres.url(name), tmp_path)
    yield Auditor(db, url, tmp_path)
    db.close()
    postgres.drop(name)
    postgres.execute("DROP ROLE auditor")


def test_with_the_documented_grants_an_auditor_does_all_of_the_role(auditor: Auditor) -> None:
    night = Night(auditor.db).import_list().scan("run-1", {"a.mp4": "matched", "b.mp4": "clean"})
    case = night.case("a.mp4")
    note = night.sign()
    assert auditor.does("audit", "checkpoint") == note
    assert "The database says what it says" in auditor.does("audit", "verify")
    assert case in auditor.does("audit", "show")
    bundle = auditor.home / "case.zip"
    auditor.does("audit", "export", "--case", case, "--out", str(bundle))
    verify_elsewhere(bundle, "--key", str(auditor.home / "audit.pub"))
    for words in (("list",), ("show", case), ("requests",)):
        auditor.does("quarantine", *words)
    assert "audit-exported" in auditor.does("audit", "show")
    assert "The database says what it says" in auditor.does("audit", "verify")


def test_with_the_documented_grants_an_auditor_verifies_the_vault(
    auditor: Auditor, keys: tuple[Key, ...]
) -> None:
    scene = in_folders(auditor.home, auditor.db, keys).begin()
    scene.custody().advance(scene.case)
    assert "whole" in auditor.does("quarantine", "verify", "--all")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM fingerprint",
        "SELECT * FROM entry_hash",
        "UPDATE leaf SET body = ''",
        "DELETE FROM leaf",
        "UPDATE checkpoint SET note = ''",
        "INSERT INTO checkpoint SELECT * FROM checkpoint",
        "UPDATE \"case\" SET state = 'released'",
        "DELETE FROM hold",
        "UPDATE request SET confirmed_by = 'bob'",
        "DELETE FROM opening",
        "CREATE TABLE mine (id int)",
    ],
)
def test_the_documented_grants_allow_nothing_else(auditor: Auditor, statement: str) -> None:
    with (
        psycopg.connect(auditor.url) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        session.execute(statement)
