"""Shards on the record: one leaf says what a run said of every clip of a shard (`audit.coverage`).

    with db.write() as session:
        recorder.turn(…)
        close_if_complete(session, run_id, shard, now())

The leaf is committed with the last outcome of its shard; of a shard that a run did not finish, with
the run's end, or by the next run if it was killed. So every clip with an outcome is in the leaf of
exactly one shard, and its line there is made from its own leaf (`work.leaf`).
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import coverage, log
from hashmatch.db import ledger
from hashmatch.db.schema import LeafRow, RunRow, WorkRow
from hashmatch.model import Json


def close_if_complete(session: Session, run_id: str, shard: int, at: datetime) -> None:
    """Write the shard's leaf, if the outcome that was just recorded was its last."""
    waiting = (WorkRow.run_id == run_id, WorkRow.shard == shard, WorkRow.state != "done")
    if session.scalar(select(WorkRow.id).where(*waiting).limit(1)) is None:
        _close(session, session.get_one(RunRow, run_id), shard, at)


def drop_unfinished(session: Session, run_id: str, at: datetime) -> int:
    """Take what has no outcome out of a run that ends; of shards cut short, the rest gets its leaf.

    Returns how many clips had none.
    """
    ours = WorkRow.run_id == run_id
    cut = select(WorkRow.shard).where(ours, WorkRow.state != "done")
    begun = select(WorkRow.shard).where(ours, WorkRow.state == "done", WorkRow.shard.in_(cut))
    shards = session.scalars(begun.distinct().order_by(WorkRow.shard)).all()
    left = ledger.drop_unfinished(session, run_id)
    for shard in shards:
        _close(session, session.get_one(RunRow, run_id), shard, at)
    return left


def _close(session: Session, run: RunRow, shard: int, at: datetime) -> None:
    """What a run of an older version recorded has no `work.leaf`, and is left out."""
    query = (
        select(LeafRow.body)
        .join(WorkRow, WorkRow.leaf == LeafRow.seq)
        .where(WorkRow.run_id == run.id, WorkRow.shard == shard, WorkRow.state == "done")
    )
    said = [json.loads(leaf)["body"] for leaf in session.scalars(query)]
    if not said:
        return
    lines = [
        coverage.line(
            one["clip"],
            one["version"],
            outcome=one["outcome"],
            reason=one["reason"],
            recipes=one["recipes"],
        )
        for one in said
    ]
    body: dict[str, Json] = {
        "run": run.id,
        "shard": shard,
        "clips": len(lines),
        "outcomes": dict(sorted(Counter(one["outcome"] for one in said).items())),
        "list_set": run.list_set,
        "lists": dict(run.lists),
        "root": coverage.root(lines).hex(),
    }
    log.append(session, "shard-scanned", body, at)
