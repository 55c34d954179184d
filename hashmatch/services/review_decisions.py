"""Deciding a review: what a person says becomes the clip's outcome, or its case.

    desk = Desk(settings, db)
    desk.reject("review-…", [], reason="our own logo", by="alice").left
    desk.confirm("review-…", names, reason="", by="alice")      # the id of the case

A confirmed clip is taken into custody by the next run, or by `hashmatch quarantine resume`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from hashmatch import __version__
from hashmatch.audit import log
from hashmatch.audit.names import KeyedNames
from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import ObjectChanged, ObjectNotFound, Store
from hashmatch.config import Settings
from hashmatch.custody.case_record import open_case
from hashmatch.db import fingerprints, ledger, renditions
from hashmatch.db.schema import ClipRow, MatchRow
from hashmatch.db.session import Database
from hashmatch.freetext import problem_with, said_back
from hashmatch.hashing.digests import Digester
from hashmatch.hashing.packing import FingerprintDamaged
from hashmatch.hashing.recipes import recipe
from hashmatch.model import Action, Algorithm, Match, MatchKind, Outcome, Variant, Verdict
from hashmatch.reviews import review_record
from hashmatch.reviews.entry_standing import EntryName
from hashmatch.reviews.findings import Digested, Finding, digests_of, pending
from hashmatch.reviews.review_record import ReviewError
from hashmatch.runs.job import now
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import verdict_of
from hashmatch.work import Task


class ReasonRefused(ReviewError):
    message = "{review}: the reason cannot be recorded: {problem}."
    remedy = "It is shown to people and kept on record. Say in a few words why the match is wrong."


class NotInReview(ReviewError):
    message = "{review}: it has no match on {entry} that is to be decided."
    remedy = "`hashmatch review show {review}` shows what there is."


class ClipGone(ReviewError):
    message = "{review}: the clip {what} since it was looked at, so nothing was decided."
    remedy = "The review is closed. What is there now is looked at by the next scan."


class Rejected(NamedTuple):
    """What came of the rejection of a review.

    left: matches that are still to be decided; outcome: of the clip, None where the next scan says it;
    others: reviews of the same bytes that ended with it.
    """

    review: str
    left: int
    outcome: Outcome | None
    others: tuple[str, ...]


class _Current(NamedTuple):
    """The version that a review is about, and its bytes' digest, if it was read whole."""

    clip_id: int
    key: str
    etag: str
    digested: Digested | None


@dataclass(frozen=True, slots=True)
class Desk:
    """Where reviewers decide. by: the person who does."""

    settings: Settings
    db: Database

    def reject(
        self, review: str, entries: Collection[EntryName], *, reason: str, by: str
    ) -> Rejected:
        """These matches are wrong, or all of them where none are named.

        When none is left, the clip gets the outcome that what is stored of it gives, without a look;
        where that cannot be said, it is due for a scan. Raises NoSuchReview, NotOpen, ReasonRefused,
        NotInReview.
        """
        reason = self._checked(review, reason)
        with self.db.write() as session:
            log.tree_head(session, lock=True)
            row = review_record.load_open(session, review)
            open_now = pending(session, row)
            wrong = _chosen(review, open_now, entries)
            clip = session.get_one(ClipRow, row.clip_id)
            digested = digests_of(session, clip.id, row.etag)
            ended = review_record.reject(
                session,
                clip,
                row.etag,
                digested.sha256 if digested else None,
                [Finding.of(match) for match in wrong],
                of=row.id,
                by=by,
                reason=reason,
                rules=self.settings.review,
                at=now(),
                decide=lambda clip, at: self._decide_again(session, clip, at),
            )
            left = len(open_now) - len(wrong)
            said = left or clip.retry_at is not None or clip.outcome is None
            others = tuple(each.id for each in ended if each.id != row.id)
            return Rejected(row.id, left, None if said else Outcome(clip.outcome or ""), others)

    def confirm(self, review: str, names: KeyedNames, *, reason: str, by: str) -> str:
        """All matches that are left are right: a case is opened. Returns its id.

        Reads the clip, pinned to its version, if it was not read whole before. Raises ClipGone,
        NoSuchReview, NotOpen, StorageError.
        """
        if reason:
            reason = self._checked(review, reason)
        current = self._current(review)
        try:
            digested = self._digested(open_store(self.settings.clips, self.settings.home), current)
        except (ObjectChanged, ObjectNotFound) as error:
            what = "vanished" if isinstance(error, ObjectNotFound) else "changed"
            self._gone(review, what)
            raise ClipGone(review=review, what=what) from None
        case = self._take(review, names, current, digested, reason, by)
        if case is None:
            raise ClipGone(review=review, what="changed")
        return case

    def _checked(self, review: str, reason: str) -> str:
        problem = problem_with(reason)
        if problem is not None:
            raise ReasonRefused(review=said_back(review), problem=problem)
        return reason.strip()

    def _current(self, review: str) -> _Current:
        with self.db.read() as session:
            row = review_record.load_open(session, review)
            clip = session.get_one(ClipRow, row.clip_id)
            digested = digests_of(session, clip.id, row.etag)
            return _Current(clip.id, clip.key, row.etag, digested)

    def _digested(self, store: Store, current: _Current) -> Digested:
        """Of the version that was looked at. Raises ObjectChanged, ObjectNotFound, StorageError."""
        if store.head(current.key).etag != current.etag:
            raise ObjectChanged(url=store.url, key=current.key)
        if current.digested is not None:
            return current.digested
        digester, size = Digester(), 0
        for chunk in store.read(current.key, current.etag):
            digester.update(chunk)
            size += len(chunk)
        return Digested(digester.result().sha256, size)

    def _gone(self, review: str, what: str) -> None:
        with self.db.write() as session:
            log.tree_head(session, lock=True)
            review_record.end_gone(session, review_record.load_open(session, review), what, now())

    def _take(
        self,
        review: str,
        names: KeyedNames,
        current: _Current,
        digested: Digested,
        reason: str,
        by: str,
    ) -> str | None:
        """The case, or None where a run has seen another version meanwhile."""
        settings, at = self.settings, now()
        with self.db.write() as session:
            log.tree_head(session, lock=True)
            row = review_record.load_open(session, review)
            clip = session.get_one(ClipRow, current.clip_id)
            if clip.etag != row.etag:
                review_record.end_gone(session, row, "changed", at)
                return None
            matches = pending(session, row)
            case = open_case(
                session,
                names,
                run_id=row.run_id,
                clip=clip,
                sha256=digested.sha256,
                size=digested.size,
                matches=[_as_match(match) for match in matches],
                siblings=(),
                software=f"hashmatch {__version__}",
                at=at,
            )
            review_record.confirm(
                session,
                row,
                clip,
                digested.sha256,
                [Finding.of(match) for match in matches],
                case=case,
                by=by,
                reason=reason,
                rules=settings.review,
                at=at,
            )
            renditions.doubt_siblings(session, (Task(0, clip.id, ledger.as_clip(clip)),), at)
            return case

    def _decide_again(self, session: Session, clip: ClipRow, at: datetime) -> Verdict | None:
        """The outcome without any match, from what is stored; else the clip is due for a scan.

        So is one that had fallen short in another way too, or that has changed meanwhile.
        """
        stored = None
        if clip.reason is None and clip.retry_at is None and clip.scanned_etag == clip.etag:
            try:
                stored = fingerprints.load(session, clip.id, {recipe(Algorithm.PDQ)})
            except FingerprintDamaged:
                stored = None
        if stored is None:
            return review_record.look_again(clip, at)
        verdict = verdict_of(stored, (), ScanConfig.of(self.settings))
        clip.outcome, clip.reason = verdict.outcome, verdict.reason
        return verdict


def _chosen(review: str, matches: list[MatchRow], entries: Collection[EntryName]) -> list[MatchRow]:
    named = {Finding.of(match).name for match in matches}
    for entry in entries:
        if entry not in named:
            raise NotInReview(review=review, entry=said_back(str(entry)))
    return [match for match in matches if not entries or Finding.of(match).name in entries]


def _as_match(row: MatchRow) -> Match:
    """What a case says of a match. The evidence stays with the row."""
    return Match(
        list=row.list_name,
        version=row.version,
        entry=row.entry_id,
        kind=MatchKind(row.kind),
        action=Action(row.action),
        distance=row.distance,
        start=row.start,
        end=row.end,
        frames=row.frames,
        variant=Variant(row.variant),
        algorithm=Algorithm(row.algorithm),
        classification=row.classification,
    )
