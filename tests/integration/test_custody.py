"""A case's way through custody, on real databases, folders and keys."""

from __future__ import annotations

import dataclasses

import pytest
from custody_parts import (
    CLIP,
    KEY,
    MATCH,
    NAMES,
    Scene,
    Through,
    in_folders,
    keys,
    needs_age,
    opened_with,
    sha256,
)
from custody_parts import opened as age_opened
from storing import put

from hashmatch.audit.commitments import commitment, opened
from hashmatch.clips.open_store import open_store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.custody import case_record
from hashmatch.custody.case_record import NoSuchCase, State
from hashmatch.custody.progress import Progress
from hashmatch.custody.vault.store import key_name

__all__ = ["keys"]
pytestmark = needs_age


@pytest.fixture
def scene(tmp_path, sqlite_db, keys) -> Scene:
    return in_folders(tmp_path, sqlite_db, keys).begin()


def test_a_matched_clip_ends_in_the_vault_and_nowhere_else(tmp_path, db, keys):
    scene = in_folders(tmp_path, db, keys).begin()
    assert scene.custody().advance(scene.case) == Progress(scene.case, State.REMOVED, None)
    assert scene.original() is None
    assert scene.recovered() == [CLIP, CLIP]
    folder = scene.case[5:7]
    parts = (".age", ".key.age", ".manifest.age")
    assert scene.vault_keys() == sorted(f"{folder}/{scene.case}{part}" for part in parts)
    assert scene.kinds() == [
        "case-detected",
        "case-intends",
        "case-keyed",
        "case-sealed",
        "case-intends",
        "case-verified",
        "case-intends",
        "platform-message",
        "platform-not-told",
        "case-withdrawn",
        "case-intends",
        "case-removed",
    ]
    said = scene.manifest()
    assert said["clip"]["key"] == KEY
    assert said["sealed"]["sha256"] == scene.row.sealed_sha256
    assert said["leaf"]["seq"] == 3
    row = scene.row
    assert row.sealed_sha256 == sha256(scene.sealed())
    assert row.sealed_size == len(scene.sealed())
    assert row.detected_at <= row.verified_at <= row.withdrawn_at <= row.removed_at


def test_the_log_names_the_clip_by_commitments_only(scene):
    scene.custody().advance(scene.case)
    text = repr(scene.leaves())
    for secret in (KEY, "somebody", sha256(CLIP), scene.row.etag):
        assert secret not in text
    detected = scene.leaves()[0][1]
    assert detected["clip"] == commitment("clip", scene.clip.salt, KEY)
    with scene.db.read() as session:
        assert opened(session, detected["content"]) == sha256(CLIP)
    assert detected["matches"] == [
        {
            "list": MATCH.list,
            "version": MATCH.version,
            "entry": MATCH.entry,
            "kind": "sequence",
            "classification": "A1",
            "start": 1.25,
            "end": 14.5,
            "frames": 31,
        }
    ]


def test_a_version_that_matches_again_has_one_case(scene):
    first = scene.case
    with scene.db.write() as session:
        again = case_record.open_case(
            session,
            NAMES,
            run_id="run-1",
            clip=scene.clip,
            sha256=sha256(CLIP),
            size=len(CLIP),
            matches=[MATCH],
            siblings=(),
            software="hashmatch 0",
            at=scene.row.detected_at,
        )
    assert again == first
    assert scene.way() == ["case-detected"]
    assert scene.open_steps() == ["seal"]


def test_resume_takes_on_every_unfinished_case_and_no_finished_one(tmp_path, sqlite_db, keys):
    scene = in_folders(tmp_path, sqlite_db, keys)
    cases = [scene.begin(key=f"clip-{n}.mp4").case for n in range(3)]
    custody = scene.custody()
    assert custody.advance(cases[1]).state is State.REMOVED
    assert [progress.case for progress in custody.resume()] == [cases[0], cases[2]]
    assert list(custody.resume()) == []


def test_an_ended_case_stays_as_it_is(scene):
    custody = scene.custody()
    custody.advance(scene.case)
    before = scene.kinds()
    assert custody.advance(scene.case).state is State.REMOVED
    assert scene.kinds() == before


def test_a_case_nobody_opened_is_an_error(scene):
    with pytest.raises(NoSuchCase):
        scene.custody().advance("case-aaaaaaaaaaaaaaaa")


def test_a_clip_that_vanished_before_it_was_sealed_is_on_record_as_lost(scene):
    scene.clips.delete(KEY, scene.row.etag)
    progress = scene.custody().advance(scene.case)
    assert progress.state is State.LOST
    assert "gone" in progress.problem
    assert KEY not in progress.problem
    assert scene.leaves()[-1] == ("case-lost", {"case": scene.case, "original": "gone"})
    assert scene.sealed_clips() == []


def test_a_clip_that_the_platform_replaced_before_it_was_sealed_is_not_touched(scene):
    put(scene.clips, KEY, [b"a newer version"])
    progress = scene.custody().advance(scene.case)
    assert progress.state is State.LOST
    assert scene.original() == b"a newer version"
    assert scene.sealed_clips() == []


def test_a_version_put_there_after_the_sealing_is_not_removed(scene):
    class ReplacedBeforeRemoval(Through):
        def delete(self, key, etag):
            put(scene.clips, KEY, [b"a newer version"])
            return scene.clips.delete(key, etag)

    progress = scene.custody(clips=ReplacedBeforeRemoval(scene.clips)).advance(scene.case)
    assert progress.state is State.REMOVED
    assert scene.original() == b"a newer version"
    assert scene.recovered() == [CLIP, CLIP]
    assert scene.leaves()[-1] == ("case-removed", {"case": scene.case, "original": "replaced"})


def test_other_bytes_under_the_same_etag_are_not_sealed_and_looked_at_again(scene):
    class OtherBytes(Through):
        def read(self, *_):
            yield b"not what was scanned"

    progress = scene.custody(clips=OtherBytes(scene.clips)).advance(scene.case)
    assert progress.state is State.LOST
    assert scene.sealed_clips() == []
    assert scene.original() == CLIP
    assert scene.clip.scanned_etag is None


def test_one_bad_read_of_the_original_is_read_again(scene):
    class BadOnce(Through):
        reads = 0

        def read(self, *version):
            self.reads += 1
            return iter([b"noise"]) if self.reads == 1 else self.store.read(*version)

    assert scene.custody(clips=BadOnce(scene.clips)).advance(scene.case).state is State.REMOVED
    assert scene.recovered() == [CLIP, CLIP]


def test_the_same_bytes_uploaded_again_to_s3_are_removed_again(s3, tmp_path, sqlite_db, keys):
    """S3's ETag of a small object is its MD5: key and ETag are those of the ended case."""
    (tmp_path / "vault").mkdir()
    clips = open_store(s3.storage(), tmp_path)
    scene = Scene(sqlite_db, clips, FolderStore(tmp_path / "vault"), keys).begin()
    first = scene.case
    scene.custody().advance(first)
    assert scene.clip.scanned_etag is None
    assert scene.begin().case == first
    assert s3.keys() == [KEY]
    assert scene.custody().advance(first).state is State.REMOVED
    assert s3.keys() == []
    assert scene.kinds().count("case-sealed") == 1


def test_a_vault_that_nobody_answers_for_keeps_the_case_waiting(s3, tmp_path, sqlite_db, keys):
    scene = in_folders(tmp_path, sqlite_db, keys).begin()
    nobody = s3.storage().model_copy(update={"endpoint": "http://127.0.0.1:9"})
    progress = scene.custody(vault=open_store(nobody, tmp_path)).advance(scene.case)
    assert progress.state is State.DETECTED
    assert progress.problem.startswith("The vault: s3://")
    assert scene.original() == CLIP
    scene.custody().advance(scene.case)
    scene.assert_taken()


class TestReupload:
    """The same key, the same ETag: where ETags are digests, the same bytes were uploaded again."""

    @staticmethod
    def again(scene: Scene, content: bytes = CLIP) -> None:
        old = scene.row.etag

        class SameEtag(Through):
            """Clip storage whose ETags do not change, as digests do not."""

            def _real(self, key):
                return self.store.head(key).etag

            def head(self, key):
                return dataclasses.replace(self.store.head(key), etag=old)

            def write(self, key, chunks, *, over=None):
                info = self.store.write(key, chunks, over=over)
                return dataclasses.replace(info, etag=old)

            def read(self, key, *_):
                return self.store.read(key, self._real(key))

            def delete(self, key, *_):
                return self.store.delete(key, self._real(key))

        scene.clips = SameEtag(scene.clips)
        scene.begin(content)

    def test_a_removed_clip_is_looked_at_again_if_it_is_ever_listed_again(self, scene):
        assert scene.clip.scanned_etag == scene.row.etag
        scene.custody().advance(scene.case)
        assert scene.clip.scanned_etag is None

    def test_the_same_clip_uploaded_again_is_removed_again_and_sealed_once(self, scene):
        case = scene.case
        scene.custody().advance(case)
        sealed = scene.sealed()
        self.again(scene)
        assert scene.case == case
        assert scene.row.state == "verified"
        assert scene.custody().advance(case).state is State.REMOVED
        assert scene.original() is None
        assert scene.sealed() == sealed
        assert scene.way()[5:] == ["case-reopened", "case-withdrawn", "case-removed"]
        assert scene.kinds().count("platform-message") == 2

    def test_other_content_under_the_name_of_an_ended_case_overwrites_nothing(self, scene):
        scene.custody().advance(scene.case)
        first_key, first = scene.row.vault_key, scene.sealed()
        first_secret = scene.case_key(scene.keys[0])
        self.again(scene, b"another clip that matches")
        assert scene.custody().advance(scene.case).state is State.REMOVED
        assert scene.recovered() == [b"another clip that matches"] * 2
        assert b"".join(scene.vault.read(first_key)) == first
        paper = b"".join(scene.vault.read(key_name(first_key)))
        assert [age_opened(paper, key).decode() for key in scene.keys] == [first_secret] * 2
        assert opened_with(first, first_secret) == CLIP
        reopened = dict(scene.leaves())["case-reopened"]
        assert (reopened["was"], reopened["kept"]) == ("removed", first_key)

    def test_a_lost_clip_that_comes_back_is_sealed(self, scene):
        scene.clips.delete(KEY, scene.row.etag)
        scene.custody().advance(scene.case)
        self.again(scene)
        assert scene.custody().advance(scene.case).state is State.REMOVED
        assert scene.recovered() == [CLIP, CLIP]
