"""A file on this machine, spooled the way a clip in storage is."""

from __future__ import annotations

import os
from pathlib import Path

from hashmatch.clips.keys import to_key
from hashmatch.clips.spool import Spooled, fetch
from hashmatch.clips.store_folder import FolderStore
from hashmatch.model import Clip


def spooled(path: Path, folder: Path, max_bytes: int) -> Spooled:
    """Copy a file, or what a link leads to, into `folder`. Raises StorageError, ClipTooLarge."""
    path = path.resolve()
    store = FolderStore(path.parent)
    found = store.head(to_key(os.fsencode(path.name)))
    clip = Clip(found.key, found.etag, found.size, found.modified)
    return fetch(store, clip, folder, max_bytes)
