"""Runs, shards, reviews and the clips that runs looked at: what the log says of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.engine import Row
from sqlalchemy.orm import Session

from hashmatch.audit.commitments import named
from hashmatch.audit.merkle import leaf_hash, root_of
from hashmatch.audit.selection import line_of
from hashmatch.db.schema import ClipRow, ReviewRow, RunRow, ShardRow, WorkRow
from hashmatch.reconcile.books import Body, Book, DatabaseDiffers, compare, missing, unheard_of

_STARTED = {
    "kind": "kind",
    "software": "software",
    "lists": "lists",
    "list_set": "list_set",
    "recipes": "recipes",
    "host": "host",
}
_FINISHED = {
    "listed": "listed",
    "skipped_unchanged": "skipped_unchanged",
    "quarantined": "quarantined",
    "canary": "canary",
}
_BATCH = 1000


class RunBook(Book):
    kinds = ("run-started", "run-finished", "run-failed", "run-interrupted")

    def __init__(self) -> None:
        self.started: dict[str, tuple[int, Body]] = {}
        self.ended: dict[str, tuple[int, str, Body]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        self.seen = seq
        if kind == "run-started":
            self.started[body["run"]] = (seq, body)
        else:
            self.ended[body["run"]] = (seq, kind, body)

    def close(self, session: Session) -> None:
        outcomes = _outcomes(session)
        rows = {row.id: row for row in session.scalars(select(RunRow))}
        for run, (seq, body) in self.started.items():
            if run not in rows:
                raise missing(f"run {run}", seq)
            compare(f"run {run}", seq, body, rows[run], _STARTED)
        for run, row in rows.items():
            if run not in self.started:
                raise unheard_of(f"run {run}", self.seen)
            if run in self.ended:
                self._ended(row, *self.ended[run], outcomes.get(run, Counter()))
            elif row.status != "running":
                problem = f"no leaf says that run {run} ended"
                raise DatabaseDiffers(problem=problem, leaf=self.started[run][0])

    def _ended(self, row: RunRow, seq: int, kind: str, body: Body, outcomes: Counter[str]) -> None:
        what = f"run {row.id}"
        done = "stopped" if body.get("left") else "finished"
        status = {"run-finished": done, "run-failed": "failed", "run-interrupted": "interrupted"}
        if row.status != status[kind]:
            problem = f"{what} is {row.status} by its row, and {status[kind]} by its last leaf"
            raise DatabaseDiffers(problem=problem, leaf=seq)
        if kind == "run-finished":
            compare(what, seq, body, row, _FINISHED)
            said = body.get("outcomes")
            if said is not None and Counter(said) != outcomes:
                problem = f"the outcomes of {what} are others than were counted"
                raise DatabaseDiffers(problem=problem, leaf=seq)


def _outcomes(session: Session) -> dict[str, Counter[str]]:
    """By run, as `ledger.outcomes` counts them."""
    counts = func.count()
    query = select(WorkRow.run_id, WorkRow.outcome, counts).where(WorkRow.state == "done")
    found: dict[str, Counter[str]] = {}
    for run, outcome, count in session.execute(query.group_by(WorkRow.run_id, WorkRow.outcome)):
        found.setdefault(run, Counter())[str(outcome)] += count
    for run, kept in session.execute(select(ShardRow.run_id, ShardRow.kept)):
        found.setdefault(run, Counter()).update(kept)
    return found


class ClipBook(Book):
    """Each clip's leaf against its turn in the run, and each shard's root against both.

    The turns are read beside the log, in the same order, so that none of them is kept.
    """

    kinds = ("clip-scanned", "shard-scanned", "clips-compared")

    def __init__(self, session: Session) -> None:
        self.turns = _turns(session)
        self.next = next(self.turns, None)
        self.lines: dict[tuple[str, int], list[bytes]] = {}
        self.shards: dict[tuple[str, int], tuple[int, Body]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        if kind == "clip-scanned":
            self._clip(seq, body)
            return
        place, self.seen = (body["run"], body["shard"]), seq
        lines = self.lines.pop(place, [])
        if kind == "clips-compared":
            self.shards[place] = (seq, body)
        else:
            hashes = [leaf_hash(line) for line in sorted(lines)]
            if (len(hashes), root_of(hashes).hex()) != (body["clips"], body["root"]):
                problem = f"the clips of shard {place[1]} of run {place[0]} do not give its root"
                raise DatabaseDiffers(problem=problem, leaf=seq)

    def _clip(self, seq: int, body: Body) -> None:
        turn = self.next
        if turn is not None and turn.leaf < seq:
            raise _of_no_clip(turn)
        if turn is None or turn.leaf > seq:
            if "version" in body:
                raise missing(f"a clip's turn in run {body['run']}", seq)
            return  # from before turns named their leaves
        self.next = next(self.turns, None)
        if self.next is not None and self.next.leaf == seq:
            raise DatabaseDiffers(problem="two clips' turns name one leaf", leaf=seq)
        said = body["run"], body["outcome"], body["reason"]
        if said != (turn.run_id, turn.outcome, turn.reason):
            problem = f"a clip ended otherwise in run {turn.run_id}"
            raise DatabaseDiffers(problem=problem, leaf=seq)
        if "version" not in body:
            return
        names = named("clip", turn.salt, turn.key), named("version", turn.salt, turn.etag or "")
        if names != (body["clip"], body["version"]):
            problem = f"another clip, or another version of it, had this turn in run {turn.run_id}"
            raise DatabaseDiffers(problem=problem, leaf=seq)
        self.lines.setdefault((turn.run_id, turn.shard), []).append(line_of(body))

    def close(self, session: Session) -> None:
        if self.next is not None:
            raise _of_no_clip(self.next)
        rows = {(row.run_id, row.number): row for row in session.scalars(select(ShardRow))}
        for (run, number), (seq, body) in self.shards.items():
            row, what = rows.get((run, number)), f"shard {number} of run {run}"
            if row is None:
                raise missing(what, seq)
            compare(what, seq, body, row, {"clips": "clips", "root": "digest", "digest": "digest"})
        for run, number in rows.keys() - self.shards.keys():
            raise unheard_of(f"shard {number} of run {run}", self.seen)


def _turns(session: Session) -> Iterator[Row[Any]]:
    work, clip = WorkRow.__table__.c, ClipRow.__table__.c
    query = (
        select(
            work.leaf, work.run_id, work.shard, work.outcome, work.reason, work.etag, clip.key,
            clip.salt,
        )
        .join(clip.id.table, clip.id == work.clip_id)
        .where(work.leaf.is_not(None))
        .order_by(work.leaf)
    )  # fmt: skip
    return iter(session.execute(query.execution_options(yield_per=_BATCH)))


def _of_no_clip(turn: Row[Any]) -> DatabaseDiffers:
    problem = f"a clip's turn in run {turn.run_id} names a leaf that speaks of no clip"
    return DatabaseDiffers(problem=problem, leaf=turn.leaf)


class ReviewBook(Book):
    kinds = (
        "review-opened",
        "review-reopened",
        "review-gone",
        "review-rejected",
        "review-confirmed",
    )

    def __init__(self) -> None:
        self.reviews: dict[str, tuple[int, str]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        state = kind.removeprefix("review-")
        self.reviews[body["review"]] = (seq, "open" if "opened" in state else state)
        self.seen = seq

    def close(self, session: Session) -> None:
        rows = {row.id: row.state for row in session.scalars(select(ReviewRow))}
        for review, (seq, state) in self.reviews.items():
            if review not in rows:
                raise missing(review, seq)
            if rows[review] != state:
                problem = f"{review} is {rows[review]} by its row, and {state} by its last leaf"
                raise DatabaseDiffers(problem=problem, leaf=seq)
        for review in rows.keys() - self.reviews.keys():
            raise unheard_of(review, self.seen)
