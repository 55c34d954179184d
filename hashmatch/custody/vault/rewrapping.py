"""Rewrapping: a case's key is sealed anew when custodians come or go; the clip is not touched.

    rewrap(db, vault, case, key, by="ann")     # key: the case's own, opened with a private key

The key is in memory only, and the plaintext of the clip is nowhere. `key_change` says what a crash
in the middle leaves.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.clips.store import ObjectChanged, ObjectNotFound, VersionsRemain
from hashmatch.custody.case_record import KEPT, UNFINISHED, Case, State
from hashmatch.custody.vault import key_change
from hashmatch.custody.vault.age_stream import measure
from hashmatch.custody.vault.sealing import CaseKey, seal_bytes
from hashmatch.custody.vault.store import Vault, VaultFailed, key_name
from hashmatch.db.schema import CaseRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError


class NoKey(CustodyError):
    message = "Case {case} is {state}: the vault holds no key of it."
    remedy = "`hashmatch quarantine show {case}` says how far it has come."


_WITH_KEY = (*UNFINISHED, *KEPT, State.RELEASED)


def rewrappable(session: Session) -> list[str]:
    """Cases whose key is in the vault, oldest first."""
    query = select(CaseRow.id).where(CaseRow.state.in_(_WITH_KEY), CaseRow.key_sha256.is_not(None))
    return list(session.scalars(query.order_by(CaseRow.detected_at, CaseRow.id)))


def refuse_without_key(case: Case) -> None:
    """Raises NoKey for a case that has none in the vault."""
    if case.case_key is None or case.state not in _WITH_KEY:
        raise NoKey(case=case.id, state=case.state)


def rewrap(db: Database, vault: Vault, case: Case, key: CaseKey, *, by: str) -> str | None:
    """Seal a case's key for the custodians of the settings, and for nobody else.

    Earlier versions of the object that storage keeps are removed: the one who left could open them.
    Returns why some stay, if they do. Raises NoKey, VaultFailed. Held: the run's and the custody
    lock, as a run would take a key that changes for a damaged one.
    """
    refuse_without_key(case)
    place = key_name(case.vault_key)
    new = seal_bytes(key.private.encode(), vault.recipients)
    before = vault.store.head(place).etag
    with db.write() as session:
        key_change.begin(
            session, case, measure(new), vault.recipients.keys, by=by, at=datetime.now(UTC)
        )
    vault.put(place, new)
    if key_change.settle(db, vault, case.id) is not True:
        raise VaultFailed(problem="the case's key read back is not what was sealed.")
    try:
        with suppress(ObjectChanged, ObjectNotFound):
            vault.store.delete(place, before)
    except VersionsRemain as error:
        return f"earlier versions of its sealed key stay in the vault: {error.details['problem']}"
    return None
