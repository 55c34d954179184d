"""The database against its log: every row that was changed behind the log's back is found."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from audit_parts import AT, KEY, NAMES, ORIGIN, OTHER_KEY, Night
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from hashmatch.audit.checkpoint import Checkpoint, sign
from hashmatch.audit.commitments import commit, commit_clip, commit_version, forget
from hashmatch.audit.log import append, leaf_bytes
from hashmatch.audit.merkle import leaf_hash, root_of
from hashmatch.audit.verification import verify
from hashmatch.db.schema import (
    CaseRow,
    CaseStepRow,
    ClipRow,
    HoldRow,
    LeafRow,
    RequestRow,
    ReviewRow,
    ShardRow,
    WorkRow,
)
from hashmatch.db.session import Database
from hashmatch.errors import AuditBroken
from hashmatch.reconcile.books import DatabaseDiffers
from hashmatch.reconcile.database import Reconciliation

CLIPS = {f"clip {n}.mp4": "clean" for n in range(9)}


def checked(db: Database, *kept: str) -> int:
    with db.read() as session:
        books = Reconciliation(session)
        size = verify(session, KEY.public_key(), kept=kept, each=books.take).size
        books.close(session)
    return size


@pytest.fixture
def night(db: Database) -> Night:
    """A list, two runs, two cases with what people did to them, a review: all agrees."""
    night = Night(db).import_list()
    night.scan("run-1", {**CLIPS, "one.mp4": "matched", "two.mp4": "matched"}, shard_size=3)
    night.case("one.mp4")
    night.case("two.mp4", steps=2)
    night.scan("run-2", {"clip 1.mp4": "partial"})
    people(night)
    night.sign()
    assert checked(db) > 0
    return night


def people(night: Night) -> None:
    one = case_id(night, "one.mp4")
    with night.db.write() as session:
        asker = commit(session, "person", "alice", subject="person")
        other = commit(session, "person", "bob", subject="person")
        hold = HoldRow(case_id=one, reason="a court", placed_at=AT, placed_by="alice")
        request = RequestRow(
            case_id=one,
            kind="release",
            reason="wrong",
            asked_by="alice",
            asked_at=AT,
            expires_at=AT,
            confirmed_by="bob",
            confirmed_at=AT,
        )
        clip = session.scalars(select(ClipRow).where(ClipRow.key == "clip 3.mp4")).one()
        review = ReviewRow(
            id="review-1",
            clip_id=clip.id,
            etag=clip.etag,
            run_id="run-1",
            opened_at=AT,
            state="open",
        )
        session.add_all([hold, request, review])
        session.flush()
        session.get_one(CaseRow, one).state = "held"
        at = night.tick()
        append(session, "case-held", {"case": one, "hold": hold.id, "state": "held"}, at)
        about = {"request": request.id, "case": one, "kind": "release"}
        append(session, "request-asked", {**about, "by": asker}, at)
        append(session, "request-confirmed", {**about, "by": other}, at)
        append(session, "review-opened", {"review": "review-1"}, at)
        leaf = append(session, "case-intends", {"case": one, "step": "release"}, at)
        step = CaseStepRow(case_id=one, step="release", intended_at=AT, leaf=leaf, result={})
        session.add(step)


def case_id(night: Night, key: str) -> str:
    with night.db.read() as session:
        return NAMES.case(
            key, session.scalars(select(ClipRow.etag).where(ClipRow.key == key)).one()
        )


ONE = "WHERE clip_key = 'one.mp4'"


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        (f'UPDATE "case" SET state = \'released\' {ONE}', "is released by its row, and held"),
        (f'UPDATE "case" SET state = \'detected\' {ONE}', "is detected by its row, and held"),
        (f'UPDATE "case" SET sealed_size = 208 {ONE}', r"\(sealed\) is another"),
        (f'UPDATE "case" SET sealed_sha256 = \'{"0" * 64}\' {ONE}', r"\(sealed\) is another"),
        (f'UPDATE "case" SET sealed_size = NULL, sealed_sha256 = NULL {ONE}', "is another"),
        (f'UPDATE "case" SET key_sha256 = \'{"0" * 64}\', key_size = 1 {ONE}', r"anything .*\(key\)"),
        (f'UPDATE "case" SET size = 8 {ONE}', "the size of case-.* is another"),
        (f'UPDATE "case" SET run_id = \'run-2\' {ONE}', "the run of case-.* is another"),
        ("DELETE FROM \"case\" WHERE clip_key = 'two.mp4'", "case-.* is gone from it"),
        ("UPDATE \"case\" SET id = 'case-x' WHERE clip_key = 'two.mp4'", "case-.* is gone"),
        ("UPDATE hold SET lifted_at = placed_at", r"hold \d+ of case-.* stands by its last leaf only"),
        ("DELETE FROM hold", r"hold \d+ is gone"),
        ("UPDATE request SET confirmed_by = NULL", r"whether request \d+ was confirmed"),
        ("UPDATE request SET confirmed_by = 'mallory'", r"person of request \d+ is another"),
        ("UPDATE request SET kind = 'destroy'", r"the kind of request \d+ is another"),
        ("DELETE FROM request", r"request \d+ is gone"),
        ("UPDATE case_step SET step = 'destroy'", "no leaf intends the step destroy"),
        ("UPDATE case_step SET end_leaf = 0", "no leaf ends the step"),
        ("DELETE FROM case_step", "the step release of case-.* is gone"),
        ("UPDATE review SET state = 'rejected'", "review-1 is rejected by its row, and open"),
        ("DELETE FROM review", "review-1 is gone"),
        ("UPDATE opening SET value = 'mallory' WHERE value = 'bob'", "opens to was changed"),
        ("UPDATE run SET status = 'failed' WHERE id = 'run-1'", "run-1 is failed by its row"),
        ("UPDATE run SET status = 'running' WHERE id = 'run-1'", "run-1 is running by its row"),
        ("UPDATE run SET listed = 12 WHERE id = 'run-1'", "the listed of run run-1 is another"),
        ("UPDATE run SET canary = 'failed' WHERE id = 'run-1'", "the canary of run run-1"),
        ("UPDATE run SET list_set = 'other' WHERE id = 'run-1'", "the list_set of run run-1"),
        ("UPDATE run SET lists = '{\"partner\"\\:2}' WHERE id = 'run-1'", "the lists of run run-1"),
        ("UPDATE work SET outcome = 'clean' WHERE outcome = 'partial'", "ended otherwise in run run-2"),
        ("UPDATE work SET reason = 'damaged' WHERE outcome = 'partial'", "ended otherwise"),
        ("UPDATE work SET etag = 'other' WHERE outcome = 'partial'", "another version of it"),
        ("UPDATE work SET clip_id = clip_id + 1 WHERE outcome = 'partial'", "another clip"),
        ("UPDATE work SET leaf = NULL WHERE outcome = 'partial'", "turn in run run-2 is gone"),
        ("UPDATE work SET leaf = 0 WHERE outcome = 'partial'", "a leaf that speaks of no clip"),
        ("DELETE FROM work WHERE outcome = 'partial'", "turn in run run-2 is gone"),
        ("UPDATE work SET shard = 1 WHERE shard = 0 AND run_id = 'run-1'", "do not give its root"),
        ("UPDATE clip SET key = 'mine.mp4' WHERE key = 'clip 1.mp4'", "another clip"),
        ("UPDATE list SET active_version = NULL", "another version of list partner acts"),
        ("UPDATE list_version SET sha256 = 'x'", "the sha256 of version 3 of list partner"),
        ("UPDATE list_version SET version = 4", "version 3 of list partner is gone"),
        ("UPDATE list_version SET entries = 1", "the entries of version 3"),
    ],
)  # fmt: skip
def test_a_row_changed_behind_the_logs_back_is_found(
    night: Night, statement: str, problem: str
) -> None:
    with night.db.write() as session:
        unleash(session)
        session.execute(text(statement))
    with pytest.raises(DatabaseDiffers, match=problem) as caught:
        checked(night.db)
    assert caught.value.exit_code == 20
    said = caught.value.message
    for secret in ("one.mp4", "clip 1", "mine.mp4", "mallory", "bob", "0" * 64):
        assert secret not in said


def unleash(session: Session) -> None:
    """No trigger and no foreign key, as for who owns the database."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL session_replication_role = replica"))
        return
    session.connection().connection.driver_connection.commit()
    session.execute(text("PRAGMA foreign_keys = OFF"))


def clip_of(session: Session, key: str = "clip 2.mp4") -> ClipRow:
    return session.scalars(select(ClipRow).where(ClipRow.key == key)).one()


def a_case(session: Session) -> object:
    clip = clip_of(session)
    return CaseRow(
        id="case-new",
        clip_id=clip.id,
        run_id="run-1",
        clip_key="x",
        etag="x",
        size=1,
        sha256="x",
        state="detected",
        detected_at=AT,
        vault_key="x",
    )


def a_hold(session: Session) -> object:
    case = session.scalars(select(CaseRow.id)).first()
    return HoldRow(case_id=case, reason="x", placed_at=AT, placed_by="x")


def a_request(session: Session) -> object:
    case = session.scalars(select(CaseRow.id)).first()
    return RequestRow(
        case_id=case, kind="destroy", reason="x", asked_by="x", asked_at=AT, expires_at=AT
    )


def a_shard(session: Session) -> object:
    return ShardRow(
        run_id="run-1",
        number=77,
        first_clip=1,
        last_clip=2,
        clips=0,
        kept={},
        reasons={},
        digest="x",
        done_at=AT,
    )


def a_turn(session: Session) -> object:
    return WorkRow(
        run_id="run-2",
        clip_id=clip_of(session).id,
        shard=0,
        state="done",
        deaths=0,
        outcome="clean",
    )


def a_review(session: Session) -> object:
    clip = clip_of(session)
    return ReviewRow(id="review-2", clip_id=clip.id, etag="x", run_id="run-1", opened_at=AT)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (a_case, "tells of case-new"),
        (a_hold, r"tells of hold \d+"),
        (a_request, r"tells of request \d+"),
        (a_shard, "tells of shard 77 of run run-1"),
        (a_turn, "the outcomes of run run-2 are others than were counted"),
        (a_review, "tells of review-2"),
    ],
)
def test_a_row_that_no_leaf_tells_of_is_found(
    night: Night, make: Callable[[Session], object], problem: str
) -> None:
    with night.db.write() as session:
        session.add(make(session))
    with pytest.raises(DatabaseDiffers, match=problem):
        checked(night.db)


def test_what_a_case_went_through_is_followed_to_its_end(night: Night) -> None:
    case = case_id(night, "two.mp4")
    steps = [
        ("case-damaged", {}, "detected"),
        ("case-keyed", {"size": 5, "sha256": "k"}, "detected"),
        ("case-sealed", {"size": 7, "sha256": "s"}, "sealed"),
        ("case-verified", {"manifest": {"size": 9, "sha256": "m"}}, "verified"),
        ("case-intended-nothing", {}, "verified"),
        ("case-withdrawn", {}, "withdrawn"),
        ("case-removed", {}, "reported"),
        ("case-held", {"state": "held"}, "held"),
        ("case-hold-lifted", {"state": "reported"}, "reported"),
        ("case-rewrapped", {"size": 6, "sha256": "r"}, "reported"),
        ("case-destroyed", {}, "destroyed"),
    ]
    columns = {"case-keyed": "key", "case-rewrapped": "key", "case-sealed": "sealed"}
    for kind, body, state in steps:
        with night.db.write() as session:
            row = session.get_one(CaseRow, case)
            row.state = state
            measured = body.get("manifest", body)
            if "sha256" in measured:
                what = columns.get(kind, "manifest")
                setattr(row, f"{what}_size", measured["size"])
                setattr(row, f"{what}_sha256", measured["sha256"])
            append(session, kind, {"case": case, **body}, night.tick())
        checked(night.db)
    with night.db.write() as session:
        session.get_one(CaseRow, case).state = "removed"
    with pytest.raises(DatabaseDiffers, match="is removed by its row, and destroyed"):
        checked(night.db)


def test_what_was_forgotten_is_no_difference(night: Night) -> None:
    case = case_id(night, "one.mp4")
    with night.db.write() as session:
        row = session.get_one(CaseRow, case)
        clip = session.get_one(ClipRow, row.clip_id)
        version, name = commit_version(session, clip, clip.etag), commit_clip(session, clip)
        session.execute(update(WorkRow).where(WorkRow.clip_id == clip.id).values(etag=version))
        row.clip_key = row.sha256 = ""
        clip.key, clip.salt = name, b""
        forget(session, subject=case)
        append(session, "case-forgotten", {"case": case}, night.tick())
    checked(night.db)


def test_clips_of_a_run_from_before_turns_named_their_leaves_are_left_out(
    sqlite_db: Database,
) -> None:
    night = Night(sqlite_db)
    night.begin_run("run-0")
    old = {"run": "run-0", "clip": "clip-aaaaaaaaaaaaaaaa", "outcome": "clean", "reason": None}
    night.log("clip-scanned", old)
    checked(sqlite_db)


def test_a_leaf_that_nobody_can_have_written_is_said_to_be_one(sqlite_db: Database) -> None:
    Night(sqlite_db).log("run-started", {"no": "run"})
    with pytest.raises(DatabaseDiffers, match="nobody can have written what a run-started leaf"):
        checked(sqlite_db)


def test_a_value_of_another_type_in_a_table_is_found(sqlite_db: Database) -> None:
    night = Night(sqlite_db).import_list().scan("run-1", CLIPS)
    with night.db.write() as session:
        session.execute(text("UPDATE run SET lists = 'no json'"))
    with pytest.raises(DatabaseDiffers, match="nobody can have written"):
        checked(sqlite_db)


def test_a_broken_log_is_told_before_what_the_database_says(night: Night) -> None:
    with night.db.write() as session:
        unleash(session)
        session.execute(text("UPDATE run SET status = 'failed'"))
        if session.get_bind().dialect.name == "sqlite":
            for name in list(
                session.scalars(text("SELECT name FROM sqlite_master WHERE type = 'trigger'"))
            ):
                session.execute(text(f"DROP TRIGGER {name}"))
        row = session.scalars(select(LeafRow).where(LeafRow.kind == "run-started")).first()
        forged = leaf_bytes(row.seq, row.kind, {"run": "run-9"}, row.at)
        statement = text("UPDATE leaf SET body = :body, hash = :hash WHERE seq = :seq")
        session.execute(statement, {"body": forged, "hash": leaf_hash(forged), "seq": row.seq})
    with pytest.raises(AuditBroken, match="The audit log is not what was written"):
        checked(night.db)


# The whole database, with its log


def test_a_database_restored_from_yesterday_is_found_by_the_checkpoint_that_was_kept(
    sqlite_db: Database, tmp_path: Path
) -> None:
    night = Night(sqlite_db).import_list().scan("run-1", CLIPS)
    night.sign()
    sqlite_db.close()
    shutil.copy(tmp_path / "hashmatch.db", tmp_path / "yesterday.db")
    night.scan("run-2", CLIPS)
    kept = night.sign()
    assert checked(sqlite_db, kept)
    sqlite_db.close()
    for leftover in tmp_path.glob("hashmatch.db-*"):
        leftover.unlink()
    shutil.copy(tmp_path / "yesterday.db", tmp_path / "hashmatch.db")
    # By itself it is sound: only who has the later checkpoint can tell.
    assert checked(sqlite_db)
    with pytest.raises(AuditBroken, match="a checkpoint speaks of"):
        checked(sqlite_db, kept)


def test_a_checkpoint_forged_with_another_key_is_found(night: Night) -> None:
    with night.db.read() as session:
        hashes = list(session.scalars(select(LeafRow.hash).order_by(LeafRow.seq)))
    forged = sign(Checkpoint(ORIGIN, 3, root_of(hashes[:3])).text(), ORIGIN, OTHER_KEY)
    with night.db.write() as session:
        statement = text(
            "INSERT INTO checkpoint (size, root, note, made_at) VALUES (3, :r, :n, :t)"
        )
        session.execute(
            statement, {"r": root_of(hashes[:3]), "n": forged, "t": "2026-11-22 03:00:00"}
        )
    with pytest.raises(AuditBroken, match="not signed by this key"):
        checked(night.db)
