"""Which leaves a bundle is about: all about one case, those of a period, or those of looks at a clip.

    about_case(session, "case-7hq2k6w4v3mzdpbe")             # [12, 13, 15]
    in_period(session, begin, end)                           # (12, 40): first and last
    looks_at(session, "2026/11/clip.mp4", date(2026, 11, 22))

Reads the log as it is; that it is what was written, `bundle` checks when it proves it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select
from sqlalchemy.orm import Session

from hashmatch.audit import coverage
from hashmatch.audit.canonical import parse
from hashmatch.audit.commitments import named
from hashmatch.db.schema import ClipRow, FingerprintRow, LeafRow, RunRow, ShardRow, WorkRow
from hashmatch.errors import AuditBroken, HashmatchError

RUN_KINDS = ("run-started", "run-distrusted", "run-finished", "run-failed", "run-interrupted")
SHARD_KINDS = ("shard-scanned", "clips-compared")

_FEW = 5


class NothingToProve(HashmatchError):
    message = "There is nothing to prove: {problem}"
    remedy = "`hashmatch audit show` lists what the log has; nothing was written."
    exit_code = 27


@dataclass(frozen=True, slots=True)
class Place:
    """Where a clip's line is among those of its shard. path: hashes, upwards."""

    leaf: int
    line: bytes
    index: int
    clips: int
    path: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Look:
    """What one run said of a clip. leaf: the clip's own, if it has one; run: the run's leaves."""

    id: str
    run: Sequence[int]
    leaf: int | None
    place: Place | None
    etag: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Seen:
    """A clip, the salt that opens what leaves call it, and the looks at it."""

    key: str
    salt: bytes
    looks: Sequence[Look]


def about_case(session: Session, case: str) -> list[int]:
    """The leaves whose body names the case as `case`. Raises NothingToProve."""
    found = [seq for seq, _, body in _holding(session, case) if body.get("case") == case]
    if not found:
        raise NothingToProve(problem=f"no leaf is about {case}.")
    return found


def in_period(session: Session, begin: datetime, end: datetime) -> tuple[int, int]:
    """The first and the last leaf from `begin` until before `end`. Raises NothingToProve.

    All between them belong to the period, also if a clock went back meanwhile.
    """
    bounds = select(func.min(LeafRow.seq), func.max(LeafRow.seq))
    inside = bounds.where(LeafRow.at >= begin, LeafRow.at < end)
    first, last = session.execute(inside).one()
    if first is None:
        raise NothingToProve(problem="the log has no leaf of that period.")
    return first, last


def looks_at(session: Session, key: str, day: date) -> Seen:
    """What the runs that began on a day (UTC) said of a clip. Raises NothingToProve."""
    clip = session.scalar(select(ClipRow).where(ClipRow.key == key))
    if clip is None:
        raise NothingToProve(problem="the ledger knows no clip of that key.")
    begin = datetime.combine(day, time(), UTC)
    on_that_day = (RunRow.started_at >= begin, RunRow.started_at < begin + timedelta(days=1))
    runs = session.scalars(select(RunRow).where(*on_that_day).order_by(RunRow.started_at)).all()
    looks = [look for run in runs if (look := _look(session, run, clip)) is not None]
    if not looks:
        raise NothingToProve(problem=_when_else(session, clip, day))
    if not clip.salt:
        raise NothingToProve(problem="the salt of what leaves call this clip was destroyed.")
    return Seen(clip.key, clip.salt, looks)


def _look(session: Session, run: RunRow, clip: ClipRow) -> Look | None:
    """None if the run did not look at the clip, or nothing can prove any more that it did."""
    work = session.scalar(
        select(WorkRow).where(
            WorkRow.run_id == run.id, WorkRow.clip_id == clip.id, WorkRow.leaf.is_not(None)
        )
    )
    inside = (ShardRow.first_clip <= clip.id, ShardRow.last_clip >= clip.id)
    compared = session.scalar(select(ShardRow).where(ShardRow.run_id == run.id, *inside))
    if work is not None:
        shard, leaf, etag = work.shard, work.leaf, work.etag
    elif compared is not None:
        shard, leaf, etag = compared.number, None, clip.scanned_etag
    else:
        return None
    lines = _recorded(session, run.id, shard)
    if compared is not None and compared.number == shard:
        lines = _standing(session, compared) | lines
    own = lines.get(clip.id)
    if own is None or etag is None:
        return None
    place = _place(session, run.id, shard, list(lines.values()), own)
    if leaf is None and place is None:
        return None
    named_so = _holding(session, run.id, RUN_KINDS)
    of_run = [seq for seq, _, body in named_so if body.get("run") == run.id]
    return Look(run.id, of_run, leaf, place, etag, parse(own)["outcome"])


def _recorded(session: Session, run: str, shard: int) -> dict[int, bytes]:
    """The lines of clips that have a leaf of their own, by clip."""
    query = (
        select(WorkRow.clip_id, LeafRow.seq, LeafRow.body)
        .join(LeafRow, LeafRow.seq == WorkRow.leaf)
        .where(WorkRow.run_id == run, WorkRow.shard == shard)
    )
    said = {clip: (seq, _body(seq, leaf)) for clip, seq, leaf in session.execute(query)}
    for seq, body in said.values():
        if not body.keys() >= {"clip", "version", "outcome", "reason", "recipes"}:
            problem = "a clip's turn names a leaf that says nothing of a clip"
            raise AuditBroken(problem=problem, leaf=seq)
    return {clip: line_of(body) for clip, (_, body) in said.items()}


def _standing(session: Session, shard: ShardRow) -> dict[int, bytes]:
    """The lines of clips whose outcome stood in a comparison, as far as the ledger still has it."""
    between = ClipRow.id.between(shard.first_clip, shard.last_clip)
    query = select(FingerprintRow.clip_id, FingerprintRow.recipe)
    recipes: dict[int, list[str]] = {}
    for clip_id, recipe in session.execute(query.join(ClipRow).where(between)):
        recipes.setdefault(clip_id, []).append(recipe)
    known = ClipRow.salt.is_not(None) & ClipRow.scanned_etag.is_not(None)
    lines = {}
    for clip in session.scalars(select(ClipRow).where(between, known)):
        lines[clip.id] = coverage.line(
            named("clip", clip.salt, clip.key),
            named("version", clip.salt, clip.scanned_etag or ""),
            outcome=clip.outcome or "",
            reason=clip.reason,
            recipes=recipes.get(clip.id, []),
        )
    return lines


def line_of(body: Mapping[str, Any]) -> bytes:
    """The line of a clip's leaf in its shard."""
    return coverage.line(
        body["clip"],
        body["version"],
        outcome=body["outcome"],
        reason=body["reason"],
        recipes=body["recipes"],
    )


def _place(
    session: Session, run: str, shard: int, lines: Sequence[bytes], own: bytes
) -> Place | None:
    """None if the shard has no leaf, or these are not the lines that its root was made of."""
    root = coverage.root(lines).hex()
    for seq, _, body in _holding(session, root, SHARD_KINDS):
        if (body.get("run"), body.get("shard"), body.get("root")) == (run, shard, root):
            index, path = coverage.prove(lines, own)
            return Place(seq, own, index, len(lines), path)
    return None


def _when_else(session: Session, clip: ClipRow, day: date) -> str:
    query = (
        select(RunRow.started_at)
        .join(WorkRow)
        .where(WorkRow.clip_id == clip.id, WorkRow.leaf.is_not(None))
        .order_by(RunRow.started_at.desc())
    )
    days = list(dict.fromkeys(f"{at:%Y-%m-%d}" for at in session.scalars(query)))
    when = "it never was" if not days else f"it was on {', '.join(days[:_FEW])}"
    more = ", and before" if len(days) > _FEW else ""
    return f"no run that began on {day} (UTC) is on record as having looked at this clip; {when}{more}."


def _holding(
    session: Session, text: str, kinds: Sequence[str] | None = None
) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The leaves (of these kinds) whose bytes hold a text, in order: number, kind, body."""
    sought = literal(text.encode())
    place: ColumnElement[int] = (
        func.instr(LeafRow.body, sought)
        if session.get_bind().dialect.name == "sqlite"
        else func.position(sought.op("IN")(LeafRow.body))
    )
    query = select(LeafRow.seq, LeafRow.kind, LeafRow.body).where(place > 0).order_by(LeafRow.seq)
    if kinds is not None:
        query = query.where(LeafRow.kind.in_(kinds))
    for seq, kind, body in session.execute(query):
        yield seq, kind, _body(seq, body)


def _body(seq: int, leaf: object) -> dict[str, Any]:
    """What a leaf says; AuditBroken if it cannot have been written so."""
    try:
        content = parse(leaf) if isinstance(leaf, bytes) else None
    except ValueError:
        content = None
    if not isinstance(content, dict) or not isinstance(content.get("body"), dict):
        raise AuditBroken(problem="a leaf was changed", leaf=seq)
    body: dict[str, Any] = content["body"]
    return body
