"""What a scan would look at now, and why: storage is listed and the database read, nothing is written.

for due in rehearse(settings, db, now(), tally):
    due.key, due.why, due.detail
tally.listed, tally.unchanged, tally.problems
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import islice
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.clips.discover import Discovery
from hashmatch.clips.open_store import open_store
from hashmatch.config import Settings
from hashmatch.db.ledger import is_due
from hashmatch.db.renditions import MOST_RENDITIONS
from hashmatch.db.schema import ClipRow
from hashmatch.db.session import Database
from hashmatch.model import Clip, Reason
from hashmatch.runs.plan import PAGE


class Why(StrEnum):
    NEW = "new"
    CHANGED = "changed"
    WAITING = "not looked at yet"
    AGAIN = "due again"
    BESIDE = "rendition"


class Due(NamedTuple):
    """A clip that the scan would look at. detail: what the last look said, or which clip it goes with."""

    key: str
    why: Why
    detail: str = ""


@dataclass
class Tally:
    """Final when the iteration has ended. later: clips whose next try has not come yet."""

    listed: int = 0
    excluded: int = 0
    unchanged: int = 0
    later: int = 0
    incomplete: bool = False
    problems: list[str] = field(default_factory=list)


def rehearse(settings: Settings, db: Database, now: datetime, tally: Tally) -> Iterator[Due]:
    """As `ledger.take_listing` and `db.renditions` would plan it. Raises what the listing raises."""
    store = open_store(settings.clips, settings.home)
    listing = Discovery(store, settings.clips, settings.home)
    groups: dict[str, list[tuple[str, Due | None]]] = {}
    clips, seen = iter(listing), set[str]()
    while page := list(islice(clips, PAGE)):
        with db.read() as session:
            decided = list(_decide(session, page, now, seen, tally))
        for clip, due in decided:
            if clip.rendition is not None:
                groups.setdefault(clip.rendition.of, []).append((clip.key, due))
            elif due is not None:
                yield due
    for group in groups.values():
        yield from _together(group, tally)
    tally.excluded, tally.incomplete = listing.excluded, listing.incomplete
    tally.problems += listing.problems


def _decide(
    session: Session, page: Iterable[Clip], now: datetime, seen: set[str], tally: Tally
) -> Iterator[tuple[Clip, Due | None]]:
    clips = {clip.key: clip for clip in page if clip.key not in seen}
    # A folder that changes while it is listed may name a file twice.
    seen.update(clips)
    rows = session.scalars(select(ClipRow).where(ClipRow.key.in_(clips)))
    known = {row.key: row for row in rows}
    for clip in clips.values():
        tally.listed += 1
        due = _due(clip, known.get(clip.key), now)
        if due is None:
            row = known[clip.key]
            tally.unchanged += 1
            tally.later += row.retry_at is not None
        yield clip, due


def _due(clip: Clip, row: ClipRow | None, now: datetime) -> Due | None:
    if row is None:
        return Due(clip.key, Why.NEW)
    if row.scanned_etag is None:
        return Due(clip.key, Why.WAITING)
    if row.scanned_etag != clip.etag:
        return Due(clip.key, Why.CHANGED)
    if row.etag == clip.etag and not is_due(row, now):
        return None
    detail = Reason(row.reason).text if row.reason else f"it was {row.outcome}"
    return Due(clip.key, Why.AGAIN, detail)


def _together(group: list[tuple[str, Due | None]], tally: Tally) -> Iterator[Due]:
    """All renditions of a clip of which one is due; a group too large is no group."""
    first = next((due.key for _, due in group if due is not None), None)
    for key, due in group:
        if due is not None:
            yield due
        elif first is not None and len(group) <= MOST_RENDITIONS:
            tally.unchanged -= 1
            yield Due(key, Why.BESIDE, f"goes with {first}")
