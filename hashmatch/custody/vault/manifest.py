"""The manifest: what a sealed clip is and where it came from, sealed beside it.

Canonical JSON (RFC 8785). It is sealed to the case's own key, as the clip is: who can open one can
open the other, and both are gone when that key is erased.
"""

from __future__ import annotations

from datetime import datetime

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.log import written
from hashmatch.custody.case_record import Case
from hashmatch.db.schema import CaseRow, CaseStepRow, ClipRow, LeafRow, MatchRow, RunRow
from hashmatch.model import Json

FORMAT = 1


def manifest(session: Session, case: Case, storage: str, software: str, at: datetime) -> bytes:
    """The manifest of a case whose clip was sealed. storage: the URL of clip storage."""
    assert case.sealed is not None, "only what was sealed has a manifest"
    row = session.get_one(CaseRow, case.id)
    clip = session.get_one(ClipRow, case.clip_id)
    run = session.get_one(RunRow, row.run_id)
    said: dict[str, Json] = {
        "v": FORMAT,
        "case": case.id,
        "clip": {
            "storage": storage,
            "key": case.clip_key.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            "etag": case.etag,
            "id": clip.platform_id,
            "channel": clip.channel,
            "created": _time(clip.created),
            "modified": written(clip.modified),
        },
        "content": {"size": case.size, "sha256": case.sha256},
        "sealed": {
            "key": case.vault_key,
            "size": case.sealed.size,
            "sha256": case.sealed.sha256,
            "for": case.case_key,
        },
        "detected_at": written(row.detected_at),
        "verified_at": written(at),
        "lists": _lists(session, row),
        "recipes": dict(run.recipes),
        "run": run.id,
        "software": {"scanned": run.software, "sealed": software},
        "leaf": _leaf(session, case),
    }
    return rfc8785.dumps(said)


def _lists(session: Session, row: CaseRow) -> list[Json]:
    """What the clip matched: list, version and entry, each once."""
    query = select(MatchRow).where(MatchRow.clip_id == row.clip_id, MatchRow.etag == row.etag)
    found = {(m.list_name, m.version, m.entry_id): m for m in session.scalars(query)}
    return [
        {
            "list": match.list_name,
            "version": match.version,
            "entry": match.entry_id,
            "classification": match.classification,
        }
        for _, match in sorted(found.items())
    ]


def _leaf(session: Session, case: Case) -> Json:
    """The leaf that says that it was sealed: number and hash."""
    query = (
        select(LeafRow.seq, LeafRow.hash)
        .join(CaseStepRow, CaseStepRow.end_leaf == LeafRow.seq)
        .where(CaseStepRow.case_id == case.id, LeafRow.kind == "case-sealed")
        .order_by(LeafRow.seq.desc())
    )
    found = session.execute(query.limit(1)).first()
    return None if found is None else {"seq": found.seq, "hash": found.hash.hex()}


def _time(at: datetime | None) -> str | None:
    return None if at is None else written(at)
