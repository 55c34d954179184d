"""Cases for the tests of what people decide: in the database, in whatever state a test needs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select

from hashmatch.audit import log
from hashmatch.audit.commitments import commit_clip
from hashmatch.config import People
from hashmatch.custody import approvals
from hashmatch.custody.approvals import Terms
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.retention.rules import Keeps, Length, Rule, Starts
from hashmatch.db.schema import CaseRow, ClipRow, LeafRow, RequestRow, RunRow
from hashmatch.db.session import Database

KEY = "2026/11/somebody's clip.mp4"
PEOPLE = People(operators=("otto",), custodians=("alice", "bob", "carol"))
CONTENT = Rule(
    "XX", "xx-content", Keeps.CONTENT, Starts.DETECTION, Length(21, "day"), "a law", "not reviewed"
)
BY_REPORT = Rule(
    "XX", "xx-report", Keeps.CONTENT, Starts.REPORT, Length(1, "year"), "a law", "not reviewed"
)
REFERENCE = Rule(
    "XX", "xx-reference", Keeps.REFERENCE, Starts.REPORT, Length(5, "year"), "a law", "counsel"
)
LONG_AGO = timedelta(days=6 * 366)


def terms(*rules: Rule, hours: float = 72, people: People = PEOPLE) -> Terms:
    return Terms(people, timedelta(hours=hours), rules)


@dataclass
class Office:
    """A database with cases, and people who decide about them. `now`: what its clock says.

    start: what it said first, which is what every clock says.
    """

    db: Database
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    terms: Terms = field(default_factory=lambda: terms(CONTENT))

    def __post_init__(self) -> None:
        self.start = self.now

    def case(self, state: str = "removed", *, ago: timedelta = LONG_AGO, **columns: Any) -> str:
        """A case detected that long ago, and the leaf that says so, written just now."""
        with self.db.write() as session:
            if session.get(RunRow, "run-1") is None:
                run = {"kind": "scan", "selection": {}, "recipes": {}, "lists": {}}
                session.add(
                    RunRow(
                        id="run-1",
                        status="finished",
                        started_at=self.start,
                        software="hashmatch 0",
                        **run,
                    )
                )
            count = len(session.scalars(select(CaseRow.id)).all())
            key = columns.pop("clip_key", KEY if count == 0 else f"{count}/{KEY}")
            etag = columns.pop("etag", f"etag-{count}")
            clip = session.scalar(select(ClipRow).where(ClipRow.key == key))
            if clip is None:
                clip = ClipRow(key=key, modified=self.start, outcome="matched", channel="somebody")
                session.add(clip)
            clip.etag, clip.size = etag, 700
            session.flush()
            row = CaseRow(
                id=f"case-{count:016}",
                clip_id=clip.id,
                run_id="run-1",
                clip_key=key,
                etag=etag,
                size=700,
                sha256="ab" * 32,
                state=state,
                detected_at=self.now - ago,
                vault_key=f"00/case-{count:016}.age",
                **columns,
            )
            session.add(row)
            session.flush()
            body = {"case": row.id, "clip": commit_clip(session, clip)}
            log.append(session, "case-detected", body, self.now)
            return row.id

    def row(self, case: str) -> CaseRow:
        with self.db.read() as session:
            return session.get_one(CaseRow, case)

    def clip(self, case: str) -> ClipRow:
        with self.db.read() as session:
            return session.get_one(ClipRow, self.row(case).clip_id)

    def ask(self, kind: Kind, case: str, by: str = "alice", reason: str = "because") -> RequestRow:
        with self.db.write() as session:
            return approvals.ask(
                session, kind, case, reason=reason, by=by, now=self.now, terms=self.terms
            )

    def confirm(self, case: str, by: str = "bob") -> RequestRow:
        with self.db.write() as session:
            return approvals.confirm(session, case, by=by, now=self.now, terms=self.terms)

    def leaf(self, at: datetime) -> None:
        """Something else happens then, such as a nightly run."""
        with self.db.write() as session:
            log.append(session, "run-finished", {}, at)

    def leaves(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and body of every leaf, in order."""
        with self.db.read() as session:
            rows = session.scalars(select(LeafRow).order_by(LeafRow.seq)).all()
        return [(row.kind, json.loads(row.body)["body"]) for row in rows]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.leaves()]
