"""Endings: what people began and a crash, or somebody's silence, left undone. Takes no private key.

    for progress in end_acts(custody):
        ...

Destruction that was confirmed, the record of a key that was changed, and what the platform was not
told yet after a release.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from hashmatch.custody import approvals, case_record, intents
from hashmatch.custody.case_record import Case
from hashmatch.custody.destruction import destroy
from hashmatch.custody.intents import Step
from hashmatch.custody.notify import outbox
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.progress import PlatformWaits, Progress, in_words
from hashmatch.custody.retention.timekeeping import ClockWrong
from hashmatch.custody.vault import key_change
from hashmatch.errors import ConfigError, CustodyBusy, CustodyError, StorageError

if TYPE_CHECKING:
    from hashmatch.custody.case import Custody


def end_acts(custody: Custody) -> Iterator[Progress]:
    """End each of them, as far as it goes now. Raises DatabaseError; other trouble is a problem.

    Nothing is done while somebody holds the custody lock, who is at work on just these.
    """
    with suppress(CustodyBusy), custody.db.custody_lock():
        with custody.db.read() as session:
            changed = intents.cases_with_open(session, Step.REWRAP)
            asked = approvals.open_requests(session)
            confirmed = [
                one.case_id for one in asked if one.confirmed_by and one.kind == Kind.DESTROY
            ]
            messages = outbox.unanswered(session, outbox.Kind.RESTORED)

        def settle(case: Case) -> None:
            key_change.settle(custody.db, custody.vault, case.id)

        def end(case: Case) -> None:
            destroy(custody.db, custody.vault, case, custody.terms, custody.software)

        for case_id in changed:
            yield _progress(custody, case_id, settle)
        for case_id in confirmed:
            yield _progress(custody, case_id, end)
        for case_id, message in messages:
            yield _progress(custody, case_id, partial(_tell, custody, message))


def _tell(custody: Custody, message: str, _: Case) -> None:
    answer = custody.platform.deliver(message)
    if not answer.done:
        raise PlatformWaits(problem=answer.problem or "it has not answered yet")


def _progress(custody: Custody, case_id: str, act: Callable[[Case], None]) -> Progress:
    problem, failed = None, False
    try:
        act(_load(custody, case_id))
    except (StorageError, CustodyError, ClockWrong, ConfigError) as error:
        problem, failed = in_words(error), isinstance(error, StorageError)
    return Progress(case_id, _load(custody, case_id).state, problem, failed)


def _load(custody: Custody, case_id: str) -> Case:
    with custody.db.read() as session:
        return case_record.load(session, case_id)
