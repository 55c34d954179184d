"""Release: a clip that was taken by mistake goes back, bit for bit, to where it was.

    release(custody, case, key, rules, by="bob")     # two people have asked for it; key opens the case

The matches that took it are on record as wrong, so that the next scan does not take it again, and
the platform is told that it may be shown. May be repeated after a crash: what an interrupted attempt
put back is compared, not written twice. The sealed copy stays in the vault.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.clips.store import ObjectChanged, ObjectExists, ObjectNotFound
from hashmatch.config import Review
from hashmatch.custody import approvals, case_record, intents
from hashmatch.custody.case_record import Case, State
from hashmatch.custody.intents import Step
from hashmatch.custody.notify import outbox
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.vault.age_stream import Measure
from hashmatch.custody.vault.sealing import CaseKey
from hashmatch.custody.vault.store import read_back
from hashmatch.custody.vault.unsealing import UnsealedStream
from hashmatch.db.schema import CaseRow, ClipRow, RequestRow
from hashmatch.errors import CustodyError, StorageError
from hashmatch.model import Json
from hashmatch.reviews import review_record as reviews
from hashmatch.reviews.findings import Finding, found

if TYPE_CHECKING:
    from hashmatch.custody.case import Custody


class KeyTaken(CustodyError):
    message = (
        "Case {case}: under the clip's old key there is another object now. Nothing was written."
    )
    remedy = "Have the platform move that object away, then confirm the release again."


class NotPutBack(StorageError):
    message = "Case {case}: clip storage took the clip and does not give back the same bytes."
    remedy = (
        "Nothing is lost: the sealed copy stays. Check clip storage, then confirm the release "
        "again."
    )


def release(custody: Custody, case: Case, key: CaseKey, rules: Review, *, by: str) -> str | None:
    """Put the clip back, look that it is there, and put that on record. Held: the custody lock.

    Returns what the platform has not confirmed yet, if anything; the next run asks it again.
    rules: when rejected matches take an entry's word from it. Raises what `approvals.still_allowed`
    does; KeyTaken, NotPutBack, Unopenable, StorageError.
    """
    with custody.db.write() as session:
        request = approvals.confirmed(session, case.id, Kind.RELEASE)
        approvals.still_allowed(session, request, datetime.now(UTC), custody.terms)
        intents.intend(session, case.id, Step.RELEASE, datetime.now(UTC), by)
    _put_back(custody, case, key)
    now = datetime.now(UTC)
    with custody.db.write() as session:
        log.tree_head(session, lock=True)  # as whoever decides about matches does first
        request = approvals.confirmed(session, case.id, Kind.RELEASE)
        message = _record(session, case, request, rules, now)
        approvals.finish(session, request, now)
    return custody.platform.deliver(message).problem


def _put_back(custody: Custody, case: Case, key: CaseKey) -> None:
    sealed = custody.vault.read(case.vault_key)
    stream = UnsealedStream(sealed, key, sha256=case.sha256, case=case.id)
    wrote = None
    try:
        wrote = custody.clips.write(case.clip_key, stream, over=None)
    except ObjectExists:
        pass  # an interrupted attempt, or something else: the comparison tells
    except Exception as error:
        # A writer may hide what went wrong in the vault behind an error of its own.
        if stream.failure is not None and stream.failure is not error:
            raise stream.failure from error
        raise
    if read_back(custody.clips, case.clip_key) == Measure(case.size, case.sha256):
        return
    if wrote is None:
        raise KeyTaken(case=case.id)
    with suppress(ObjectChanged, ObjectNotFound):
        custody.clips.delete(case.clip_key, wrote.etag)
    raise NotPutBack(case=case.id)


def _record(session: Session, case: Case, request: RequestRow, rules: Review, at: datetime) -> str:
    """The state, the matches as wrong ones, and what the platform is to be told: its message."""
    row = session.get_one(CaseRow, case.id, with_for_update=True)
    clip = session.get_one(ClipRow, case.clip_id)
    assert request.confirmed_by is not None, "an approved request was confirmed"
    reviews.reject(
        session,
        clip,
        case.etag,
        case.sha256,
        [Finding.of(match) for match in found(session, clip.id, case.etag)],
        of=case.id,
        by=request.confirmed_by,
        reason=request.reason,
        rules=rules,
        at=at,
    )
    body: dict[str, Json] = {"request": request.id}
    case_record.move(
        session, case, State.RELEASED, "case-released", body, at, Step.RELEASE, released_at=at
    )
    return outbox.put(session, outbox.Kind.RESTORED, row, clip, at)
