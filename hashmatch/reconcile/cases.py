"""Cases, their steps, holds and requests: what the log says of them, against their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commitment
from hashmatch.db.schema import CaseRow, CaseStepRow, HoldRow, OpeningRow, RequestRow
from hashmatch.reconcile.books import Body, Book, DatabaseDiffers, compare, missing, unheard_of

# The states that a case may be in after a leaf which does not say it (`state`). After any other kind
# it is where it was.
AFTER: Mapping[str, tuple[str, ...]] = {
    "case-detected": ("detected",),
    "case-reopened": ("detected", "verified"),
    "case-sealed": ("sealed",),
    "case-verified": ("verified",),
    "case-withdrawn": ("withdrawn",),
    "case-removed": ("removed", "held", "reported"),
    "case-lost": ("lost",),
    "case-released": ("released",),
    "case-destroyed": ("destroyed",),
}
# Those that are left where it was, or go back.
BACK: Mapping[str, tuple[str, ...]] = {"case-damaged": ("detected", "sealed")}

# Leaves with the size and digest of an object in the vault: kind -> columns of which object.
MEASURED: Mapping[str, str] = {
    "case-keyed": "key",
    "case-rewrapped": "key",
    "case-sealed": "sealed",
}
FORGETTING = ("case-reopened", "case-damaged", "case-destroyed", "case-forgotten")


@dataclass
class _Case:
    """What is expected of one: the last leaf of each sort, and the states it may be in."""

    opened: tuple[int, Body] | None = None
    last: int = 0
    states: set[str] = field(default_factory=set)
    objects: dict[str, tuple[int, Body]] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    forgotten: bool = False


class CaseBook(Book):
    kinds = ("case-", "vault-verified")

    def __init__(self) -> None:
        self.cases: dict[str, _Case] = {}
        self.about: dict[int, str] = {}
        self.intents: dict[int, tuple[str, str]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        name = body.get("case")
        if not isinstance(name, str):
            return
        case = self.cases.setdefault(name, _Case())
        self.about[seq], self.seen = name, seq
        case.last = seq
        if kind in ("case-detected", "case-reopened"):
            case.opened, case.forgotten = (seq, body), False
        elif kind == "case-intends":
            self.intents[seq] = (name, str(body.get("step")))
        elif kind == "case-forgotten":
            case.forgotten = True
        if kind in FORGETTING:
            case.optional = {"key", "sealed", "manifest"}
        if kind in MEASURED:
            self._measured(case, MEASURED[kind], seq, body)
        if isinstance(body.get("manifest"), dict):
            self._measured(case, "manifest", seq, body["manifest"])
        if isinstance(body.get("state"), str):
            case.states = {body["state"]}
        else:
            case.states = {*AFTER.get(kind, case.states), *BACK.get(kind, ())}

    def _measured(self, case: _Case, what: str, seq: int, body: Body) -> None:
        case.objects[what] = (seq, body)
        case.optional.discard(what)

    def close(self, session: Session) -> None:
        openings = {
            row.commitment: row.value
            for row in session.scalars(select(OpeningRow).where(OpeningRow.kind == "content"))
        }
        rows = {row.id: row for row in session.scalars(select(CaseRow))}
        for name, case in self.cases.items():
            if name not in rows:
                raise missing(name, case.last)
            self._compare(name, case, rows[name], openings)
        for name in rows:
            if name not in self.cases or self.cases[name].opened is None:
                raise unheard_of(name, self.seen)
        self._steps(session)

    def _compare(self, name: str, case: _Case, row: CaseRow, openings: Mapping[str, str]) -> None:
        if case.opened is not None:
            seq, body = case.opened
            compare(name, seq, body, row, {"size": "size", "run": "run_id"})
            content = openings.get(str(body.get("content")))
            if content is not None and not case.forgotten and content != row.sha256:
                raise DatabaseDiffers(problem=f"the content of {name} is another", leaf=seq)
        for what, (seq, body) in case.objects.items():
            kept = getattr(row, f"{what}_size"), getattr(row, f"{what}_sha256")
            if kept == (None, None) and what in case.optional:
                continue
            if kept != (body.get("size"), body.get("sha256")):
                problem = f"what the vault holds of {name} ({what}) is another by its row"
                raise DatabaseDiffers(problem=problem, leaf=seq)
        for what in ("key", "sealed", "manifest"):
            if what not in case.objects and getattr(row, f"{what}_sha256") is not None:
                problem = f"no leaf says that the vault holds anything of {name} ({what})"
                raise DatabaseDiffers(problem=problem, leaf=case.last)
        if case.states and row.state not in case.states:
            problem = f"{name} is {row.state} by its row, and {' or '.join(sorted(case.states))}"
            raise DatabaseDiffers(problem=f"{problem} by its last leaf", leaf=case.last)

    def _steps(self, session: Session) -> None:
        found = set()
        for row in session.scalars(select(CaseStepRow).order_by(CaseStepRow.id)):
            if self.intents.get(row.leaf) != (row.case_id, row.step):
                problem = f"no leaf intends the step {row.step} of {row.case_id}"
                raise DatabaseDiffers(problem=problem, leaf=row.leaf)
            if row.end_leaf is not None and self.about.get(row.end_leaf) != row.case_id:
                problem = f"no leaf ends the step {row.step} of {row.case_id}"
                raise DatabaseDiffers(problem=problem, leaf=row.end_leaf)
            found.add(row.leaf)
        for seq, (name, step) in self.intents.items():
            if seq not in found:
                raise missing(f"the step {step} of {name}", seq)


class HoldBook(Book):
    kinds = ("case-held", "case-hold-lifted")

    def __init__(self) -> None:
        self.holds: dict[int, tuple[int, bool]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        if isinstance(body.get("hold"), int):
            self.holds[body["hold"]] = (seq, kind == "case-hold-lifted")
        self.seen = seq

    def close(self, session: Session) -> None:
        rows = {row.id: row for row in session.scalars(select(HoldRow))}
        for number, (seq, lifted) in self.holds.items():
            if number not in rows:
                raise missing(f"hold {number}", seq)
            if (rows[number].lifted_at is not None) != lifted:
                said = "is lifted" if lifted else "stands"
                problem = f"hold {number} of {rows[number].case_id} {said} by its last leaf only"
                raise DatabaseDiffers(problem=problem, leaf=seq)
        for number in rows.keys() - self.holds.keys():
            raise unheard_of(f"hold {number}", self.seen)


class RequestBook(Book):
    kinds = ("request-",)

    def __init__(self) -> None:
        self.asked: dict[int, tuple[int, Body]] = {}
        self.confirmed: dict[int, tuple[int, Body]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        if isinstance(body.get("request"), int):
            if kind == "request-asked":
                self.asked[body["request"]] = (seq, body)
            elif kind == "request-confirmed":
                self.confirmed[body["request"]] = (seq, body)
        self.seen = seq

    def close(self, session: Session) -> None:
        people = _people(session)
        rows = {row.id: row for row in session.scalars(select(RequestRow))}
        for number, (seq, body) in self.asked.items():
            if number not in rows:
                raise missing(f"request {number}", seq)
            compare(f"request {number}", seq, body, rows[number], _REQUEST)
            self._by(number, seq, body, rows[number].asked_by, people)
        for number, row in rows.items():
            if number not in self.asked:
                raise unheard_of(f"request {number}", self.seen)
            if row.confirmed_by is None and number not in self.confirmed:
                continue
            if row.confirmed_by is None or number not in self.confirmed:
                problem = f"whether request {number} was confirmed"
                raise DatabaseDiffers(problem=problem, leaf=self.asked[number][0])
            self._by(number, *self.confirmed[number], row.confirmed_by, people)

    def _by(self, number: int, seq: int, body: Body, by: str, people: Mapping[str, str]) -> None:
        said = people.get(str(body.get("by")))
        if said is not None and said != by:
            raise DatabaseDiffers(problem=f"the person of request {number} is another", leaf=seq)


_REQUEST = {"case": "case_id", "kind": "kind"}


class OpeningBook(Book):
    """Openings that do not open: their commitment is to something else."""

    def close(self, session: Session) -> None:
        for row in session.scalars(select(OpeningRow).order_by(OpeningRow.commitment)):
            try:
                name = commitment(row.kind, row.salt, row.value)
            except (TypeError, ValueError):
                name = ""
            if name != row.commitment:
                problem = f"what {row.commitment} opens to was changed"
                raise DatabaseDiffers(problem=problem, leaf=0)


def _people(session: Session) -> dict[str, str]:
    query = select(OpeningRow.commitment, OpeningRow.value).where(OpeningRow.kind == "person")
    found: dict[str, Any] = {row.commitment: row.value for row in session.execute(query)}
    return found
