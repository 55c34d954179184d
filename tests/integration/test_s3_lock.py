"""Object lock: what is written with it stays for its days, and a delete says until when."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_server import FaultServer, by_method, refuse
from s3_server import Bucket, S3Server

from hashmatch.clips.open_store import open_store
from hashmatch.clips.s3_lock import NoObjectLock
from hashmatch.clips.store import Store, VersionsRemain
from hashmatch.config import AnchorBucket, Storage, Vault
from hashmatch.errors import ConfigError, StorageError

PART = 16 << 20


@pytest.fixture
def locked(s3_server: S3Server) -> Bucket:
    return s3_server.bucket(lock=True)


def make(bucket: Bucket, days: int, kind: type[Vault | AnchorBucket] = Vault) -> Store:
    storage = kind(**bucket.storage("sealed/").model_dump(), lock_days=days)
    return open_store(storage, Path())


def about(bucket: Bucket, key: str = "sealed/a") -> dict[str, Any]:
    return bucket.client.head_object(Bucket=bucket.name, Key=key)


@pytest.mark.parametrize(("kind", "mode"), [(Vault, "GOVERNANCE"), (AnchorBucket, "COMPLIANCE")])
@pytest.mark.parametrize("size", [0, 1, PART + 1])
def test_what_is_written_is_locked_for_its_days(
    locked: Bucket, kind: type[Vault | AnchorBucket], mode: str, size: int
) -> None:
    before = datetime.now(UTC)
    body = random.Random(size).randbytes(size)
    info = make(locked, 30, kind).write("a", [body])
    found = about(locked)
    assert found["ObjectLockMode"] == mode
    away = found["ObjectLockRetainUntilDate"] - before
    assert timedelta(days=30, minutes=-1) < away < timedelta(days=30, minutes=1)
    assert b"".join(make(locked, 30, kind).read("a", info.etag)) == body


def test_without_days_nothing_is_locked(locked: Bucket) -> None:
    make(locked, 0).write("a", [b"x"])
    assert "ObjectLockMode" not in about(locked)


@pytest.mark.parametrize("size", [1, PART + 1])
def test_the_lock_goes_along_with_the_bytes(s3: Bucket, size: int) -> None:
    server = FaultServer()
    no = refuse(400)
    server.answer = by_method(HEAD=refuse(404), PUT=no, POST=no)
    try:
        with pytest.raises(StorageError, match="HTTP 400"):
            make(replace(s3, endpoint=server.endpoint), 30).write("a", [bytes(size)])
    finally:
        server.stop()
    headers = server.asked[-1][2]
    assert headers["x-amz-object-lock-mode"] == "GOVERNANCE"
    assert "x-amz-object-lock-retain-until-date" in headers
    assert size > PART or "content-md5" in headers


@pytest.mark.parametrize("size", [1, PART + 1])
def test_a_bucket_without_object_lock_is_told(s3: Bucket, size: int) -> None:
    with pytest.raises(NoObjectLock) as raised:
        make(s3, 30).write("a", [bytes(size)])
    assert "lock_days = 0" in raised.value.remedy


@pytest.mark.parametrize("kind", [Vault, AnchorBucket])
@pytest.mark.parametrize(
    "url", ["vault", "/srv/vault", "file:///srv/vault", "gs://vault", "az://v-a"]
)
def test_storage_that_cannot_lock_is_refused_when_it_is_opened(
    kind: type[Vault | AnchorBucket], url: str
) -> None:
    with pytest.raises(ConfigError, match="lock_days = 0"):
        open_store(kind(url=url, lock_days=1), Path("/"))


def test_clip_storage_locks_nothing(locked: Bucket) -> None:
    assert not hasattr(Storage, "lock_days")
    open_store(locked.storage("sealed/"), Path()).write("a", [b"x"])
    assert "ObjectLockMode" not in about(locked)


def test_a_locked_version_stays_and_the_day_is_told(locked: Bucket) -> None:
    store = make(locked, 30)
    info = store.write("a", [b"sealed"])
    day = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    for _ in range(2):
        with pytest.raises(VersionsRemain, match=f"locked until {day} .* UTC") as raised:
            store.delete("a", info.etag)
        assert raised.value.details["count"] == 1
    versions = [one for one in locked.history("sealed/a") if one.etag == info.etag]
    assert len(versions) == 1
    locked.client.delete_object(
        Bucket=locked.name, Key="sealed/a", VersionId=versions[0].id, BypassGovernanceRetention=True
    )
    assert info.etag not in [one.etag for one in locked.history("sealed/a")]


def test_a_legal_hold_of_the_bucket_is_told(locked: Bucket) -> None:
    store = make(locked, 0)
    info = store.write("a", [b"sealed"])
    target = {"Bucket": locked.name, "Key": "sealed/a"}
    version = about(locked)["VersionId"]
    locked.client.put_object_legal_hold(LegalHold={"Status": "ON"}, VersionId=version, **target)
    with pytest.raises(VersionsRemain, match="legal hold"):
        store.delete("a", info.etag)
    locked.client.put_object_legal_hold(LegalHold={"Status": "OFF"}, VersionId=version, **target)
    assert store.delete("a", info.etag).versions == 1


def test_a_newer_version_over_a_locked_one_leaves_it_there(locked: Bucket) -> None:
    store = make(locked, 30)
    old = store.write("a", [b"one"])
    new = store.write("a", [b"two"], over=old.etag)
    assert {one.etag for one in locked.history("sealed/a")} == {old.etag, new.etag}
