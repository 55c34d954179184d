"""The vault's marker: nothing is sealed, removed or destroyed where another vault is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from custody_parts import CLIP, Scene, keys, needs_age, now
from storing import put

from hashmatch.audit.commitments import opened
from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import Store
from hashmatch.config import Storage
from hashmatch.custody import approvals, case_record
from hashmatch.custody.approvals import Terms
from hashmatch.custody.destruction import destroy
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.retention.rules import Keeps, Length, Rule, Starts
from hashmatch.custody.vault.marker import MARKER, VaultAway, place, refuse_another
from hashmatch.custody.vault.store import VaultFailed
from hashmatch.db.schema import CaseRow

OVER = Rule(
    "XX", "xx-content", Keeps.CONTENT, Starts.REPORT, Length(1, "year"), "a law", "not reviewed"
)

__all__ = ["keys"]
pytestmark = needs_age


@pytest.fixture(params=["folder", "s3"])
def stores(request, tmp_path) -> list[Store]:
    """Clip storage, the vault, and the empty place that is found where the vault was."""
    names = ("clips", "vault", "empty")
    if request.param == "s3":
        bucket = request.getfixturevalue("s3")
        return [open_store(bucket.storage(f"{name}/"), Path()) for name in names]
    for name in names:
        (tmp_path / name).mkdir()
    return [open_store(Storage(url=str(tmp_path / name)), Path()) for name in names]


@pytest.fixture
def scene(sqlite_db, keys, stores) -> Scene:
    """A case in a marked vault, and another one that is about to be taken."""
    scene = Scene(sqlite_db, *stores[:2], keys)
    assert place(scene.db, scene.vault, now(), by="ann")
    scene.begin(key="first.mp4")
    assert scene.custody().advance(scene.case).state == "removed"
    return scene.begin(key="second.mp4")


def test_promise_2_nothing_goes_into_an_empty_place_where_the_vault_was(scene, stores):
    empty = stores[2]
    progress = scene.custody(vault=empty).advance(scene.case)
    assert progress.state == "detected"
    assert f"its marker, {MARKER}, is not there" in str(progress.problem)
    assert "mounted" in str(progress.problem)
    assert scene.original("second.mp4") == CLIP
    assert list(empty.list()) == []
    assert scene.custody().advance(scene.case).state == "removed"


def test_promise_2_a_vault_that_goes_away_midway_keeps_the_original(scene, stores):
    """Its disk goes away after the clip was sealed and verified there."""
    scene.custody().advance(scene.case)
    with scene.db.write() as session:
        row = session.get_one(CaseRow, scene.case)
        row.state, row.removed_at = "withdrawn", None
    put(scene.clips, "second.mp4", [CLIP])
    progress = scene.custody(vault=stores[2]).advance(scene.case)
    assert (progress.state, scene.original("second.mp4")) == ("withdrawn", CLIP)
    assert scene.kinds()[-1] == "case-removed", "and it is not taken for damaged"


def test_promise_2_a_snapshot_with_the_marker_is_not_the_vault(scene, stores):
    """It has not what was taken since."""
    put(stores[2], MARKER, [b"".join(scene.vault.read(MARKER))])
    progress = scene.custody(vault=stores[2]).advance(scene.case)
    assert "the last that was taken, is not there" in str(progress.problem)
    assert scene.original("second.mp4") == CLIP


def test_another_vaults_marker_is_another_vault(scene, stores):
    put(stores[2], MARKER, [b"vault-" + b"0" * 32])
    with pytest.raises(VaultAway, match="another vault"):
        refuse_another(scene.db, stores[2])
    with pytest.raises(VaultAway):
        place(scene.db, stores[2], now(), by="ann")


def test_promise_2_no_certificate_for_what_another_place_does_not_hold(scene, stores):
    first = "first.mp4"
    with scene.db.write() as session:
        row = session.query(CaseRow).filter_by(clip_key=first).one()
        case, row.state = row.id, "released"  # what has no report is kept by no rule
        row.released_at = now()
        terms = Terms(scene.custody().terms.people, scene.custody().terms.within, (OVER,))
        ask = {"now": now(), "terms": terms}
        approvals.ask(session, Kind.DESTROY, case, reason="over", by="alice", **ask)
        approvals.confirm(session, case, by="bob", **ask)
        loaded = case_record.load(session, case)
    with pytest.raises(VaultAway):
        destroy(scene.db, scene.custody(vault=stores[2]).vault, loaded, terms, "hashmatch 0")
    assert "case-destroyed" not in scene.kinds()
    destroy(scene.db, scene.custody().vault, loaded, terms, "hashmatch 0")
    assert scene.kinds()[-1] == "case-destroyed"


def test_promise_3_the_log_names_the_vault_and_who_marked_it(scene):
    [body] = [body for kind, body in scene.leaves() if kind == "vault-marked"]
    assert body["vault"].encode() in b"".join(scene.vault.read(MARKER))
    with scene.db.read() as session:
        assert opened(session, body["by"]) == "ann"
    assert not place(scene.db, scene.vault, now(), by="ann")
    assert not place(scene.db, scene.vault, now())


def test_an_installation_from_before_is_marked_where_it_finds_what_it_took(sqlite_db, keys, stores):
    scene = Scene(sqlite_db, *stores[:2], keys).begin()
    scene.custody().advance(scene.case)
    with pytest.raises(VaultAway, match=scene.case):
        place(scene.db, stores[2], now())
    assert list(stores[2].list()) == []
    assert place(scene.db, scene.vault, now())
    assert refuse_another(scene.db, scene.vault) is not None
    assert scene.kinds()[-1] == "vault-marked"


def test_a_marker_that_is_gone_is_written_again_by_a_person_where_the_copies_are(scene):
    scene.vault.delete(MARKER, scene.vault.head(MARKER).etag)
    with pytest.raises(VaultAway):
        place(scene.db, scene.vault, now())
    assert place(scene.db, scene.vault, now(), by="ann")
    refuse_another(scene.db, scene.vault)
    assert scene.kinds().count("vault-marked") == 1, "it has its name again"


def test_promise_2_a_crash_between_marker_and_log_is_made_good(sqlite_db, keys, stores):
    scene = Scene(sqlite_db, *stores[:2], keys)
    put(scene.vault, MARKER, [b"vault-" + b"1" * 32])
    assert place(scene.db, scene.vault, now())
    assert scene.leaves() == [("vault-marked", {"vault": "vault-" + "1" * 32})]


def test_what_is_lost_for_good_is_accepted_on_the_log_and_taking_goes_on(scene, stores):
    empty = stores[2]
    assert place(scene.db, empty, now(), by="ann", accept_lost=True)
    assert scene.leaves()[-1][1]["lost"] is True
    assert scene.custody(vault=empty).advance(scene.case).state == "removed"
    third = scene.begin(key="third.mp4")
    for found in list(empty.list()):
        if found.key != MARKER:
            empty.delete(found.key, found.etag)
    progress = third.custody(vault=empty).advance(third.case)
    assert "the last that was taken, is not there" in str(progress.problem)


def test_a_vault_that_cannot_be_reached_is_said_to_be_the_vault(scene, tmp_path):
    nowhere = open_store(Storage(url=str(tmp_path / "nowhere")), Path())
    with pytest.raises(VaultFailed, match=r"The vault: .*nowhere"):
        refuse_another(scene.db, nowhere)
