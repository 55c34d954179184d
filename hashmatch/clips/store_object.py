"""Google Cloud Storage and Azure Blob Storage as clip storage, through obstore.

    store = ObjectStore("gs://clips/live/", obstore.store.GCSStore("clips", prefix="live"),
    retries=5)

What obstore cannot do is turned into errors, never into silence:

- It refuses keys with an empty, `.` or `..` segment or a control character, and its listing ends at
  the first of them: ListingIncomplete, and the run says so. A Google bucket can be reached as S3
  instead, which has no such limit: s3://BUCKET with endpoint https://storage.googleapis.com.
- It strips a slash at a key's start or end, so such an object is listed but not found when it is
  read.
- Only uploads that are sent in one request can demand that the key is free, or holds the version
  to replace. Larger ones look first, which leaves as long for another writer as they take.
- It has no conditional delete: the ETag is compared just before, which leaves a moment too. In a
  bucket with versions or soft delete the bytes stay until the bucket's own rules remove them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    InvalidPathError,
    NotModifiedError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import AzureStore, GCSStore

from hashmatch.clips.etags import canonical
from hashmatch.clips.keys import to_key, to_name
from hashmatch.clips.store import (
    CHUNK,
    Deletion,
    KeyRefused,
    ListingIncomplete,
    ObjectArchived,
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    StorageUnavailable,
)
from hashmatch.config import Storage
from hashmatch.errors import ConfigError, StorageError

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta, PutMode, UpdateVersion
    from obstore.store import ClientConfig, RetryConfig
    from obstore.store import ObjectStore as Backend

PART = 16 << 20
_WHOLE_BODY = timedelta(days=1)


def open_object_store(storage: Storage, scheme: str, bucket: str, prefix: str) -> ObjectStore:
    """gs:// or az://, with the credentials that Google's and Azure's own tools find.

    Raises ConfigError, as access_key_id and endpoint speak of S3 only.
    """
    url = f"{scheme}://{bucket}/{prefix}"
    if storage.access_key_id is not None or storage.endpoint is not None or storage.region:
        problem = "endpoint, region and access_key_id are for s3:// only; use the environment"
        raise ConfigError(source=url, problem=problem)
    client, retry = request_options(storage)
    kind = GCSStore if scheme == "gs" else AzureStore
    try:
        backend = kind(bucket, prefix=prefix or None, client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        # obstore's text may quote a key file; its class says enough.
        problem = f"the credentials in the environment cannot be used ({type(error).__name__})"
        raise ConfigError(source=url, problem=problem) from None
    return ObjectStore(url, backend)


def request_options(storage: Storage) -> tuple[ClientConfig, RetryConfig]:
    """A request may wait timeout_seconds for each next piece; a whole large body takes longer."""
    wait = timedelta(seconds=storage.timeout_seconds)
    client: ClientConfig = {
        "connect_timeout": min(wait, timedelta(seconds=10)),
        "read_timeout": wait,
        "timeout": _WHOLE_BODY,
    }
    return client, {"max_retries": storage.retries}


class ObjectStore:
    def __init__(self, url: str, backend: Backend) -> None:
        self.url = url
        self._backend = backend

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        wanted = self._path(prefix) if prefix else ""
        # obstore takes whole folders only.
        folder = wanted.rpartition("/")[0]
        pages = iter(obstore.list(self._backend, folder or None, chunk_size=1000))
        while True:
            try:
                with self._errors(prefix):
                    page = next(pages, None)
            except KeyRefused:
                problem = "a name has an empty, '.' or '..' segment or a control character."
                raise ListingIncomplete(url=self.url, problem=problem) from None
            if page is None:
                return
            for found in page:
                if found["path"].startswith(wanted):
                    yield self._info(to_key(found["path"].encode()), found)

    def head(self, key: str) -> ObjectInfo:
        path = self._path(key)
        with self._errors(key):
            return self._info(key, obstore.head(self._backend, path))

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        path = self._path(key)
        if etag is None:
            # obstore takes a broken body up again, and only a pinned one by the same version.
            etag = self.head(key).etag
        options: GetOptions = {"if_match": etag}
        with self._errors(key):
            answer = obstore.get(self._backend, path, options=options)
        info = self._info(key, answer.meta)
        if etag != info.etag:
            raise ObjectChanged(url=self.url, key=key)
        chunks = iter(answer.stream(min_chunk_size=CHUNK))
        count = 0
        while True:
            with self._errors(key):
                chunk = next(chunks, None)
            if chunk is None:
                break
            count += len(chunk)
            yield bytes(chunk)
        if count != info.size:
            raise StorageUnavailable(url=self.url, problem=f"{key!r} broke off while it was read.")

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        options: GetOptions = {"if_match": etag, "range": (start, stop)}
        with self._errors(key):
            answer = obstore.get(self._backend, self._path(key), options=options)
            given = answer.range
        if etag != self._info(key, answer.meta).etag:
            raise ObjectChanged(url=self.url, key=key)
        if given != (start, stop):
            raise StorageUnavailable(url=self.url, problem="a part was not given as asked for.")
        count = 0
        with self._errors(key):
            for chunk in answer.stream(min_chunk_size=CHUNK):
                count += len(chunk)
                yield bytes(chunk)
        if count != stop - start:
            raise StorageUnavailable(url=self.url, problem=f"{key!r} broke off while it was read.")

    def write(self, key: str, chunks: Iterable[bytes], *, over: str | None = None) -> ObjectInfo:
        path = self._path(key)
        mode = self._mode(key, over)
        source = _Source(chunks)
        start = source.take(PART + 1)
        try:
            with self._errors(key):
                if len(start) <= PART:
                    written = obstore.put(self._backend, path, start, mode=mode)
                else:
                    body = chain([start], source)
                    written = obstore.put(
                        self._backend, path, body, chunk_size=PART, max_concurrency=2
                    )
        except StorageError as error:
            if source.failure is not None:
                raise source.failure from None
            if isinstance(error, ObjectNotFound):
                raise ObjectChanged(url=self.url, key=key) from None
            raise
        info, etag = self.head(key), written["e_tag"]
        if info.size != source.count or (etag is not None and canonical(etag) != info.etag):
            raise ObjectChanged(url=self.url, key=key)
        return info

    def _mode(self, key: str, over: str | None) -> PutMode:
        """The condition of a write. Raises ObjectExists or ObjectChanged if it does not hold now."""
        try:
            with self._errors(key):
                found = obstore.head(self._backend, self._path(key))
        except ObjectNotFound:
            if over is None:
                return "create"
            raise ObjectChanged(url=self.url, key=key) from None
        if over is None:
            raise ObjectExists(url=self.url, key=key)
        if canonical(found["e_tag"] or "") != over:
            raise ObjectChanged(url=self.url, key=key)
        seen: UpdateVersion = {"e_tag": found["e_tag"]}
        if found["version"] is not None:
            # What Google compares, and calls generation. Azure compares the ETag.
            seen["version"] = found["version"]
        return seen

    def delete(self, key: str, etag: str) -> Deletion:
        if self.head(key).etag != etag:
            raise ObjectChanged(url=self.url, key=key)
        with self._errors(key):
            obstore.delete(self._backend, self._path(key))
        return Deletion(versions=1, others=None)

    def _path(self, key: str) -> str:
        try:
            if key:
                return to_name(key).decode("utf-8")
        except ValueError:
            pass
        raise KeyRefused(url=self.url, key=key, problem="keys there are UTF-8 and not empty")

    def _info(self, key: str, meta: ObjectMeta) -> ObjectInfo:
        etag = meta["e_tag"]
        if not etag:
            raise StorageError(url=self.url, problem=f"it gives {key!r} no ETag to pin it to.")
        return ObjectInfo(
            key=key, etag=canonical(etag), size=meta["size"], modified=meta["last_modified"]
        )

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """obstore's errors as ours. Their texts stay out: they may hold signed addresses."""
        try:
            yield
        except FileNotFoundError:
            raise ObjectNotFound(url=self.url, key=key) from None
        except (PreconditionError, NotModifiedError):
            raise ObjectChanged(url=self.url, key=key) from None
        except AlreadyExistsError:
            raise ObjectExists(url=self.url, key=key) from None
        except (PermissionDeniedError, UnauthenticatedError) as error:
            problem = type(error).__name__
            raise ObjectDenied(url=self.url, key=key, problem=problem) from None
        except (InvalidPathError, ValueError):
            problem = "it has an empty, '.' or '..' segment or a control character"
            raise KeyRefused(url=self.url, key=key, problem=problem) from None
        except (BaseError, OSError) as error:
            raise self._failure(error, key) from None

    def _failure(self, error: Exception, key: str) -> StorageError:
        if "BlobArchived" in str(error):
            return ObjectArchived(url=self.url, key=key)
        # A listing that is refused has no class of its own, only its text.
        status = re.search(r"status code: (\d{3})", str(error))
        if status is None:
            problem = f"{type(error).__name__}: no connection, or no answer in time."
            return StorageUnavailable(url=self.url, problem=problem)
        if status[1] in ("401", "403"):
            return ObjectDenied(url=self.url, key=key, problem=f"HTTP {status[1]}")
        return StorageUnavailable(url=self.url, problem=f"it answered HTTP {status[1]}.")


class _Source:
    """The chunks to write, counted. `failure` is what their iterator raised, if it did.

    obstore hands that through as if it were its own: a clip that vanished while it was copied would
    read as a vault that vanished.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.count = 0
        self.failure: Exception | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._chunks)
        except StopIteration:
            raise
        except Exception as error:
            self.failure = error
            raise
        self.count += len(chunk)
        return chunk

    def take(self, enough: int) -> bytes:
        """The first chunks, joined, until there are enough bytes or no more."""
        held = bytearray()
        while len(held) < enough and (chunk := next(self, None)) is not None:
            held += chunk
        return bytes(held)
