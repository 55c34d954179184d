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
"""

from __future__ import annotations

import base64
import hashlib
import os
import random
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from itertools import chain
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote_to_bytes

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from hashmatch.clips.keys import to_key, to_name
from hashmatch.clips.store import (
    CHUNK,
    Deletion,
    KeyRefused,
    ListingIncomplete,
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectInfo,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
)
from hashmatch.config import Storage
from hashmatch.errors import ConfigError, StorageError

# S3 takes 10,000 parts: with these an object may have 156 GiB.
PART = 16 << 20
_LONGEST_WAIT = 20.0
_ABOUT = ("ETag", "ContentLength", "LastModified")

_DENIED = {"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "InvalidTokenId"}
_FULL = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "StorageQuotaExceeded"}
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
)


class S3Store:
    def __init__(self, storage: Storage, bucket: str, prefix: str) -> None:
        self.url = f"s3://{bucket}/{prefix}"
        self._bucket = bucket
        self._prefix = prefix.encode()
        self._retries = storage.retries
        self._timeout = storage.timeout_seconds
        secret = storage.secret_access_key
        # boto3 itself reads only AWS_DEFAULT_REGION.
        region = storage.region or os.environ.get("AWS_REGION")
        config = Config(
            connect_timeout=min(10.0, storage.timeout_seconds),
            read_timeout=storage.timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": storage.retries + 1},
            # Newer checksum headers are refused by older compatible servers; MD5 is sent instead.
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path" if storage.endpoint else "auto"},
        )
        try:
            session = boto3.session.Session(
                aws_access_key_id=storage.access_key_id,
                aws_secret_access_key=secret.get_secret_value() if secret else None,
                region_name=region,
            )
            if storage.endpoint and session.region_name is None:
                region = "us-east-1"
            self._client: Any = session.client(
                "s3", endpoint_url=storage.endpoint, region_name=region, config=config
            )
        except (ProfileNotFound, ValueError, BotoCoreError) as error:
            raise ConfigError(source=self.url, problem=str(error)) from None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        try:
            start = self._prefix + to_name(prefix)
            wanted = start.decode("utf-8")
        except ValueError:
            problem = f"{prefix!r} is the start of no key."
            raise ListingIncomplete(url=self.url, problem=problem) from None
        after: dict[str, str] = {}
        while True:
            with self._errors(prefix):
                page = self._client.list_objects_v2(
                    Bucket=self._bucket, Prefix=wanted, EncodingType="url", **after
                )
            # Another server's page, read as a listing, would be an empty bucket.
            self._check(page, "Name", "IsTruncated")
            for found in page.get("Contents", ()):
                self._check(found, "Key", "ETag", "Size", "LastModified")
                name = _listed_name(found["Key"], page.get("EncodingType"))
                if not (name.endswith(b"/") and found["Size"] == 0):
                    yield ObjectInfo(
                        key=to_key(name[len(self._prefix) :]),
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
        return self._info(key, self._head(key))

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        """As `Store.read`. A body that breaks off is asked for from there on, same version."""
        return self._read(key, etag, 0, None)

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        return self._read(key, etag, start, stop)

    def _read(self, key: str, etag: str | None, start: int, stop: int | None) -> Iterator[bytes]:
        name = self._name(key)
        done, breaks = start, 0
        while True:
            wanted: dict[str, str] = {"IfMatch": etag} if etag is not None else {}
            if done or stop is not None:
                wanted["Range"] = f"bytes={done}-" + ("" if stop is None else str(stop - 1))
            with self._errors(key):
                answer = self._client.get_object(Bucket=self._bucket, Key=name, **wanted)
            self._check(answer, *_ABOUT)
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

    def write(self, key: str, chunks: Iterable[bytes], *, over: str | None = None) -> ObjectInfo:
        """As `Store.write`. Larger objects go up in parts, held in memory one at a time.

        Parts of an upload that a crash cut short stay in the bucket, unseen, until a lifecycle rule
        (AbortIncompleteMultipartUpload) removes them.
        """
        name = self._name(key)
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}
        self._look(key, over)
        parts = _parts(chunks)
        first = next(parts)
        second = next(parts, None)
        if second is None:
            size = len(first)
            with self._errors(key, condition):
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=name, Body=first, ContentMD5=_md5(first), **condition
                )
        else:
            size, answer = self._send(key, chain([first, second], parts), over, condition)
        info = self.head(key)
        if info.size != size or info.etag != answer["ETag"]:
            raise ObjectChanged(url=self.url, key=key)
        return info

    def _look(self, key: str, over: str | None) -> None:
        """Raises ObjectExists or ObjectChanged unless the key may be written to now.

        Servers may ignore the condition of the request itself; and why send 20 GiB to be refused?
        """
        try:
            found = self._head(key)
        except ObjectNotFound:
            if over is not None:
                raise ObjectChanged(url=self.url, key=key) from None
            return
        if over is None:
            raise ObjectExists(url=self.url, key=key)
        if found["ETag"] != over:
            raise ObjectChanged(url=self.url, key=key)

    def _send(
        self, key: str, parts: Iterable[bytes], over: str | None, condition: dict[str, str]
    ) -> tuple[int, dict[str, Any]]:
        """Upload in parts, or leave nothing. Returns how many bytes, and S3's answer."""
        target = {"Bucket": self._bucket, "Key": self._name(key)}
        with self._errors(key, condition):
            target["UploadId"] = self._client.create_multipart_upload(**target)["UploadId"]
        size, sent = 0, []
        try:
            for number, part in enumerate(parts, 1):
                with self._errors(key, condition):
                    answer = self._client.upload_part(
                        PartNumber=number, Body=part, ContentMD5=_md5(part), **target
                    )
                sent.append({"PartNumber": number, "ETag": answer["ETag"]})
                size += len(part)
            self._look(key, over)
            with self._errors(key, condition):
                return size, self._client.complete_multipart_upload(
                    MultipartUpload={"Parts": sent}, **target, **condition
                )
        except BaseException:
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**target)
            raise

    def delete(self, key: str, etag: str) -> Deletion:
        """As `Store.delete`.

        In a bucket with versions, that version itself goes (this needs s3:DeleteObjectVersion), and
        so do older ones with the same ETag that it laid bare: they hold the same bytes. Older ones
        with other bytes stay, and the newest of them is what the key then shows.

        Without versions Amazon itself compares the ETag; a server that does not know If-Match on
        DELETE leaves a moment between the last look and the removal.
        """
        found = self._head(key)
        if found["ETag"] != etag:
            raise ObjectChanged(url=self.url, key=key)
        removed: set[str | None] = set()
        while found is not None and found["ETag"] == etag:
            version = found.get("VersionId")
            if version in removed:
                problem = f"{key!r} is still there after it was deleted."
                raise StorageUnavailable(url=self.url, problem=problem)
            with self._errors(key):
                self._delete_version(self._name(key), version, etag)
            removed.add(version)
            found = None
            with suppress(ObjectNotFound):
                found = self._head(key)
        return Deletion(versions=len(removed), others=None)

    def _delete_version(self, name: str, version: str | None, etag: str) -> None:
        target = {"Bucket": self._bucket, "Key": name}
        if version is not None:
            self._client.delete_object(VersionId=version, **target)
            return
        try:
            answer = self._client.delete_object(IfMatch=etag, **target)
        except ClientError as error:
            if _status(error) != 501:
                raise
            answer = self._client.delete_object(**target)
        if answer.get("DeleteMarker") and answer.get("VersionId") not in (None, "null"):
            # Older than the bucket's versioning: the bytes are still there, as version "null".
            self._client.delete_object(VersionId="null", **target)

    def _head(self, key: str) -> Any:
        with self._errors(key):
            answer = self._client.head_object(Bucket=self._bucket, Key=self._name(key))
        self._check(answer, *_ABOUT)
        return answer

    def _check(self, answer: Mapping[str, Any], *fields: str) -> None:
        if any(field not in answer for field in fields):
            raise StorageUnavailable(url=self.url, problem="what answers there is not S3.")

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
                with self._errors(key):
                    chunk = body.read(CHUNK)
                if not chunk:
                    return
                yield chunk

    def _name(self, key: str) -> str:
        try:
            if key:
                return (self._prefix + to_name(key)).decode("utf-8")
        except ValueError:
            pass
        raise KeyRefused(url=self.url, key=key, problem="S3 keys are UTF-8 and not empty")

    @contextmanager
    def _errors(
        self, key: str, condition: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[None]:
        """boto3's errors as ours. Their texts stay out: they may hold signed addresses."""
        try:
            yield
        except ClientError as error:
            raise self._refusal(error, key, condition) from None
        except _NO_CREDENTIALS as error:
            raise ObjectDenied(
                url=self.url, key=key, problem=f"no credentials: {type(error).__name__}"
            ) from None
        except ParamValidationError:
            raise KeyRefused(url=self.url, key=key, problem="S3 has no such keys") from None
        except HTTPClientError as error:
            problem = f"{type(error).__name__} (no answer within {self._timeout:g} s, or cut off)."
            raise StorageUnavailable(url=self.url, problem=problem) from None
        except BotoCoreError as error:
            raise StorageUnavailable(url=self.url, problem=f"{type(error).__name__}.") from None

    def _refusal(self, error: ClientError, key: str, condition: Mapping[str, str]) -> StorageError:
        code, status = str(error.response.get("Error", {}).get("Code", "")), _status(error)
        said = f"HTTP {status}" if code in ("", str(status)) else f"HTTP {status} {code}"
        if code == "NoSuchBucket":
            return StorageUnavailable(url=self.url, problem="there is no such bucket.")
        if code in _FULL or status == 507:
            return StorageFull(url=self.url, problem=f"it answered {said} to {key!r}.")
        if code == "InvalidObjectState":
            problem = f"{key!r} is archived and must be restored before it can be read."
            return StorageError(url=self.url, problem=problem)
        if code == "NoSuchUpload":
            problem = f"the upload of {key!r} was removed while it was under way."
            return StorageUnavailable(url=self.url, problem=problem)
        if status == 404:
            gone = ObjectChanged if "IfMatch" in condition else ObjectNotFound
            return gone(url=self.url, key=key)
        if status in (401, 403) or code in _DENIED:
            return ObjectDenied(url=self.url, key=key, problem=said)
        if status in (304, 412):
            taken = ObjectExists if "IfNoneMatch" in condition else ObjectChanged
            return taken(url=self.url, key=key)
        if status == 416:
            return ObjectChanged(url=self.url, key=key)
        if status == 501:
            problem = f"it answered {said} to {key!r}: it lacks conditional requests."
            return StorageError(url=self.url, problem=problem)
        if status >= 500 or status in (408, 409, 429) or code in ("SlowDown", "RequestTimeout"):
            return StorageUnavailable(url=self.url, problem=f"it answered {said}.")
        return StorageError(url=self.url, problem=f"it answered {said} to {key!r}.")


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _is_part(given: str | None, start: int, end: int, stop: int | None) -> bool:
    """Whether Content-Range says start..end, up to `stop` or the object's own end."""
    total = (given or "").rpartition("/")[2]
    return given == f"bytes {start}-{end - 1}/{total}" and str(end) == str(stop or total)


def _listed_name(key: str, encoding: str | None) -> bytes:
    if encoding != "url":
        return key.encode("utf-8")
    return unquote_to_bytes(key.replace("+", " "))


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
