"""The vault: apart from clip storage, and no write of its storage is believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyrage
import pytest
from custody_parts import Through, sha256
from storing import put

from hashmatch.clips.store import StorageUnavailable
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import Settings, Storage
from hashmatch.custody.vault.age_stream import Measure
from hashmatch.custody.vault.sealing import BadRecipient, new_case_key, parse_recipients
from hashmatch.custody.vault.store import (
    Vault,
    VaultFailed,
    VaultOverlapsClips,
    open_vault,
    refuse_overlap,
)

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(2)]
PUBLIC = [str(identity.to_public()) for identity in IDENTITIES]
CLIP = b"some frames " * 60_000
CASE_KEY = new_case_key()
IDENTITY = pyrage.x25519.Identity.from_str(CASE_KEY.private)
KEY = "ab/case-abcdefghijklmnop.age"


@pytest.fixture
def store(tmp_path) -> FolderStore:
    (tmp_path / "vault").mkdir()
    return FolderStore(tmp_path / "vault")


@pytest.fixture
def vault(store) -> Vault:
    return Vault(store, parse_recipients(PUBLIC))


def stored(tmp_path) -> bytes:
    return (tmp_path / "vault" / KEY).read_bytes()


def test_the_receipt_is_of_what_is_on_the_disk(tmp_path, vault):
    receipt = vault.seal(KEY, [CLIP[:1000], CLIP[1000:]], CASE_KEY.public, sha256=sha256(CLIP))
    assert receipt.content == Measure(len(CLIP), sha256(CLIP))
    assert receipt.sealed == Measure(len(stored(tmp_path)), sha256(stored(tmp_path)))
    assert vault.read_back(KEY) == receipt.sealed
    assert pyrage.decrypt(stored(tmp_path), [IDENTITY]) == CLIP


def test_nothing_of_the_clip_is_readable_in_the_vault(tmp_path, vault):
    vault.seal(KEY, [CLIP], CASE_KEY.public, sha256=sha256(CLIP))
    assert b"some frames" not in stored(tmp_path)


def test_a_sealed_paper_is_opened_by_each_custodian_and_nobody_else(tmp_path, vault):
    sent = vault.seal_paper(KEY, b"a case's key", vault.recipients)
    assert vault.read_back(KEY) == sent
    for identity in IDENTITIES:
        assert pyrage.decrypt(stored(tmp_path), [identity]) == b"a case's key"
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(stored(tmp_path), [IDENTITY])


def test_of_two_writers_at_once_one_hears_of_the_other(store):
    class Overtaken(Through):
        def write(self, key, chunks, *, over=None):
            put(self.store, key, [b"another's"])
            return self.store.write(key, chunks, over=over)

    with pytest.raises(VaultFailed):
        Vault(Overtaken(store), parse_recipients(PUBLIC)).put(KEY, b"ours")
    assert b"".join(store.read(KEY)) == b"another's"


def test_what_is_erased_is_gone_and_was_there_or_not(vault):
    vault.put(KEY, b"sealed")
    assert vault.erase(KEY)
    assert vault.read_back(KEY) is None
    assert not vault.erase(KEY)


def test_an_object_that_is_not_there_is_none_and_not_an_error(vault):
    assert vault.read_back(KEY) is None
    assert vault.leftover(KEY, 100) is None


@pytest.mark.parametrize(
    "error",
    [RuntimeError("no"), FileExistsError("no"), StorageUnavailable(url="clips", problem="")],
)
def test_what_goes_wrong_on_the_clips_side_comes_out_as_it_is(tmp_path, vault, error):
    def chunks():
        yield CLIP
        raise error

    vault.seal(KEY, [b"an earlier attempt"], CASE_KEY.public, sha256=sha256(b"an earlier attempt"))
    before = stored(tmp_path)
    with pytest.raises(type(error)) as caught:
        vault.seal(KEY, chunks(), CASE_KEY.public, sha256=sha256(CLIP))
    assert caught.value is error
    assert stored(tmp_path) == before


def test_a_store_that_hides_the_clips_error_behind_its_own_does_not_hide_it_here(store):
    class Hiding(Through):
        def write(self, key, chunks, *, over=None):
            try:
                return self.store.write(key, chunks, over=over)
            except RuntimeError:
                raise StorageUnavailable(url="s3://vault/", problem="upload broke") from None

    def chunks():
        yield CLIP
        raise RuntimeError("the clip changed")

    with pytest.raises(RuntimeError, match="the clip changed"):
        Vault(Hiding(store), parse_recipients(PUBLIC)).seal(
            KEY, chunks(), CASE_KEY.public, sha256=sha256(CLIP)
        )


def test_a_store_that_counts_other_bytes_is_not_believed(store):
    class Miscounting(Through):
        def write(self, key, chunks, *, over=None):
            info = self.store.write(key, chunks, over=over)
            return replace_size(info, info.size - 1)

    with pytest.raises(VaultFailed, match="were stored"):
        Vault(Miscounting(store), parse_recipients(PUBLIC)).seal(
            KEY, [CLIP], CASE_KEY.public, sha256=sha256(CLIP)
        )


def replace_size(info, size):
    return replace(info, size=size)


def test_a_leftover_is_whole_or_it_is_none(tmp_path, vault):
    receipt = vault.seal(KEY, [CLIP], CASE_KEY.public, sha256=sha256(CLIP))
    assert vault.leftover(KEY, len(CLIP)) == receipt.sealed
    assert vault.leftover(KEY, len(CLIP) + 1) is None
    (tmp_path / "vault" / KEY).write_bytes(stored(tmp_path)[:-1])
    assert vault.leftover(KEY, len(CLIP)) is None
    (tmp_path / "vault" / KEY).write_bytes(b"no age file")
    assert vault.leftover(KEY, len(CLIP)) is None


class TestApart:
    """Clip storage and vault must not lie in one another."""

    @pytest.fixture(autouse=True)
    def folders(self, tmp_path: Path) -> None:
        (tmp_path / "clips" / "inner").mkdir(parents=True)
        (tmp_path / "vault").mkdir()
        (tmp_path / "link-to-clips").symlink_to(tmp_path / "clips")
        (tmp_path / "link-to-inner").symlink_to("clips/inner")

    @pytest.mark.parametrize(
        ("clips", "vault"),
        [
            ("clips", "clips"),
            ("clips", "clips/"),
            ("clips", "./vault/../clips"),
            ("clips", "clips/vault"),
            ("clips", "clips/not/there/yet"),
            ("clips/inner", "clips"),
            ("clips", "."),
            ("clips", "link-to-clips"),
            ("clips", "link-to-clips/vault"),
            ("clips", "link-to-inner"),
            ("link-to-inner", "clips"),
            ("clips", "{home}/clips/vault"),
            ("clips", "file://{home}/clips"),
            ("file://{home}/clips", "FILE://{home}/cl%69ps/vault"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket/vault"),
            ("s3://bucket/clips", "s3://bucket/clips/vault/"),
            ("s3://bucket/a/b", "s3://bucket/a"),
            ("S3://bucket/a", "s3://bucket/a/b"),
            ("az://container/clips", "az://container"),
        ],
    )
    def test_one_in_the_other_is_refused(self, tmp_path, clips, vault):
        one, other = (Storage(url=url.format(home=tmp_path)) for url in (clips, vault))
        with pytest.raises(VaultOverlapsClips):
            refuse_overlap(one, other, tmp_path)

    @pytest.mark.parametrize(
        ("clips", "vault"),
        [
            ("clips", "vault"),
            ("clips", "clips-vault"),
            ("file://{home}/clips", "vault"),
            ("clips", "s3://clips"),
            ("s3://bucket/clips", "s3://bucket/vault"),
            ("s3://bucket/clips", "s3://bucket/clips-vault"),
            ("s3://clips", "s3://vault"),
            ("s3://same", "gs://same"),
        ],
    )
    def test_beside_one_another_is_allowed(self, tmp_path, clips, vault):
        one, other = (Storage(url=url.format(home=tmp_path)) for url in (clips, vault))
        refuse_overlap(one, other, tmp_path)

    def test_one_bucket_name_at_two_endpoints_is_two_buckets(self, tmp_path):
        one = Storage(url="s3://bucket", endpoint="https://one.example")
        refuse_overlap(one, Storage(url="s3://bucket", endpoint="https://two.example"), tmp_path)
        for endpoint in ("https://one.example/", None):
            with pytest.raises(VaultOverlapsClips):
                refuse_overlap(one, Storage(url="s3://bucket", endpoint=endpoint), tmp_path)

    def test_a_vault_of_settings_is_opened_only_apart_and_with_good_keys(self, tmp_path):
        clips, vault = str(tmp_path / "clips"), str(tmp_path / "vault")

        def settings(vault: str, recipients: list[str]) -> Settings:
            return Settings(clips={"url": clips}, vault={"url": vault, "recipients": recipients})

        assert open_vault(settings(vault, PUBLIC)).recipients.keys == tuple(PUBLIC)
        with pytest.raises(VaultOverlapsClips):
            open_vault(settings(clips + "/vault", PUBLIC))
        with pytest.raises(BadRecipient):
            open_vault(settings(vault, [*PUBLIC, "somebody"]))
