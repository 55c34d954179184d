"""Bundles: what is written for an outsider holds on another machine, and says nothing of others."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from datetime import date
from pathlib import Path

import pytest
from audit_parts import AT, KEY, OTHER_KEY, VERIFIER, Night, verify_elsewhere
from sqlalchemy import select, text, update

from hashmatch.audit import claims
from hashmatch.audit.bundle import Exported, export
from hashmatch.audit.claims import Claim
from hashmatch.audit.commitments import commit, forget
from hashmatch.audit.log import append
from hashmatch.audit.selection import NothingToProve
from hashmatch.audit.verification import verify
from hashmatch.db.schema import AnchorRow, ClipRow, LeafRow, OpeningRow, ShardRow, WorkRow
from hashmatch.db.session import Database
from hashmatch.errors import AuditBroken
from hashmatch.newfile import OutputRefused, new_file

CLIPS = {f"2026/11/clip {n}.mp4": "clean" for n in range(9)}
KEY_OF_CASE = "2026/11/somebody's clip.mp4"
DAY = date(2026, 11, 22)
LATER = AT.replace(day=28)


@pytest.fixture
def night(db: Database) -> Night:
    """Two runs, each signed; a case of the first, with a hold after the second."""
    night = Night(db)
    night.import_list().scan("run-1", {**CLIPS, KEY_OF_CASE: "matched"}, shard_size=3)
    night.sign()
    case = night.case(KEY_OF_CASE)
    night.scan("run-2", {"2026/11/clip 4.mp4": "clean"})
    night.hold(case, "älice", "a court in Köln asked")
    night.sign()
    return night


def case_of(night: Night) -> str:
    with night.db.read() as session:
        return session.scalar(text('SELECT id FROM "case"'))


def made(night: Night, out: Path, claim: str, *given: object, **more: object) -> Exported:
    def choose(session) -> Claim:
        return getattr(claims, claim)(session, *given, **more)

    return export(night.db, KEY.public_key(), choose, out, {"what": claim}, by="bob", at=LATER)


def test_all_of_a_case_is_proved_on_another_machine(night: Night, tmp_path: Path) -> None:
    out = tmp_path / "case.zip"
    done = made(night, out, "of_case", case_of(night), openings=True)
    assert done.claim.newer == []
    assert out.stat().st_mode & 0o777 == 0o600
    said = verify_elsewhere(out, "--key", VERIFIER).stdout
    for kind in ("case-detected", "case-sealed", "case-verified", "case-removed", "case-held"):
        assert kind in said
    assert "is the person älice" in said
    assert "is the reason a court in Köln asked" in said
    assert f"is the clip {KEY_OF_CASE}" in said
    assert "VERIFIED under the key that you named" in said
    assert "clip 4" not in said


def test_what_may_be_a_listed_hash_is_not_opened(night: Night, tmp_path: Path) -> None:
    """The content of a matched clip, and its ETag, which may be its MD5."""
    case, sha256 = case_of(night), hashlib.sha256(b"clip").hexdigest()
    with night.db.write() as session:
        clip = session.scalars(select(ClipRow).where(ClipRow.key == KEY_OF_CASE)).one()
        md5 = clip.etag.strip('"')
        content = commit(session, "content", sha256, subject=case)
        append(session, "case-verified", {"case": case, "content": content}, night.tick())
    night.sign()
    made(night, tmp_path / "case.zip", "of_case", case, openings=True)
    made(night, tmp_path / "coverage.zip", "of_coverage", KEY_OF_CASE, DAY)
    for name in ("case.zip", "coverage.zip"):
        said = verify_elsewhere(tmp_path / name, "--key", VERIFIER).stdout
        assert f"is the clip {KEY_OF_CASE}" in said
        written = (tmp_path / name).read_bytes()
        assert sha256.encode() not in written
        assert md5.encode() not in written


def test_a_proof_of_a_case_opens_nothing(night: Night, tmp_path: Path) -> None:
    out = tmp_path / "proof.zip"
    made(night, out, "of_case", case_of(night), openings=False)
    assert "openings.json" not in zipfile.ZipFile(out).namelist()
    said = verify_elsewhere(out, "--key", VERIFIER).stdout
    assert "5 leaves are in that tree" in said
    assert "älice" not in said


def test_what_was_destroyed_is_not_opened_and_the_rest_still_holds(
    night: Night, tmp_path: Path
) -> None:
    case = case_of(night)
    with night.db.write() as session:
        assert forget(session, subject=case) == 1
    made(night, tmp_path / "case.zip", "of_case", case, openings=True)
    said = verify_elsewhere(tmp_path / "case.zip", "--key", VERIFIER).stdout
    assert "is the person älice" in said
    assert "is the reason" not in said


def test_a_period_is_proved_without_gaps_and_without_openings(night: Night, tmp_path: Path) -> None:
    out = tmp_path / "period.zip"
    done = made(night, out, "of_period", DAY, DAY)
    with night.db.read() as session:
        leaves = len(
            session.scalars(select(LeafRow.seq).where(LeafRow.kind != "audit-exported")).all()
        )
    assert len(done.claim.leaves) == leaves
    said = verify_elsewhere(out, "--key", VERIFIER).stdout
    assert f"0 to {leaves - 1} exactly these {leaves} leaves" in said
    assert "Each adds to the one before" in said
    assert b"lice" not in out.read_bytes()


@pytest.mark.parametrize("first", [1, 2, 7, 8])
def test_a_period_that_begins_anywhere_is_proved(
    sqlite_db: Database, tmp_path: Path, first: int
) -> None:
    night = Night(sqlite_db, now=AT.replace(day=21))
    for number in range(first):
        night.log("scan", {"n": number})
    night.sign()
    night.now = AT
    for number in range(5):
        night.log("scan", {"n": number})
    night.sign()
    night.now = AT.replace(day=23)
    for number in range(3):
        night.log("scan", {"n": number})
    night.sign()
    done = made(night, tmp_path / "a.zip", "of_period", DAY, DAY)
    # From the checkpoint before to the first that covers it: later ones change nothing.
    assert list(done.claim.leaves) == list(range(first, first + 5))
    assert done.claim.checkpoints == [first, first + 5]
    verify_elsewhere(tmp_path / "a.zip", "--key", VERIFIER)


def test_the_same_log_gives_the_same_bytes(night: Night, tmp_path: Path) -> None:
    first = made(night, tmp_path / "1.zip", "of_period", DAY, DAY)
    night.now = AT.replace(day=25)
    night.log("scan", {})
    night.sign()
    second = made(night, tmp_path / "2.zip", "of_period", DAY, DAY)
    assert first.sha256 == second.sha256
    assert (tmp_path / "1.zip").read_bytes() == (tmp_path / "2.zip").read_bytes()


def test_every_export_leaves_a_leaf_that_names_its_bytes(night: Night, tmp_path: Path) -> None:
    case = case_of(night)
    done = made(night, tmp_path / "a.zip", "of_case", case, openings=True)
    with night.db.read() as session:
        row = session.scalars(select(LeafRow).order_by(LeafRow.seq.desc())).first()
        body = json.loads(row.body)["body"]
        opened = session.get_one(OpeningRow, body["by"])
        assert verify(session).size == row.seq + 1
    assert (row.kind, opened.value, body["case"]) == ("audit-exported", "bob", case)
    assert body["sha256"] == done.sha256


def test_leaves_that_no_checkpoint_covers_yet_are_left_out_and_named(
    night: Night, tmp_path: Path
) -> None:
    case = case_of(night)
    newer = night.log("case-shown", {"case": case})
    done = made(night, tmp_path / "a.zip", "of_case", case, openings=False)
    assert list(done.claim.newer) == [newer]
    verify_elsewhere(tmp_path / "a.zip", "--key", VERIFIER)
    night.log("case-shown", {"case": "case-new"})
    with pytest.raises(NothingToProve, match="the next run's does"):
        made(night, tmp_path / "b.zip", "of_case", "case-new", openings=False)
    assert not (tmp_path / "b.zip").exists()


# Coverage


def test_a_scanned_clip_is_proved_with_its_lists_and_outcome(night: Night, tmp_path: Path) -> None:
    out = tmp_path / "coverage.zip"
    done = made(night, out, "of_coverage", "2026/11/clip 4.mp4", DAY)
    said = verify_elsewhere(out, "--key", VERIFIER).stdout
    assert said.count("Outcome: clean.") == 2
    assert said.count("Lists: partner 3.") == 2
    assert "is the clip 2026/11/clip 4.mp4" in said
    assert "has this outcome among its clips" in said
    assert "its canary was seen" in said
    # Of other clips there are hashes only.
    with night.db.read() as session:
        others = session.scalars(select(ClipRow).where(ClipRow.key != "2026/11/clip 4.mp4")).all()
        content = out.read_bytes()
        for clip in others:
            assert clip.key.encode() not in content
            assert clip.salt.hex().encode() not in content
    assert len(done.claim.looks) == 2


def test_a_clip_that_was_compared_from_storage_is_proved_by_its_shard(
    sqlite_db: Database, tmp_path: Path
) -> None:
    from hashmatch.audit import coverage
    from hashmatch.audit.commitments import commit_clip, commit_version

    night = Night(sqlite_db).scan("run-1", {"a": "clean", "b": "clean"})
    night.now = AT.replace(day=24)
    night.begin_run("run-2")
    with night.db.write() as session:
        clips = session.scalars(select(ClipRow)).all()
        lines = [
            coverage.line(
                commit_clip(session, clip),
                commit_version(session, clip, clip.etag),
                outcome="clean",
                reason=None,
                recipes=[],
            )
            for clip in clips
        ]
        root = coverage.root(lines).hex()
        session.add(
            ShardRow(
                run_id="run-2",
                number=0,
                first_clip=clips[0].id,
                last_clip=clips[1].id,
                clips=2,
                kept={"clean": 2},
                reasons={},
                digest=root,
                done_at=AT,
            )
        )
    night.log("clips-compared", {"run": "run-2", "shard": 0, "clips": 2, "root": root})
    night.sign()
    made(night, tmp_path / "a.zip", "of_coverage", "b", date(2026, 11, 24))
    said = verify_elsewhere(tmp_path / "a.zip", "--key", VERIFIER).stdout
    assert "Run run-2" in said
    assert "Outcome: clean." in said
    # Once the ledger has gone on, nothing can be proved of it, and nothing is claimed.
    with night.db.write() as session:
        session.execute(update(ClipRow).where(ClipRow.key == "a").values(outcome="partial"))
    with pytest.raises(NothingToProve, match="it was on 2026-11-22"):
        made(night, tmp_path / "b.zip", "of_coverage", "b", date(2026, 11, 24))


def test_a_run_that_was_distrusted_is_not_praised(sqlite_db: Database, tmp_path: Path) -> None:
    night = Night(sqlite_db).scan("run-1", {"a": "clean"}, end=False)
    night.log("run-distrusted", {"run": "run-1", "clips": 1})
    night.log("run-failed", {"run": "run-1", "exit_code": 11})
    night.sign()
    made(night, tmp_path / "a.zip", "of_coverage", "a", DAY)
    said = verify_elsewhere(tmp_path / "a.zip", "--key", VERIFIER).stdout
    assert "NOTE: run-distrusted" in said
    assert "did not end well" in said


@pytest.mark.parametrize(
    ("key", "day", "problem"),
    [
        ("never.mp4", DAY, "knows no clip"),
        ("2026/11/clip 1.mp4", date(2026, 11, 20), "it was on 2026-11-22"),
    ],
)
def test_what_was_not_scanned_is_said_and_nothing_written(
    night: Night, tmp_path: Path, key: str, day: date, problem: str
) -> None:
    with pytest.raises(NothingToProve, match=problem):
        made(night, tmp_path / "a.zip", "of_coverage", key, day)
    assert list(tmp_path.glob("*.zip*")) == []
    assert list(tmp_path.glob(".a.zip*")) == []


def test_a_shard_whose_lines_are_not_those_of_its_root_gives_no_proof_of_place(
    night: Night, tmp_path: Path
) -> None:
    with night.db.write() as session:
        session.execute(update(WorkRow).where(WorkRow.shard == 0).values(leaf=None))
    done = made(night, tmp_path / "a.zip", "of_coverage", "2026/11/clip 4.mp4", DAY)
    assert done.claim.looks[0].place is not None
    with pytest.raises(NothingToProve):
        made(night, tmp_path / "b.zip", "of_coverage", "2026/11/clip 1.mp4", DAY)


# A log that is not what was written gives no bundle


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE leaf SET body = body || 'x' WHERE kind = 'case-held'", "leaf was changed"),
        ("DELETE FROM leaf WHERE seq = 1", "leaf was removed|checkpoint's root"),
        ("UPDATE leaf SET hash = (SELECT hash FROM leaf WHERE seq = 1) WHERE seq = 2", "root"),
    ],
)
def test_a_broken_log_is_not_exported(
    night: Night, tmp_path: Path, statement: str, problem: str
) -> None:
    case = case_of(night)
    with night.db.write() as session:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL session_replication_role = replica"))
            statement = statement.replace("|| 'x'", "|| 'x'::bytea")
        else:
            for trigger in list(
                session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            ):
                session.execute(text(f"DROP TRIGGER {trigger}"))
            statement = statement.replace("body || 'x'", "CAST(body || 'x' AS BLOB)")
        session.execute(text(statement))
    with pytest.raises((AuditBroken, ValueError), match=problem):
        made(night, tmp_path / "a.zip", "of_case", case, openings=False)
    assert not (tmp_path / "a.zip").exists()


def test_checkpoints_of_another_key_are_not_exported(night: Night, tmp_path: Path) -> None:
    with (
        pytest.raises(AuditBroken, match="not signed by this key"),
        new_file(tmp_path / "x") as file,
    ):
        from hashmatch.audit.bundle import write

        with night.db.read() as session:
            write(session, claims.of_period(session, DAY, DAY), OTHER_KEY.public_key(), file)


def test_receipts_of_anchors_go_along(night: Night, tmp_path: Path) -> None:
    with night.db.write() as session:
        size = session.scalar(text("SELECT max(size) FROM checkpoint"))
        session.add(
            AnchorRow(
                size=size, kind="timestamp", tried_at=AT, attempts=1, receipt=b"\x30\x03token"
            )
        )
        session.add(AnchorRow(size=size, kind="folder", tried_at=AT, attempts=1))
    made(night, tmp_path / "a.zip", "of_period", DAY, DAY)
    assert zipfile.ZipFile(tmp_path / "a.zip").read(f"anchors/{size}.timestamp") == b"\x30\x03token"
    said = verify_elsewhere(tmp_path / "a.zip", "--key", VERIFIER).stdout
    assert f"openssl ts -verify -token_in -in anchors/{size}.timestamp" in said


def test_a_log_that_goes_on_under_another_name_is_one_log(night: Night, tmp_path: Path) -> None:
    night.log("log-continued", {"origin": "hashmatch.example/log/2", "former": []})
    night.sign("hashmatch.example/log/2")
    out = tmp_path / "a.zip"
    made(night, out, "of_case", case_of(night), openings=True)
    said = verify_elsewhere(out, "--key", VERIFIER).stdout
    assert "The log hashmatch.example/log/2 signed" in said
    assert "Some of them call the log hashmatch.example/log;" in said


# The file


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("mine")
    with pytest.raises(OutputRefused, match="it exists"), new_file(tmp_path / "a.zip"):
        pass
    (tmp_path / "b.zip").symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputRefused, match="it exists"), new_file(tmp_path / "b.zip"):
        pass
    with pytest.raises(OutputRefused, match="File exists"), new_file(tmp_path / "c.zip"):
        (tmp_path / "c.zip").write_text("came meanwhile")
    assert (tmp_path / "a.zip").read_text() == "mine"
    assert (tmp_path / "c.zip").read_text() == "came meanwhile"
    assert not (tmp_path / "nowhere").exists()


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(OutputRefused, match="No such file"), new_file(tmp_path / "no" / "a.zip"):
        pass


def test_a_full_disk_leaves_no_half_file_and_no_leaf(
    night: Night, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashmatch.audit.bundle.sync", full_disk)
    with pytest.raises(OutputRefused, match="No space left"):
        made(night, tmp_path / "a.zip", "of_period", DAY, DAY)
    assert not [file for file in tmp_path.iterdir() if "zip" in file.name]
    with night.db.read() as session:
        assert session.scalar(select(LeafRow).where(LeafRow.kind == "audit-exported")) is None


def full_disk(_file: object) -> None:
    raise OSError(28, os.strerror(28))
