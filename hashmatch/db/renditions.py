"""Renditions in the ledger: the clips of one group are planned, looked at and remembered together.

    gather_renditions(session, run_id, shard_size=64, planned=planned)    # when all is listed
    for turn in turns_of(lease_shard(…), alone=2): ...

A listing comes in no particular order and may hold millions, so the database groups them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, func, insert, literal, select, update
from sqlalchemy.orm import Session

from hashmatch.db.ledger import UNSHARDED, count
from hashmatch.db.schema import ClipRow, FingerprintRow, WorkRow
from hashmatch.model import Digests
from hashmatch.work import Task, Turn

# No platform makes so many of one clip: then the pattern fits what are not renditions.
MOST_RENDITIONS = 32


@dataclass(frozen=True, slots=True)
class Gathered:
    """added: renditions planned because another one of their clip is; siblings: planned renditions
    beyond the first of each clip; oversized: clips in groups too large to be renditions of one."""

    added: int = 0
    siblings: int = 0
    oversized: int = 0


def gather_renditions(session: Session, run_id: str, *, shard_size: int, planned: int) -> Gathered:
    """Plan all listed renditions of every clip of which one is planned, and put them together.

    To be called when everything is listed, which is in no particular order: so the database groups
    them, however many there are.
    """
    ours = (WorkRow.run_id == run_id, WorkRow.shard == UNSHARDED)
    if not session.scalar(select(WorkRow.id).where(*ours).limit(1)):
        return Gathered()
    oversized = _ungroup_oversized(session, run_id)
    touched = (
        select(ClipRow.rendition_of)
        .join(WorkRow, WorkRow.clip_id == ClipRow.id)
        .where(*ours, ClipRow.rendition_of.is_not(None))
    )
    taken = select(WorkRow.clip_id).where(*ours)
    added = select(
        literal(run_id), ClipRow.id, literal(UNSHARDED), literal("waiting"), literal(0)
    ).where(
        ClipRow.listed_run == run_id,
        ClipRow.rendition_of.in_(touched),
        ClipRow.id.not_in(taken),
    )
    before = count(session, run_id)
    session.execute(
        insert(WorkRow).from_select(["run_id", "clip_id", "shard", "state", "deaths"], added)
    )
    renditions, clips = session.execute(
        select(func.count(ClipRow.rendition_of), func.count(ClipRow.rendition_of.distinct()))
        .join(WorkRow, WorkRow.clip_id == ClipRow.id)
        .where(*ours)
    ).one()
    _shard_renditions(session, run_id, shard_size, -(-planned // shard_size))
    return Gathered(count(session, run_id) - before, renditions - clips, oversized)


def _ungroup_oversized(session: Session, run_id: str) -> int:
    listed = (ClipRow.listed_run == run_id, ClipRow.rendition_of.is_not(None))
    large = (
        select(ClipRow.rendition_of)
        .where(*listed)
        .group_by(ClipRow.rendition_of)
        .having(func.count() > MOST_RENDITIONS)
    )
    oversized = (*listed, ClipRow.rendition_of.in_(large))
    count = session.scalar(select(func.count()).select_from(ClipRow).where(*oversized)) or 0
    if count:
        session.execute(
            update(ClipRow)
            .where(*oversized)
            .values(rendition_of=None, height=None)
            .execution_options(synchronize_session=False)
        )
    return count


def _shard_renditions(session: Session, run_id: str, shard_size: int, first_shard: int) -> None:
    """Shards of about `shard_size`, from `first_shard` on, that part no renditions of one clip."""
    place = func.row_number().over(order_by=(ClipRow.rendition_of, ClipRow.id))
    work = (
        select(WorkRow.id, ClipRow.rendition_of, place.label("place"))
        .join(ClipRow, WorkRow.clip_id == ClipRow.id)
        .where(WorkRow.run_id == run_id, WorkRow.shard == UNSHARDED)
        .subquery()
    )
    group = func.min(work.c.place).over(partition_by=work.c.rendition_of)
    start = case((work.c.rendition_of.is_(None), work.c.place), else_=group)
    shards = select(work.c.id, (first_shard + (start - 1) // shard_size).label("shard")).subquery()
    session.execute(
        update(WorkRow)
        .where(WorkRow.id == shards.c.id)
        .values(shard=shards.c.shard)
        .execution_options(synchronize_session=False)
    )


def turns_of(tasks: Iterable[Task], *, alone: int) -> list[Turn]:
    """The turns of leased clips: renditions of one clip take theirs together.

    alone: deaths of its workers after which a clip is looked at by itself, so that one rendition that
    takes workers with it does not keep the others from being seen.
    """
    turns: dict[int | str, list[Task]] = {}
    for task in tasks:
        together = task.clip.rendition is not None and task.deaths < alone
        name = task.clip.rendition.of if task.clip.rendition and together else task.clip_id
        turns.setdefault(name, []).append(task)
    return [Turn(tuple(turn)) for turn in turns.values()]


def siblings(session: Session, clip_id: int) -> list[int]:
    """The other renditions of a clip that the ledger knows, whether storage still has them or not."""
    mine = select(ClipRow.rendition_of).where(ClipRow.id == clip_id).scalar_subquery()
    query = select(ClipRow.id).where(ClipRow.rendition_of == mine, ClipRow.id != clip_id)
    return list(session.scalars(query.order_by(ClipRow.id)))


def remembered(session: Session, turn: Turn) -> tuple[Digests, ...]:
    """The digests of the renditions that are not in the turn, as they were last read."""
    rendition = turn.tasks[0].clip.rendition
    if rendition is None:
        return ()
    query = (
        select(FingerprintRow.md5, FingerprintRow.sha1, FingerprintRow.sha256)
        .join(ClipRow, FingerprintRow.clip_id == ClipRow.id)
        .where(
            ClipRow.rendition_of == rendition.of,
            ClipRow.id.not_in(_clip_ids(turn.tasks)),
        )
        .distinct()
        .order_by(FingerprintRow.sha256)
    )
    return tuple(
        Digests(md5, sha1, sha256)
        for md5, sha1, sha256 in session.execute(query)
        if md5 is not None and sha1 is not None and sha256 is not None
    )


def doubt_siblings(session: Session, tasks: Sequence[Task], now: datetime) -> None:
    """Make the renditions due that a match of these clips did not reach, should they be listed."""
    rendition = tasks[0].clip.rendition
    if rendition is None:
        return
    session.execute(
        update(ClipRow)
        .where(ClipRow.rendition_of == rendition.of, ClipRow.id.not_in(_clip_ids(tasks)))
        .values(retry_at=now)
        .execution_options(synchronize_session=False)
    )


def _clip_ids(tasks: Sequence[Task]) -> list[int]:
    return [task.clip_id for task in tasks]
