"""The archive: what clips are remembered by, in bulk, for comparisons that read no media.

    last = 0
    while page := next_page(session, last, recipes, behind=list_set):
        last = page[-1].id
        for row in read(session, [clip.id for clip in page], recipes):
            ...

Pages come in the order of the clips' ids and are bounded in bytes, so that memory does not grow with
the archive. A clip is never cut in two: one whose frames alone are more is a page of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hashmatch.db.fingerprints import NO_FRAMES
from hashmatch.db.schema import ClipRow, FingerprintRow

# A page: as much as fits the processor's cache several times over, to make what a page costs besides
# its bytes (five statements and a commit) small.
PAGE_CLIPS = 1000
PAGE_BYTES = 1 << 25


class Known(NamedTuple):
    """A clip that was looked at, and what was said of it.

    etag: of the version that was looked at; due: a scan will look at it again; recipes: by which it
    is remembered; borrowed: it was seen by another rendition of it, whose frames are compared; salt:
    of its commitments (`audit.commitments`), if they were ever needed.
    """

    id: int
    key: str
    etag: str
    outcome: str | None
    reason: str | None
    coverage: float | None
    due: bool
    recipes: tuple[str, ...]
    borrowed: bool = False
    salt: bytes | None = None


class Stored(NamedTuple):
    """One row of a fingerprint. made_at: rows of one look have the same; frames: packed."""

    clip: int
    recipe: str
    made_at: datetime
    md5: str | None
    sha1: str | None
    sha256: str | None
    frames: bytes


def next_page(
    session: Session, after: int, recipes: Collection[str], *, behind: str | None
) -> list[Known]:
    """The next clips with ids above `after`; none where there are no more.

    recipes: those whose frames will be read; behind: only clips that have an outcome, and were last
    compared with another state of the lists than this; None for all.
    """
    clip, prints = ClipRow.__table__.c, FingerprintRow.__table__.c
    query = select(
        clip.id,
        clip.key,
        func.coalesce(clip.scanned_etag, clip.etag),
        clip.outcome,
        clip.reason,
        clip.coverage,
        clip.retry_at.is_not(None) | (clip.etag != clip.scanned_etag),
        clip.salt,
    ).where(clip.id > after)
    if behind is not None:
        query = query.where(clip.scanned_etag.is_not(None), clip.list_set.is_distinct_from(behind))
    # On the connection, here and below: the session's own way of reading takes twice as long.
    connection = session.connection()
    clips = connection.execute(query.order_by(clip.id).limit(PAGE_CLIPS)).all()
    sizes = connection.execute(
        select(
            prints.clip_id,
            prints.recipe,
            func.length(prints.frames),
            prints.seen_by.is_not(None),
        )
        .where(prints.clip_id.in_([row[0] for row in clips]))
        .order_by(prints.clip_id, prints.recipe)
    )
    kept = {id: list(rows) for id, rows in groupby(sizes, itemgetter(0))}
    page: list[Known] = []
    room = PAGE_BYTES
    for *row, salt in clips:
        rows = kept.get(row[0], [])
        room -= sum(size for _, recipe, size, _ in rows if recipe in recipes)
        if room < 0 and page:
            break
        borrowed = any(seen_by for *_, seen_by in rows)
        named = tuple(recipe for _, recipe, *_ in rows)
        page.append(Known._make((*row, named, borrowed, salt)))
    return page


def read(session: Session, clips: Sequence[int], recipes: Collection[str]) -> Iterator[Stored]:
    """What is stored of a page's clips by these recipes, and of those that gave no frames."""
    prints = FingerprintRow.__table__.c
    query = (
        select(
            prints.clip_id,
            prints.recipe,
            prints.made_at,
            prints.md5,
            prints.sha1,
            prints.sha256,
            prints.frames,
        )
        .where(prints.clip_id.in_(clips), prints.recipe.in_([*recipes, NO_FRAMES]))
        .order_by(prints.clip_id, prints.recipe)
    )
    options = {"binary_results": True}
    return map(Stored._make, session.connection().execute(query, execution_options=options))
