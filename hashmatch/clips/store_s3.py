"""S3, Amazon's and compatible, as clip storage, through boto3.

    store = S3Store(Storage(url="s3://clips/live", endpoint="http://minio:9000"), "clips", "live/")

Every key that S3 can hold is listed and read, whatever is in it: keys are asked for and sent in
percent-encoding. Objects of no bytes whose key ends in `/` are what consoles draw folders with,
and are passed over. Credentials come from the settings, else from where boto3 looks: environment,
profile, role.

What a backend must know: If-Match on GET, and If-None-Match and If-Match on PUT and
CompleteMultipartUpload (Amazon since November 2024). One that answers 501 to them cannot be written
to. One that ignores them is noticed on reads by the ETag of its answer; on writes the key is looked
at just before, which leaves a moment for another writer.

`s3_connection` speaks to the bucket, `s3_versions` deletes, `s3_lock` says what a lock is.
"""

from __future__ import annotations

import base64
import hashlib
import mimetypes
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from hashmatch.clips.keys import to_key, to_name
from hashmatch.clips.s3_connection import ABOUT, Connection, listed_name
from hashmatch.clips.s3_lock import lock_of
from hashmatch.clips.s3_versions import remove
from hashmatch.clips.store import (
    CHUNK,
    Deletion,
    ListingIncomplete,
    ObjectChanged,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    StorageUnavailable,
)
from hashmatch.config import Storage

# S3 takes 10,000 parts: with these an object may have 156 GiB.
PART = 16 << 20
_LONGEST_WAIT = 20.0


class S3Store:
    def __init__(self, storage: Storage, bucket: str, prefix: str) -> None:
        self._s3 = Connection(storage, bucket, prefix)
        self._bucket, self._client = bucket, self._s3.client
        self._retries = storage.retries
        self._lock = lock_of(storage)
        self.url = self._s3.url

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        try:
            start = self._s3.prefix + to_name(prefix)
            wanted = start.decode("utf-8")
        except ValueError:
            problem = f"{prefix!r} is the start of no key."
            raise ListingIncomplete(url=self.url, problem=problem) from None
        after: dict[str, str] = {}
        while True:
            with self._s3.errors(prefix):
                page = self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=wanted, EncodingType="url", **after
                )
            # Another server's page, read as a listing, would be an empty bucket.
            self._s3.check(page, "Name", "IsTruncated")
            for found in page.get("Contents", ()):
                self._s3.check(found, "Key", "ETag", "Size", "LastModified")
                name = listed_name(found["Key"], page.get("EncodingType"))
                if not (name.endswith(b"/") and found["Size"] == 0):
                    yield ObjectInfo(
                        key=to_key(name[len(self._s3.prefix) :]),
                        etag=found["ETag"],
                        size=found["Size"],
                        modified=found["LastModified"],
                    )
            if not page["IsTruncated"]:
                return
            token = page.get("NextContinuationToken")
            if not token or after.get("ContinuationToken") == token:
                raise ListingIncomplete(url=self.url, problem="the next page has no address.")
            after = {"ContinuationToken": token}

    def head(self, key: str) -> ObjectInfo:
        return self._info(key, self._s3.head(key))

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        """As `Store.read`. A body that breaks off is asked for from there on, same version."""
        return self._read(key, etag, 0, None)

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        return self._read(key, etag, start, stop)

    def _read(self, key: str, etag: str | None, start: int, stop: int | None) -> Iterator[bytes]:
        done, breaks = start, 0
        while True:
            wanted: dict[str, str] = {"IfMatch": etag} if etag is not None else {}
            if done or stop is not None:
                wanted["Range"] = f"bytes={done}-" + ("" if stop is None else str(stop - 1))
            answer = self._get(key, wanted)
            self._s3.check(answer, *ABOUT)
            if etag is not None and answer["ETag"] != etag:
                answer["Body"].close()
                raise ObjectChanged(url=self.url, key=key)
            etag = answer["ETag"]
            end = done + answer["ContentLength"]
            if "Range" in wanted and not _is_part(answer.get("ContentRange"), done, end, stop):
                answer["Body"].close()
                raise StorageUnavailable(url=self.url, problem="a part was not given as asked for.")
            try:
                for chunk in self._body(key, answer["Body"]):
                    done += len(chunk)
                    yield chunk
                return
            except StorageUnavailable:
                breaks += 1
                if breaks > self._retries or done >= end:
                    raise
                time.sleep(random.uniform(0, min(_LONGEST_WAIT, 2.0**breaks / 4)))

    def _get(self, key: str, wanted: dict[str, str]) -> dict[str, Any]:
        """A GET, pinned by If-Match. Where that is refused of the version that is there, without.

        A weak ETag never satisfies If-Match (RFC 9110, 13.1.1). Which version an answer has is
        compared in any case.
        """
        target = {"Bucket": self._bucket, "Key": self._s3.name(key)}
        try:
            with self._s3.errors(key):
                answer: dict[str, Any] = self._client.get_object(**target, **wanted)
        except ObjectChanged:
            if self._s3.head(key)["ETag"] != wanted.pop("IfMatch", None):
                raise
            with self._s3.errors(key):
                answer = self._client.get_object(**target, **wanted)
        return answer

    def write(self, key: str, chunks: Iterable[bytes], *, over: str | None = None) -> ObjectInfo:
        """As `Store.write`. Larger objects go up in parts, held in memory one at a time.

        It gets the media type that its name says, so that a clip that comes back plays in a browser.
        With lock_days the version is locked; raises NoObjectLock if the bucket cannot. Parts of an
        upload that a crash cut short stay in the bucket, unseen, until a lifecycle rule
        (AbortIncompleteMultipartUpload) removes them.
        """
        name = self._s3.name(key)
        condition = _condition(over)
        lock = self._lock.headers(datetime.now(UTC)) if self._lock else {}
        about = {**_media_type(key), **lock}
        self._look(key, over)
        parts = _parts(chunks)
        first = next(parts)
        second = next(parts, None)
        if second is None:
            size = len(first)
            with self._s3.errors(key, condition):
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=name,
                    Body=first,
                    ContentMD5=_md5(first),
                    **condition,
                    **about,
                )
        else:
            size, answer = self._send(key, chain([first, second], parts), over, about)
        found = self._s3.head(key)
        info = self._info(key, found)
        if info.size != size or info.etag != answer["ETag"]:
            raise ObjectChanged(url=self.url, key=key)
        if lock and "ObjectLockRetainUntilDate" not in found:
            self._lock_late(key, answer, lock)
        return info

    def _look(self, key: str, over: str | None) -> None:
        """Raises ObjectExists or ObjectChanged unless the key may be written to now.

        Servers may ignore the condition of the request itself; and why send 20 GiB to be refused?
        """
        try:
            found = self._s3.head(key)
        except ObjectNotFound:
            if over is not None:
                raise ObjectChanged(url=self.url, key=key) from None
            return
        if over is None:
            raise ObjectExists(url=self.url, key=key)
        if found["ETag"] != over:
            raise ObjectChanged(url=self.url, key=key)

    def _send(
        self, key: str, parts: Iterable[bytes], over: str | None, lock: dict[str, Any]
    ) -> tuple[int, dict[str, Any]]:
        """Upload in parts, or leave nothing. Returns how many bytes, and S3's answer."""
        target = {"Bucket": self._bucket, "Key": self._s3.name(key)}
        condition = _condition(over)
        with self._s3.errors(key):
            started = self._client.create_multipart_upload(**target, **lock)
        target["UploadId"] = started["UploadId"]
        size, sent = 0, []
        try:
            for number, part in enumerate(parts, 1):
                with self._s3.errors(key):
                    answer = self._client.upload_part(
                        PartNumber=number, Body=part, ContentMD5=_md5(part), **target
                    )
                sent.append({"PartNumber": number, "ETag": answer["ETag"]})
                size += len(part)
            self._look(key, over)
            with self._s3.errors(key, condition):
                return size, self._client.complete_multipart_upload(
                    MultipartUpload={"Parts": sent}, **target, **condition
                )
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**target)
            raise

    def _lock_late(self, key: str, answer: dict[str, Any], lock: dict[str, Any]) -> None:
        """Lock what was just written.

        Some servers pass over a lock in uploads by parts. It also does not show to who lacks
        s3:GetObjectRetention, and is then asked for twice.
        """
        target = {"Bucket": self._bucket, "Key": self._s3.name(key)}
        if "VersionId" in answer:
            target["VersionId"] = answer["VersionId"]
        retention = {
            "Mode": lock["ObjectLockMode"],
            "RetainUntilDate": lock["ObjectLockRetainUntilDate"],
        }
        with self._s3.errors(key):
            self._client.put_object_retention(Retention=retention, **target)

    def delete(self, key: str, etag: str) -> Deletion:
        """As `Store.delete`; see `s3_versions`."""
        return remove(self._s3, key, etag)

    def _info(self, key: str, answer: Any) -> ObjectInfo:
        return ObjectInfo(
            key=key,
            etag=answer["ETag"],
            size=answer["ContentLength"],
            modified=answer["LastModified"],
        )

    def _body(self, key: str, body: Any) -> Iterator[bytes]:
        with closing(body):
            while True:
                with self._s3.errors(key):
                    chunk = body.read(CHUNK)
                if not chunk:
                    return
                yield chunk


def _condition(over: str | None) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}


def _is_part(given: str | None, start: int, end: int, stop: int | None) -> bool:
    """Whether Content-Range says start..end, up to `stop` or the object's own end."""
    total = (given or "").rpartition("/")[2]
    return given == f"bytes {start}-{end - 1}/{total}" and str(end) == str(stop or total)


def _media_type(key: str) -> dict[str, str]:
    kind, encoding = mimetypes.guess_type(key.rpartition("/")[2])
    return {} if kind is None or encoding is not None else {"ContentType": kind}


def _md5(part: bytes) -> str:
    return base64.b64encode(hashlib.md5(part, usedforsecurity=False).digest()).decode()


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of PART bytes; the last may be shorter. At least one."""
    held = bytearray()
    sent = False
    for chunk in chunks:
        held += chunk
        while len(held) > PART:
            yield bytes(held[:PART])
            sent = True
            del held[:PART]
    if held or not sent:
        yield bytes(held)
