"""Rewrapping: a case's key is sealed anew when custodians come or go; the clip is not touched.

    rewrap(db, vault, case_id, identities, by="ann")     # with a private key, not on a scan host

The key is in memory only, and the plaintext of the clip is nowhere. `keychange` says what a crash
in the middle leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.clips.store import ObjectChanged, ObjectNotFound
from hashmatch.custody import keychange, record
from hashmatch.custody.agestream import measure
from hashmatch.custody.record import KEPT, State
from hashmatch.custody.seal import seal_bytes
from hashmatch.custody.unseal import Identity, Unopenable, open_case_key
from hashmatch.custody.vault import Vault, VaultFailed, key_name
from hashmatch.db.schema import CaseRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError


class NoKey(CustodyError):
    """Case {case} is {state}: the vault holds no key of it.

    `hashmatch quarantine show {case}` says how far it has come.
    """


def rewrappable(session: Session) -> list[str]:
    """Cases whose key is in the vault and on its way nowhere, oldest first."""
    query = select(CaseRow.id).where(
        CaseRow.state.in_((*KEPT, State.RELEASED)), CaseRow.key_sha256.is_not(None)
    )
    return list(session.scalars(query.order_by(CaseRow.detected_at, CaseRow.id)))


def rewrap(
    db: Database, vault: Vault, case_id: str, identities: Sequence[Identity], *, by: str
) -> None:
    """Seal a case's key for the custodians of the settings, and for nobody else.

    Earlier versions of the object that storage keeps are removed: the one who left could open them.
    Raises NoSuchCase, NoKey, WrongIdentity, Unopenable, VaultFailed. Held: the custody lock.
    """
    keychange.settle(db, vault, case_id)
    with db.read() as session:
        case = record.load(session, case_id)
    if case.case_key is None or case.state not in (*KEPT, State.RELEASED):
        raise NoKey(case=case_id, state=case.state)
    place = key_name(case.vault_key)
    old = b"".join(vault.read(place))
    if measure(old) != case.key:
        raise Unopenable(case=case_id, what="key", problem="it is not the one on record")
    key = open_case_key(old, identities, case.case_key, case_id)
    new = seal_bytes(key.private.encode(), vault.recipients)
    planned = measure(new)
    before = vault.store.head(place).etag
    with db.write() as session:
        keychange.begin(session, case, planned, vault.recipients.keys, by=by, at=datetime.now(UTC))
    vault.put(place, new)
    with suppress(ObjectChanged, ObjectNotFound):
        vault.store.delete(place, before)
    if keychange.settle(db, vault, case_id) is not True:
        raise VaultFailed(problem="the case's key read back is not what was sealed.")
