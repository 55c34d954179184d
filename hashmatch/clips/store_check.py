"""Whether a store takes, gives back and removes an object: what `doctor` asks of the vault and the anchors.

left = check_store(store, lock_of(settings.vault), datetime.now(UTC))
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from hashmatch.clips.s3_lock import Lock
from hashmatch.clips.store import (
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectNotFound,
    StorageUnavailable,
    Store,
    VersionsRemain,
)

CHECK_OBJECT = "hashmatch.check"

# Where a lock keeps what is written, so often does one more stay.
_AGAIN_AFTER = timedelta(days=1)


def check_store(store: Store, lock: Lock | None, now: datetime) -> str | None:
    """Write a small object, read it back, remove it. Returns what stays there and why, None if nothing.

    What a lock keeps is not written again within a day: it is read back only. Raises what
    `Store.write` and `Store.read` raise, and StorageUnavailable where something else is read back.
    """
    try:
        before = store.head(CHECK_OBJECT)
    except ObjectNotFound:
        before = None
    locked = None if lock is None else f"{CHECK_OBJECT} stays there, locked for {lock.days} days"
    if locked and before is not None and now - before.modified < _AGAIN_AFTER:
        for _ in store.read(CHECK_OBJECT, before.etag):
            pass
        return locked
    written = f"hashmatch doctor wrote this, and may be removed: {secrets.token_hex(8)}\n".encode()
    try:
        info = store.write(CHECK_OBJECT, [written], over=None if before is None else before.etag)
        given = b"".join(store.read(CHECK_OBJECT, info.etag))
    except (ObjectExists, ObjectChanged, ObjectNotFound):
        return "somebody else checks it at this moment"
    if given != written:
        problem = f"what was written as {CHECK_OBJECT} is not what is read back."
        raise StorageUnavailable(url=store.url, problem=problem)
    return locked or _remove(store, info.etag)


def _remove(store: Store, etag: str) -> str | None:
    try:
        store.delete(CHECK_OBJECT, etag)
    except VersionsRemain as error:
        return f"{CHECK_OBJECT} stays there: {error.details['problem']}"
    except ObjectDenied:
        return f"{CHECK_OBJECT} stays there: this account may not remove it"
    except (ObjectChanged, ObjectNotFound):
        pass
    return None
