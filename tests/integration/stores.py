"""The stores that one suite holds to the same behaviour, each over an empty place of its own."""

from __future__ import annotations

from pathlib import Path

import obstore.store
import pytest
from s3_server import Bucket

from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import Store
from hashmatch.clips.store_object import ObjectStore, request_options
from hashmatch.config import Storage

KINDS = ["folder", "s3", "object"]


def make(kind: str, request: pytest.FixtureRequest, prefix: str = "live/") -> Store:
    """object: what Google and Azure go through, over S3, as that is what can run here."""
    if kind == "folder":
        root: Path = request.getfixturevalue("tmp_path") / "clips" / prefix
        root.mkdir(parents=True, exist_ok=True)
        return open_store(Storage(url=str(root)), Path())
    bucket: Bucket = request.getfixturevalue("s3")
    storage = bucket.storage(prefix)
    return open_store(storage, Path()) if kind == "s3" else over_obstore(storage, prefix)


def over_obstore(storage: Storage, prefix: str = "") -> ObjectStore:
    client, retry = request_options(storage)
    backend = obstore.store.S3Store(
        storage.url.split("/")[2],
        prefix=prefix or None,
        endpoint=storage.endpoint,
        region=storage.region,
        access_key_id=storage.access_key_id,
        secret_access_key=storage.secret_access_key.get_secret_value(),
        client_options={**client, "allow_http": True},
        retry_config=retry,
    )
    return ObjectStore(storage.url, backend)
