"""What S3 adds to a store's promises: any key, many pages; and obstore's limits."""

from __future__ import annotations

from pathlib import Path

import pytest
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from s3_server import Bucket
from stores import over_obstore

from hashmatch.clips.keys import to_key
from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import (
    ListingIncomplete,
    ObjectNotFound,
    StorageUnavailable,
    Store,
)
from hashmatch.clips.store_s3 import PART
from hashmatch.config import Storage
from hashmatch.errors import ConfigError

# What obstore refuses or alters, and other trouble-makers.
ODD = [
    "a/../b",
    "..",
    "a//b",
    "//",
    "/lead",
    "trail/",
    "a/./b",
    "tab\tx",
    "x\ry",
    "del\x7f",
    "\x01",
]
ODD += ["a+b c%2B%20", "\\xE9"]


def make(bucket: Bucket, prefix: str = "") -> Store:
    return open_store(bucket.storage(prefix), Path())


@pytest.mark.parametrize("prefix", ["", "live/"])
def test_no_key_hides_another(s3: Bucket, prefix: str) -> None:
    for key in (*ODD, "plain"):
        s3.put(prefix + key, key.encode())
    store = make(s3, prefix)
    listed = {info.key: info for info in store.list()}
    assert listed.keys() == {to_key(key.encode()) for key in (*ODD, "plain")}
    for info in listed.values():
        assert to_key(b"".join(store.read(info.key, info.etag))) == info.key
        store.delete(info.key, info.etag)
    assert s3.keys() == []


def test_a_key_with_a_newline_is_listed(s3: Bucket) -> None:
    # Put in from behind: the test server's own addresses cannot hold a newline.
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].put_object(s3.name, "two\nlines", b"x")
    assert [info.key for info in make(s3).list()] == ["two\nlines"]


def test_all_pages_are_listed(s3: Bucket) -> None:
    behind = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    wanted = {f"{n:04}//{n}" for n in range(2345)}
    for key in wanted:
        behind.put_object(s3.name, key, b"x")
    listed = [info.key for info in make(s3).list()]
    assert len(listed) == len(wanted)
    assert set(listed) == wanted


def test_what_consoles_draw_folders_with_is_no_object(s3: Bucket) -> None:
    s3.put("2026/", b"")
    s3.put("2026/a", b"")
    s3.put("notes/", b"not empty, so not a folder")
    assert {info.key for info in make(s3).list()} == {"2026/a", "notes/"}


def test_a_missing_bucket_is_not_an_empty_one(s3: Bucket) -> None:
    s3.client.delete_bucket(Bucket=s3.name)
    with pytest.raises(StorageUnavailable, match="no such bucket"):
        list(make(s3).list())


def test_an_upload_that_fails_leaves_no_parts(s3: Bucket) -> None:
    def chunks():
        yield bytes(40 << 20)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make(s3).write("a", chunks())
    assert not s3.client.list_multipart_uploads(Bucket=s3.name).get("Uploads")
    assert s3.keys() == []


def test_the_environment_gives_region_and_credentials(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    nothing = {"access_key_id": None, "secret_access_key": None, "region": None}
    store = open_store(s3.storage().model_copy(update=nothing), Path())
    s3.put("a", b"x")
    assert [info.key for info in store.list()] == ["a"]


@pytest.mark.parametrize("odd", ["a//b", "a/../b", "tab\tx"])
def test_obstore_says_that_it_could_not_list_all(s3: Bucket, odd: str) -> None:
    s3.put(odd, b"x")
    with pytest.raises(ListingIncomplete):
        list(over_obstore(s3.storage()).list())


def test_a_key_that_obstore_alters_is_listed_and_not_found(s3: Bucket) -> None:
    s3.put("/lead", b"x")
    store = over_obstore(s3.storage())
    (info,) = store.list()
    with pytest.raises(ObjectNotFound):
        list(store.read(info.key, info.etag))


def test_an_object_gets_the_media_type_that_its_name_says(s3, tmp_path):
    """A clip that is given back must play in a browser again; a sealed one is no video."""
    store = open_store(s3.storage(), tmp_path)
    large = bytes(PART + 1)
    wrote = {"a.mp4": b"small", "b.webm": large, "c.mp4.age": b"x", "d": b"x"}
    for key, content in wrote.items():
        store.write(key, [content])
    kinds = {key: s3.client.head_object(Bucket=s3.name, Key=key)["ContentType"] for key in wrote}
    assert (kinds["a.mp4"], kinds["b.webm"]) == ("video/mp4", "video/webm")
    assert "video" not in kinds["c.mp4.age"] + kinds["d"]


def test_the_variables_and_profiles_of_amazons_tools_are_enough(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endpoint and credentials: from AWS_…, or from the profile that AWS_PROFILE names."""
    s3.put("a", b"x")
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    settings = Storage(url=f"s3://{s3.name}", timeout_seconds=5, retries=0)
    with monkeypatch.context() as here:
        here.setenv("AWS_ENDPOINT_URL", s3.endpoint)
        here.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        here.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        assert [info.key for info in open_store(settings, Path()).list()] == ["a"]
    config, credentials = tmp_path / "config", tmp_path / "credentials"
    config.write_text(f"[profile clips]\nendpoint_url = {s3.endpoint}\nregion = eu-west-1\n")
    credentials.write_text("[clips]\naws_access_key_id = A\naws_secret_access_key = B\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_PROFILE", "clips")
    assert [info.key for info in open_store(settings, Path()).list()] == ["a"]
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(ConfigError, match="nobody"):
        open_store(settings, Path())
