"""Custody: takes a matched clip from clip storage into the vault, step by step.

    with db.write() as session:
        case = record.open_case(session, names, run_id=…, clip=…, matches=…, …)
    custody = Custody(db, clips, vault, platform, terms, software)
    custody.advance(case)              # detected → sealed → verified → withdrawn → removed
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
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from hashmatch.clips.store import ObjectChanged, ObjectNotFound, Store
from hashmatch.custody import approvals, case_record
from hashmatch.custody.absence import check_absence
from hashmatch.custody.approvals import Terms
from hashmatch.custody.case_record import Case, State
from hashmatch.custody.disposition import standing
from hashmatch.custody.notify import outbox
from hashmatch.custody.notify.platform import Platform
from hashmatch.custody.progress import PlatformWaits, Progress, SealedCopyLost, in_words
from hashmatch.custody.recovery import end_acts
from hashmatch.custody.vault import marker
from hashmatch.custody.vault.age_stream import Measure
from hashmatch.custody.vault.manifest import manifest
from hashmatch.custody.vault.sealing import ContentDiffers, Recipients, SealingFailed, new_case_key
from hashmatch.custody.vault.store import Vault, VaultFailed, key_name, manifest_name
from hashmatch.db.schema import CaseRow, ClipRow
from hashmatch.db.session import Database
from hashmatch.errors import HashmatchError, StorageError
from hashmatch.model import Json

SEALS_PER_RUN = 3

_ALIKE = (
    "{} older versions of the same size stay in clip storage under other ETags: they may be the same"
    " bytes, uploaded in other parts. Have the bucket's administrator compare and remove them."
)

logger = logging.getLogger(__name__)


class Custody:
    """Everything that is done to matched clips. `software`: name and version, for the record."""

    def __init__(
        self,
        db: Database,
        clips: Store,
        vault: Vault,
        platform: Platform,
        terms: Terms,
        software: str,
    ) -> None:
        self.db = db
        self.clips = clips
        self.vault = vault
        self.platform = platform
        self.terms = terms
        self.software = software

    def resume(self) -> Iterator[Progress]:
        """Advance every unfinished case, oldest first; then end what people began and left."""
        with self.db.write() as session:
            approvals.expire(session, datetime.now(UTC))
            cases = case_record.unfinished(session)
        for case_id in cases:
            yield self.advance(case_id)
        yield from end_acts(self)

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
                    seals += case.case_key is not None
                    self._seal(case, last=seals == SEALS_PER_RUN)
                elif case.state is State.SEALED:
                    read_back_now = self._verify(case)
                elif case.state is State.VERIFIED:
                    self._withdraw(case)
                elif case.state is State.WITHDRAWN:
                    read_back_now = self._remove(case, read_back_now)
                else:
                    return Progress(case.id, case.state, case.problem)
            except (StorageError, SealingFailed, PlatformWaits) as error:
                self._note(case, error)
                stuck = self._load(case_id)
                failed = isinstance(error, StorageError)
                return Progress(stuck.id, stuck.state, stuck.problem, failed)

    def _seal(self, case: Case, *, last: bool) -> None:
        marker.refuse_another(self.db, self.vault.store, besides=case.id)
        if case.case_key is None:
            self._make_key(case)
            return
        if not self._key_is_whole(case):
            self._begin_anew(case)
            return
        try:
            chunks = self.clips.read(case.clip_key, case.etag)
            receipt = self.vault.seal(case.vault_key, chunks, case.case_key, sha256=case.sha256)
        except ObjectNotFound:
            check_absence(self.db, self.clips)
            self._seal_missed(case, "gone")
        except ObjectChanged:
            self._seal_missed(case, "replaced")
        except ContentDiffers as error:
            # One bad read looks the same; only when it stays so is the clip another one.
            if last:
                self._seal_missed(case, "changed under its ETag")
            else:
                self._note(case, error)
        else:
            self._sealed(case, receipt.sealed, {})

    def _key_is_whole(self, case: Case) -> bool:
        """Of a case that was sealed before: one bad read is no reason to give up its key.

        Raises SealedCopyLost where it is damaged and the original is gone.
        """
        if case.sealed is None or self.vault.read_back(key_name(case.vault_key)) == case.key:
            return True
        if not self._original_is_there(case):
            raise SealedCopyLost
        return False

    def _begin_anew(self, case: Case) -> None:
        """Give up a damaged key, while the original is there: with another one at another place.

        What was sealed to it stays where it is, and must never be taken for a copy that the next key
        opens.
        """
        with self.db.write() as session:
            case_record.leave_place(session, case, datetime.now(UTC))

    def _make_key(self, case: Case) -> None:
        """Give the case a key: its private half into the vault, its public half on record.

        Nothing was sealed to an earlier one that did not get on record, so it is replaced.
        """
        key = new_case_key()
        place = key_name(case.vault_key)
        sent = self.vault.seal_paper(place, key.private.encode(), self.vault.recipients)
        if self.vault.read_back(place) != sent:
            raise VaultFailed(problem="the case's key read back is not what was sealed.")
        body: dict[str, Json] = {
            "size": sent.size,
            "sha256": sent.sha256,
            "for": key.public,
            "recipients": list(self.vault.recipients.keys),
        }
        columns: dict[str, Any] = {
            "case_key": key.public,
            "key_size": sent.size,
            "key_sha256": sent.sha256,
        }
        with self.db.write() as session:
            case_record.note(session, case, "case-keyed", body, datetime.now(UTC), **columns)

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
            "for": case.case_key,
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
        """Read back what the vault holds, and seal the manifest. Returns whether all is whole."""
        marker.refuse_another(self.db, self.vault.store, besides=case.id)
        if not self._is_whole(case):
            return False
        now = datetime.now(UTC)
        assert case.case_key is not None, "what was sealed has a key"
        assert case.sealed is not None, "it was just compared"
        with self.db.read() as session:
            text = manifest(session, case, self.clips.url, self.software, now)
        place = manifest_name(case.vault_key)
        sent = self.vault.seal_paper(place, text, Recipients((case.case_key,)))
        if self.vault.read_back(place) != sent:
            raise VaultFailed(problem="the manifest read back is not what was sealed.")
        body: dict[str, Json] = {
            "size": case.sealed.size,
            "sha256": case.sealed.sha256,
            "manifest": {"size": sent.size, "sha256": sent.sha256},
        }
        columns: dict[str, Any] = {
            "manifest_size": sent.size,
            "manifest_sha256": sent.sha256,
            "verified_at": now,
        }
        with self.db.write() as session:
            if case_record.move(
                session, case, State.VERIFIED, "case-verified", body, now, **columns
            ):
                self._message(session, case, now)
        return True

    def _is_whole(self, case: Case) -> bool:
        """Whether key and clip in the vault are what was sealed. If not, seal anew where one can.

        Raises SealedCopyLost where one cannot: the original is gone.
        """
        damaged: list[Json] = [
            what
            for what, place, expected in (
                ("key", key_name(case.vault_key), case.key),
                ("clip", case.vault_key, case.sealed),
            )
            if expected is None or self.vault.read_back(place) != expected
        ]
        if not damaged:
            return True
        there = self._original_is_there(case)
        body: dict[str, Json] = {"damaged": damaged, "original": "there" if there else "gone"}
        logger.warning("%s: the sealed copy read back is not what was sealed", case.id)
        if not there:
            # As sealed, so that the next run looks at it again.
            self._move(case, State.SEALED, "case-damaged", body)
            raise SealedCopyLost
        problem = "the sealed copy read back was not what was sealed"
        self._move(case, State.DETECTED, "case-damaged", body, problem=problem)
        return False

    def _message(self, session: Session, case: Case, at: datetime) -> str:
        """What the platform is to be told, written down at first use."""
        row = session.get_one(CaseRow, case.id, with_for_update=True)
        clip = session.get_one(ClipRow, row.clip_id)
        return outbox.put(session, outbox.Kind.WITHDRAW, row, clip, at)

    def _withdraw(self, case: Case) -> None:
        """Go on when the platform has said that it shows the clip to nobody any more, or when the
        settings say that it is not told.
        """
        with self.db.write() as session:
            message = self._message(session, case, datetime.now(UTC))
        answer = self.platform.deliver(message)
        if not answer.done:
            raise PlatformWaits(problem=answer.problem or "it has not answered yet")
        body: dict[str, Json] = {"message": message, "how": answer.how}
        now = datetime.now(UTC)
        self._move(case, State.WITHDRAWN, "case-withdrawn", body, withdrawn_at=now)

    def _remove(self, case: Case, read_back_now: bool) -> bool:
        """Delete the original; or, if the copy was not just read back, do that and return True."""
        marker.refuse_another(self.db, self.vault.store, besides=case.id)
        if not read_back_now:
            # Verified by an earlier process, days ago perhaps: look before deleting, also where the
            # original is out of sight: a bucket may still have it as an older version.
            return self._is_whole(case)
        body: dict[str, Json] = {"original": "deleted"}
        problem = None
        try:
            deletion = self.clips.delete(case.clip_key, case.etag)
            body |= {"versions": deletion.versions, "other_versions": deletion.others}
            if deletion.alike:
                body["alike"] = deletion.alike
                problem = _ALIKE.format(deletion.alike)
        except ObjectNotFound:
            check_absence(self.db, self.clips)
            body["original"] = "gone"
        except ObjectChanged:
            # The platform put another version there. It is not this case's: the next listing shows
            # it as changed, and it is scanned.
            body["original"] = "replaced"
        now = datetime.now(UTC)
        with self.db.write() as session:
            case_record.move(
                session,
                case,
                standing(session, case.id),
                "case-removed",
                body,
                now,
                removed_at=now,
                problem=problem,
            )
        return False

    def _original_is_there(self, case: Case) -> bool:
        try:
            return self.clips.head(case.clip_key).etag == case.etag
        except ObjectNotFound:
            check_absence(self.db, self.clips)
            return False

    def _load(self, case_id: str) -> Case:
        with self.db.read() as session:
            return case_record.load(session, case_id)

    def _move(
        self, case: Case, to: State, kind: str, body: dict[str, Json], **columns: Any
    ) -> None:
        with self.db.write() as session:
            case_record.move(session, case, to, kind, body, datetime.now(UTC), **columns)

    def _note(self, case: Case, error: HashmatchError) -> None:
        with self.db.write() as session:
            case_record.note_problem(session, case, in_words(error))
