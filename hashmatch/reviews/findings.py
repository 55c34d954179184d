"""What was found in a version of a clip, and is to be decided."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.db.schema import FingerprintRow, MatchRow, ReviewRow
from hashmatch.model import Action
from hashmatch.reviews.entry_standing import EntryName, said_of


class Finding(NamedTuple):
    """What was found in a clip: an entry of a version of a list."""

    list: str
    version: int
    entry: str
    classification: str | None

    @classmethod
    def of(cls, match: MatchRow) -> Finding:
        return cls(match.list_name, match.version, match.entry_id, match.classification)

    @property
    def name(self) -> EntryName:
        return EntryName(self.list, self.entry)


class Digested(NamedTuple):
    sha256: str
    size: int


def found(session: Session, clip_id: int, etag: str) -> list[MatchRow]:
    """What the newest look at a version matched that was not for the log only, strongest first."""
    version = (MatchRow.clip_id == clip_id, MatchRow.etag == etag)
    newest = select(MatchRow.run_id).where(*version).order_by(MatchRow.id.desc()).limit(1)
    query = select(MatchRow).where(
        *version, MatchRow.run_id == newest.scalar_subquery(), MatchRow.action != Action.LOG
    )
    return list(session.scalars(query.order_by(MatchRow.id)))


def pending(session: Session, row: ReviewRow) -> list[MatchRow]:
    """Those of a review's matches that nobody has rejected."""
    digested = digests_of(session, row.clip_id, row.etag)
    said = said_of(session, row.clip_id, row.etag, digested.sha256 if digested else None)
    matches = found(session, row.clip_id, row.etag)
    return [match for match in matches if Finding.of(match).name not in said.rejected]


def digests_of(session: Session, clip_id: int, etag: str) -> Digested | None:
    """Of the bytes of a version, None where it was not read whole."""
    query = select(FingerprintRow.sha256, FingerprintRow.size).where(
        FingerprintRow.clip_id == clip_id,
        FingerprintRow.etag == etag,
        FingerprintRow.sha256.is_not(None),
    )
    row = session.execute(query.limit(1)).one_or_none()
    return None if row is None or row.sha256 is None else Digested(row.sha256, row.size)
