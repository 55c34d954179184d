"""Which settings name a storage, and what is said of those that do not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashmatch.clips.open_store import open_store
from hashmatch.config import Storage
from hashmatch.errors import ConfigError


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("clips", "/home/clips"),
        ("./clips", "/home/clips"),
        ("/srv/clips", "/srv/clips"),
        ("file:///srv/my%20clips", "/srv/my clips"),
        ("FILE:///srv/clips", "/srv/clips"),
        ("s3://bucket", "s3://bucket/"),
        ("s3://bucket/live/eu/", "s3://bucket/live/eu/"),
    ],
)
def test_an_url_names_a_store(url: str, shown: str) -> None:
    assert open_store(Storage(url=url), Path("/home")).url == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://host/clips",
        "http://bucket.s3.amazonaws.com/clips",
        "://x",
        "file://clips",
        "file://host/clips",
        "s3://",
        "s3:///clips",
        "s3://AKIAEXAMPLE:hunter2@bucket/clips",
        "s3://bucket:9000/clips",
        "s3://bucket/a//b",
        "s3://bucket/../other",
        "s3://bucket/clips?secret=hunter2",
        "s3://bucket/clips#hunter2",
        "s3://bucket/new\nline",
        "hunter2://bucket",
    ],
)
def test_nonsense_is_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(Storage(url=url), Path("/home"))
    if not url.startswith("hunter2"):
        assert "hunter2" not in str(refused.value) + str(refused.value.details)


@pytest.mark.parametrize(
    "endpoint", ["minio:9000", "ftp://minio", "http://", "http://user:hunter2@minio", "http://[bad"]
)
def test_an_endpoint_is_an_http_address_without_credentials(endpoint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        open_store(Storage(url="s3://bucket", endpoint=endpoint), Path("/home"))
    assert "hunter2" not in str(refused.value) + str(refused.value.details)


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_the_environment_is_checked_too(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "http://user:hunter2@minio")
    with pytest.raises(ConfigError) as refused:
        open_store(Storage(url="s3://bucket"), Path("/home"))
    assert refused.value.message.startswith(name)
    assert "hunter2" not in str(refused.value) + str(refused.value.details)
    open_store(Storage(url="s3://bucket", endpoint="http://minio:9000"), Path("/home"))


@pytest.mark.parametrize("given", [{"access_key_id": "a"}, {"secret_access_key": "b"}])
def test_half_a_credential_is_refused(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="together"):
        open_store(Storage(url="s3://bucket", **given), Path("/home"))


def test_settings_that_google_and_azure_do_not_know_are_refused() -> None:
    with pytest.raises(ConfigError, match="s3"):
        open_store(Storage(url="gs://bucket", endpoint="http://localhost:1"), Path("/home"))


def test_google_and_azure_need_their_own_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", '{"private_key": "hunter2"}')
    with pytest.raises(ConfigError) as refused:
        open_store(Storage(url="gs://bucket"), Path("/home"))
    assert "hunter2" not in str(refused.value)


def test_google_and_azure_are_opened_with_their_own_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GOOGLE_SKIP_SIGNATURE", "true")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "aHVudGVyMg==")
    for url in ("gs://bucket/live/", "az://container/live/"):
        assert open_store(Storage(url=url), Path("/home")).url == url


def test_the_working_folder_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store(Storage(url="clips"), Path()).url == str(tmp_path / "clips")
