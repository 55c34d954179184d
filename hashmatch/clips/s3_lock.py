"""Object lock: for some days what was written cannot be removed, whoever has our credentials.

    lock = lock_of(settings.vault)
    client.put_object(Bucket=…, Key=…, Body=…, **lock.headers(datetime.now(UTC)))

A sealed clip is locked in governance mode: a false match, a court or a rule of retention may demand
that it goes before its days are over, and compliance mode would let nobody obey. What lifts it is
the permission s3:BypassGovernanceRetention, which belongs to nobody on the scan host; hashmatch
never asks to bypass a lock. A checkpoint names nobody and never has to go, so it is locked in
compliance mode, which not even the account's root user can lift.

A lock holds versions, not keys: anybody who may delete can still put a delete marker over one,
which hides it, and anybody who may write can put a newer version over it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from hashmatch.config import AnchorBucket, Storage, Vault
from hashmatch.errors import ConfigError, StorageError


class NoObjectLock(StorageError):
    message = "{url}: lock_days is set, but the bucket has no object lock."
    remedy = (
        "Make a bucket with object lock, or have it switched on for this one, or set lock_days = 0."
    )


@dataclass(frozen=True, slots=True)
class Lock:
    mode: Literal["GOVERNANCE", "COMPLIANCE"]
    days: int

    def headers(self, now: datetime) -> dict[str, Any]:
        """As PutObject and CreateMultipartUpload take it."""
        until = now.replace(microsecond=0) + timedelta(days=self.days)
        return {"ObjectLockMode": self.mode, "ObjectLockRetainUntilDate": until}


def lock_of(storage: Storage) -> Lock | None:
    match storage:
        case Vault(lock_days=days) if days:
            return Lock("GOVERNANCE", days)
        case AnchorBucket(lock_days=days) if days:
            return Lock("COMPLIANCE", days)
    return None


def refuse_lock(storage: Storage, url: str) -> None:
    """For storage that has no object lock. Raises ConfigError if the settings want one."""
    if lock_of(storage) is not None:
        problem = "only s3:// has object lock; set lock_days = 0 or use a bucket that has it"
        raise ConfigError(source=url, problem=problem)


def tells_of_no_lock(error: Mapping[str, Any]) -> bool:
    """Whether S3's error says so; it has no code of its own, and servers write it differently."""
    return "objectlockconfiguration" in str(error.get("Message", "")).lower().replace(" ", "")
