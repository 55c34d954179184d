"""What a run works with: settings, database, clip storage, vault, keys. Opened once, checked once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from hashmatch import __version__
from hashmatch.audit.names import KeyedNames
from hashmatch.audit.signing import Signer
from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import Store
from hashmatch.config import Settings
from hashmatch.custody.approvals import Terms
from hashmatch.custody.case import Custody
from hashmatch.custody.notify.platform import open_platform
from hashmatch.custody.vault.store import open_vault
from hashmatch.db.session import Database
from hashmatch.scanning.config import ScanConfig


def now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Job:
    settings: Settings
    db: Database
    clips: Store
    names: KeyedNames
    custody: Custody
    signer: Signer

    @property
    def scan(self) -> ScanConfig:
        return ScanConfig.of(self.settings)


def open_custody(settings: Settings, db: Database, clips: Store) -> Custody:
    """What is done to cases, or the error that says which setting is wrong."""
    return Custody(
        db,
        clips,
        open_vault(settings),
        open_platform(db, settings),
        Terms.of(settings),
        f"hashmatch {__version__}",
    )


def open_job(settings: Settings, db: Database, names: KeyedNames) -> Job:
    """Everything a run needs, or the error that says what is missing. Touches no clip."""
    clips = open_store(settings.clips, settings.home)
    return Job(
        settings=settings,
        db=db,
        clips=clips,
        names=names,
        custody=open_custody(settings, db, clips),
        signer=Signer.of(settings),
    )
