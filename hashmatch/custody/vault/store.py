"""The vault: where sealed clips are kept, and where nothing on a scan host can open them.

    vault = open_vault(settings)
    place = "7h/case-7hq2k6w4v3mzdpbe.age"
    vault.seal_paper(key_name(place), key.private.encode(), vault.recipients)
    receipt = vault.seal(place, store.read(clip, etag), key.public, sha256=digest)
    vault.read_back(place) == receipt.sealed

A case has three objects: the clip, sealed to the case's own key; that key, sealed for the
custodians; the manifest, sealed as the clip is. `age -d` opens each of them.

Nothing here believes a write: `sealing` gives the size and digest that were sent, `read_back` what
storage gives back of it. Comparing the two, and remembering both, is `case`'s work.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import ObjectChanged, ObjectInfo, ObjectNotFound, Store
from hashmatch.config import Settings, Storage
from hashmatch.custody.vault.age_stream import Measure, Meter, measure
from hashmatch.custody.vault.sealing import (
    Recipients,
    SealedStream,
    content_size,
    parse_recipients,
    seal_bytes,
)
from hashmatch.errors import ConfigError, StorageError

_HEAD = 64 * 1024


class VaultOverlapsClips(ConfigError):
    message = "vault.url: the vault ({vault}) and clip storage ({clips}) lie inside one another."
    remedy = (
        "Sealed copies must not be scanned as clips, and whoever may delete clips must not reach "
        "them. Give the vault a folder or a bucket of its own, best with other credentials."
    )


class VaultFailed(StorageError):
    message = "The vault: {problem}"


class Receipt(NamedTuple):
    """What was sealed under a key: the clip's bytes, and the sealed bytes that were sent."""

    key: str
    content: Measure
    sealed: Measure


def key_name(vault_key: str) -> str:
    """Where the sealed key of the clip under `vault_key` is."""
    return f"{vault_key.removesuffix('.age')}.key.age"


def manifest_name(vault_key: str) -> str:
    """Where the sealed manifest of the clip under `vault_key` is."""
    return f"{vault_key.removesuffix('.age')}.manifest.age"


class Vault:
    """Sealed objects in a store. Holds public keys only.

    Every write is conditional: on there being nothing under the key, or just what was there a
    moment ago. Of two writers one hears VaultFailed.
    """

    def __init__(self, store: Store, recipients: Recipients) -> None:
        self.store = store
        self.recipients = recipients

    def seal(self, key: str, chunks: Iterable[bytes], case_key: str, *, sha256: str) -> Receipt:
        """Seal a clip's bytes, whose digest must be `sha256`, over whatever is under `key`.

        case_key: the public half of the case's key. The store publishes the object only when all
        of it was sent, so what was there stays until then. Raises whatever `chunks` raises,
        unchanged; ContentDiffers, SealingFailed; VaultFailed for everything the vault's storage
        does.
        """
        stream = SealedStream(chunks, Recipients((case_key,)), sha256=sha256)
        try:
            info = self._write(key, stream)
        except Exception as error:
            # A writer may hide what went wrong on the clip's side behind an error of its own.
            if stream.failure is not None and stream.failure is not error:
                raise stream.failure from error
            if isinstance(error, StorageError) and stream.failure is None:
                raise failed(error) from error
            raise
        if stream.content is None or stream.sealed is None:
            raise VaultFailed(problem="it stopped taking before the object's end")
        self._compare(stream.sealed.size, info)
        return Receipt(key, stream.content, stream.sealed)

    def seal_paper(self, key: str, data: bytes, recipients: Recipients) -> Measure:
        """Seal a small thing, a case's key or manifest. Returns what was sent; raises VaultFailed."""
        sealed = seal_bytes(data, recipients)
        self.put(key, sealed)
        return measure(sealed)

    def put(self, key: str, sealed: bytes) -> None:
        """Store small sealed bytes over whatever is under `key`. Raises VaultFailed."""
        try:
            info = self._write(key, [sealed])
        except StorageError as error:
            raise failed(error) from error
        self._compare(len(sealed), info)

    def read_back(self, key: str) -> Measure | None:
        """Size and digest of the whole object, read from storage again; None if it is not there."""
        try:
            return read_back(self.store, key)
        except StorageError as error:
            raise failed(error) from error

    def leftover(self, key: str, size: int) -> Measure | None:
        """What an interrupted attempt left under `key`, if it holds `size` bytes of content."""
        meter, head = Meter(), b""
        try:
            for chunk in self.store.read(key):
                head += chunk[: _HEAD - len(head)]
                meter.update(chunk)
        except ObjectNotFound:
            return None
        except StorageError as error:
            raise failed(error) from error
        found = meter.result()
        return found if content_size(head, found.size) == size else None

    def read(self, key: str) -> Iterator[bytes]:
        """A sealed object, in chunks. Raises VaultFailed, also when it is not there."""
        try:
            yield from self.store.read(key)
        except StorageError as error:
            raise failed(error) from error

    def erase(self, key: str) -> bool:
        """Remove an object, with every version that storage keeps of it, and look that it is gone.

        Returns whether it was there. Raises VaultFailed where it is not gone.
        """
        there = False
        try:
            with suppress(ObjectNotFound):
                while True:
                    etag = self.store.head(key).etag
                    there = True
                    with suppress(ObjectChanged):
                        self.store.delete(key, etag)
        except StorageError as error:
            raise failed(error) from error
        return there

    def list(self, prefix: str) -> list[ObjectInfo]:
        """The objects whose names start so. Raises VaultFailed."""
        try:
            return list(self.store.list(prefix))
        except StorageError as error:
            raise failed(error) from error

    def _write(self, key: str, chunks: Iterable[bytes]) -> ObjectInfo:
        try:
            over = self.store.head(key).etag
        except ObjectNotFound:
            over = None
        return self.store.write(key, chunks, over=over)

    def _compare(self, sent: int, info: ObjectInfo) -> None:
        if info.size != sent:
            raise VaultFailed(problem=f"{sent} bytes were sent, {info.size} were stored")


def failed(error: StorageError) -> VaultFailed:
    """What the vault's storage did, with its remedy: cases show this text, and the run's alarm."""
    return VaultFailed(problem=f"{error.message} {error.remedy}".rstrip())


def read_back(store: Store, key: str) -> Measure | None:
    """Size and digest of a whole object as storage gives it now; None if it is not there."""
    _uncache(store, key)
    meter = Meter()
    try:
        for chunk in store.read(key):
            meter.update(chunk)
    except ObjectNotFound:
        return None
    return meter.result()


def _uncache(store: Store, key: str) -> None:
    """Have a folder's object read from the disk, not from memory. Best effort: it may be in use."""
    file = Path(store.url) / key
    if not file.is_absolute():
        return
    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)


def open_vault(settings: Settings) -> Vault:
    """The vault of the settings. Raises VaultOverlapsClips and `parse_recipients`' errors."""
    refuse_overlap(settings.clips, settings.vault, settings.home)
    recipients = parse_recipients(settings.vault.recipients)
    return Vault(open_store(settings.vault, settings.home), recipients)


def refuse_overlap(clips: Storage, vault: Storage, home: Path) -> None:
    """Raises VaultOverlapsClips when one lies in the other, symbolic links and mounts resolved."""
    one, other = _folder(clips.url, home), _folder(vault.url, home)
    if one is not None and other is not None:
        overlap = _holds(one, other) or _holds(other, one)
    elif one is None and other is None:
        overlap = _same_bucket(clips, vault) and _nested(_prefix(clips.url), _prefix(vault.url))
    else:
        overlap = False
    if overlap:
        raise VaultOverlapsClips(vault=vault.url, clips=clips.url)


def _folder(url: str, home: Path) -> Path | None:
    """The folder that a storage URL means; None for an object store."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return (home / url).resolve()
    if scheme.lower() != "file":
        return None
    return Path(unquote_to_bytes(rest).decode("utf-8", "surrogateescape")).resolve()


def _holds(outer: Path, inner: Path) -> bool:
    """inner is outer or lies in it, by name or because a part of its path is the same folder."""
    lineage = (inner, *inner.parents)
    if outer in lineage:
        return True
    return outer.exists() and any(part.exists() and part.samefile(outer) for part in lineage)


def _same_bucket(one: Storage, other: Storage) -> bool:
    """Unless both name an endpoint and they differ: the default's name is not known here."""
    ends = {end.rstrip("/") for end in (one.endpoint, other.endpoint) if end}
    return _bucket(one.url) == _bucket(other.url) and len(ends) < 2


def _bucket(url: str) -> tuple[str, str]:
    scheme, _, rest = url.partition("://")
    return scheme.lower(), rest.partition("/")[0]


def _prefix(url: str) -> list[str]:
    return [part for part in url.partition("://")[2].split("/")[1:] if part]


def _nested(one: list[str], other: list[str]) -> bool:
    shared = min(len(one), len(other))
    return one[:shared] == other[:shared]
