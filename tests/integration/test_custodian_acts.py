"""What custodians do to a case: open, release, destroy, change recipients. Real folders and keys."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import stat
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from custody_parts import (
    CLIP,
    KEY,
    Scene,
    Through,
    in_folders,
    keys,
    make_key,
    needs_age,
    now,
    opened,
)
from sqlalchemy import select, update

from hashmatch import access
from hashmatch.access import NobodyNamed, RoleMissing
from hashmatch.audit.keys import KeyUnsafe, create_keys
from hashmatch.audit.verification import verify
from hashmatch.cli.main import cli
from hashmatch.cli.viewing import NotWritten, WhichKey
from hashmatch.clips.store import StorageUnavailable, Store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.custody.approvals import AlreadyConfirmed, NothingAsked, SamePerson
from hashmatch.custody.destruction import NoCertificate, destroy
from hashmatch.custody.host import host_id
from hashmatch.custody.preconditions import CopyKept
from hashmatch.custody.release import KeyTaken
from hashmatch.custody.retention.rules import NoJurisdiction
from hashmatch.custody.vault.store import key_name
from hashmatch.custody.vault.unsealing import IdentityMalformed, IdentityMissing, WrongIdentity
from hashmatch.custody.viewing import ClipMustNotStay, NotOpenable, ScanHost
from hashmatch.db.schema import CaseRow, DecisionRow, OutboxRow, RunRow
from hashmatch.errors import AlreadyRunning, CustodyBusy

__all__ = ["keys"]
pytestmark = needs_age

PEOPLE = '[people]\ncustodians = ["alice", "bob"]\nreviewers = ["rita"]\n'


class Room:
    """An installation with one clip in custody, and custodians at its command line."""

    def __init__(self, scene: Scene, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scene, self.home, self.person = scene, home, "alice"
        monkeypatch.setattr(access, "account", lambda: self.person)
        create_keys(home / "keys/audit.key", home / "keys/id.key")
        self.settings()

    def settings(self, more: str = PEOPLE, recipients: list[str] | None = None) -> None:
        given = recipients or [key.public for key in self.scene.keys]
        (self.home / "hashmatch.toml").write_text(
            f"[vault]\nrecipients = {json.dumps(given)}\n"
            f'[database]\nurl = "sqlite:///{self.scene.db.file}"\n'
            f'[custody]\njurisdictions = ["US"]\n{more}'
        )

    def types(self, *words: str, by: str = "alice", stdin: bytes | None = None) -> Result:
        self.person = by
        command = ["--config", str(self.home / "hashmatch.toml"), "quarantine", *words]
        return CliRunner().invoke(cli, command, input=stdin)

    def does(self, *words: str, by: str = "alice", stdin: bytes | None = None) -> Result:
        result = self.types(*words, by=by, stdin=stdin)
        assert result.exception is None, (result.output, result.exception)
        return result

    def refuses(self, *words: str, by: str = "alice", stdin: bytes | None = None) -> Exception:
        result = self.types(*words, by=by, stdin=stdin)
        assert result.exception is not None, result.output
        return result.exception

    @property
    def case(self) -> str:
        return self.scene.case

    @property
    def identity(self) -> str:
        return str(self.scene.keys[0].file)

    def scans_here(self) -> None:
        with self.scene.db.write() as session:
            session.execute(update(RunRow).values(host=host_id()))

    def was_reported_long_ago(self) -> None:
        """More than the year that the US rule keeps it."""
        with self.scene.db.write() as session:
            ago = now() - timedelta(days=400)
            session.execute(
                update(CaseRow).values(state="reported", reported_at=ago, detected_at=ago)
            )


@pytest.fixture
def room(tmp_path, sqlite_db, keys, monkeypatch) -> Room:
    scene = in_folders(tmp_path, sqlite_db, keys).begin()
    assert scene.custody().advance(scene.case).problem is None
    return Room(scene, tmp_path, monkeypatch)


def test_promise_2_a_released_clip_comes_back_bit_for_bit_at_its_old_key(room):
    room.does("release", room.case, "--reason", "our own logo")
    assert room.scene.original() is None
    room.does("confirm", room.case, "--identity", room.identity, by="bob")
    assert room.scene.original() == CLIP
    assert room.scene.row.state == "released"
    assert room.scene.sealed() is not None
    with room.scene.db.read() as session:
        said = session.scalars(select(DecisionRow)).all()
        told = session.scalars(select(OutboxRow).where(OutboxRow.kind == "clip.restored")).one()
        assert verify(session).size
    assert said == []  # nothing but the case is in this database; see test_promise_2
    assert told.answered_at is not None
    assert room.scene.open_steps() == []


def due(room: Room) -> list[tuple[str, str]]:
    found = json.loads(room.does("due", "--json").stdout)
    return [(one["case"], one["next"]) for one in found]


def test_promise_2_a_released_copy_is_destroyed_before_its_case_is_forgotten(room):
    room.does("release", room.case, "--reason", "our own logo")
    room.does("confirm", room.case, "--identity", room.identity, by="bob")
    assert due(room) == [(room.case, "destroy")]
    refusal = room.refuses("forget", room.case, "--reason", "it was ours")
    assert isinstance(refusal, CopyKept)
    room.does(*shlex.split(refusal.remedy.split("`")[1])[2:])  # with the command that it tells
    room.does("confirm", room.case, by="bob")
    assert room.scene.vault_keys() == []
    assert room.scene.original() == CLIP, "what was given back stays"
    assert due(room) == [(room.case, "forget")]
    room.does("forget", room.case, "--reason", "it was ours")
    room.does("confirm", room.case, by="bob")
    assert due(room) == []
    assert room.scene.clip.key == KEY, "it is in clip storage, and no match any more"
    with room.scene.db.read() as session:
        assert verify(session).size


def test_promise_2_a_copy_left_by_an_earlier_version_can_still_be_destroyed(room):
    """It let a released case be forgotten, and then refused to destroy what was sealed of it."""
    with room.scene.db.write() as session:
        row = session.get_one(CaseRow, room.case)
        row.state, row.released_at, row.clip_key, row.sha256 = "released", now(), "", ""
    assert due(room) == [(room.case, "destroy")]
    room.does("destroy", room.case, "--reason", "nobody needs it")
    room.does("confirm", room.case, by="bob")
    assert room.scene.vault_keys() == []
    assert due(room) == []


def test_release_takes_two_people(room):
    assert isinstance(room.refuses("confirm", room.case, "--identity", room.identity), NothingAsked)
    room.does("release", room.case, "--reason", "our own logo")
    error = room.refuses("confirm", room.case, "--identity", room.identity)
    assert isinstance(error, SamePerson)
    assert isinstance(room.refuses("confirm", room.case), SamePerson)  # no key is asked for first
    assert isinstance(
        room.refuses("confirm", room.case, "--identity", room.identity, by="rita"), RoleMissing
    )
    room.settings(more="")
    assert isinstance(
        room.refuses("confirm", room.case, "--identity", room.identity, by="bob"), NobodyNamed
    )
    assert room.scene.original() is None


def test_the_wrong_key_confirms_nothing(room, tmp_path):
    stranger = make_key(tmp_path, "stranger")
    room.does("release", room.case, "--reason", "our own logo")
    for wrong, expected in (
        (("--identity", str(stranger.file)), WrongIdentity),
        ((), WhichKey),
        (("--identity", str(tmp_path / "none")), IdentityMissing),
    ):
        assert isinstance(room.refuses("confirm", room.case, *wrong, by="bob"), expected)
    assert [kind for kind, _ in room.scene.leaves()].count("request-confirmed") == 0
    assert room.scene.row.state == "removed"


def test_another_object_under_the_old_key_is_never_overwritten(room):
    room.does("release", room.case, "--reason", "our own logo")
    room.scene.clips.write(KEY, [b"something else"])
    error = room.refuses("confirm", room.case, "--identity", room.identity, by="bob")
    assert isinstance(error, KeyTaken)
    assert room.scene.original() == b"something else"
    info = room.scene.clips.head(KEY)
    room.scene.clips.delete(KEY, info.etag)
    # Confirmed already: any custodian brings it to its end.
    room.does("confirm", room.case, "--identity", room.identity, by="alice")
    assert room.scene.original() == CLIP


def test_two_custodians_at_once_one_hears_that_the_other_is_at_work(room):
    room.does("release", room.case, "--reason", "our own logo")
    with room.scene.db.custody_lock():
        error = room.refuses("confirm", room.case, "--identity", room.identity, by="bob")
    assert isinstance(error, CustodyBusy)
    assert "process" in error.message


class TestOpening:
    def test_a_look_is_on_record_and_gives_the_clip(self, room, tmp_path_factory):
        to = tmp_path_factory.mktemp("desk") / "clip.mp4"
        words = ("--reason", "for the report", "--identity", room.identity, "--to", str(to))
        room.does("open", room.case, *words)
        assert to.read_bytes() == CLIP
        assert stat.S_IMODE(to.stat().st_mode) == 0o600
        opened = dict(room.scene.leaves())["case-opened"]
        assert opened["case"] == room.case
        assert "alice" not in str(opened)
        assert "report" not in str(opened)
        assert isinstance(room.refuses("open", room.case, *words), NotWritten)

    def test_never_where_clips_are_scanned(self, room, tmp_path_factory):
        room.scans_here()
        to = tmp_path_factory.mktemp("desk") / "clip.mp4"
        words = ("open", room.case, "--reason", "r", "--to", str(to), "--identity", room.identity)
        assert isinstance(room.refuses(*words), ScanHost)
        secret = opened(room.does("key", room.case).stdout_bytes, room.scene.keys[0])
        words = ("open", room.case, "--reason", "r", "--to", str(to), "--case-key", "-")
        assert isinstance(room.refuses(*words, stdin=secret), ClipMustNotStay)
        assert not to.exists()
        assert "case-opened" not in room.scene.kinds()

    @pytest.mark.parametrize("where", ["clips/x.mp4", "vault/x.mp4", "x.mp4"])
    def test_never_into_the_installation(self, room, where):
        to = str(room.home / where)
        words = ("open", room.case, "--reason", "r", "--to", to, "--identity", room.identity)
        assert isinstance(room.refuses(*words), NotWritten)

    def test_a_damaged_object_gives_no_half_of_a_clip(self, room, tmp_path_factory):
        file = room.home / "vault" / room.scene.row.vault_key
        data = bytearray(file.read_bytes())
        data[-9] ^= 1
        file.write_bytes(data)
        to = tmp_path_factory.mktemp("desk") / "clip.mp4"
        words = ("open", room.case, "--reason", "r", "--to", str(to), "--identity", room.identity)
        assert "cannot be opened" in str(room.refuses(*words))
        assert not to.exists()

    def test_a_key_file_that_others_may_read_is_refused(self, room, tmp_path):
        loose = tmp_path / "loose.key"
        loose.write_text(Path(room.identity).read_text())
        loose.chmod(0o644)
        words = ("open", room.case, "--reason", "r", "--to", "-", "--identity", str(loose))
        assert isinstance(room.refuses(*words), KeyUnsafe)

    @pytest.mark.parametrize("text", ["", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1DAMAGED"])
    def test_what_is_no_private_key_is_refused_and_not_repeated(self, room, tmp_path, text):
        file = tmp_path / "some.key"
        file.write_text(text)
        file.chmod(0o600)
        words = ("open", room.case, "--reason", "r", "--to", "-", "--identity", str(file))
        error = room.refuses(*words)
        assert isinstance(error, IdentityMalformed)
        assert "DAMAGED" not in str(error)

    def test_what_was_never_sealed_cannot_be_opened(self, tmp_path, room):
        with room.scene.db.write() as session:
            session.execute(update(CaseRow).values(state="lost"))
        words = ("open", room.case, "--reason", "r", "--to", "-", "--identity", room.identity)
        assert isinstance(room.refuses(*words), NotOpenable)


def test_promise_6_one_server_releases_with_one_cases_key_and_no_custodians(room):
    """The sealed key goes out, `age` opens it elsewhere, and only that comes back."""
    room.scans_here()
    room.does("release", room.case, "--reason", "our own logo")
    error = room.refuses("confirm", room.case, "--identity", room.identity, by="bob")
    assert isinstance(error, ScanHost)
    sealed = room.does("key", room.case, by="bob").stdout_bytes
    secret = opened(sealed, room.scene.keys[1])
    room.does("confirm", room.case, "--case-key", "-", by="bob", stdin=secret)
    assert room.scene.original() == CLIP


class TestRewrapping:
    def test_the_new_custodian_opens_and_the_old_one_does_not(self, room, tmp_path):
        new = make_key(tmp_path, "new")
        old, break_glass = room.scene.keys
        room.settings(recipients=[new.public, break_glass.public])
        before = room.scene.sealed()
        room.does("rewrap", "--identity", str(break_glass.file))
        assert room.scene.sealed() == before
        room.scene.keys = (new, break_glass)
        assert room.scene.recovered() == [CLIP, CLIP]
        with pytest.raises(subprocess.CalledProcessError):
            room.scene.case_key(old)
        assert "1 of 1 sealed objects are whole" in room.does("verify").stderr
        assert room.scene.open_steps() == []

    def test_on_one_server_with_one_cases_key_and_no_custodians(self, room, tmp_path):
        room.scans_here()
        new, (_, break_glass) = make_key(tmp_path, "new"), room.scene.keys
        room.settings(recipients=[new.public, break_glass.public])
        error = room.refuses("rewrap", "--identity", str(break_glass.file))
        assert isinstance(error, ScanHost)
        secret = opened(room.does("key", room.case).stdout_bytes, break_glass)
        room.does("rewrap", room.case, "--case-key", "-", stdin=secret)
        room.scene.keys = (new, break_glass)
        assert room.scene.recovered() == [CLIP, CLIP]

    def test_a_case_that_is_still_being_taken_has_its_key_changed_too(self, room, tmp_path):
        room.scene.begin(key="2026/another.mp4")
        unable = Failing(room.scene.clips, StorageUnavailable(url="s3://c/", problem="out"))
        assert room.scene.custody(clips=unable).advance(room.case).state == "withdrawn"
        new, (_, break_glass) = make_key(tmp_path, "new"), room.scene.keys
        room.settings(recipients=[new.public, break_glass.public])
        assert "2 keys" in room.does("rewrap", "--identity", str(break_glass.file)).stderr
        room.scene.keys = (new, break_glass)
        room.does("resume")
        assert room.scene.row.state == "removed"
        assert room.scene.recovered() == [CLIP, CLIP]

    def test_not_while_a_run_goes_on(self, room):
        with room.scene.db.run_lock():
            error = room.refuses("rewrap", "--identity", room.identity)
        assert isinstance(error, AlreadyRunning)

    def test_never_with_a_strangers_key(self, room, tmp_path):
        stranger = make_key(tmp_path, "stranger")
        assert isinstance(room.refuses("rewrap", "--identity", str(stranger.file)), WrongIdentity)
        assert room.scene.recovered() == [CLIP, CLIP]

    @pytest.mark.parametrize("after_the_write", [False, True])
    def test_a_crash_in_the_middle_is_settled_without_a_key(
        self, room, monkeypatch, after_the_write
    ):
        from hashmatch.custody.vault.store import Vault

        put = Vault.put

        def crash(self, key, sealed):
            if after_the_write:
                put(self, key, sealed)
            raise KeyboardInterrupt

        monkeypatch.setattr(Vault, "put", crash)
        with pytest.raises(KeyboardInterrupt):
            room_rewrap(room)
        monkeypatch.undo()
        monkeypatch.setattr(access, "account", lambda: "alice")
        assert room.scene.open_steps() == ["rewrap"]
        assert "1 of 1 sealed objects are whole" in room.does("verify").stderr
        room.does("resume")
        assert room.scene.open_steps() == []
        kinds = room.scene.kinds()
        assert ("case-rewrapped" in kinds) == after_the_write
        assert ("case-not-rewrapped" in kinds) != after_the_write
        assert room.scene.recovered() == [CLIP, CLIP]


def room_rewrap(room: Room) -> None:
    from hashmatch.custody import viewing
    from hashmatch.custody.vault.rewrapping import rewrap
    from hashmatch.custody.vault.unsealing import load_identities

    vault = room.scene.custody().vault
    case = viewing.load(room.scene.db, room.case)
    key = viewing.key_of(vault, case, load_identities(Path(room.identity)))
    rewrap(room.scene.db, vault, case, key, by="alice")


class TestDestruction:
    def test_two_people_destroy_and_get_a_certificate(self, room):
        room.was_reported_long_ago()
        room.does("destroy", room.case, "--reason", "the year is over")
        assert isinstance(room.refuses("certificate", room.case), NoCertificate)
        said = room.does("confirm", room.case, by="bob")
        certificate = json.loads(said.stdout)
        assert "is destroyed. alice asked for it, bob confirmed it, because: " in said.stderr
        assert f"Erased from the vault: {len(certificate['erased'])} objects" in said.stderr
        assert room.scene.vault_keys() == []
        assert room.scene.row.state == "destroyed"
        assert (certificate["asked_by"], certificate["confirmed_by"]) == ("alice", "bob")
        assert certificate["case"] == room.case
        assert "2258A" in certificate["retention"][0]["source"]
        again = room.does("certificate", room.case).stdout
        assert again == said.stdout
        leaf = dict(room.scene.leaves())["case-destroyed"]
        assert leaf["certificate"] == hashlib.sha256(again.encode()).hexdigest()
        assert isinstance(room.refuses("confirm", room.case, by="bob"), NothingAsked)

    def test_nothing_is_destroyed_while_it_must_be_kept(self, room):
        assert "never reported" in str(room.refuses("destroy", room.case, "--reason", "r"))
        room.does("report", room.case, "--reference", "CyberTip 1")
        assert "until" in str(room.refuses("destroy", room.case, "--reason", "r"))
        (room.home / "hashmatch.toml").write_text(
            (room.home / "hashmatch.toml").read_text().replace('["US"]', "[]")
        )
        assert isinstance(room.refuses("destroy", room.case, "--reason", "r"), NoJurisdiction)
        assert room.scene.recovered() == [CLIP, CLIP]

    def test_a_vault_that_does_not_let_go_leaves_it_unfinished_and_says_so(self, room):
        room.was_reported_long_ago()
        room.does("destroy", room.case, "--reason", "the year is over")
        folder = (room.home / "vault" / room.scene.row.vault_key).parent
        subprocess.run(["chattr", "+i", str(folder)], check=False)
        if os.access(folder / "probe", os.F_OK) or not _immutable(folder):
            pytest.skip("folders cannot be made immutable here")
        try:
            error = room.refuses("confirm", room.case, by="bob")
        finally:
            subprocess.run(["chattr", "-i", str(folder)], check=False)
        assert "vault" in str(error).lower()
        assert room.scene.row.state == "reported"
        room.does("resume")
        assert room.scene.row.state == "destroyed"

    def test_killed_after_the_key_went_the_next_run_ends_it(self, room):
        room.was_reported_long_ago()
        room.does("destroy", room.case, "--reason", "the year is over")
        place = key_name(room.scene.row.vault_key)

        class Dies(KeyboardInterrupt):
            pass

        custody = room.scene.custody()
        erase = custody.vault.erase

        def erase_one(key: str) -> bool:
            if key != place:
                raise Dies
            return erase(key)

        custody.vault.erase = erase_one
        from hashmatch.custody import approvals
        from hashmatch.custody.case_record import load

        with room.scene.db.write() as session:
            approvals.confirm(session, room.case, by="bob", now=now(), terms=_terms(room))
        custody.terms = _terms(room)
        with room.scene.db.read() as session:
            case = load(session, room.case)
        with pytest.raises(Dies):
            destroy(custody.db, custody.vault, case, custody.terms, custody.software)
        assert room.scene.open_steps() == ["destroy"]
        # The key goes first: from then on nobody can open what is still there.
        assert place not in room.scene.vault_keys()
        assert room.scene.row.vault_key in room.scene.vault_keys()
        room.does("resume")
        assert room.scene.row.state == "destroyed"
        assert room.scene.vault_keys() == []
        assert isinstance(room.refuses("confirm", room.case, by="bob"), NothingAsked)


def _terms(room: Room):
    from hashmatch import config
    from hashmatch.custody.approvals import Terms

    return Terms.of(config.load(room.home / "hashmatch.toml"))


def _immutable(folder: Path) -> bool:
    try:
        (folder / "probe").touch()
    except OSError:
        return True
    (folder / "probe").unlink()
    return False


class Failing(Through):
    """Clip storage that deletes nothing."""

    def __init__(self, store: Store, error: StorageUnavailable) -> None:
        super().__init__(store)
        self.error = error

    def delete(self, key, etag):
        raise self.error


class FlakyClips:
    """Clip storage that takes the clip and keeps something else, once."""

    def __init__(self, store: Store) -> None:
        self.store, self.lies = store, 1

    def __getattr__(self, name: str):
        return getattr(self.store, name)

    def write(self, key: str, chunks: Iterator[bytes], *, over: str | None = None):
        if self.lies:
            self.lies = 0
            data = b"".join(chunks)
            return self.store.write(key, [data[:-1] + bytes([data[-1] ^ 1])], over=over)
        return self.store.write(key, chunks, over=over)


def test_clip_storage_that_keeps_other_bytes_is_not_believed(room):
    from hashmatch.config import Review
    from hashmatch.custody import approvals, viewing
    from hashmatch.custody.release import NotPutBack, release
    from hashmatch.custody.vault.unsealing import load_identities

    room.does("release", room.case, "--reason", "our own logo")
    custody = room.scene.custody(clips=FlakyClips(room.scene.clips))
    with room.scene.db.write() as session:
        approvals.confirm(session, room.case, by="bob", now=now(), terms=custody.terms)
    case = viewing.load(room.scene.db, room.case)
    key = viewing.key_of(custody.vault, case, load_identities(Path(room.identity)))
    with pytest.raises(NotPutBack):
        release(custody, case, key, Review(), by="bob")
    assert room.scene.original() is None
    assert room.scene.row.state == "removed"
    release(custody, case, key, Review(), by="bob")
    assert room.scene.original() == CLIP
    assert room.scene.row.state == "released"


def test_a_second_confirmation_of_the_same_is_told_so(room):
    from hashmatch.custody import approvals

    room.does("release", room.case, "--reason", "our own logo")
    with room.scene.db.write() as session:
        approvals.confirm(session, room.case, by="bob", now=now(), terms=_terms(room))
    with room.scene.db.write() as session, pytest.raises(AlreadyConfirmed):
        approvals.confirm(session, room.case, by="bob", now=now(), terms=_terms(room))


def test_a_locked_vault_keeps_the_old_key_and_the_change_says_so(
    s3_server, tmp_path, sqlite_db, keys
):
    """Object lock: nobody can remove the earlier sealed key yet, and the new one is in force."""
    from hashmatch.clips.open_store import open_store
    from hashmatch.config import Vault as VaultSettings
    from hashmatch.custody import viewing
    from hashmatch.custody.vault.rewrapping import rewrap
    from hashmatch.custody.vault.unsealing import load_identities

    bucket = s3_server.bucket(lock=True)
    (tmp_path / "clips").mkdir()
    given = bucket.storage().model_dump()
    vault = open_store(VaultSettings(**{**given, "lock_days": 3}), tmp_path)
    scene = Scene(sqlite_db, FolderStore(tmp_path / "clips"), vault, keys).begin()
    custody = scene.custody()
    assert custody.advance(scene.case).problem is None
    case = viewing.load(sqlite_db, scene.case)
    key = viewing.key_of(custody.vault, case, load_identities(keys[0].file))
    problem = rewrap(sqlite_db, custody.vault, case, key, by="alice")
    assert "stay in the vault" in problem
    assert scene.open_steps() == []
    assert scene.kinds()[-1] == "case-rewrapped"
    assert scene.recovered() == [CLIP, CLIP]
