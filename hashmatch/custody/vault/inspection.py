"""Inspection: does the vault still hold, byte for byte, what was sealed?

    with db.read() as session:
        cases = inspection.sample_of(inspection.inspectable(session), 0.05)
    findings = [inspection.inspect(db, store, case) for case in cases]

Needs no key: the sealed clip, its key and its manifest are compared with the sizes and digests on
record. Every look leaves a leaf.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.clips.store import Store
from hashmatch.custody import case_record
from hashmatch.custody.case_record import KEPT, Case, State
from hashmatch.custody.vault import key_change
from hashmatch.custody.vault.age_stream import Measure
from hashmatch.custody.vault.store import key_name, manifest_name, read_back
from hashmatch.db.schema import CaseRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError, StorageError
from hashmatch.model import Json


class NothingSealed(CustodyError):
    message = "Case {case} is {state}: nothing of it is in the vault."
    remedy = "`hashmatch quarantine show {case}` says why."


class Condition(StrEnum):
    """What a look at a sealed object found. An unreadable one may be whole."""

    WHOLE = "whole"
    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"


_SEVERITY = (Condition.WHOLE, Condition.UNREADABLE, Condition.MISSING, Condition.DAMAGED)


class Finding(NamedTuple):
    """A look at what the vault holds of a case. size: bytes of the clip, as recorded when sealed.

    parts: which of clip, key and manifest are not whole.
    """

    case: str
    vault_key: str
    size: int
    condition: Condition
    parts: tuple[str, ...] = ()
    problem: str | None = None


class _Look(NamedTuple):
    """What the vault must hold of a case: each part, where it is, and what it may be."""

    case: Case
    parts: tuple[tuple[str, str, tuple[Measure, ...]], ...]


def inspectable(session: Session) -> list[str]:
    """Cases whose sealed copy was verified once and is still kept, oldest first."""
    states = (State.VERIFIED, State.WITHDRAWN, *KEPT, State.RELEASED)
    query = select(CaseRow.id).where(CaseRow.state.in_(states), CaseRow.sealed_sha256.is_not(None))
    return list(session.scalars(query.order_by(CaseRow.detected_at, CaseRow.id)))


def sample_of(cases: Sequence[str], share: float) -> list[str]:
    """That share of the cases (0 to 1), at least one, picked by chance, in their order."""
    count = min(len(cases), math.ceil(share * len(cases) - 1e-9))
    picked = set(random.SystemRandom().sample(range(len(cases)), count))
    return [case for number, case in enumerate(cases) if number in picked]


def inspect(db: Database, store: Store, case_id: str) -> Finding:
    """Read what the vault holds of a case whole and compare it with the record.

    Raises NoSuchCase, NothingSealed. Storage that fails makes the object UNREADABLE.
    """
    look = _plan(db, case_id)
    finding = _look(store, look)
    while finding.condition is not Condition.WHOLE and (again := _plan(db, case_id)) != look:
        # Somebody who works on the same case may have sealed it again meanwhile.
        look, finding = again, _look(store, again)
    body: dict[str, Json] = {
        "case": case_id,
        "found": finding.condition.value,
        "parts": list(finding.parts),
    }
    with db.write() as session:
        log.append(session, "vault-verified", body, datetime.now(UTC))
    return finding


def _plan(db: Database, case_id: str) -> _Look:
    with db.read() as session:
        case = case_record.load(session, case_id)
        planned = key_change.planned_key(session, case_id)
    if case.sealed is None or case.state is State.DESTROYED:
        raise NothingSealed(case=case.id, state=case.state)
    # While a key is changed, the new one may be there before it is on record.
    keys = tuple(each for each in (case.key, planned) if each is not None)
    parts: list[tuple[str, str, tuple[Measure, ...]]] = [("clip", case.vault_key, (case.sealed,))]
    if keys:
        parts.append(("key", key_name(case.vault_key), keys))
    if case.manifest is not None:
        parts.append(("manifest", manifest_name(case.vault_key), (case.manifest,)))
    return _Look(case, tuple(parts))


def _look(store: Store, look: _Look) -> Finding:
    worst, bad, problem = Condition.WHOLE, [], None
    for part, place, expected in look.parts:
        condition = Condition.WHOLE
        try:
            found = read_back(store, place)
        except StorageError as error:
            condition, problem = Condition.UNREADABLE, error.message
        else:
            if found not in expected:
                condition = Condition.MISSING if found is None else Condition.DAMAGED
        if condition is not Condition.WHOLE:
            bad.append(part)
            worst = max(worst, condition, key=_SEVERITY.index)
    case = look.case
    assert case.sealed is not None, "what is planned was sealed"
    return Finding(case.id, case.vault_key, case.sealed.size, worst, tuple(bad), problem)
