"""The record of reviews: which versions of clips wait for a person, and what was decided of them.

    open → confirmed      the clip is treated as matched
    open → rejected       none of its matches is right
    open → gone           the version was taken, changed or vanished before anybody decided
    gone, rejected, … → open    a later look found a match that nobody rejected

Every change is made in the caller's transaction together with its leaf, which names clip, person
and reason by commitments. Whoever decides calls `log.tree_head(session, lock=True)` first, as a run
does before it records a look: of two who write at the same time one waits for the other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from hashmatch.audit import log
from hashmatch.audit.commitments import commit, commit_clip, commit_person
from hashmatch.audit.names import KeyedNames
from hashmatch.config import Review
from hashmatch.db.schema import ClipRow, DecisionRow, FingerprintRow, MatchRow, ReviewRow
from hashmatch.errors import HashmatchError
from hashmatch.freetext import said_back
from hashmatch.model import Action, Json, Outcome, Reason, Verdict
from hashmatch.reviews.entry_standing import EntryName, said_of, settle
from hashmatch.reviews.findings import Finding, found, pending


class State(StrEnum):
    OPEN = "open"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    GONE = "gone"


class ReviewError(HashmatchError):
    message = "{review}: {problem}"
    exit_code = 26


class NoSuchReview(ReviewError):
    message = "There is no review {review}."
    remedy = "`hashmatch review list` shows those that wait."


class NotOpen(ReviewError):
    message = "{review} is {state}: there is nothing to decide any more."
    remedy = "`hashmatch review list` shows those that wait."


class NoneOpen(ReviewError):
    message = "No open review has a match on {entries}, so nothing was decided."
    remedy = "`hashmatch review show REVIEW` names those of a review as --entry takes them."


class NotAllDecided(ReviewError):
    message = "{refused} of {count} could not be decided; above is why. The others are decided."
    remedy = "`hashmatch review list` shows those that wait."


def load(session: Session, review: str) -> ReviewRow:
    row = session.get(ReviewRow, review)
    if row is None:
        raise NoSuchReview(review=said_back(review))
    return row


def load_open(session: Session, review: str) -> ReviewRow:
    """A review that waits, as it is now. Raises NoSuchReview, NotOpen."""
    row = load(session, review)
    session.refresh(row)
    if row.state != State.OPEN:
        raise NotOpen(review=review, state=row.state)
    return row


def open_with(session: Session, entries: Collection[EntryName]) -> list[str]:
    """The reviews that wait with a match on one of these entries, the oldest first.

    Raises NoneOpen.
    """
    query = select(ReviewRow).where(ReviewRow.state == State.OPEN)
    rows = session.scalars(query.order_by(ReviewRow.opened_at, ReviewRow.id)).all()
    waiting = [
        row.id
        for row in rows
        if any(Finding.of(match).name in entries for match in pending(session, row))
    ]
    if not waiting:
        raise NoneOpen(entries=", ".join(said_back(str(entry)) for entry in entries))
    return waiting


def follow(
    session: Session,
    names: KeyedNames,
    clip: ClipRow,
    etag: str,
    verdict: Verdict,
    *,
    sha256: str | None,
    run_id: str,
    at: datetime,
) -> None:
    """Open or end a clip's review, as the outcome that is being recorded says.

    A match that was rejected while the clip was looked at opens nothing: the clip is due again.
    """
    query = select(ReviewRow).where(ReviewRow.clip_id == clip.id)
    reviews = {row.etag: row for row in session.scalars(query)}
    for row in reviews.values():
        why = _why_gone(row, etag, verdict)
        if row.state == State.OPEN and why is not None:
            end_gone(session, row, why, at)
    mine = reviews.get(etag)
    if verdict.outcome is not Outcome.REVIEW or (mine is not None and mine.state == State.OPEN):
        return
    rejected = said_of(session, clip.id, etag, sha256).rejected
    matches = [
        Finding(match.list, match.version, match.entry, match.classification)
        for match in verdict.matches
        if match.action is not Action.LOG and EntryName(match.list, match.entry) not in rejected
    ]
    if matches:
        _open(session, names, clip, etag, mine, matches, run_id, at)
    elif verdict.matches:
        clip.retry_at = at


def open_missing(session: Session, names: KeyedNames, at: datetime) -> None:
    """Open the reviews of clips that were sent to review before there were any."""
    known = exists().where(ReviewRow.clip_id == ClipRow.id, ReviewRow.etag == ClipRow.scanned_etag)
    query = select(ClipRow).where(
        ClipRow.id.in_(select(MatchRow.clip_id)),
        ClipRow.outcome == Outcome.REVIEW,
        ClipRow.scanned_etag.is_not(None),
        ~known,
    )
    for clip in session.scalars(query.order_by(ClipRow.id)).all():
        etag, run_id = clip.scanned_etag, clip.scanned_run
        matches = [Finding.of(match) for match in found(session, clip.id, etag or "")]
        if etag is not None and run_id is not None and matches:
            _open(session, names, clip, etag, None, matches, run_id, at)


def _open(
    session: Session,
    names: KeyedNames,
    clip: ClipRow,
    etag: str,
    row: ReviewRow | None,
    matches: Sequence[Finding],
    run_id: str,
    at: datetime,
) -> None:
    body: dict[str, Json] = {}
    if row is None:
        row = ReviewRow(id=names.review(clip.key, etag), clip_id=clip.id, etag=etag)
        session.add(row)
    else:
        body["was"] = row.state
    row.state, row.run_id, row.opened_at = State.OPEN, run_id, at
    row.decided_by = row.decided_at = row.reason = None
    session.flush()
    body |= {
        "review": row.id,
        "clip": commit_clip(session, clip),
        "run": run_id,
        "matches": _named(matches),
    }
    log.append(session, "review-reopened" if "was" in body else "review-opened", body, at)


def _why_gone(row: ReviewRow, etag: str, verdict: Verdict) -> str | None:
    """Why there is nothing more to decide; None where there still is.

    A clip that could not be seen, or not in full, this time is what it was.
    """
    if verdict.reason is Reason.VANISHED:
        return "vanished"
    if row.etag != etag:
        return "changed"
    return verdict.outcome.value if verdict.outcome in (Outcome.MATCHED, Outcome.CLEAN) else None


def end_gone(session: Session, row: ReviewRow, why: str, at: datetime) -> None:
    """The version is no longer there to be decided about, or needs no decision."""
    row.state, row.decided_at = State.GONE, at
    session.flush()
    log.append(session, "review-gone", {"review": row.id, "why": why}, at)


def shown(session: Session, row: ReviewRow, by: str, at: datetime) -> None:
    """That somebody looked at what a review says."""
    person = commit_person(session, by)
    log.append(session, "review-shown", {"review": row.id, "by": person}, at)


def look_again(clip: ClipRow, at: datetime) -> Verdict | None:
    """What a clip is without its rejected matches, if that is not known: due for a scan."""
    clip.retry_at = at
    return None


def reject(
    session: Session,
    clip: ClipRow,
    etag: str,
    sha256: str | None,
    matches: Iterable[Finding],
    *,
    of: str,
    by: str,
    reason: str,
    rules: Review,
    at: datetime,
    decide: Callable[[ClipRow, datetime], Verdict | None] = look_again,
) -> list[ReviewRow]:
    """Matches of a clip are wrong: they never come back for these bytes, or this version of the clip.

    of: the review's or the case's id; reason: what `problem_with` has nothing against; decide: gives
    a clip its outcome when nothing of its review is left, or has it looked at again.
    Returns the reviews that are ended by this: also of the same bytes in other places.
    """
    wrong = list(matches)
    _add(session, clip, etag, sha256, wrong, right=False, by=by, reason=reason, at=at)
    body: dict[str, Json] = {
        "of": of,
        "clip": commit_clip(session, clip),
        "matches": _named(wrong),
        "by": commit_person(session, by),
        "reason": commit(session, "reason", reason, subject=of),
    }
    log.append(session, "matches-rejected", body, at)
    ended = []
    for row in _open_for(session, clip.id, etag, sha256):
        if pending(session, row):
            continue
        row.state, row.decided_by, row.decided_at = State.REJECTED, by, at
        row.reason = reason
        verdict = decide(session.get_one(ClipRow, row.clip_id), at)
        outcome: dict[str, Json] = {"review": row.id, "outcome": None, "reason": None}
        if verdict is not None:
            outcome["outcome"] = verdict.outcome.value
            outcome["reason"] = verdict.reason.value if verdict.reason else None
        session.flush()
        log.append(session, "review-rejected", outcome, at)
        ended.append(row)
    settle(session, rules, at, {match.name for match in wrong})
    return ended


def confirm(
    session: Session,
    row: ReviewRow,
    clip: ClipRow,
    sha256: str,
    matches: Iterable[Finding],
    *,
    case: str,
    by: str,
    reason: str,
    rules: Review,
    at: datetime,
) -> None:
    """The matches of a review are right. case: the one that was opened for it.

    The same bytes in other places are due for a scan, which takes them too.
    """
    right = list(matches)
    _add(session, clip, row.etag, sha256, right, right=True, by=by, reason=reason, at=at)
    row.state, row.decided_by, row.decided_at, row.reason = State.CONFIRMED, by, at, reason or None
    clip.outcome, clip.reason = Outcome.MATCHED, None
    for other in _open_for(session, clip.id, row.etag, sha256):
        if other.id != row.id:
            session.get_one(ClipRow, other.clip_id).retry_at = at
    session.flush()
    body: dict[str, Json] = {
        "review": row.id,
        "case": case,
        "clip": commit_clip(session, clip),
        "matches": _named(right),
        "by": commit_person(session, by),
        "reason": commit(session, "reason", reason, subject=row.id) if reason else None,
    }
    log.append(session, "review-confirmed", body, at)
    settle(session, rules, at, {match.name for match in right})


def waiting(session: Session) -> tuple[int, datetime | None]:
    """How many reviews are open, and since when the oldest is."""
    query = select(func.count(), func.min(ReviewRow.opened_at))
    count, oldest = session.execute(query.where(ReviewRow.state == State.OPEN)).one()
    return count, oldest


def _add(
    session: Session,
    clip: ClipRow,
    etag: str,
    sha256: str | None,
    matches: Iterable[Finding],
    *,
    right: bool,
    by: str,
    reason: str,
    at: datetime,
) -> None:
    for match in matches:
        session.add(
            DecisionRow(
                list_name=match.list,
                version=match.version,
                entry_id=match.entry,
                classification=match.classification,
                clip_id=clip.id,
                etag=etag,
                sha256=sha256,
                right=right,
                by=by,
                at=at,
                reason=reason,
            )
        )
    session.flush()


def _open_for(session: Session, clip_id: int, etag: str, sha256: str | None) -> list[ReviewRow]:
    """The open reviews of a version of a clip, and of the same bytes wherever they are stored."""
    own = (ReviewRow.clip_id == clip_id) & (ReviewRow.etag == etag)
    if sha256 is not None:
        own |= exists().where(
            FingerprintRow.clip_id == ReviewRow.clip_id,
            FingerprintRow.etag == ReviewRow.etag,
            FingerprintRow.sha256 == sha256,
        )
    query = select(ReviewRow).where(ReviewRow.state == State.OPEN, own)
    return list(session.scalars(query.order_by(ReviewRow.id)))


def _named(matches: Iterable[Finding]) -> list[Json]:
    return [
        {
            "list": match.list,
            "version": match.version,
            "entry": match.entry,
            "classification": match.classification,
        }
        for match in matches
    ]
