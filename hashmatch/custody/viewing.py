"""Opening: a custodian looks at what was taken. The one way in which the log says that a person did.

    key = key_of(vault, case, identities)
    for chunk in open_clip(db, vault, case, key, by="ann", reason="report of 26 November"):
        ...

The look is on record before the first byte is given. Not on a scan host: see `scans_here`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit, commit_person
from hashmatch.custody import case_record
from hashmatch.custody.case_record import KEPT, Case, State
from hashmatch.custody.host import host_id
from hashmatch.custody.vault.age_stream import measure
from hashmatch.custody.vault.sealing import CaseKey
from hashmatch.custody.vault.store import Vault, key_name
from hashmatch.custody.vault.unsealing import Identity, Unopenable, UnsealedStream, open_case_key
from hashmatch.db.schema import RunRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyError

OPENABLE = (State.VERIFIED, State.WITHDRAWN, *KEPT, State.RELEASED)


class ScanHost(CustodyError):
    message = "This host scans clips: a custodian's private key must never come here."
    remedy = (
        "Run this on a custodian's own machine, which reaches the database and the vault. Or give "
        "this host the key of this one case only: hashmatch quarantine key {case} | age -d -i "
        "custodian.key | ... --case-key - with the `age -d` in the middle on the custodian's "
        "machine (see docs/custody.md)."
    )


class ClipMustNotStay(CustodyError):
    message = "Case {case}: this host scans clips, and an opened clip must not be stored on it."
    remedy = (
        "Give --to - and let it pass through, into a file on a custodian's machine: ssh scan "
        '"hashmatch quarantine open {case} --case-key - --reason … --to -" > case.mp4 (see '
        "docs/custody.md)."
    )


class NotOpenable(CustodyError):
    message = "Case {case} is {state}: there is nothing that can be opened."
    remedy = "`hashmatch quarantine show {case}` says how far it has come."


def scans_here(session: Session) -> bool:
    """Whether a run was ever started on this host."""
    return bool(session.scalar(select(exists().where(RunRow.host == host_id()))))


def load(db: Database, case_id: str) -> Case:
    """A case that can be opened. Raises NoSuchCase, NotOpenable."""
    with db.read() as session:
        case = case_record.load(session, case_id)
    if case.state not in OPENABLE or case.case_key is None:
        raise NotOpenable(case=case_id, state=case.state)
    return case


def sealed_key(vault: Vault, case: Case) -> bytes:
    """The case's key as the vault holds it, sealed for the custodians. Raises Unopenable."""
    sealed = b"".join(vault.read(key_name(case.vault_key)))
    if measure(sealed) != case.key:
        raise Unopenable(case=case.id, what="key", problem="it is not the one on record")
    return sealed


def key_of(vault: Vault, case: Case, identities: Sequence[Identity]) -> CaseKey:
    """The case's key, opened. Raises WrongIdentity, Unopenable, VaultFailed."""
    assert case.case_key is not None, "load refuses it"
    return open_case_key(sealed_key(vault, case), identities, case.case_key, case.id)


def open_clip(
    db: Database, vault: Vault, case: Case, key: CaseKey, *, by: str, reason: str
) -> Iterator[bytes]:
    """The clip, as it was. All of it counts, or nothing: an error may come after the last chunk.

    Raises Unopenable, VaultFailed.
    """
    with db.write() as session:
        body = {
            "case": case.id,
            "by": commit_person(session, by),
            "reason": commit(session, "reason", reason, subject=case.id),
        }
        log.append(session, "case-opened", dict(body), datetime.now(UTC))
    yield from UnsealedStream(vault.read(case.vault_key), key, sha256=case.sha256, case=case.id)
