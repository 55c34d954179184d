"""The outbox: what the platform is to be told about a case, written down with what caused it.

    with db.write() as session:
        ...                                                      # the case's own change
        message = outbox.put(session, Kind.WITHDRAW, case, clip, at)

A message is made once for each time that a case is opened, and its id and bytes never change: a
process that dies after sending sends the same again, and a receiver that keeps the ids it has seen
acts once. `platform` says it, and notes each attempt here.

A body names the clip as the platform knows it: key, id and ETag. It has no list, no match and no
digest that the platform did not make itself.
"""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.custody.notify.channel import Reply, Status
from hashmatch.db.schema import CaseRow, ClipRow, OutboxRow
from hashmatch.model import Json

OVERTAKEN = "overtaken"


class Kind(StrEnum):
    """What is said: take the clip down, or it may be shown again."""

    WITHDRAW = "clip.withdraw"
    RESTORED = "clip.restored"


_DO = {Kind.WITHDRAW: ("disable", "purge"), Kind.RESTORED: ("enable",)}


def put(session: Session, kind: str, case: CaseRow, clip: ClipRow, at: datetime) -> str:
    """The id of the message, made with its leaf in the caller's transaction at first use.

    Whoever calls this holds the case's row. A message that says the contrary of the same clip and
    was not answered yet is overtaken: it will not be sent any more.
    """
    kind = Kind(kind)
    message = _message_id(case, kind)
    if session.get(OutboxRow, message) is not None:
        return message
    body = {
        "type": kind,
        "timestamp": log.written(at),
        "data": {
            "case": case.id,
            "clip": {"key": case.clip_key, "id": clip.platform_id, "etag": case.etag},
            "do": _DO[kind],
        },
    }
    for older in _contrary(session, kind, case):
        _overtake(session, older, message, at)
    session.add(
        OutboxRow(
            id=message,
            case_id=case.id,
            kind=kind,
            body=json.dumps(body, separators=(",", ":")),
            created_at=at,
            attempts=0,
            answer={},
        )
    )
    session.flush()
    leaf: dict[str, Json] = {"case": case.id, "message": message, "says": kind, "do": _DO[kind]}
    log.append(session, "platform-message", leaf, at)
    return message


def unanswered(session: Session, kind: Kind) -> list[tuple[str, str]]:
    """Case and message of what the platform has not said `done` to, oldest first."""
    query = select(OutboxRow.case_id, OutboxRow.id).where(
        OutboxRow.answered_at.is_(None), OutboxRow.kind == kind
    )
    rows = session.execute(query.order_by(OutboxRow.created_at, OutboxRow.id))
    return [(case, message) for case, message in rows]


def note(
    session: Session, message: str, how: str, reply: Reply, at: datetime, next_at: datetime | None
) -> OutboxRow:
    """Keep what came of one attempt; a new answer leaves a leaf, silence does not.

    A message that was answered or overtaken in the meantime stays as it is.
    """
    row = session.get_one(OutboxRow, message, with_for_update=True)
    if row.answered_at is not None:
        return row
    before = {name: row.answer.get(name) for name in ("how", "status", "code")}
    told: dict[str, Json] = {"how": how, "status": reply.status, "code": reply.code}
    row.attempts += 1
    row.poll_url, row.problem = reply.poll, reply.problem
    row.answer = {**told, "detail": reply.detail}
    row.next_at = next_at
    if reply.status.settled:
        row.answered_at, row.next_at = at, None
    if reply.status is not Status.NO_ANSWER and told != before:
        body = {"case": row.case_id, "message": message, **told, "attempts": row.attempts}
        asked = reply.status is not Status.NOBODY_TOLD
        log.append(session, "platform-answered" if asked else "platform-not-told", body, at)
    return row


def _message_id(case: CaseRow, kind: Kind) -> str:
    # A case that is opened again has another time of detection, and a copy of its own if it needs one.
    made_of = "\0".join((case.id, kind, case.vault_key, log.written(case.detected_at)))
    digest = hashlib.sha256(made_of.encode()).digest()[:20]
    return f"msg_{base64.b32encode(digest).decode().lower()}"


def _contrary(session: Session, kind: Kind, case: CaseRow) -> list[OutboxRow]:
    """A withdrawal overtakes what would show any version of the clip; a release only its own case."""
    query = select(OutboxRow).where(OutboxRow.answered_at.is_(None), OutboxRow.kind != kind)
    if kind is Kind.WITHDRAW:
        query = query.join(CaseRow, CaseRow.id == OutboxRow.case_id)
        query = query.where(CaseRow.clip_id == case.clip_id)
    else:
        query = query.where(OutboxRow.case_id == case.id)
    return list(session.scalars(query.with_for_update(of=OutboxRow)))


def _overtake(session: Session, row: OutboxRow, by: str, at: datetime) -> None:
    row.answered_at, row.next_at, row.problem = at, None, None
    row.answer = {**row.answer, "status": OVERTAKEN, "by": by}
    leaf: dict[str, Json] = {"case": row.case_id, "message": row.id, "by": by}
    log.append(session, "platform-overtaken", leaf, at)
