"""A change of a case's sealed key: on record before it is made, so that a crash leaves no doubt.

    begin(session, case, planned, recipients, by="ann", at=now)
    ...                                            # the new object is written
    settle(db, vault, case.id)                     # True: the new one is there and on record

`rewrapping` makes such a change with a private key. Ending one that was interrupted takes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from hashmatch.custody import case_record, intents
from hashmatch.custody.case_record import Case
from hashmatch.custody.intents import Step
from hashmatch.custody.vault.age_stream import Measure
from hashmatch.custody.vault.store import Vault, VaultFailed, key_name
from hashmatch.db.schema import CaseStepRow
from hashmatch.db.session import Database
from hashmatch.model import Json


def begin(
    session: Session, case: Case, key: Measure, recipients: Sequence[str], *, by: str, at: datetime
) -> None:
    """Put on record which sealed key is about to replace the present one."""
    plan: dict[str, Json] = {
        "size": key.size,
        "sha256": key.sha256,
        "recipients": list(recipients),
    }
    intents.intend(session, case.id, Step.REWRAP, at, by, **plan)


def settle(db: Database, vault: Vault, case_id: str) -> bool | None:
    """End a rewrapping that has its intent on record: done, or not. None if there is none.

    Raises VaultFailed if the vault holds neither the old key nor the new one.
    """
    with db.read() as session:
        case = case_record.load(session, case_id)
        step = intents.open_step(session, case_id, Step.REWRAP)
        if step is None:
            return None
        planned = _planned(step)
    found = vault.read_back(key_name(case.vault_key))
    if found == planned:
        _end(db, case, "case-rewrapped", planned)
        return True
    if found == case.key:
        _end(db, case, "case-not-rewrapped", None)
        return False
    raise VaultFailed(problem=f"the key of {case_id} is neither the old nor the new one.")


def planned_key(session: Session, case_id: str) -> Measure | None:
    """The sealed key that an unfinished rewrapping is about to put in the old one's place."""
    step = intents.open_step(session, case_id, Step.REWRAP)
    return None if step is None else _planned(step)


def _planned(step: CaseStepRow) -> Measure:
    return Measure(step.result["size"], step.result["sha256"])


def _end(db: Database, case: Case, kind: str, key: Measure | None) -> None:
    now = datetime.now(UTC)
    with db.write() as session:
        step = intents.open_step(session, case.id, Step.REWRAP)
        if step is None:
            return
        body: dict[str, Json] = {}
        columns = {}
        if key is not None:
            body = {"size": key.size, "sha256": key.sha256, "recipients": step.result["recipients"]}
            columns = {"key_size": key.size, "key_sha256": key.sha256}
        leaf = case_record.note(session, case, kind, body, now, **columns)
        if leaf is not None:
            intents.end_step(session, case.id, Step.REWRAP, leaf, {"leaf": kind, **body}, now)
