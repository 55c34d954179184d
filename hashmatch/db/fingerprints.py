"""Fingerprints in the database: what every clip is remembered by, one row a clip and recipe.

Kept so that a new list can be matched without reading or decoding a clip again. A clip that gave no
frames has a row all the same, for its digests; if another rendition was decoded in its place, the
row names that one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.db.schema import ClipRow, FingerprintRow
from hashmatch.hashing.packing import pack, unpack
from hashmatch.model import Digests, Fingerprint, Reason, Sampling

NO_FRAMES = "none"


def save(
    session: Session,
    clip_id: int,
    etag: str,
    fingerprint: Fingerprint,
    now: datetime,
    seen_by: str | None = None,
) -> None:
    """Remember a clip's fingerprint in the place of what was remembered by the same recipes.

    What older recipes said of an older version of the clip is forgotten. seen_by: the key of the
    rendition that was decoded in its place; frames of its own that are remembered of the same version
    say more, and stay.
    """
    frames = {hashes.recipe: pack(hashes) for hashes in fingerprint.frames} or {NO_FRAMES: b""}
    rows = {row.recipe: row for row in _rows(session, clip_id)}
    if seen_by is not None and any(row.etag == etag and row.frames for row in rows.values()):
        return
    for recipe, row in rows.items():
        if recipe not in frames and (row.etag != etag or recipe == NO_FRAMES):
            session.delete(row)
    for recipe, packed in frames.items():
        row = rows.get(recipe) or FingerprintRow(clip_id=clip_id, recipe=recipe)
        row.etag, row.size, row.made_at = etag, fingerprint.size, now
        digests = fingerprint.digests
        row.md5, row.sha1, row.sha256 = (
            (digests.md5, digests.sha1, digests.sha256) if digests else (None, None, None)
        )
        row.bytes_read = fingerprint.bytes_read
        row.duration, row.seen = fingerprint.duration, fingerprint.seen
        row.sampling, row.trouble = fingerprint.sampling, fingerprint.trouble
        row.seen_by = seen_by
        row.frames = packed
        session.add(row)


def load(session: Session, clip_id: int, recipes: Collection[str]) -> Fingerprint | None:
    """What is remembered of a clip by the given recipes; None where there is nothing of theirs.

    A clip that another rendition was decoded for has that one's frames, beside its own digests.
    Raises FingerprintDamaged where the stored bytes are not what was stored.
    """
    rows = _rows(session, clip_id)
    found = _fingerprint(rows, recipes)
    seen_by = next((row.seen_by for row in rows if row.seen_by is not None), None)
    if found is None or seen_by is None:
        return found
    decoded = session.scalar(select(ClipRow.id).where(ClipRow.key == seen_by))
    seen = None if decoded is None else _fingerprint(_rows(session, decoded), recipes)
    return found if seen is None else replace(seen, digests=found.digests, size=found.size)


def _fingerprint(rows: Sequence[FingerprintRow], recipes: Collection[str]) -> Fingerprint | None:
    found: Fingerprint | None = None
    for row in rows:
        if row.recipe not in recipes and row.recipe != NO_FRAMES:
            continue
        hashes = (unpack(row.frames),) if row.frames else ()
        if found is not None:
            found = replace(found, frames=found.frames + hashes)
            continue
        found = Fingerprint(
            digests=_digests(row),
            size=row.size,
            duration=row.duration,
            seen=row.seen,
            sampling=Sampling(row.sampling) if row.sampling else None,
            frames=hashes,
            trouble=Reason(row.trouble) if row.trouble else None,
            bytes_read=row.bytes_read,
        )
    return found


def _digests(row: FingerprintRow) -> Digests | None:
    if row.md5 is None or row.sha1 is None or row.sha256 is None:
        return None
    return Digests(row.md5, row.sha1, row.sha256)


def _rows(session: Session, clip_id: int) -> list[FingerprintRow]:
    query = select(FingerprintRow).where(FingerprintRow.clip_id == clip_id)
    return list(session.scalars(query.order_by(FingerprintRow.recipe)))
