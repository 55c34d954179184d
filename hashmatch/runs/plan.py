"""The plan: which clips a run takes, entered in the ledger page by page as storage lists them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from hashmatch.clips.etags import Known, as_read
from hashmatch.clips.store import ObjectInfo
from hashmatch.db import ledger, renditions
from hashmatch.db.schema import RunRow
from hashmatch.db.session import Database
from hashmatch.errors import HashmatchError
from hashmatch.model import Clip, Orientations

PAGE = 500


class NothingFits(HashmatchError):
    message = (
        "Clip storage lists no clip {prefix!r}, or that begins like it, that the settings include."
    )
    remedy = (
        "Keys start from clips.url and have no slash in front; clips.include and clips.exclude may "
        "leave them out."
    )
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run was asked to look at.

    `force` looks at clips that have an outcome already; `stored` compares what is stored of them
    with the active lists and reads no media. Renditions of a clip that is chosen are taken with it.
    orientations: ALL looks for turned copies for every list, also those that do not ask for it.
    """

    force: bool = False
    stored: bool = False
    prefix: str = ""
    clip: str | None = None
    since: datetime | None = None
    orientations: Orientations = Orientations.MIRRORED

    @property
    def kind(self) -> str:
        return "rescan" if self.force else "scan"

    @property
    def metrics_kind(self) -> str:
        """As metrics call the run: scan is the nightly job, and nothing else is."""
        return "stored" if self.stored else self.kind

    def takes(self, clip: Clip) -> bool:
        if self.clip is not None and clip.key != self.clip:
            return False
        if not clip.key.startswith(self.prefix):
            return False
        return self.since is None or (clip.metadata.created or clip.modified) >= self.since

    def as_json(self) -> dict[str, Any]:
        """For the record of the run."""
        asked = {"prefix": self.prefix or None, "clip": self.clip, "stored": self.stored or None}
        asked["orientations"] = self.orientations if self.orientations is Orientations.ALL else None
        asked["since"] = self.since.isoformat() if self.since else None
        return {name: value for name, value in asked.items() if value is not None}

    @property
    def listing_prefix(self) -> str:
        return self.clip if self.clip is not None else self.prefix


@dataclass(frozen=True, slots=True)
class Plan:
    """How many clips were listed, and how many of them have an outcome already.

    siblings: planned renditions beyond the first of each clip; waiting: clips that have no whole look
    yet, and whose time for another has not come; oversized: clips whose keys fit the pattern of
    renditions in groups too large to be that; misnamed: those which the listing names by another ETag
    than reading does.
    """

    listed: int
    unchanged: int
    siblings: int = 0
    oversized: int = 0
    waiting: int = 0
    misnamed: int = 0

    @property
    def planned(self) -> int:
        return self.listed - self.unchanged

    @property
    def turns(self) -> int:
        """How many looks the planned clips take; renditions of one clip share theirs."""
        return self.planned - self.siblings


def plan_listing(
    db: Database,
    run_id: str,
    listing: Iterable[Clip],
    selection: Selection,
    *,
    shard_size: int,
    clock: Callable[[], datetime],
    head: Callable[[str], ObjectInfo] | None = None,
) -> Plan:
    """Enter all that storage lists and the selection takes. Raises what the listing raises.

    head: asks storage for one clip, where the listing may name another ETag than reading gives.
    """
    listed = planned = misnamed = 0
    waiting: list[int] = []
    clips = (clip for clip in listing if selection.takes(clip) or clip.rendition)
    while page := list(islice(clips, PAGE)):
        beside = {clip.key for clip in page if not selection.takes(clip)}
        if head is not None:
            with db.read() as session:
                versions = ledger.versions(session, [clip.key for clip in page])
            known = {key: Known(*version) for key, version in versions.items()}
            page, count = as_read(page, known, head)
            misnamed += count
        now = clock()
        with db.write() as session:
            planned += ledger.take_listing(
                session,
                run_id,
                page,
                now=now,
                shard_size=shard_size,
                planned=planned,
                force=selection.force,
                beside=beside,
            )
            if not selection.force:
                keys = [clip.key for clip in page if clip.key not in beside]
                waiting += ledger.waiting(session, keys, now)
        listed += len(page) - len(beside)
    with db.write() as session:
        found = renditions.gather_renditions(
            session, run_id, shard_size=shard_size, planned=planned
        )
        later = ledger.passed_over(session, run_id, waiting) if waiting else 0
    planned += found.added
    if selection.force:
        listed += found.added  # all that were asked for were planned, so these were not
    return Plan(listed, listed - planned, found.siblings, found.oversized, later, misnamed)


def plan_stored(session: Session, run_id: str, list_set: str) -> Plan:
    """Every clip that is remembered; unchanged are those that know this state of the lists.

    The run's row keeps how many it takes: they have no work rows that would tell.
    """
    listed = ledger.scanned_clips(session)
    plan = Plan(listed, listed - ledger.behind(session, list_set))
    session.get_one(RunRow, run_id).summary = {"planned": plan.planned}
    return plan
