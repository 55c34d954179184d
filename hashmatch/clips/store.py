"""Clip storage: one small interface to a folder, an S3 bucket, Google or Azure storage.

    for found in store.list("2026/11/"):
        for chunk in store.read(found.key, found.etag):   # exactly the version that was listed
            ...

`open_store.open_store` makes one. Only `store_folder`, `store_s3` and `store_object` know how a backend
is spoken to. Amazon's and other S3 goes through boto3: obstore's listing ends at the first key that
has an empty, `.` or `..` segment or a control character in it, so one uploaded name would hide all
others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from hashmatch.errors import StorageError

CHUNK = 1 << 20


class ObjectNotFound(StorageError):
    message = "{url}: there is no {key!r}."
    remedy = "It may have been removed since it was listed. The next run lists anew."


class ObjectChanged(StorageError):
    message = "{url}: {key!r} is not the version that was asked for, or changed while it was read."
    remedy = "Something still writes to it. A later run looks at its new version."


class ObjectExists(StorageError):
    message = "{url}: {key!r} exists already and is not replaced."
    remedy = (
        "After a lost connection this may be what an earlier attempt wrote: compare before writing "
        "again."
    )


class VersionsRemain(StorageError):
    message = (
        "{url}: {key!r} is not wholly deleted, {count} versions with its bytes stay: {problem}."
    )
    remedy = (
        "The deletion is not finished; it is taken up again when it is asked for again. Grant "
        "s3:ListBucketVersions and s3:DeleteObjectVersion there, wait until the lock ends, or have "
        "the bucket's administrator remove these versions."
    )


class ObjectDenied(StorageError):
    message = "{url}: access to {key!r} was refused ({problem})."
    remedy = (
        "Check the credentials and what they are allowed to do there. S3 also answers so for an "
        "object that is gone, unless s3:ListBucket is granted."
    )


class ObjectArchived(StorageError):
    message = "{url}: {key!r} is archived and must be restored before it can be read."
    remedy = (
        "Restore it from the archive tier (Glacier, for one), or leave such keys out with "
        "clips.exclude."
    )


class KeyRefused(StorageError):
    message = "{url}: {key!r} cannot be used as a name there: {problem}."
    remedy = "Rename the object where it is stored."


class StorageUnavailable(StorageError):
    message = "{url} cannot be used now: {problem}"
    remedy = (
        "Check that the storage is up, mounted or reachable from this host, and its url and "
        "endpoint in the settings. The next run tries again."
    )


class StorageFull(StorageError):
    message = "{url} is full: {problem}"
    remedy = "Free some space or raise the quota. The next run carries on."


class ListingIncomplete(StorageError):
    message = "{url} was not listed in full: {problem}"
    remedy = "What could be listed was. The rest is not scanned until this is put right."


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One stored object. key: as in `clips.keys`; etag: another one when the bytes change."""

    key: str
    etag: str
    size: int
    modified: datetime


class Deletion(NamedTuple):
    """What a delete did: how many versions went, and how many with another ETag stay under the key.

    others: None where the store cannot tell. alike: as many of the others have the same size, so
    they may be the same bytes, uploaded in other parts.
    """

    versions: int
    others: int | None
    alike: int = 0


class Store(Protocol):
    """Objects by key. Keys are relative to the store's url and divided by `/`.

    Everything may raise StorageUnavailable, ObjectDenied and, for a key that the backend cannot
    hold, KeyRefused. What else can happen:
    """

    @property
    def url(self) -> str:
        """Where this is, for messages. Holds no credentials."""
        ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Every object whose key starts with prefix, in no promised order, page by page.

        Raises ListingIncomplete after everything else was yielded, if parts could not be looked
        into.
        """
        ...

    def head(self, key: str) -> ObjectInfo:
        """Raises ObjectNotFound."""
        ...

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        """The bytes of one version, in chunks of about a megabyte; the newest if no etag is given.

        Raises ObjectNotFound, and ObjectChanged if the version is another or changes meanwhile. The
        error may come after the last chunk: bytes count only when the iterator has ended well.
        """
        ...

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        """Bytes start..stop (0 <= start < stop <= its size) of that version, all of them, in chunks.

        Raises as `read` does.
        """
        ...

    def write(self, key: str, chunks: Iterable[bytes], *, over: str | None = None) -> ObjectInfo:
        """Store an object whole or not at all; durable when this returns.

        over: the ETag of the one version that is replaced; None: the key must be free. Nothing is
        ever replaced unseen. Raises ObjectExists if the key is not free, ObjectChanged if `over` is
        not the version that is there, and StorageFull.
        """
        ...

    def delete(self, key: str, etag: str) -> Deletion:
        """Remove every stored version of the key that has this ETag, and no other.

        Can be repeated: what an attempt left is taken up by the next. Raises ObjectNotFound if no
        version has it; ObjectChanged if the key now shows another version, after the older ones
        with this ETag were removed; VersionsRemain if some could not be removed, or seen.
        """
        ...
