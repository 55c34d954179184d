"""Setting up a folder: settings, keys, clip folder, vault folder, database. Keeps what is there."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from hashmatch import compiledcode, config
from hashmatch.audit.keys import create_keys
from hashmatch.clips.open_store import open_store
from hashmatch.config import Clips, Settings, Vault
from hashmatch.custody.vault import marker
from hashmatch.custody.vault.sealing import parse_recipients
from hashmatch.custody.vault.store import refuse_overlap
from hashmatch.db.session import Database
from hashmatch.errors import ConfigError
from hashmatch.hashing import borders, pdq
from hashmatch.matching import listset, sieve
from hashmatch.runs.job import now


class AlreadySetUp(ConfigError):
    message = (
        "{file} is there already, and init changes no settings: it has another {what} than was "
        "given."
    )
    remedy = (
        "Change it in that file by hand, or leave the options away to make only what is missing."
    )


class NoSuchFolder(ConfigError):
    message = "--clips {folder}: there is no such folder."
    remedy = (
        "Mount or make it first, or correct its name. Nothing was made: an empty folder in its "
        "place would be an empty clip storage."
    )


@dataclass(frozen=True, slots=True)
class Given:
    """What the person who sets it up said; the rest is defaults."""

    clips: str | None = None
    vault: str | None = None
    database: str | None = None
    recipients: tuple[str, ...] = ()


def install(folder: Path, given: Given) -> tuple[Settings, list[Path]]:
    """Make what is missing in `folder`. Returns the settings, and the files that were made.

    Raises ConfigError, before anything is written, for recipients that are no public keys, a clips
    folder that is not there, a vault inside clip storage, and options that an installation which is
    there already has otherwise.
    """
    given = replace(given, recipients=tuple(text.strip() for text in given.recipients))
    if given.recipients:
        parse_recipients(given.recipients, source="--recipient")
    made = []
    file = folder / config.FILE
    if file.exists():
        settings = config.load(file)
        _refuse_other(file, given, settings)
    else:
        _refuse_places(given, folder.absolute())
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(config.render(_values(given)), "utf-8")
        file.chmod(0o600)  # it may come to hold storage credentials
        made.append(file)
        settings = config.load(file)
        # Later they are there, or their storage is not mounted.
        for relative in (settings.clips.url, settings.vault.url):
            if "://" not in relative and not settings.path(relative).exists():
                settings.path(relative).mkdir(parents=True, mode=0o700)
                made.append(settings.path(relative))
    made += create_keys(settings.path(settings.audit.key), settings.path(settings.audit.id_key))
    compiledcode.keep_in(settings.path(settings.run.state) / "kernels")
    with closing(Database.connect(settings.database.url, settings.home)) as db:
        db.upgrade()
    for kernels in (pdq, borders, listset, sieve):
        kernels.warm()  # compiled now and kept on disk, not in the first night's run
    return settings, made


def mark_vault(settings: Settings, *, by: str, accept_lost: bool) -> bool:
    """Give the vault its marker, see `custody.vault.marker`. Returns whether anything was done.

    Raises VaultAway where something is missing of what was in it, VaultFailed.
    """
    with closing(Database.connect(settings.database.url, settings.home)) as db:
        store = open_store(settings.vault, settings.home)
        return marker.place(db, store, now(), by=by, accept_lost=accept_lost)


def _refuse_places(given: Given, home: Path) -> None:
    """Raises NoSuchFolder, VaultOverlapsClips."""
    if given.clips is not None and "://" not in given.clips and not (home / given.clips).is_dir():
        raise NoSuchFolder(folder=home / given.clips)
    values = _values(given)
    refuse_overlap(
        Clips(url=str(values["clips"]["url"])), Vault(url=str(values["vault"]["url"])), home
    )


def _refuse_other(file: Path, given: Given, settings: Settings) -> None:
    """Raises AlreadySetUp for an option that says otherwise than the settings. Quotes no value."""
    there = Given(
        settings.clips.url, settings.vault.url, settings.database.url, settings.vault.recipients
    )
    options = {"clips": "--clips", "vault": "--vault", "database": "--database"}
    for name, option in (options | {"recipients": "--recipient"}).items():
        wanted = getattr(given, name)
        if wanted and wanted != getattr(there, name):
            raise AlreadySetUp(file=file, what=option)


def _values(given: Given) -> dict[str, dict[str, object]]:
    return {
        "clips": {"url": given.clips or "clips"},
        "vault": {"url": given.vault or "vault", "recipients": given.recipients},
        "database": {"url": given.database or "sqlite:///hashmatch.db"},
    }
