"""What is on record of a case, as far as a report may say it.

    with db.read() as session:
        facts = facts_of(session, "case-7hq2k6w4v3mzdpbe", software="hashmatch 1.0")

That a person viewed the file is only ever taken from the log: a `case-opened` leaf.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.custody.case_record import NoSuchCase
from hashmatch.db.schema import CaseRow, ClipRow, FingerprintRow, LeafRow, MatchRow
from hashmatch.report.cybertip import Facts, Matched

OPENED = "case-opened"
_BEGINNINGS = ("case-detected", "case-reopened")
_LEFT_OUT = "[digest]"


def facts_of(session: Session, case_id: str, *, software: str) -> Facts:
    """The facts. No text in them has a digest of the clip. Raises NoSuchCase."""
    row = session.get(CaseRow, case_id)
    if row is None:
        raise NoSuchCase(case=case_id)
    clip = session.get_one(ClipRow, row.clip_id)
    digests = _digests(session, row)
    name = row.clip_key.rpartition("/")[2]
    return Facts(
        case=row.id,
        file_name=name if _without(digests, name) == name else None,
        size=row.size,
        created=clip.created,
        detected=row.detected_at,
        platform_id=_without(digests, clip.platform_id),
        channel=_without(digests, clip.channel),
        visibility=clip.visibility,
        viewed=_viewed(session, case_id),
        matches=_matches(session, row),
        renditions=_renditions(session, row),
        software=software,
    )


def _viewed(session: Session, case_id: str) -> datetime | None:
    """When the file was first opened, as the log says, since the case was last begun.

    A case that was opened anew may hold other bytes than before. By the order of leaves: a clock may
    go backwards.
    """
    query = select(LeafRow.kind, LeafRow.at, LeafRow.body)
    query = query.where(LeafRow.kind.in_((OPENED, *_BEGINNINGS))).order_by(LeafRow.seq)
    viewed = None
    for kind, at, body in session.execute(query.execution_options(yield_per=1000)):
        if json.loads(body)["body"].get("case") != case_id:
            continue
        if kind != OPENED:
            viewed = None
        elif viewed is None:
            viewed = at
    return viewed


def _matches(session: Session, row: CaseRow) -> tuple[Matched, ...]:
    query = select(MatchRow).where(MatchRow.clip_id == row.clip_id, MatchRow.etag == row.etag)
    # Each look at the same version leaves its matches once more: the last one counts.
    last = {
        (one.list_name, one.version, one.entry_id): one
        for one in session.scalars(query.order_by(MatchRow.id))
    }
    return tuple(
        Matched(
            list=one.list_name,
            version=one.version,
            entry=one.entry_id,
            kind=one.kind,
            classification=one.classification,
            start=one.start,
            end=one.end,
        )
        for _, one in sorted(last.items())
    )


def _renditions(session: Session, row: CaseRow) -> tuple[str, ...]:
    """The cases of the same clip at other heights."""
    if row.rendition_of is None:
        return ()
    query = select(CaseRow.id).where(CaseRow.rendition_of == row.rendition_of, CaseRow.id != row.id)
    return tuple(session.scalars(query.order_by(CaseRow.id)))


def _digests(session: Session, row: CaseRow) -> set[str]:
    """Of the clip's bytes, in hexadecimal. An ETag is often one of them."""
    query = select(FingerprintRow.md5, FingerprintRow.sha1, FingerprintRow.sha256)
    query = query.where(FingerprintRow.clip_id == row.clip_id)
    known: list[Any] = [row.sha256, row.etag.strip('"')]
    for found in session.execute(query):
        known += found
    return {one for one in known if one and re.fullmatch(r"[0-9A-Fa-f]{32,}(-\d+)?", one)}


def _without(digests: Iterable[str], text: str | None) -> str | None:
    if text is None:
        return None
    for digest in digests:
        text = re.sub(re.escape(digest), _LEFT_OUT, text, flags=re.IGNORECASE)
    return text
