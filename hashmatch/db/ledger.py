"""The ledger: which clips there are, which of them a run takes, and what became of each.

A run plans (`take_listing` puts listed clips into shards of work), leases shards to workers, and ends
each clip's turn with `finish`. A clip is due while its newest version has no outcome, so work that a
killed run left behind is found again by the next listing, and work it finished is not. Clips that are
renditions of one clip (`db.renditions`) share a shard and a turn.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from hashmatch.db.schema import ClipRow, ShardRow, WorkRow
from hashmatch.model import Clip, Metadata, Outcome, Rendition, Verdict
from hashmatch.work import LONGEST_WAIT, Retry, Task

UNSHARDED = -1  # the shard of renditions, until all of them are listed


def is_due(row: ClipRow, now: datetime) -> bool:
    """New, changed, or its time to be tried again has come.

    A retry further ahead than the longest wait was set by a clock that has since gone back.
    """
    if row.scanned_etag != row.etag:
        return True
    if row.retry_at is None:
        return False
    return row.retry_at <= now or row.retry_at > now + LONGEST_WAIT


def versions(session: Session, keys: Collection[str]) -> dict[str, tuple[str, int, datetime]]:
    """ETag, size and time of the version that was looked at last, of those of these clips that were."""
    query = select(ClipRow).where(ClipRow.key.in_(keys), ClipRow.scanned_etag.is_not(None))
    return {
        row.key: (str(row.scanned_etag), row.size, row.modified) for row in session.scalars(query)
    }


def take_listing(
    session: Session,
    run_id: str,
    clips: Sequence[Clip],
    *,
    now: datetime,
    shard_size: int,
    planned: int,
    force: bool = False,
    beside: Collection[str] = (),
) -> int:
    """Enter one page of listed clips and plan those that are due (all of them with `force`).

    planned: how many this run has planned before; beside: keys of clips that were not asked for and
    are entered for their renditions' sake. Returns how many of the page it plans; where there are
    renditions among them, `gather_renditions` must follow the last page.
    """
    listed = {clip.key: clip for clip in clips}
    known = {
        row.key: row
        for row in session.scalars(select(ClipRow).where(ClipRow.key.in_(listed.keys())))
    }
    due: list[ClipRow] = []
    for clip in listed.values():
        row = known.get(clip.key)
        if row is None:
            row = ClipRow(key=clip.key, attempts=0)
            session.add(row)
        elif row.etag != clip.etag:
            row.attempts, row.retry_at = 0, None
        row.etag, row.size, row.modified = clip.etag, clip.size, clip.modified
        about = clip.metadata
        row.platform_id, row.created, row.channel = about.id, about.created, about.channel
        row.visibility, row.views = about.visibility, about.views
        if clip.rendition is None:
            row.rendition_of = row.height = None
        else:
            row.rendition_of, row.height = clip.rendition.of, clip.rendition.height
            row.listed_run = run_id
        if clip.key not in beside and (force or is_due(row, now)):
            due.append(row)
    session.flush()
    # A folder that changes while it is listed may name a file twice.
    taken = set(
        session.scalars(
            select(WorkRow.clip_id).where(
                WorkRow.run_id == run_id, WorkRow.clip_id.in_([row.id for row in due])
            )
        )
    )
    due = [row for row in due if row.id not in taken]
    if due:
        session.execute(
            insert(WorkRow),
            [
                {
                    "run_id": run_id,
                    "clip_id": row.id,
                    "shard": UNSHARDED if row.rendition_of else (planned + n) // shard_size,
                }
                for n, row in enumerate(due)
            ],
        )
    return len(due)


def take_found(session: Session, run_id: str, clips: Sequence[int], shard: int) -> list[Task]:
    """Give clips that were compared from what is stored their turn in the run, in this order."""
    for clip_id in clips:
        session.add(WorkRow(run_id=run_id, clip_id=clip_id, shard=shard, state="leased", deaths=0))
    session.flush()
    rows = session.execute(
        select(WorkRow, ClipRow)
        .join(ClipRow, WorkRow.clip_id == ClipRow.id)
        .where(WorkRow.run_id == run_id, WorkRow.clip_id.in_(clips))
    )
    tasks = {clip.id: Task(work.id, clip.id, as_clip(clip)) for work, clip in rows}
    return [tasks[clip_id] for clip_id in clips]


def keep(session: Session, first: int | None, last: int | None, list_set: str) -> int:
    """Note that scanned clips were compared with this state of the lists and keep their outcome.

    first, last: ids; None where all are meant. Returns how many it was not noted of yet.
    """
    session.flush()
    which = _behind(list_set)
    if first is not None and last is not None:
        which += (ClipRow.id.between(first, last),)
    done = session.connection().execute(update(ClipRow).where(*which).values(list_set=list_set))
    return done.rowcount


def lease_shard(session: Session, run_id: str, worker: str, now: datetime) -> list[Task]:
    """The next shard with waiting work, now leased to `worker`; empty when nothing waits."""
    shard = session.scalar(
        select(func.min(WorkRow.shard)).where(WorkRow.run_id == run_id, WorkRow.state == "waiting")
    )
    if shard is None:
        return []
    mine = (WorkRow.run_id == run_id, WorkRow.shard == shard, WorkRow.state == "waiting")
    rows = session.execute(
        select(WorkRow, ClipRow)
        .join(ClipRow, WorkRow.clip_id == ClipRow.id)
        .where(*mine)
        .order_by(ClipRow.modified.desc(), ClipRow.id)
    ).all()
    session.execute(
        update(WorkRow)
        .where(*mine)
        .values(state="leased", worker=worker, leased_at=now)
        .execution_options(synchronize_session=False)
    )
    return [Task(work.id, clip.id, as_clip(clip), work.deaths) for work, clip in rows]


def give_back(session: Session, task: Task) -> None:
    """Put a leased clip back after its worker died on it."""
    row = session.get_one(WorkRow, task.work_id)
    row.state, row.worker, row.leased_at = "waiting", None, None
    row.deaths += 1


def drop_unfinished(session: Session, run_id: str) -> int:
    """Take what has no outcome out of a run that ends; the next listing finds it again."""
    left = count(session, run_id, WorkRow.state != "done")
    session.execute(
        delete(WorkRow)
        .where(WorkRow.run_id == run_id, WorkRow.state != "done")
        .execution_options(synchronize_session=False)
    )
    return left


def finish(
    session: Session,
    task: Task,
    *,
    run_id: str,
    verdict: Verdict,
    etag: str,
    size: int,
    list_set: str,
    seconds: float,
    now: datetime,
    retry: Retry | None,
    seen_by: str | None = None,
    due: bool = False,
) -> ClipRow:
    """End a clip's turn: its one outcome, in the run and in the ledger.

    etag, size: of the version that the verdict speaks of. retry: None is for a comparison of what
    is stored, which is no new look: a newer version that waits for its scan goes on waiting. due:
    the comparison was not complete, so the clip is to be scanned whatever its outcome. seen_by: the
    key of the rendition that was decoded in this clip's place.
    """
    work = session.get_one(WorkRow, task.work_id)
    if work.state == "done":
        raise ValueError(f"work {task.work_id} already has an outcome")
    work.state, work.etag, work.seconds = "done", etag, seconds
    work.outcome, work.reason, work.seen_by = verdict.outcome, verdict.reason, seen_by
    work.notes = list(verdict.notes) or None
    clip = session.get_one(ClipRow, task.clip_id)
    clip.scanned_etag = etag
    clip.scanned_at, clip.scanned_run, clip.list_set = now, run_id, list_set
    clip.outcome, clip.reason, clip.coverage = verdict.outcome, verdict.reason, verdict.coverage
    if retry is not None:
        clip.etag, clip.size = etag, size
        clip.attempts += 1
        clip.retry_at = retry.next(clip.attempts, verdict.reason, now)
    elif due:
        clip.retry_at = now
    return clip


def distrust(session: Session, run_id: str) -> int:
    """Make every clip that a blind run called anything but matched due again. Returns how many."""
    doubted = (ClipRow.scanned_run == run_id, ClipRow.outcome != Outcome.MATCHED)
    count = session.scalar(select(func.count()).select_from(ClipRow).where(*doubted)) or 0
    session.execute(
        update(ClipRow)
        .where(*doubted)
        .values(scanned_etag=None, attempts=0, retry_at=None)
        .execution_options(synchronize_session=False)
    )
    return count


def distrust_lists(session: Session, list_set: str) -> int:
    """Forget which clips were compared with this state of the lists. Returns how many."""
    done = session.connection().execute(
        update(ClipRow).where(ClipRow.list_set == list_set).values(list_set=None)
    )
    return done.rowcount


def outcomes(session: Session, run_id: str) -> dict[Outcome, int]:
    """How many clips of a run ended in each outcome, counted from the ledger itself.

    Those that a stored comparison left as they were are counted in its shards.
    """
    counted = session.execute(
        select(WorkRow.outcome, func.count())
        .where(WorkRow.run_id == run_id, WorkRow.state == "done")
        .group_by(WorkRow.outcome)
    )
    found = Counter({name: count for name, count in counted if name is not None})
    for kept in session.scalars(select(ShardRow.kept).where(ShardRow.run_id == run_id)):
        found.update(kept)
    return {outcome: found[outcome] for outcome in Outcome}


def unfinished(session: Session, run_id: str) -> int:
    """How many clips of a run have no outcome yet."""
    return count(session, run_id, WorkRow.state != "done")


def unscannable_by_reason(session: Session, run_id: str) -> dict[str, int]:
    rows = session.execute(
        select(WorkRow.reason, func.count())
        .where(WorkRow.run_id == run_id, WorkRow.outcome == Outcome.UNSCANNABLE)
        .group_by(WorkRow.reason)
    )
    found = Counter({reason or "unknown": count for reason, count in rows})
    for reasons in session.scalars(select(ShardRow.reasons).where(ShardRow.run_id == run_id)):
        found.update(reasons)
    return dict(found)


def scanned_clips(session: Session) -> int:
    """How many clips have an outcome."""
    query = select(func.count()).select_from(ClipRow).where(ClipRow.scanned_etag.is_not(None))
    return session.scalar(query) or 0


def seen_by_rendition(session: Session, run_id: str) -> int:
    """How many clips of a run were not decoded, because another rendition of theirs was."""
    return count(session, run_id, WorkRow.seen_by.is_not(None))


def waiting(session: Session, keys: Collection[str], now: datetime) -> list[int]:
    """Which of these clips wait for another look whose time has not come. Returns ids."""
    later = (ClipRow.key.in_(keys), ClipRow.scanned_etag == ClipRow.etag, ClipRow.retry_at > now)
    return list(session.scalars(select(ClipRow.id).where(*later)))


def passed_over(session: Session, run_id: str, waiting: Collection[int]) -> int:
    """How many of these clips the run does not take, for a rendition's sake for one."""
    retried = select(WorkRow.clip_id).join(ClipRow, WorkRow.clip_id == ClipRow.id)
    taken = retried.where(WorkRow.run_id == run_id, ClipRow.retry_at.is_not(None))
    return len(set(waiting).difference(session.scalars(taken)))


def behind(session: Session, list_set: str) -> int:
    """How many scanned clips were last compared with another state of the lists."""
    return session.scalar(select(func.count()).where(*_behind(list_set))) or 0


def states_behind(session: Session, list_set: str) -> list[str | None]:
    """With which other states of the lists scanned clips were last compared."""
    return list(session.scalars(select(ClipRow.list_set).where(*_behind(list_set)).distinct()))


def _behind(list_set: str) -> tuple[ColumnElement[bool], ...]:
    return ClipRow.scanned_etag.is_not(None), ClipRow.list_set.is_distinct_from(list_set)


def as_clip(row: ClipRow) -> Clip:
    about = Metadata(row.platform_id, row.created, row.channel, row.visibility, row.views)
    rendition = None
    if row.rendition_of is not None and row.height is not None:
        rendition = Rendition(row.rendition_of, row.height)
    return Clip(row.key, row.etag, row.size, row.modified, about, rendition)


def count(session: Session, run_id: str, *conditions: ColumnElement[bool]) -> int:
    """How many clips of a run are so."""
    query = select(func.count()).select_from(WorkRow).where(WorkRow.run_id == run_id, *conditions)
    return session.scalar(query) or 0
