"""One bucket's S3 API, through boto3: its client, how keys are named to it, its errors as ours.

s3 = Connection(Storage(url="s3://clips/live", endpoint="http://minio:9000"), "clips", "live/")
with s3.errors(key):
    s3.client.get_object(Bucket=s3.bucket, Key=s3.name(key))
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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

from hashmatch.clips.etags import normalise
from hashmatch.clips.keys import to_name
from hashmatch.clips.s3_lock import NoObjectLock, tells_of_no_lock
from hashmatch.clips.store import (
    KeyRefused,
    ObjectArchived,
    ObjectChanged,
    ObjectDenied,
    ObjectExists,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
)
from hashmatch.config import Storage
from hashmatch.errors import ConfigError, StorageError

ABOUT = ("ETag", "ContentLength", "LastModified")
_DENIED = {"ExpiredToken", "InvalidToken", "AuthorizationHeaderMalformed", "InvalidTokenId"}
_FULL = {"XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "StorageQuotaExceeded"}
_NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    TokenRetrievalError,
)
_UNCONDITIONAL: Mapping[str, str] = MappingProxyType({})


class Connection:
    def __init__(self, storage: Storage, bucket: str, prefix: str) -> None:
        self.url = f"s3://{bucket}/{prefix}"
        self.bucket = bucket
        self.prefix = prefix.encode()
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
            self.client: Any = session.client(
                "s3", endpoint_url=storage.endpoint, region_name=region, config=config
            )
        except (ProfileNotFound, ValueError, BotoCoreError) as error:
            raise ConfigError(source=self.url, problem=str(error)) from None
        self.client.meta.events.register("after-call.s3", normalise)

    def name(self, key: str) -> str:
        """The key as S3 knows it. Raises KeyRefused."""
        try:
            if key:
                return (self.prefix + to_name(key)).decode("utf-8")
        except ValueError:
            pass
        raise KeyRefused(url=self.url, key=key, problem="S3 keys are UTF-8 and not empty")

    def head(self, key: str, **version: str) -> Any:
        with self.errors(key):
            answer = self.client.head_object(Bucket=self.bucket, Key=self.name(key), **version)
        self.check(answer, *ABOUT)
        return answer

    def check(self, answer: Mapping[str, Any], *fields: str) -> None:
        """Raises StorageUnavailable unless the answer has these fields."""
        if any(field not in answer for field in fields):
            raise StorageUnavailable(url=self.url, problem="what answers there is not S3.")

    @contextmanager
    def errors(self, key: str, condition: Mapping[str, str] = _UNCONDITIONAL) -> Iterator[None]:
        """boto3's errors as ours. Their texts stay out: they may hold signed addresses.

        condition: the headers that the request was made to depend on.
        """
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
        code, status = str(error.response.get("Error", {}).get("Code") or ""), status_of(error)
        said = f"HTTP {status}" if code in ("", str(status)) else f"HTTP {status} {code}"
        if code == "NoSuchBucket":
            return StorageUnavailable(url=self.url, problem="there is no such bucket.")
        if code in _FULL or status == 507:
            return StorageFull(url=self.url, problem=f"it answered {said} to {key!r}.")
        if code == "InvalidObjectState":
            return ObjectArchived(url=self.url, key=key)
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
            lacking = "conditional requests" if condition else "this request"
            problem = f"it answered {said} to {key!r}: it lacks {lacking}."
            return StorageError(url=self.url, problem=problem, said=said)
        if code == "InvalidRequest" and tells_of_no_lock(error.response["Error"]):
            return NoObjectLock(url=self.url)
        if status >= 500 or status in (408, 409, 429) or code in ("SlowDown", "RequestTimeout"):
            return StorageUnavailable(url=self.url, problem=f"it answered {said}.")
        return StorageError(url=self.url, problem=f"it answered {said} to {key!r}.", said=said)


def status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def listed_name(key: str, encoding: str | None) -> bytes:
    """A key as a listing writes it."""
    if encoding != "url":
        return key.encode("utf-8")
    return unquote_to_bytes(key.replace("+", " "))
