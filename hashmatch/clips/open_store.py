"""Opening the store that the settings name.

store = open_store(settings.clips, settings.home)
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

from hashmatch.clips.s3_lock import refuse_lock
from hashmatch.clips.store import Store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import Storage
from hashmatch.config.shared import VARIABLES
from hashmatch.errors import ConfigError


def open_store(storage: Storage, home: Path) -> Store:
    """The store at storage.url; a path in it starts from home. Connects to nothing yet.

    Raises ConfigError for an url that names no storage, or one without object lock if the settings
    want a lock.
    """
    url = storage.url
    if "://" not in url:
        if not url or "\0" in url:
            raise ConfigError(source="storage url", problem="it is empty or no path")
        refuse_lock(storage, url)
        return FolderStore((home / url).absolute())
    # The url may hold a password by mistake: nothing of it but the scheme goes into a message.
    scheme, bucket, prefix = _parts_of(url)
    if scheme != "s3":
        refuse_lock(storage, f"{scheme}://…")
    if scheme == "file":
        return FolderStore(Path(unquote_to_bytes(prefix).decode("utf-8", "surrogateescape")))
    if storage.endpoint is not None:
        _check_endpoint("storage endpoint", storage.endpoint)
    if (storage.access_key_id is None) != (storage.secret_access_key is None):
        raise ConfigError(
            source="storage settings",
            problem="access_key_id and secret_access_key are given together or not at all",
        )
    if scheme == "s3":
        for name in VARIABLES["endpoint"]:
            if storage.endpoint is None and (endpoint := os.environ.get(name)):
                _check_endpoint(name, endpoint)
        from hashmatch.clips.store_s3 import S3Store

        return S3Store(storage, bucket, prefix)
    from hashmatch.clips.store_object import open_object_store

    return open_object_store(storage, scheme, bucket, prefix)


def _parts_of(url: str) -> tuple[str, str, str]:
    """Scheme, bucket, and prefix: '' or ending in '/'; for file:// the path, still quoted."""

    def refused(problem: str) -> ConfigError:
        return ConfigError(source=f"storage url {scheme}://…", problem=problem)

    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        scheme = "?"
        raise refused("it has no scheme that is known here: file, s3, gs, az")
    if scheme == "file":
        if not rest.startswith("/") or "%00" in rest or "\0" in rest:
            raise refused("a file url is file:///absolute/path, without a host")
        return scheme, "", rest
    if scheme not in ("s3", "gs", "az"):
        raise refused("known here are file, s3, gs, az, or the path of a folder")
    bucket, _, prefix = rest.partition("/")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}", bucket):
        raise refused(
            "what follows is no bucket name. Credentials belong into access_key_id and"
            " secret_access_key or the environment, a host into endpoint"
        )
    prefix = prefix.strip("/")
    segments = prefix.split("/") if prefix else []
    if any(s in ("", ".", "..") for s in segments) or not prefix.isprintable():
        raise refused("its prefix has an empty, '.' or '..' segment or a control character")
    if "?" in prefix or "#" in prefix:
        raise refused(
            "it takes no query and no fragment; there are settings for endpoint and region"
        )
    return scheme, bucket, f"{prefix}/" if prefix else ""


def _check_endpoint(source: str, endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or "@" in endpoint or parts.query or parts.fragment:
        raise ConfigError(
            source=source,
            problem="it is http://host:port or https://host, without credentials or query",
        )
