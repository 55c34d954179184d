"""Setting up a folder: settings, keys, clip folder, vault folder, database. Keeps what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hashmatch import compiledcode, config
from hashmatch.audit.keys import create_keys
from hashmatch.clips.opening import open_store
from hashmatch.config import Settings
from hashmatch.custody import marker
from hashmatch.custody.seal import parse_recipients
from hashmatch.db.session import Database
from hashmatch.hashing import borders, pdq
from hashmatch.matching import listset, sieve
from hashmatch.pipeline.job import now


@dataclass(frozen=True, slots=True)
class Given:
    """What the person who sets it up said; the rest is defaults."""

    clips: str | None = None
    vault: str | None = None
    database: str | None = None
    recipients: tuple[str, ...] = ()


def install(folder: Path, given: Given) -> tuple[Settings, list[Path]]:
    """Make what is missing in `folder`. Returns the settings, and the files that were made.

    Raises ConfigError before anything is written if the recipients are no public keys.
    """
    if given.recipients:
        parse_recipients(given.recipients, source="--recipient")
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    file = folder / config.FILE
    if not file.exists():
        file.write_text(config.render(_values(given)), "utf-8")
        file.chmod(0o600)  # it may come to hold storage credentials
        made.append(file)
    settings = config.load(file)
    for relative in (settings.clips.url, settings.vault.url):
        if "://" not in relative and not settings.path(relative).exists():
            settings.path(relative).mkdir(parents=True, mode=0o700)
            made.append(settings.path(relative))
    made += create_keys(settings.path(settings.audit.key), settings.path(settings.audit.id_key))
    compiledcode.keep_in(settings.path(settings.run.state) / "kernels")
    Database.connect(settings.database.url, settings.home).upgrade()
    for kernels in (pdq, borders, listset, sieve):
        kernels.warm()  # compiled now and kept on disk, not in the first night's run
    return settings, made


def mark_vault(settings: Settings, *, by: str, accept_lost: bool) -> bool:
    """Give the vault its marker, see `custody.marker`. Returns whether anything was done.

    Raises VaultAway where something is missing of what was in it, VaultFailed.
    """
    db = Database.connect(settings.database.url, settings.home)
    try:
        store = open_store(settings.vault, settings.home)
        return marker.place(db, store, now(), by=by, accept_lost=accept_lost)
    finally:
        db.close()


def _values(given: Given) -> dict[str, dict[str, object]]:
    return {
        "clips": {"url": given.clips or "clips"},
        "vault": {"url": given.vault or "vault", "recipients": given.recipients},
        "database": {"url": given.database or "sqlite:///hashmatch.db"},
    }
