"""Forgetting: nothing that says which clip a case was is left, and the log still holds."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from datetime import timedelta

import pytest
from people_parts import CONTENT, KEY, Office, terms
from sqlalchemy import inspect, select

from hashmatch.audit import log
from hashmatch.audit.commitments import commit, commit_clip, commit_version, commitment, opened
from hashmatch.audit.coverage import line
from hashmatch.audit.verification import verify
from hashmatch.custody import approvals, holds, reporting
from hashmatch.custody.approvals import NothingAsked
from hashmatch.custody.disposition import Forgotten
from hashmatch.custody.forgetting import forget
from hashmatch.custody.preconditions import HoldForbids, Kind
from hashmatch.db.schema import (
    Base,
    CaseRow,
    CaseStepRow,
    ClipRow,
    DecisionRow,
    FingerprintRow,
    ListRow,
    MatchRow,
    OutboxRow,
    ReviewRow,
    RunRow,
    WorkRow,
)

ETAG = "etag-of-the-bytes"
SECRETS = (
    "somebody",
    ETAG,
    "ab" * 32,
    "cd" * 16,
    "CyberTip",
    "Smith",
    "our logo",
    "chn-77",
    "hook",
)
DAY = timedelta(days=1)


@pytest.fixture
def office(db) -> Office:
    return Office(db, terms=terms(CONTENT))


def taken(office: Office, state: str = "destroyed") -> str:
    """A case as its whole life leaves it: reported, held once, told to the platform, reviewed."""
    case = office.case(state, clip_key=KEY, etag=ETAG, rendition_of="somebody", problem="somebody")
    at = office.start
    with office.db.write() as session:
        clip = session.get_one(ClipRow, session.get_one(CaseRow, case).clip_id)
        clip.platform_id, clip.channel, clip.created, clip.views = "chn-77", "somebody", at, 4
        clip.rendition_of, clip.height = "somebody's clip", 360
        sibling = ClipRow(key="another.mp4", etag="1", size=1, modified=at)
        session.add_all(
            (
                sibling,
                ListRow(name="partner", created_at=at),
                RunRow(
                    id="run-2",
                    kind="rescan",
                    selection={"clip": KEY},
                    status="finished",
                    started_at=at,
                    software="hashmatch 0",
                    recipes={},
                    lists={},
                ),
            )
        )
        session.flush()
        done = {"run_id": "run-1", "shard": 0, "state": "done", "outcome": "matched"}
        session.add_all(
            (
                WorkRow(clip_id=clip.id, etag=ETAG, **done),
                WorkRow(clip_id=sibling.id, etag="1", seen_by=KEY, **done),
                fingerprint(clip.id, at),
                fingerprint(
                    sibling.id, at, etag="1", sha256=None, md5=None, seen_by=KEY, frames=b""
                ),
                MatchRow(
                    run_id="run-1",
                    clip_id=clip.id,
                    etag=ETAG,
                    list_name="partner",
                    version=1,
                    entry_id="entry-1",
                    kind="exact",
                    action="quarantine",
                    algorithm="md5",
                    distance=0,
                    start=0,
                    end=1,
                    frames=1,
                    variant="plain",
                ),
                ReviewRow(
                    id="review-1",
                    clip_id=clip.id,
                    etag=ETAG,
                    run_id="run-1",
                    opened_at=at,
                    state="confirmed",
                    reason="not our logo",
                ),
                DecisionRow(
                    list_name="partner",
                    version=1,
                    entry_id="entry-1",
                    clip_id=clip.id,
                    etag=ETAG,
                    sha256="ab" * 32,
                    right=True,
                    by="ann",
                    at=at,
                    reason="not our logo",
                ),
                CaseStepRow(
                    case_id=case,
                    step="withdraw",
                    intended_at=at,
                    ended_at=at,
                    leaf=0,
                    result={"platform": "somebody's clip is off"},
                ),
                OutboxRow(
                    id=f"msg-{case}",
                    case_id=case,
                    kind="clip.withdraw",
                    body=json.dumps({"key": KEY}),
                    created_at=at,
                    poll_url="https://platform/hook",
                    answer={"said": "somebody"},
                ),
            )
        )
        reason = commit(session, "reason", "not our logo", subject="review-1")
        body = {"review": "review-1", "version": commit_version(session, clip, ETAG)}
        log.append(session, "review-confirmed", {**body, "reason": reason}, at)
        if state == "released":
            return case
        session.get_one(CaseRow, case).state = "removed"
        reporting.report(session, case, reference="CyberTip 1", reported=at, by="alice", now=at)
        hold = holds.place(session, case, reason="judge Smith", by="alice", at=at)
        holds.lift(session, case, reason="judge Smith again", by="bob", at=at, hold=hold)
        session.get_one(CaseRow, case).state = state
    return case


def fingerprint(clip_id: int, at, **other: object) -> FingerprintRow:
    values = {
        "etag": ETAG,
        "md5": "cd" * 16,
        "sha256": "ab" * 32,
        "size": 700,
        "seen": 1.0,
        "recipe": "pdq/2",
        "frames": b"somebody's frames",
        "made_at": at,
    }
    return FingerprintRow(clip_id=clip_id, **{**values, **other})


def forgotten(office: Office, case: str) -> None:
    office.ask(Kind.FORGET, case, reason="somebody asked")
    request = office.confirm(case)
    with office.db.write() as session:
        forget(session, request, office.now, office.terms)


def everything(office: Office) -> str:
    """All that the database holds, as text."""
    said = []
    with office.db.read() as session:
        for table in Base.metadata.sorted_tables:
            for row in session.execute(select(table)).mappings():
                said.append(f"{table.name} {dict(row)!r}")
    return "\n".join(said)


def named_in(office: Office) -> set[str]:
    said = everything(office)
    return {word for word in SECRETS if word in said}


def test_nothing_that_says_which_clip_it_was_is_left_anywhere(office):
    case = taken(office)
    assert named_in(office) == set(SECRETS), "the test looks for what is there"
    forgotten(office, case)
    assert named_in(office) == set()


def test_every_table_was_thought_of(office):
    """Whoever adds one that may name a clip must have it forgotten, and add it here."""
    with office.db.read() as session:
        tables = inspect(session.connection()).get_table_names()
    ours = {"clip", "case", "fingerprint", "work", "match", "review", "decision", "case_step"}
    ours |= {"outbox", "hold", "request", "opening", "run"}
    about_lists = {"list", "list_set", "list_version", "entry", "entry_hash", "disabled_entry"}
    about_lists |= {"standing"}
    about_the_log = {"leaf", "tree_head", "checkpoint", "anchor", "known", "shard"}
    assert set(tables) == ours | about_lists | about_the_log | {"alembic_version"}


def test_the_log_and_its_tree_still_hold(office):
    case = taken(office)
    with office.db.read() as session:
        before = verify(session)
    leaves = office.leaves()
    forgotten(office, case)
    assert office.leaves()[: before.size] == leaves
    kind, body = office.leaves()[-1]
    assert (kind, body["case"]) == ("case-forgotten", case)
    assert body["openings"] == 5, "reasons of hold, lift, review and request, and a reference"
    with office.db.read() as session:
        assert verify(session).size == before.size + 3


def test_no_commitment_of_the_case_can_be_opened_any_more_and_those_to_people_can(office):
    case = taken(office)
    with office.db.read() as session:
        salt = session.scalar(select(ClipRow.salt).where(ClipRow.key == KEY))
    clip = next(body["clip"] for kind, body in office.leaves() if kind == "case-detected")
    assert commitment("clip", salt, KEY) == clip
    forgotten(office, case)
    with office.db.read() as session:
        for _, body in office.leaves():
            for name in ("reason", "reference"):
                assert opened(session, str(body.get(name))) is None
            if "by" in body:
                assert opened(session, body["by"]) in {"alice", "bob"}
        assert not session.scalar(select(ClipRow.id).where(ClipRow.salt == salt))
        assert salt.hex() not in everything(office)


def test_what_the_log_says_of_the_clip_is_still_known_by_its_commitments(office):
    """Else the proof of another clip that stood in one shard with it could not be made."""
    case = taken(office)

    def named() -> bytes:
        with office.db.write() as session:
            work, clip = session.execute(
                select(WorkRow, ClipRow)
                .join(ClipRow, WorkRow.clip_id == ClipRow.id)
                .where(WorkRow.seen_by.is_(None))
            ).one()
            name, version = commit_clip(session, clip), commit_version(session, clip, work.etag)
            return line(name, version, outcome=work.outcome, reason=None, recipes=[])

    before = named()
    forgotten(office, case)
    assert named() == before
    assert office.clip(case).key == json.loads(before)["clip"]
    assert office.row(case).etag == json.loads(before)["version"]


def test_a_case_is_forgotten_once_and_then_nothing_can_be_done_to_it(office):
    case = taken(office)
    forgotten(office, case)
    with office.db.read() as session:
        assert approvals.open_requests(session) == []
    for what in (
        lambda: office.ask(Kind.FORGET, case),
        lambda: report(office, case),
    ):
        with pytest.raises(Forgotten):
            what()


def report(office: Office, case: str) -> None:
    with office.db.write() as session:
        reporting.report(
            session, case, reference="x", reported=office.now, by="alice", now=office.now
        )


def test_it_takes_a_confirmed_request_and_no_hold(office):
    case = taken(office, "lost")
    request = office.ask(Kind.FORGET, case)
    with office.db.write() as session, pytest.raises(NothingAsked):
        forget(session, request, office.now, office.terms)
    office.confirm(case)
    with office.db.write() as session:
        holds.place(session, case, reason="wait", by="carol", at=office.now)
    with pytest.raises(HoldForbids, match="under 1 legal hold, and"), office.db.write() as session:
        forget(session, request, office.now, office.terms)
    assert office.row(case).clip_key == KEY


def test_a_released_clip_stays_in_the_ledger_and_so_does_that_it_was_found_harmless(office):
    case = taken(office, "released")
    with office.db.write() as session:
        row = session.get_one(CaseRow, case)
        row.state, row.released_at = "destroyed", office.start
    forgotten(office, case)
    assert office.clip(case).key == KEY
    assert office.clip(case).salt
    row = office.row(case)
    assert (row.clip_key, row.sha256) == ("", "")
    assert ETAG not in row.etag
    with office.db.read() as session:
        decision = session.scalars(select(DecisionRow)).one()
        assert (decision.etag, decision.sha256, decision.reason) == (ETAG, "ab" * 32, "")
        assert session.scalars(select(FingerprintRow.etag)).all() == [ETAG, "1"]
    assert "our logo" not in everything(office)


def test_a_clip_that_has_another_version_by_now_stays_in_the_ledger(office):
    case = taken(office)
    with office.db.write() as session:
        clip = session.scalars(select(ClipRow).where(ClipRow.key == KEY)).one()
        clip.etag = "newer"
        session.add(fingerprint(clip.id, office.start, etag="newer", recipe="pdq/3", sha256="ef"))
    forgotten(office, case)
    clip = office.clip(case)
    assert (clip.key, clip.etag, clip.channel) == (KEY, "newer", "somebody")
    with office.db.read() as session:
        assert session.scalars(select(FingerprintRow.etag)).all() == ["1", "newer"]
    said = everything(office)
    assert [word for word in (ETAG, "ab" * 32, "Smith", "CyberTip") if word in said] == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_clip_with_two_cases_is_forgotten_with_the_second_of_them(office, first):
    older = taken(office)
    newer = office.case("destroyed", clip_key=KEY, etag="newer")
    cases = [older, newer]
    forgotten(office, cases.pop(first))
    assert office.clip(newer).key == KEY
    forgotten(office, cases[0])
    assert named_in(office) == set()
    assert office.clip(newer).key.startswith("clip-")
    assert office.row(older).etag != office.row(newer).etag
    with office.db.read() as session:
        verify(session)


def test_the_same_key_may_come_again_after_it_was_forgotten(office):
    case = taken(office)
    forgotten(office, case)
    again = office.case("removed", clip_key=KEY, etag=ETAG)
    assert office.clip(again).id != office.clip(case).id


def test_the_database_file_does_not_hold_it_after_a_vacuum(sqlite_db):
    office = Office(sqlite_db)
    case = taken(office)
    forgotten(office, case)
    office.db.close()
    with contextlib.closing(sqlite3.connect(office.db.file)) as raw:
        raw.execute("VACUUM")
    content = office.db.file.read_bytes()
    assert [word for word in SECRETS if word.encode() in content] == []
