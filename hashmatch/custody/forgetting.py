"""Forgetting: what the database knows of a case goes; the log stays whole and says less.

    with db.write() as session:
        requests.confirm(session, case_id, by="bob", now=now, terms=terms)
        forget(session, request, now, terms)

What goes: the openings of everything that leaves commit to in this case, so that nobody can say any
more whom or which words they meant; the clip's key, ETag and digests, wherever they are; its
fingerprint, so that no hash of it is left; the reasons people gave. In the place of key and ETag
stand the commitments by which the log names them: they are all different, and the proofs of other
clips that stood in one shard with this one still need them.

What stays: the case's id, state and times, who asked and who confirmed, the leaves. The id is keyed:
who has the installation's secret, the key and the ETag can still tell that they are this case's.

A clip that was released, or whose key has another version by now, is in clip storage; the ledger
goes on knowing it, and its salt, and only what this case said of it goes. Not guaranteed: that
copies are gone which others made, as backups and anchors, or that the database's files have no
remains (SQLite: VACUUM).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from hashmatch.audit import commitments, log
from hashmatch.custody import approvals
from hashmatch.custody.approvals import Terms
from hashmatch.db.schema import (
    Base,
    CaseRow,
    CaseStepRow,
    ClipRow,
    DecisionRow,
    FingerprintRow,
    HoldRow,
    MatchRow,
    OutboxRow,
    RequestRow,
    ReviewRow,
    RunRow,
    WorkRow,
)

_GONE = ""


def forget(session: Session, request: RequestRow, now: datetime, terms: Terms) -> None:
    """Do what two people asked for, in the caller's transaction, and end their request.

    Raises as requests.still_allowed does.
    """
    row = approvals.still_allowed(session, request, now, terms)
    approvals.finish(session, request, now)
    clip = session.get_one(ClipRow, row.clip_id, with_for_update=True)
    etag, listed = row.etag, clip.etag in (row.etag, _GONE)
    openings = commitments.forget(session, subject=row.id)
    openings += _forget_reasons(session, row)
    row.etag = commitments.commit_version(session, clip, etag)
    row.clip_key = row.sha256 = _GONE
    row.rendition_of = row.report_reference = row.problem = None
    session.flush()
    if row.released_at is None:
        _forget_version(session, clip, etag)
        if listed:
            _forget_clip(session, clip)
    log.append(session, "case-forgotten", {"case": row.id, "openings": openings}, now)


def _forget_reasons(session: Session, row: CaseRow) -> int:
    """What people and the platform said of the case; returns how many openings went with it."""
    _set(session, RequestRow, RequestRow.case_id == row.id, reason=_GONE)
    _set(session, HoldRow, HoldRow.case_id == row.id, reason=_GONE, lift_reason=None)
    _set(session, CaseStepRow, CaseStepRow.case_id == row.id, result={})
    told: dict[str, Any] = {"body": _GONE, "answer": {}, "poll_url": None, "problem": None}
    _set(session, OutboxRow, OutboxRow.case_id == row.id, **told, next_at=None)
    version = (ReviewRow.clip_id == row.clip_id) & (ReviewRow.etag == row.etag)
    reviews = session.scalars(select(ReviewRow.id).where(version)).all()
    _set(session, ReviewRow, version, reason=None)
    decided = (DecisionRow.clip_id == row.clip_id) & (DecisionRow.etag == row.etag)
    _set(session, DecisionRow, decided, reason=_GONE)
    return sum(commitments.forget(session, subject=review) for review in reviews)


def _forget_version(session: Session, clip: ClipRow, etag: str) -> None:
    """What a version of a clip looked like and is told apart by."""
    closed = commitments.commit_version(session, clip, etag)
    for seen in (MatchRow, FingerprintRow):
        session.execute(
            delete(seen)
            .where(seen.clip_id == clip.id, seen.etag == etag)
            .execution_options(synchronize_session=False)
        )
    for named in (WorkRow, ReviewRow):
        _set(session, named, (named.clip_id == clip.id) & (named.etag == etag), etag=closed)
    decided = (DecisionRow.clip_id == clip.id) & (DecisionRow.etag == etag)
    _set(session, DecisionRow, decided, etag=closed, sha256=None)


def _forget_clip(session: Session, clip: ClipRow) -> None:
    """A clip that is gone from clip storage, unless it has cases that are not forgotten yet."""
    clip.etag, clip.scanned_etag, clip.retry_at = _GONE, None, None
    kept = select(CaseRow.id).where(CaseRow.clip_id == clip.id, CaseRow.sha256 != _GONE)
    if session.scalar(kept.limit(1)) is not None:
        return
    for etag in _versions(session, clip):
        _forget_version(session, clip, etag)
    key = clip.key
    commitments.close_clip(session, clip)
    clip.platform_id = clip.created = clip.channel = clip.visibility = clip.views = None
    clip.rendition_of = clip.height = None
    for table in (WorkRow, FingerprintRow):
        _set(session, table, table.seen_by == key, seen_by=clip.key)
    for run in session.scalars(select(RunRow).where(RunRow.kind != "scan")):
        if run.selection.get("clip") == key:
            run.selection = {**run.selection, "clip": clip.key}


def _versions(session: Session, clip: ClipRow) -> set[str]:
    """The ETags of every version that anything is still known of."""
    found: set[str | None] = set()
    for table in (WorkRow, ReviewRow, DecisionRow, MatchRow, FingerprintRow):
        found.update(session.scalars(select(table.etag).where(table.clip_id == clip.id).distinct()))
    return {etag for etag in found if etag is not None}


def _set(session: Session, table: type[Base], which: ColumnElement[bool], **values: object) -> None:
    session.execute(
        update(table).where(which).values(**values).execution_options(synchronize_session=False)
    )
