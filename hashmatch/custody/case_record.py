"""The record of a case: its row, its states, and the leaf that each change of them leaves.

    detected → sealed → verified → withdrawn → removed          the way of every case
        ↑________│__________│___________│                       the sealed copy is not what was sealed
    detected → lost                                             there was nothing left to seal
    removed ⇄ held, reported → released or destroyed            what people decide, see `holds`

Every change is made in the caller's transaction together with its leaf, the end of the step that
made it and the intent of the next (`intents`). Leaves name the clip, its bytes and people by
commitments (`audit.commitments`): a file's digest may be a listed hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit, commit_clip
from hashmatch.audit.names import KeyedNames
from hashmatch.custody.intents import Step, end_step, intend
from hashmatch.custody.vault.age_stream import Measure
from hashmatch.db.schema import CaseRow, ClipRow
from hashmatch.errors import CustodyError
from hashmatch.model import Json, Match


class State(StrEnum):
    """How far a case has come."""

    DETECTED = "detected"
    SEALED = "sealed"
    VERIFIED = "verified"
    WITHDRAWN = "withdrawn"
    REMOVED = "removed"
    HELD = "held"
    REPORTED = "reported"
    RELEASED = "released"
    DESTROYED = "destroyed"
    LOST = "lost"


UNFINISHED = (State.DETECTED, State.SEALED, State.VERIFIED, State.WITHDRAWN)
KEPT = (State.REMOVED, State.HELD, State.REPORTED)
NEXT = {
    State.DETECTED: Step.SEAL,
    State.SEALED: Step.VERIFY,
    State.VERIFIED: Step.WITHDRAW,
    State.WITHDRAWN: Step.REMOVE,
}


class NoSuchCase(CustodyError):
    message = "There is no case {case}."
    remedy = "`hashmatch quarantine list` shows all of them."


@dataclass(frozen=True, slots=True)
class Case:
    """A case as the database had it.

    key, sealed, manifest: what the vault must hold of it. case_key: the public half of its key.
    """

    id: str
    clip_id: int
    clip_key: str
    etag: str
    size: int
    sha256: str
    state: State
    vault_key: str
    case_key: str | None
    key: Measure | None
    sealed: Measure | None
    manifest: Measure | None
    problem: str | None


def load(session: Session, case_id: str) -> Case:
    row = session.get(CaseRow, case_id)
    if row is None:
        raise NoSuchCase(case=case_id)
    return Case(
        id=row.id,
        clip_id=row.clip_id,
        clip_key=row.clip_key,
        etag=row.etag,
        size=row.size,
        sha256=row.sha256,
        state=State(row.state),
        vault_key=row.vault_key,
        case_key=row.case_key,
        key=_measure(row.key_size, row.key_sha256),
        sealed=_measure(row.sealed_size, row.sealed_sha256),
        manifest=_measure(row.manifest_size, row.manifest_sha256),
        problem=row.problem,
    )


def copy_kept(row: CaseRow) -> bool:
    """Whether the vault still holds a sealed clip of a case that goes no further, by its record.

    Of a lost one too, if an earlier time that it was taken left one: its place has moved on since.
    """
    if row.state == State.LOST:
        return row.vault_key != vault_key(row.id)
    return row.state in (*KEPT, State.RELEASED)


def _measure(size: int | None, sha256: str | None) -> Measure | None:
    return None if size is None or sha256 is None else Measure(size, sha256)


def unfinished(session: Session) -> list[str]:
    """Cases that still have a way to go, oldest first."""
    query = (
        select(CaseRow.id)
        .where(CaseRow.state.in_(UNFINISHED))
        .order_by(CaseRow.detected_at, CaseRow.id)
    )
    return list(session.scalars(query))


def vault_key(case_id: str, nth: int = 1) -> str:
    """Where a case's sealed copy goes; `nth` > 1 for later content under one case's name."""
    name = case_id.removeprefix("case-")
    return f"{name[:2]}/{case_id}.age" if nth == 1 else f"{name[:2]}/{case_id}.{nth}.age"


def open_case(
    session: Session,
    names: KeyedNames,
    *,
    run_id: str,
    clip: ClipRow,
    sha256: str,
    size: int,
    matches: Sequence[Match],
    siblings: Sequence[str],
    software: str,
    at: datetime,
) -> str:
    """Take a clip into custody, once for each of its versions. Returns the case's id.

    siblings: the cases of the other renditions of the clip, which are taken with it.

    A version that turns up again after its case ended (somebody uploaded the same bytes again) goes
    the way once more: from `verified` on, if the vault still holds it. Other content under the
    same ETag gets a place of its own in the vault; nothing verified is ever overwritten.
    """
    case_id = names.case(clip.key, clip.etag)
    row = session.get(CaseRow, case_id, with_for_update=True)
    body: dict[str, Json] = {
        "case": case_id,
        "clip": commit_clip(session, clip),
        "run": run_id,
        "size": size,
        "content": commit(session, "content", sha256, subject=case_id),
        "software": software,
        "matches": [_match(match) for match in matches],
        "siblings": sorted(siblings),
    }
    if row is None:
        row = CaseRow(
            id=case_id,
            clip_id=clip.id,
            clip_key=clip.key,
            etag=clip.etag,
            vault_key=vault_key(case_id),
            state=State.DETECTED,
            attempts=0,
        )
        session.add(row)
        kind = "case-detected"
    elif row.sha256 == sha256 and row.state in UNFINISHED:
        return case_id
    else:
        kind, was = "case-reopened", row.state
        body["was"] = was
        if row.sha256 == sha256 and was in (*KEPT, State.RELEASED):
            row.state = State.VERIFIED
        else:
            row.state = State.DETECTED
            if row.sealed_sha256 is not None:
                if was != State.DESTROYED:
                    body["kept"] = row.vault_key
                row.vault_key = next_key(row)
            forget_sealed(row)
    # One that was forgotten has none of these any more.
    row.clip_id, row.clip_key, row.etag = clip.id, clip.key, clip.etag
    row.run_id, row.sha256, row.size, row.detected_at = run_id, sha256, size, at
    row.rendition_of = clip.rendition_of
    row.withdrawn_at = row.removed_at = row.released_at = row.destroyed_at = row.problem = None
    session.flush()
    seq = log.append(session, kind, body, at)
    for step in NEXT.values():
        end_step(session, case_id, step, seq, {"leaf": kind}, at)
    intend(session, case_id, NEXT[State(row.state)], at)
    return case_id


def forget_sealed(row: CaseRow) -> None:
    """What is on record of the case's objects in the vault no longer stands for anything."""
    row.case_key = row.verified_at = None
    row.key_size = row.key_sha256 = None
    row.sealed_size = row.sealed_sha256 = None
    row.manifest_size = row.manifest_sha256 = None


def leave_place(session: Session, case: Case, at: datetime) -> None:
    """What the vault holds of a case counts no more: it begins anew, at another place, with its leaf."""
    row = session.get_one(CaseRow, case.id, with_for_update=True)
    if (row.state, row.vault_key) != (case.state, case.vault_key):
        return
    row.vault_key = next_key(row)
    forget_sealed(row)
    body: dict[str, Json] = {"case": case.id, "damaged": ["key"], "kept": case.vault_key}
    log.append(session, "case-damaged", body, at)


def next_key(row: CaseRow) -> str:
    """The place in the vault after the present one, where nothing of the case is yet."""
    last = row.vault_key.removesuffix(".age").rpartition(".")[2]
    return vault_key(row.id, int(last) + 1 if last.isdigit() else 2)


def _match(match: Match) -> dict[str, Json]:
    return {
        "list": match.list,
        "version": match.version,
        "entry": match.entry,
        "kind": match.kind.value,
        "classification": match.classification,
        "start": round(match.start, 3),
        "end": round(match.end, 3),
        "frames": match.frames,
    }


def move(
    session: Session,
    case: Case,
    to: State,
    kind: str,
    body: dict[str, Json],
    at: datetime,
    step: Step | None = None,
    **columns: Any,
) -> bool:
    """Change a case's state, with its leaf; other `columns` of its row change with it.

    The step, or else the one under way, ends with `body` as its result, and the next one is
    intended. A `problem` counts as an attempt. Nothing happens, and False comes back, if the case
    is no longer as it was read: the caller reads it again.
    """
    row = session.get_one(CaseRow, case.id, with_for_update=True)
    if (row.state, row.vault_key) != (case.state, case.vault_key):
        return False
    row.state = to
    for name, value in {"problem": None, **columns}.items():
        setattr(row, name, value)
    row.attempts += row.problem is not None
    if to not in UNFINISHED:
        _forget_scan(session, case)
    seq = log.append(session, kind, {"case": case.id, **body}, at)
    under_way = step or NEXT.get(case.state)
    if under_way is not None:
        end_step(session, case.id, under_way, seq, {"leaf": kind, **body}, at)
    if to in NEXT:
        intend(session, case.id, NEXT[to], at)
    return True


def note(
    session: Session, case: Case, kind: str, body: dict[str, Json], at: datetime, **columns: Any
) -> int | None:
    """A leaf about a case whose state stays; other `columns` of its row change with it.

    Returns the leaf's `seq`, or None, and nothing happened, if the case is no longer as it was read.
    """
    row = session.get_one(CaseRow, case.id, with_for_update=True)
    if (row.state, row.vault_key) != (case.state, case.vault_key):
        return None
    for name, value in columns.items():
        setattr(row, name, value)
    return log.append(session, kind, {"case": case.id, **body}, at)


def _forget_scan(session: Session, case: Case) -> None:
    # The version has left clip storage. If the same one is ever listed again (its ETag may well be
    # a digest of its bytes), it must be looked at again.
    clip = session.get_one(ClipRow, case.clip_id)
    if clip.scanned_etag == case.etag:
        clip.scanned_etag = None


def note_problem(session: Session, case: Case, problem: str) -> None:
    """Leave the case where it is, and say why."""
    row = session.get_one(CaseRow, case.id, with_for_update=True)
    row.attempts += 1
    row.problem = problem
