"""What the platform does to its own storage, and hashmatch never does."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

from hashmatch.clips.store import ObjectInfo, ObjectNotFound, Store


def put(store: Store, key: str, chunks: Iterable[bytes]) -> ObjectInfo:
    """Write over whatever is there."""
    over = None
    with suppress(ObjectNotFound):
        over = store.head(key).etag
    return store.write(key, chunks, over=over)
