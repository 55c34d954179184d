"""Spooling: the bytes at hand are one version of the clip, whole, or there is an error."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from stores import make
from storing import put

from hashmatch.clips.spool import ATTEMPTS, ClipTooLarge, fetch
from hashmatch.clips.store import (
    CHUNK,
    ObjectChanged,
    ObjectInfo,
    ObjectNotFound,
    StorageFull,
    StorageUnavailable,
    Store,
)
from hashmatch.model import Clip, Reason
from hashmatch.scanning.scanner import unread

BODY = random.Random(7).randbytes(2 * CHUNK + 7)
LIMIT = 1 << 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "spool"


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    return make(request.param, request)


def clip(store: Store, key: str = "a.mp4") -> Clip:
    info = store.head(key)
    return Clip(info.key, info.etag, info.size, info.modified)


class Meddled:
    """A store whose object somebody else changes: `before(n)` runs ahead of the n-th read."""

    def __init__(self, store: Store, before: Callable[[int], None]) -> None:
        self._store, self._before = store, before
        self.url = store.url
        self.reads = 0

    def head(self, key: str) -> ObjectInfo:
        return self._store.head(key)

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        self.reads += 1
        self._before(self.reads)
        return self._store.read(key, etag)


@pytest.mark.parametrize("body", [b"", b"x", BODY])
def test_a_spooled_clip_is_the_clip(store: Store, folder: Path, body: bytes) -> None:
    info = store.write("a.mp4", [body])
    with fetch(store, clip(store), folder, LIMIT) as spooled:
        assert spooled.file.read() == body
        assert (spooled.size, spooled.etag) == (len(body), info.etag)
        # The digests' own reference is Python's hashlib.
        assert spooled.digests.md5 == hashlib.md5(body).hexdigest()
        assert spooled.digests.sha1 == hashlib.sha1(body).hexdigest()
        assert spooled.digests.sha256 == hashlib.sha256(body).hexdigest()
    assert spooled.file.closed


def test_a_spooled_clip_has_no_name_and_cannot_be_written_to(store: Store, folder: Path) -> None:
    store.write("a.mp4", [BODY])
    with fetch(store, clip(store), folder, LIMIT) as spooled:
        assert list(folder.iterdir()) == []
        assert spooled.file.tell() == 0
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(spooled.file.fileno(), b"x")


def test_a_newer_version_is_taken_and_named(store: Store, folder: Path) -> None:
    store.write("a.mp4", [b"old"])
    listed = clip(store)
    new = store.write("a.mp4", [BODY], over=listed.etag)
    with fetch(store, listed, folder, LIMIT) as spooled:
        assert spooled.file.read() == BODY
        assert (spooled.etag, spooled.size) == (new.etag, len(BODY))


def test_a_clip_that_settles_is_taken(store: Store, folder: Path) -> None:
    store.write("a.mp4", [b"0"])

    def change(n: int) -> None:
        if n < ATTEMPTS:
            put(store, "a.mp4", [b"x" * n])

    with fetch(Meddled(store, change), clip(store), folder, LIMIT) as spooled:
        assert spooled.file.read() == b"x" * (ATTEMPTS - 1)
        assert spooled.etag == store.head("a.mp4").etag


def test_a_clip_that_keeps_changing_is_given_up(store: Store, folder: Path) -> None:
    store.write("a.mp4", [b"0"])
    meddled = Meddled(store, lambda n: put(store, "a.mp4", [b"x" * n]) and None)
    with pytest.raises(ObjectChanged):
        fetch(meddled, clip(store), folder, LIMIT)
    assert meddled.reads == ATTEMPTS


def test_a_clip_that_is_gone_is_told(store: Store, folder: Path) -> None:
    store.write("a.mp4", [b"x"])
    listed = clip(store)
    store.delete("a.mp4", listed.etag)
    with pytest.raises(ObjectNotFound):
        fetch(store, listed, folder, LIMIT)


def test_a_listing_that_lied_of_the_size_is_corrected(store: Store, folder: Path) -> None:
    store.write("a.mp4", [BODY])
    for size in (0, 5, len(BODY) + 1):
        with fetch(store, replace(clip(store), size=size), folder, LIMIT) as spooled:
            assert spooled.size == len(BODY)


def test_a_clip_that_is_too_large_is_not_read(store: Store, folder: Path) -> None:
    store.write("a.mp4", [BODY])
    meddled = Meddled(store, lambda _: None)
    with pytest.raises(ClipTooLarge, match=str(len(BODY) - 1)):
        fetch(meddled, clip(store), folder, len(BODY) - 1)
    assert meddled.reads == 0
    fetch(store, clip(store), folder, len(BODY)).file.close()


def test_a_clip_that_is_larger_than_it_was_listed_is_too_large(store: Store, folder: Path) -> None:
    store.write("a.mp4", [BODY])
    with pytest.raises(ClipTooLarge):
        fetch(store, replace(clip(store), size=5), folder, 100)


def test_a_failing_storage_leaves_nothing_behind(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write("a.mp4", [BODY])

    def broken(key: str, etag: str | None = None) -> Iterator[bytes]:
        yield b"some"
        raise StorageUnavailable(url=store.url, problem="reset.")

    before = handles()
    listed = clip(store)
    monkeypatch.setattr(store, "read", broken)
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            fetch(store, listed, folder, LIMIT)
    assert list(folder.iterdir()) == []
    assert len(handles() - before) <= 2  # a kept connection


def test_a_full_spool_folder_is_named(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        store.write("a.mp4", [BODY])
        meddled = Meddled(store, lambda _: None)
        with pytest.raises(StorageFull, match=str(folder)) as full:
            fetch(meddled, clip(store), folder, LIMIT)
        assert meddled.reads == 0
        assert unread(full.value).reason is Reason.SPOOL_FULL
        with pytest.raises(StorageFull, match=str(folder)):
            fetch(
                Meddled(store, lambda _: fill(folder)),
                Clip("a.mp4", clip(store).etag, 1000, clip(store).modified),
                folder,
                LIMIT,
            )
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def handles() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def fill(folder: Path) -> None:
    with (folder / "other").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def test_a_spool_folder_that_cannot_be_is_told(store: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    store.write("a.mp4", [b"x"])
    with pytest.raises(Exception, match=str(tmp_path / "file")) as raised:
        fetch(store, clip(store), tmp_path / "file" / "spool", LIMIT)
    assert raised.value.exit_code == 15
