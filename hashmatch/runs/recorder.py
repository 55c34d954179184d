"""What a clip's turn leaves behind, in one transaction: outcome, fingerprint, matches, case, leaf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit_clip, commit_version
from hashmatch.audit.names import KeyedNames
from hashmatch.custody.case_record import open_case
from hashmatch.db import fingerprints, ledger, renditions
from hashmatch.db.schema import ClipRow, MatchRow, WorkRow
from hashmatch.model import Fingerprint, Json, Match, Outcome
from hashmatch.reviews import review_record as reviews
from hashmatch.runs import shard_record
from hashmatch.scanning.scanner import Scanned
from hashmatch.work import Retry, Task, Turn


@dataclass(frozen=True, slots=True)
class Recorder:
    """Writes one run's results. `list_set` is the state of the lists that the run compares with."""

    run_id: str
    list_set: str
    software: str
    names: KeyedNames
    retry: Retry

    def turn(
        self, session: Session, turn: Turn, scanned: Sequence[Scanned], now: datetime
    ) -> list[str | None]:
        """Record a look at a clip, or at all renditions of one, and their shard if it is complete.

        Returns the case of each, if any.
        """
        looks = list(zip(turn.tasks, scanned, strict=True))
        taken = [self._case(task, look) for task, look in looks if _is_taken(look)]
        cases = []
        for task, look in looks:
            if look.fingerprint is not None:
                fingerprints.save(
                    session, task.clip_id, look.etag, look.fingerprint, now, look.seen_by
                )
            cases.append(self._record(session, task, look, now, self.retry, taken))
        if taken:
            renditions.doubt_siblings(session, turn.tasks, now)
        # Renditions of one clip are in one shard.
        shard = session.get_one(WorkRow, turn.tasks[0].work_id).shard
        shard_record.close_if_complete(session, self.run_id, shard, now)
        return cases

    def compared(
        self,
        session: Session,
        task: Task,
        scanned: Scanned,
        now: datetime,
        *,
        incomplete: bool,
    ) -> str | None:
        """Record a comparison of what is stored of a clip; no look, so retries stay as they are.

        incomplete: hashes that a list needs are missing, so the clip is due for a scan.
        """
        case = self._record(session, task, scanned, now, None, (), due=incomplete)
        if case is not None:
            renditions.doubt_siblings(session, (task,), now)
        return case

    def _case(self, task: Task, scanned: Scanned) -> str:
        return self.names.case(task.clip.key, scanned.etag)

    def _record(
        self,
        session: Session,
        task: Task,
        scanned: Scanned,
        now: datetime,
        retry: Retry | None,
        taken: Sequence[str],
        *,
        due: bool = False,
    ) -> str | None:
        """taken: the cases of all renditions that are taken together."""
        verdict = scanned.verdict
        clip = ledger.finish(
            session,
            task,
            run_id=self.run_id,
            verdict=verdict,
            etag=scanned.etag,
            size=scanned.size,
            list_set=self.list_set,
            seconds=scanned.seconds,
            now=now,
            retry=retry,
            seen_by=scanned.seen_by,
            due=due,
        )
        for match in verdict.matches:
            session.add(self._match_row(clip.id, scanned.etag, match))
        digests = scanned.fingerprint.digests if scanned.fingerprint else None
        sha256 = digests.sha256 if digests else None
        etag, run = scanned.etag, self.run_id
        reviews.follow(session, self.names, clip, etag, verdict, sha256=sha256, run_id=run, at=now)
        case = None
        if _is_taken(scanned):
            assert scanned.fingerprint is not None
            digests = scanned.fingerprint.digests
            assert digests is not None, "a match is looked at whole"
            case = open_case(
                session,
                self.names,
                run_id=self.run_id,
                clip=clip,
                sha256=digests.sha256,
                size=scanned.size,
                matches=verdict.matches,
                siblings=[other for other in taken if other != self._case(task, scanned)],
                software=self.software,
                at=now,
            )
        leaf = log.append(session, "clip-scanned", self._leaf(session, clip, scanned, retry), now)
        session.get_one(WorkRow, task.work_id).leaf = leaf
        return case

    def _leaf(
        self, session: Session, clip: ClipRow, scanned: Scanned, retry: Retry | None
    ) -> dict[str, Json]:
        fingerprint, verdict = scanned.fingerprint, scanned.verdict
        seen_by = None
        if scanned.seen_by is not None:
            decoded = select(ClipRow).where(ClipRow.key == scanned.seen_by)
            seen_by = commit_clip(session, session.scalars(decoded).one())
        recipes = sorted(hashes.recipe for hashes in fingerprint.frames) if fingerprint else []
        return {
            "run": self.run_id,
            "clip": commit_clip(session, clip),
            "version": commit_version(session, clip, scanned.etag),
            "how": "stored" if retry is None else "media",
            "read": _how_much(fingerprint),
            "outcome": verdict.outcome.value,
            "reason": verdict.reason.value if verdict.reason else None,
            "coverage": round(verdict.coverage, 4),
            "seen_by": seen_by,
            "sampling": fingerprint.sampling.value
            if fingerprint and fingerprint.sampling
            else None,
            "recipes": list(recipes),
            "list_set": self.list_set,
            "matches": [
                {"list": m.list, "version": m.version, "entry": m.entry, "kind": m.kind.value}
                for m in verdict.matches
            ],
            "rejected": [{"list": name, "entry": entry} for name, entry in verdict.rejected],
        }

    def _match_row(self, clip_id: int, etag: str, match: Match) -> MatchRow:
        return MatchRow(
            run_id=self.run_id,
            clip_id=clip_id,
            etag=etag,
            list_name=match.list,
            version=match.version,
            entry_id=match.entry,
            classification=match.classification,
            kind=match.kind,
            action=match.action,
            algorithm=match.algorithm,
            distance=match.distance,
            start=match.start,
            end=match.end,
            frames=match.frames,
            variant=match.variant,
            listed=match.listed,
            found=match.found,
            shows=match.shows,
            covered=match.covered,
            pictures=match.pictures,
            typical=match.typical,
            copy=match.copy,
            stretches=[asdict(stretch) for stretch in match.stretches],
        )


def _how_much(fingerprint: Fingerprint | None) -> str | None:
    """Of the clip's bytes. What was read whole has digests."""
    if fingerprint is None:
        return None
    return "parts" if fingerprint.digests is None else "whole"


def _is_taken(scanned: Scanned) -> bool:
    return scanned.verdict.outcome is Outcome.MATCHED and scanned.fingerprint is not None
