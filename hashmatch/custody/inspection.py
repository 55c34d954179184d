"""Inspection: does the vault still hold, byte for byte, what was sealed?

    with db.read() as session:
        cases = inspection.inspectable(session)
    findings = [inspection.inspect(db, store, case) for case in cases]

Needs no key: sealed bytes are compared with the size and digest on record. Every look leaves a
leaf.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.clips.store import Store
from hashmatch.custody import record
from hashmatch.custody.record import Case, State
from hashmatch.custody.vault import read_back
from hashmatch.db.schema import CaseRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError, StorageError
from hashmatch.model import Json


class NothingSealed(CustodyError):
    """Case {case} is {state}: nothing of it is in the vault.

    `hashmatch quarantine show {case}` says why.
    """


class Condition(StrEnum):
    """What a look at a sealed object found. An unreadable one may be whole."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"


class Finding(NamedTuple):
    """A look at one case's sealed object. size: bytes, as recorded when it was sealed."""

    case: str
    vault_key: str
    size: int
    condition: Condition
    problem: str | None = None


def inspectable(session: Session) -> list[str]:
    """Cases whose sealed copy was verified once, oldest first."""
    query = (
        select(CaseRow.id)
        .where(CaseRow.state.in_((State.VERIFIED, State.REMOVED)))
        .order_by(CaseRow.detected_at, CaseRow.id)
    )
    return list(session.scalars(query))


def inspect(db: Database, store: Store, case_id: str) -> Finding:
    """Read a case's sealed object whole and compare it with the record.

    Raises NoSuchCase, NothingSealed. Storage that fails makes the object UNREADABLE.
    """
    case = _load(db, case_id)
    finding = _look(store, case)
    while finding.condition is not Condition.WHOLE and (again := _load(db, case_id)) != case:
        # A run that works on the same case may have sealed it again meanwhile.
        case, finding = again, _look(store, again)
    body: dict[str, Json] = {"case": case_id, "found": finding.condition.value}
    with db.write() as session:
        log.append(session, "vault-verified", body, datetime.now(UTC))
    return finding


def _load(db: Database, case_id: str) -> Case:
    with db.read() as session:
        return record.load(session, case_id)


def _look(store: Store, case: Case) -> Finding:
    if case.sealed is None:
        raise NothingSealed(case=case.id, state=case.state)
    problem = None
    try:
        found = read_back(store, case.vault_key)
    except StorageError as error:
        condition, problem = Condition.UNREADABLE, error.message
    else:
        if found is None:
            condition = Condition.MISSING
        else:
            condition = Condition.WHOLE if found == case.sealed else Condition.DAMAGED
    return Finding(case.id, case.vault_key, case.sealed.size, condition, problem)
