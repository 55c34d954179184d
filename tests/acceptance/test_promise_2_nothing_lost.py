"""Promise 2. Nothing lost: an original goes only after its sealed copy is known to be whole.

The same for folders and S3, for the clips and for the vault. What happens when a process is killed
or storage fails at any step is in tests/faults/test_custody_faults.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from custody_parts import CLIP, Scene, Through, keys, needs_age
from storing import put

from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import Deletion, ObjectInfo, Store
from hashmatch.config import Storage
from hashmatch.custody.vault.store import key_name, manifest_name

__all__ = ["keys"]
pytestmark = needs_age


def store(kind: str, name: str, request: pytest.FixtureRequest) -> Store:
    if kind == "folder":
        folder: Path = request.getfixturevalue("tmp_path") / name
        folder.mkdir()
        return open_store(Storage(url=str(folder)), Path())
    return open_store(request.getfixturevalue("s3").storage(name), Path())


@pytest.fixture(params=["folder to folder", "s3 to s3", "folder to s3", "s3 to folder"])
def scene(request, sqlite_db, keys) -> Scene:
    clips, vault = request.param.split(" to ")
    scene = Scene(sqlite_db, store(clips, "clips", request), store(vault, "vault", request), keys)
    return scene.begin()


class Watched(Through):
    """Clip storage that looks at everything else in the moment in which an original is removed."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.clips)
        self.scene = scene
        self.seen: list[tuple[str, list[bytes], list[str], list[str]]] = []

    def delete(self, key: str, etag: str) -> Deletion:
        scene = self.scene
        self.seen.append((scene.row.state, scene.recovered(), scene.way(), scene.open_steps()))
        return self.store.delete(key, etag)


def test_an_original_is_removed_only_when_its_copy_is_verified_and_on_record(scene):
    clips = Watched(scene)
    scene.custody(clips=clips).advance(scene.case)
    way = ["case-detected", "case-sealed", "case-verified", "case-withdrawn"]
    assert clips.seen == [("withdrawn", [CLIP, CLIP], way, ["remove"])]
    scene.assert_taken()


def test_the_copy_is_read_from_storage_again_after_it_was_written(scene):
    calls: list[str] = []

    class Noting(Through):
        def write(self, key, chunks, *, over=None) -> ObjectInfo:
            info = self.store.write(key, chunks, over=over)
            calls.append(f"wrote {key} {info.size}")
            return info

        def read(self, key, etag=None):
            data = b"".join(self.store.read(key, etag))
            calls.append(f"read {key} {len(data)}")
            yield data

    scene.custody(vault=Noting(scene.vault)).advance(scene.case)
    row = scene.row
    clip = f"{row.vault_key} {row.sealed_size}"
    key = f"{key_name(row.vault_key)} {row.key_size}"
    manifest = f"{manifest_name(row.vault_key)} {row.manifest_size}"
    assert calls == [
        f"wrote {key}",
        f"read {key}",
        f"wrote {clip}",
        f"read {key}",
        f"read {clip}",
        f"wrote {manifest}",
        f"read {manifest}",
    ]


def test_what_the_platform_puts_in_place_of_a_clip_is_never_touched(scene):
    key = scene.row.clip_key

    class Replaced(Through):
        def delete(self, key, etag):
            put(self.store, key, [b"a newer version"])
            return self.store.delete(key, etag)

    scene.custody(clips=Replaced(scene.clips)).advance(scene.case)
    assert b"".join(scene.clips.read(key)) == b"a newer version"
    assert scene.recovered() == [CLIP, CLIP]


def test_either_custodian_alone_gets_the_clip_back_with_the_age_program(scene):
    scene.custody().advance(scene.case)
    assert scene.recovered() == [CLIP] * len(scene.keys)
