"""Destruction: what two people asked for. The case's key goes first, then all else of the case.

    certificate = destroy(db, vault, case, terms, software)

May be repeated: a process that is killed anywhere leaves a case that the next run destroys to its
end. Once the key is gone the clip cannot be opened, whatever storage keeps of it.

Not guaranteed here: copies that somebody made of the vault with its keys in it, such as back-ups.
See docs/custody.md.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import rfc8785
from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.log import written
from hashmatch.clips.store import ObjectInfo
from hashmatch.custody import approvals, case_record, intents
from hashmatch.custody.approvals import Terms
from hashmatch.custody.case_record import Case, State
from hashmatch.custody.intents import Step
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.retention.rules import clocks
from hashmatch.custody.vault import marker
from hashmatch.custody.vault.store import Vault, VaultFailed, key_name
from hashmatch.db.schema import CaseRow, CaseStepRow, RequestRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError
from hashmatch.model import Json

FORMAT = 1


class NoCertificate(CustodyError):
    message = "Case {case} has no certificate: it is {state}, not destroyed."
    remedy = "`hashmatch quarantine show {case}` says how far it has come."


def destroy(db: Database, vault: Vault, case: Case, terms: Terms, software: str) -> str:
    """Erase all that the vault holds of a case, look that it is gone, and certify it.

    Returns the certificate. Raises what `approvals.still_allowed` does, VaultAway, and VaultFailed
    where something is not gone: the case then stays as it is. Held: the custody lock.
    """
    # In another place nothing would be found of it, and a certificate would say that it is gone.
    marker.refuse_another(db, vault.store, besides=case.id)
    with db.write() as session:
        request = approvals.confirmed(session, case.id, Kind.DESTROY)
        approvals.still_allowed(session, request, datetime.now(UTC), terms)
        intents.intend(session, case.id, Step.DESTROY, datetime.now(UTC), request.confirmed_by)
    erased = _erase(vault, case)
    now = datetime.now(UTC)
    with db.write() as session:
        request = approvals.confirmed(session, case.id, Kind.DESTROY)
        text = _certificate(session, case, request, terms, erased, software, now)
        body: dict[str, Json] = {
            "request": request.id,
            "objects": len(erased),
            "certificate": hashlib.sha256(text.encode()).hexdigest(),
        }
        case_record.move(
            session,
            case,
            State.DESTROYED,
            "case-destroyed",
            body,
            now,
            Step.DESTROY,
            destroyed_at=now,
        )
        _keep(session, case.id, text)
        approvals.finish(session, request, now)
    return text


def certificate_of(session: Session, case_id: str) -> str:
    """The certificate of a destroyed case. Raises NoSuchCase, NoCertificate."""
    case = case_record.load(session, case_id)
    step = _last(session, case_id)
    if case.state is not State.DESTROYED or step is None or "certificate_text" not in step.result:
        raise NoCertificate(case=case_id, state=case.state)
    text: str = step.result["certificate_text"]
    return text


def _erase(vault: Vault, case: Case) -> list[str]:
    """The names of what was erased. An interrupted attempt's are not among them."""
    first = key_name(case.vault_key)
    found = {place.key for place in _objects(vault, case)} | {first, case.vault_key}
    # Keys before what they open.
    ordered = sorted(found, key=lambda place: (not place.endswith(".key.age"), place))
    erased = [place for place in ordered if vault.erase(place)]
    left = [place.key for place in _objects(vault, case)]
    if left or any(vault.read_back(place) is not None for place in ordered):
        raise VaultFailed(problem="what was erased is still there.")
    return erased


def _objects(vault: Vault, case: Case) -> list[ObjectInfo]:
    """All of the case, also copies of earlier times that it was opened."""
    folder = case.vault_key.rpartition("/")[0]
    return vault.list(f"{folder}/{case.id}.")


def _certificate(
    session: Session,
    case: Case,
    request: RequestRow,
    terms: Terms,
    erased: list[str],
    software: str,
    at: datetime,
) -> str:
    row = session.get_one(CaseRow, case.id)
    said: dict[str, Json] = {
        "v": FORMAT,
        "what": "certificate of destruction",
        "case": case.id,
        "detected_at": written(row.detected_at),
        "asked_by": request.asked_by,
        "asked_at": written(request.asked_at),
        "confirmed_by": request.confirmed_by,
        "confirmed_at": written(request.confirmed_at) if request.confirmed_at else None,
        "reason": request.reason,
        "retention": [
            {
                "rule": clock.rule.name,
                "source": clock.rule.source,
                "ended": written(clock.end) if clock.end else None,
            }
            for clock in clocks(terms.rules, row)
        ],
        "sealed": {"size": row.sealed_size, "sha256": row.sealed_sha256},
        "erased": list(erased),
        "checked": "each object was read again and is not there; the listing of the case is empty",
        "destroyed_at": written(at),
        "software": software,
    }
    return rfc8785.dumps(said).decode() + "\n"


def _last(session: Session, case_id: str) -> CaseStepRow | None:
    query = select(CaseStepRow).where(
        CaseStepRow.case_id == case_id, CaseStepRow.step == Step.DESTROY
    )
    return session.scalar(query.order_by(CaseStepRow.id.desc()).limit(1))


def _keep(session: Session, case_id: str, text: str) -> None:
    step = _last(session, case_id)
    assert step is not None, "it was intended"
    step.result = {**step.result, "certificate_text": text}
