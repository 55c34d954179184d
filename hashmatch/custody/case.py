"""Custody: takes a matched clip from clip storage into the vault, step by step.

    custody = Custody(db, clips, vault, names, software)
    with db.write() as session:
        case = custody.open_case(session, run_id=…, clip=…, sha256=…, size=…, matches=…, at=…)
    custody.advance(case)              # detected → sealed → verified → removed
    for progress in custody.resume():  # what earlier runs had to leave behind
        ...

Each step ends in one transaction, with its leaf, and may be repeated: a process that is killed
anywhere leaves a case that `resume` takes on. At every instant the original is in clip storage or a
verified copy is in the vault. Storage that fails is no error of the run: the case stays where it
is, says why, and the next run goes on.

Not guaranteed here: two processes that advance one case at the same time seal it twice, and the
second copy is not the recorded one. Whoever calls `advance` or `resume` holds the run lock.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from hashmatch.audit.names import KeyedNames
from hashmatch.clips.store import ObjectChanged, ObjectDenied, ObjectNotFound, Store
from hashmatch.custody import record
from hashmatch.custody.record import Case, State
from hashmatch.custody.seal import ContentDiffers, Measure, SealingFailed
from hashmatch.custody.vault import Vault, VaultFailed
from hashmatch.db.schema import ClipRow
from hashmatch.db.session import Database
from hashmatch.errors import HashmatchError, StorageError
from hashmatch.model import Json, Match

SEALS_PER_RUN = 3

logger = logging.getLogger(__name__)


class Progress(NamedTuple):
    """Where a case is now, and what keeps it there (or, of a `lost` one, why there is no copy).

    A problem is for the caller to raise the alarm about. It names no clip.
    """

    case: str
    state: State
    problem: str | None


class SealedCopyLost(StorageError):
    """The sealed copy is not what was sealed, and the original is gone from clip storage.

    Restore the object from the vault's backup; the next run verifies it again.
    """


class Custody:
    """Everything that is done to matched clips. `software`: name and version, for the record."""

    def __init__(
        self, db: Database, clips: Store, vault: Vault, names: KeyedNames, software: str
    ) -> None:
        self.db = db
        self.clips = clips
        self.vault = vault
        self.names = names
        self.software = software

    def open_case(
        self,
        session: Session,
        *,
        run_id: str,
        clip: ClipRow,
        sha256: str,
        size: int,
        matches: Sequence[Match],
        siblings: Sequence[str] = (),
        at: datetime,
    ) -> str:
        """The case of a clip's version, made in the caller's transaction. See record.open_case."""
        return record.open_case(
            session,
            self.names,
            run_id=run_id,
            clip=clip,
            sha256=sha256,
            size=size,
            matches=matches,
            siblings=siblings,
            software=self.software,
            at=at,
        )

    def resume(self) -> Iterator[Progress]:
        """Advance every unfinished case, oldest first."""
        with self.db.read() as session:
            cases = record.unfinished(session)
        for case_id in cases:
            yield self.advance(case_id)

    def advance(self, case_id: str) -> Progress:
        """Take a case as far as it goes now.

        Raises NoSuchCase and DatabaseError; what storage does wrong is in `Progress.problem`.
        """
        seals, read_back_now = 0, False
        while True:
            case = self._load(case_id)
            try:
                if case.state is State.DETECTED:
                    if seals == SEALS_PER_RUN:
                        return Progress(case.id, case.state, case.problem)
                    seals += 1
                    self._seal(case, last=seals == SEALS_PER_RUN)
                elif case.state is State.SEALED:
                    read_back_now = self._verify(case)
                elif case.state is State.VERIFIED:
                    read_back_now = self._remove(case, read_back_now)
                else:
                    return Progress(case.id, case.state, case.problem)
            except (StorageError, SealingFailed) as error:
                self._note(case, error)
                stuck = self._load(case_id)
                return Progress(stuck.id, stuck.state, stuck.problem)

    def _seal(self, case: Case, *, last: bool) -> None:
        try:
            chunks = self.clips.read(case.clip_key, case.etag)
            receipt = self.vault.seal(case.vault_key, chunks, sha256=case.sha256)
        except (ObjectNotFound, ObjectChanged) as error:
            gone = "gone" if isinstance(error, ObjectNotFound) else "replaced"
            self._seal_missed(case, gone)
        except ContentDiffers as error:
            # One bad read looks the same; only when it stays so is the clip another one.
            if last:
                self._seal_missed(case, "changed under its ETag")
            else:
                self._note(case, error)
        else:
            self._sealed(case, receipt.sealed, {})

    def _seal_missed(self, case: Case, original: str) -> None:
        """What was scanned is no longer there. An attempt that was killed may have sealed it."""
        if case.sealed is not None:
            # There is a copy that was read back wrongly once. It is all there is: look again.
            self._move(case, State.SEALED, "case-damaged", {"original": original})
            return
        leftover = self.vault.leftover(case.vault_key, case.size)
        if leftover is not None:
            self._sealed(case, leftover, {"by": "an interrupted attempt", "original": original})
            return
        problem = f"the original was {original} before it could be sealed"
        self._move(case, State.LOST, "case-lost", {"original": original}, problem=problem)

    def _sealed(self, case: Case, sealed: Measure, more: dict[str, Json]) -> None:
        body: dict[str, Json] = {
            "size": sealed.size,
            "sha256": sealed.sha256,
            "recipients": list(self.vault.recipients.keys),
            "software": self.software,
            **more,
        }
        self._move(
            case,
            State.SEALED,
            "case-sealed",
            body,
            sealed_size=sealed.size,
            sealed_sha256=sealed.sha256,
        )

    def _verify(self, case: Case) -> bool:
        """Compare the whole sealed object with what was sent. Returns whether it is the same."""
        found = self.vault.read_back(case.vault_key)
        if found is not None and found == case.sealed:
            now = datetime.now(UTC)
            body: dict[str, Json] = {"size": found.size, "sha256": found.sha256}
            self._move(case, State.VERIFIED, "case-verified", body, verified_at=now)
            return True
        there = self._original_is_there(case)
        body = {
            "found": "missing" if found is None else "different",
            "original": "there" if there else "gone",
        }
        logger.warning("%s: the sealed copy read back is not what was sealed", case.id)
        if not there:
            # As sealed, so that the next run looks at it again.
            self._move(case, State.SEALED, "case-damaged", body)
            raise SealedCopyLost
        problem = "the sealed copy read back was not what was sealed"
        self._move(case, State.DETECTED, "case-damaged", body, problem=problem)
        return False

    def _remove(self, case: Case, read_back_now: bool) -> bool:
        """Delete the original; or, if the copy was not just read back, do that and return True."""
        original = "deleted"
        if not read_back_now and self._original_is_there(case):
            # Verified by an earlier process, days ago perhaps: look before deleting.
            return self._verify(case)
        try:
            self.clips.delete(case.clip_key, case.etag)
        except ObjectNotFound:
            original = "gone"
        except ObjectChanged:
            # The platform put another version there. It is not this case's: the next listing shows
            # it as changed, and it is scanned.
            original = "replaced"
        body: dict[str, Json] = {"original": original}
        now = datetime.now(UTC)
        self._move(case, State.REMOVED, "case-removed", body, removed_at=now)
        return False

    def _original_is_there(self, case: Case) -> bool:
        try:
            return self.clips.head(case.clip_key).etag == case.etag
        except ObjectNotFound:
            return False

    def _load(self, case_id: str) -> Case:
        with self.db.read() as session:
            return record.load(session, case_id)

    def _move(
        self, case: Case, to: State, kind: str, body: dict[str, Json], **columns: Any
    ) -> None:
        with self.db.write() as session:
            record.move(session, case, to, kind, body, datetime.now(UTC), **columns)

    def _note(self, case: Case, error: HashmatchError) -> None:
        with self.db.write() as session:
            record.note_problem(session, case, _in_words(error))


def _in_words(error: HashmatchError) -> str:
    """For log and listing. What clip storage says is not repeated: it may name the clip."""
    if isinstance(error, ObjectDenied):
        return "clip storage refused access; check that this host may read and delete originals"
    if isinstance(error, StorageError) and not isinstance(error, VaultFailed | SealedCopyLost):
        return f"clip storage failed ({type(error).__name__})"
    return error.message
