"""Whether the anchors of the settings would keep a checkpoint: what `doctor` asks.

    for kind, ask in checks(settings):
        print(kind, ask())

Folder and bucket are written to, the authority stamps a few bytes of no meaning. The command is only
looked for: what it is given, it publishes.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from hashmatch.audit.anchors import CommandFailed
from hashmatch.audit.timestamp import stamp
from hashmatch.clips.open_store import open_store
from hashmatch.clips.s3_lock import Lock, lock_of
from hashmatch.clips.store import Store
from hashmatch.clips.store_check import check_store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import Settings


def checks(settings: Settings) -> Iterator[tuple[str, Callable[[], str]]]:
    """Each anchor by its kind. Asked, it says what was found, or raises HashmatchError."""
    anchors, bucket = settings.anchors, settings.anchor_bucket
    if anchors.folder:
        folder = FolderStore(settings.path(anchors.folder))
        yield "folder", lambda: _written(folder, None)
    if bucket.url:
        yield "bucket", lambda: _written(open_store(bucket, settings.home), lock_of(bucket))
    if anchors.timestamp_url:
        url, seconds = anchors.timestamp_url, anchors.timeout_seconds
        roots = settings.path(anchors.timestamp_roots) if anchors.timestamp_roots else None
        yield "timestamp", lambda: _stamped(url, roots, seconds)
    if anchors.command:
        yield "command", lambda: _found(anchors.command[0], settings.home)


def _written(store: Store, lock: Lock | None) -> str:
    left = check_store(store, lock, datetime.now(UTC))
    return f"{store.url} takes and gives back" + (f"; {left}" if left else "")


def _stamped(url: str, roots: Path | None, seconds: float) -> str:
    stamp(b"hashmatch doctor", url, roots, seconds)
    return "it stamps, and its roots hold" if roots is not None else "it stamps"


def _found(name: str, home: Path) -> str:
    found = shutil.which(str(home / name) if "/" in name else name)
    if found is None:
        raise CommandFailed(problem=f"there is no program {name!r} that this account may run.")
    return f"{found} can be started"
