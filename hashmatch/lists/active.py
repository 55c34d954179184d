"""What clips are compared with: the versions that act, and their entries in blocks of arrays.

    with db.read() as session:
        for version in active_versions(session):
            print(version.name, version.version, version.imported_at)
        lists = ListSet.build(active_lists(session))

Streamed: about BLOCK hashes are in memory at a time, whatever the size of the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from hashmatch.db.schema import (
    DisabledEntryRow,
    EntryHashRow,
    EntryRow,
    ListRow,
    ListVersionRow,
)
from hashmatch.lists.catalog import get_list, get_version
from hashmatch.matching.listed import UNKNOWN_QUALITY, ActiveList, EntryBlock, HashColumn
from hashmatch.model import Action, Algorithm, Media

BLOCK = 20_000
_MEDIA = {media.value: media for media in Media}


@dataclass(frozen=True)
class ActiveVersion:
    """A version that acts. Whatever a match on it depends on is here, or fixed with the version.

    sha256: of the partner's files; distance: bits for PDQ, None for the configured one; disabled:
    the ids of entries that do not act, sorted.
    """

    name: str
    version: int
    id: int
    imported_at: datetime
    sha256: str
    entries: int
    action: Action
    distance: int | None
    disabled: tuple[str, ...]


def active_versions(session: Session) -> list[ActiveVersion]:
    """The versions that act, by the name of their list."""
    rows = session.execute(
        select(ListRow, ListVersionRow)
        .join(
            ListVersionRow,
            (ListVersionRow.list_name == ListRow.name)
            & (ListVersionRow.version == ListRow.active_version),
        )
        .order_by(ListRow.name)
    )
    return [_acting(session, row, version) for row, version in rows]


def active_lists(session: Session) -> Iterator[ActiveList]:
    """What clips are compared with. Each list's entries are read once, before the next list."""
    for version in active_versions(session):
        yield _given(session, version)


def trial_list(session: Session, name: str, version: int) -> ActiveList:
    """A version as if it were the active one of its list. Raises ListUnknown, VersionUnknown."""
    row, tried = get_list(session, name), get_version(session, name, version)
    return _given(session, _acting(session, row, tried))


def _acting(session: Session, row: ListRow, version: ListVersionRow) -> ActiveVersion:
    disabled = session.scalars(
        select(DisabledEntryRow.entry_id).where(DisabledEntryRow.list_name == row.name)
    )
    return ActiveVersion(
        name=row.name,
        version=version.version,
        id=version.id,
        imported_at=version.imported_at,
        sha256=version.sha256,
        entries=version.entries,
        action=Action(row.action),
        distance=row.distance,
        disabled=tuple(sorted(disabled)),
    )


def _given(session: Session, version: ActiveVersion) -> ActiveList:
    return ActiveList(
        version.name,
        version=version.version,
        action=version.action,
        entries=_blocks(session, version.id),
        distance=version.distance,
        imported_at=version.imported_at,
        disabled=frozenset(version.disabled),
    )


def _blocks(session: Session, version_id: int) -> Iterator[EntryBlock]:
    """The entries of a version, about BLOCK hashes at a time, an entry never in two blocks."""
    entry, hashes = EntryRow.__table__, EntryHashRow.__table__
    # On the connection: the session's own way of reading takes twice as long.
    rows = session.connection().execute(
        select(
            entry.c.id,
            entry.c.entry_id,
            entry.c.media,
            entry.c.classification,
            hashes.c.algorithm,
            hashes.c.bits,
            hashes.c.timestamp,
            hashes.c.quality,
        )
        .join(hashes, hashes.c.entry == entry.c.id)
        .where(entry.c.version_id == version_id)
        .order_by(entry.c.id),
        execution_options={"yield_per": BLOCK},
    )
    rest: list[Row[Any]] = []
    for fetched in rows.partitions():
        some = [*rest, *fetched]
        # The last entry may go on in the next fetch.
        end = len(some)
        while end and some[end - 1].id == some[-1].id:
            end -= 1
        if end:
            yield _block(some[:end])
        rest = some[end:]
    if rest:
        yield _block(rest)


def _block(rows: list[Row[Any]]) -> EntryBlock:
    numbers, ids, media, classification, algorithm, bits, timestamp, quality = zip(
        *rows, strict=True
    )
    first = np.diff(np.array(numbers, np.int64), prepend=-1) != 0
    place = np.cumsum(first) - 1
    starts = np.flatnonzero(first).tolist()
    columns = []
    for name in sorted(set(algorithm)):
        which = [i for i, other in enumerate(algorithm) if other == name]
        kind = Algorithm(name)
        packed = np.frombuffer(b"".join([bits[i] for i in which]), np.uint8)
        times = [np.nan if timestamp[i] is None else timestamp[i] for i in which]
        grades = [UNKNOWN_QUALITY if quality[i] is None else quality[i] for i in which]
        columns.append(
            HashColumn(
                kind,
                place[which],
                packed.reshape(len(which), kind.bits // 8),
                np.array(times, np.float64),
                np.array(grades, np.uint8),
            )
        )
    return EntryBlock(
        [ids[i] for i in starts],
        [_MEDIA[media[i]] for i in starts],
        [classification[i] for i in starts],
        columns,
    )
