"""`hashmatch init`, `db upgrade` and `doctor` where what they were given, or find, is not as it should be."""

from __future__ import annotations

from pathlib import Path

import pyrage
import pytest
from click.testing import CliRunner, Result

from hashmatch import config
from hashmatch.cli.main import cli
from hashmatch.custody.vault.store import VaultOverlapsClips
from hashmatch.db import migrate
from hashmatch.errors import HashmatchError
from hashmatch.services.installing import AlreadySetUp, NoSuchFolder

KEYS = [str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2)]
RECIPIENTS = [word for key in KEYS for word in ("--recipient", key)]


def init(home: Path, *options: str) -> Result:
    return CliRunner().invoke(cli, ["init", str(home), *options])


def test_options_that_say_otherwise_than_what_is_there_are_refused(tmp_path):
    assert init(tmp_path, *RECIPIENTS).exception is None
    before = (tmp_path / config.FILE).read_text()
    for option in (("--vault", "s3://other"), ("--database", "sqlite:///b.db"), RECIPIENTS[:2]):
        refused = init(tmp_path, *option).exception
        assert isinstance(refused, HashmatchError)
        assert refused.exit_code != 0
    assert isinstance(init(tmp_path, "--vault", "s3://other").exception, AlreadySetUp)
    assert "--vault" in init(tmp_path, "--vault", "s3://other").exception.message
    assert (tmp_path / config.FILE).read_text() == before
    assert init(tmp_path, *RECIPIENTS, "--vault", "vault").exception is None  # as it is there


def test_storage_that_went_is_not_made_anew(tmp_path):
    assert init(tmp_path, *RECIPIENTS).exception is None
    (tmp_path / "clips").rmdir()
    assert init(tmp_path).exception is None
    assert not (tmp_path / "clips").exists()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("--clips", "mistyped"), NoSuchFolder),
        (("--clips", "clips-there", "--vault", "clips-there/vault"), VaultOverlapsClips),
        (("--clips", "s3://b/clips", "--vault", "s3://b/clips/vault"), VaultOverlapsClips),
    ],
)
def test_places_that_cannot_be_are_refused_before_anything_is_made(tmp_path, options, error):
    (tmp_path / "clips-there").mkdir()
    assert isinstance(init(tmp_path, *options, *RECIPIENTS).exception, error)
    assert [file.name for file in tmp_path.iterdir()] == ["clips-there"]


def test_a_recipient_with_a_line_end_is_taken_without_it(tmp_path):
    ends = [f"{KEYS[0]}\r\n", f" {KEYS[1]}\r"]
    assert init(tmp_path, "--recipient", ends[0], "--recipient", ends[1]).exception is None
    assert config.load(tmp_path / config.FILE).vault.recipients == tuple(KEYS)
    assert init(tmp_path).exception is None


def test_whatever_a_setting_is_what_is_written_is_what_is_read(tmp_path):
    odd = "a\r\n\t\"\\\x7f\x01é☃ '#"
    file = tmp_path / config.FILE
    file.write_text(config.render({"clips": {"url": odd}}), "utf-8", newline="")
    assert config.load(file).clips.url == odd


def test_an_upgrade_says_from_which_revision_to_which(tmp_path):
    newest = migrate.known_revisions()[-1]
    (tmp_path / config.FILE).write_text("")
    upgrade = ["--config", str(tmp_path / config.FILE), "db", "upgrade"]
    assert f"from no tables to revision {newest}." in CliRunner().invoke(cli, upgrade).stdout
    assert f"has revision {newest}" in CliRunner().invoke(cli, upgrade).stdout


def test_a_folder_without_settings_is_told_how_to_name_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(cli, ["runs", "list"]).exception
    assert isinstance(error, HashmatchError)
    assert str(tmp_path / config.FILE) in error.message
    assert "--config" in error.remedy


def test_the_doctor_takes_a_public_key_for_what_it_is(tmp_path):
    assert init(tmp_path, *RECIPIENTS).exception is None
    named = ["--config", str(tmp_path / config.FILE)]
    public = CliRunner().invoke(cli, [*named, "audit", "key"]).stdout
    key = tmp_path / "keys" / "log.pub"
    key.write_text(public)
    key.chmod(0o644)
    (tmp_path / config.FILE).write_text('[audit]\nkey = "keys/log.pub"\n')
    lines = CliRunner().invoke(cli, [*named, "doctor"]).stdout.splitlines()
    assert "ok\tkeys\tthe log's public key: this host can verify" in "\n".join(lines)
    assert any(line.startswith("ok\taudit log") for line in lines)
