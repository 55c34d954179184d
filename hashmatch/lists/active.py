"""What clips are compared with: the versions that act, and their entries in blocks of arrays.

    with db.read() as session:
        for version in active_versions(session):
            print(version.name, version.version, version.imported_at)
        lists = ListSet.build(active_lists(session))
        some = active_list(session, version, only=["img-1", "img-2"])

Streamed: about BLOCK hashes are in memory at a time, whatever the size of the list.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple

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
from hashmatch.matching.list_input import UNKNOWN_QUALITY, ActiveList, EntryBlock, HashColumn
from hashmatch.model import Action, Algorithm, Media, Orientations

BLOCK = 20_000
# Ids in one query: PostgreSQL takes 65,535 parameters, SQLite 32,766.
IDS = 10_000
_MEDIA = {media.value: media for media in Media}
_ENTRY, _HASH = EntryRow.__table__, EntryHashRow.__table__
_SELECT = select(
    _ENTRY.c.id,
    _ENTRY.c.entry_id,
    _ENTRY.c.media,
    _ENTRY.c.classification,
    _HASH.c.algorithm,
    _HASH.c.bits,
    _HASH.c.timestamp,
    _HASH.c.quality,
).join(_HASH, _HASH.c.entry == _ENTRY.c.id)


@dataclass(frozen=True)
class ActiveVersion:
    """A version that acts. Whatever a match on it depends on is here, or fixed with the version.

    origin: of the partner's files, of how they were read and what came of it; distance: bits for
    PDQ, None for the configured one; orientations: in which clips are compared; disabled: the ids of
    entries that do not act, sorted.
    """

    name: str
    version: int
    id: int
    imported_at: datetime
    origin: str
    entries: int
    action: Action
    distance: int | None
    orientations: Orientations
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
        yield active_list(session, version)


def active_list(
    session: Session, version: ActiveVersion, only: Collection[str] | None = None
) -> ActiveList:
    """A version for the matcher. only: the ids of the entries to give, instead of all."""
    return ActiveList(
        version.name,
        version=version.version,
        action=version.action,
        entries=_blocks(session, version.id) if only is None else _some(session, version.id, only),
        distance=version.distance,
        imported_at=version.imported_at,
        disabled=frozenset(version.disabled),
        orientations=version.orientations,
        origin=version.origin,
    )


def origin(version: ListVersionRow) -> str:
    """The same for versions of the same entries: what was read, how, and what came of it."""
    told = [
        version.sha256,
        version.format,
        version.options,
        version.entries,
        version.hashes,
        version.rejected,
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


class Policy(NamedTuple):
    """How a list would act. distance: None for the configured one; enabled: entries that would act
    although they are disabled now.
    """

    distance: int | None
    orientations: Orientations
    enabled: frozenset[str] = frozenset()


def trial_list(
    session: Session, name: str, version: int, policy: Policy | None = None
) -> ActiveList:
    """A version as if it were the active one of its list. policy: in place of the list's.

    Raises ListUnknown, VersionUnknown.
    """
    row, tried = get_list(session, name), get_version(session, name, version)
    acting = _acting(session, row, tried)
    if policy is not None:
        acting = replace(
            acting,
            distance=policy.distance,
            orientations=policy.orientations,
            disabled=tuple(one for one in acting.disabled if one not in policy.enabled),
        )
    return active_list(session, acting)


def _acting(session: Session, row: ListRow, version: ListVersionRow) -> ActiveVersion:
    disabled = session.scalars(
        select(DisabledEntryRow.entry_id).where(DisabledEntryRow.list_name == row.name)
    )
    return ActiveVersion(
        name=row.name,
        version=version.version,
        id=version.id,
        imported_at=version.imported_at,
        origin=origin(version),
        entries=version.entries,
        action=Action(row.action),
        distance=row.distance,
        orientations=Orientations(row.orientations),
        disabled=tuple(sorted(disabled)),
    )


def _blocks(session: Session, version_id: int) -> Iterator[EntryBlock]:
    """The entries of a version, about BLOCK hashes at a time, an entry never in two blocks."""
    # On the connection: the session's own way of reading takes twice as long.
    rows = session.connection().execute(
        _SELECT.where(_ENTRY.c.version_id == version_id).order_by(_ENTRY.c.id),
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


def _some(session: Session, version_id: int, only: Collection[str]) -> Iterator[EntryBlock]:
    """The entries of a version that have those ids."""
    mine = _SELECT.where(_ENTRY.c.version_id == version_id).order_by(_ENTRY.c.id)
    ids = sorted(only)
    for at in range(0, len(ids), IDS):
        some = mine.where(_ENTRY.c.entry_id.in_(ids[at : at + IDS]))
        rows: list[Row[Any]] = list(session.connection().execute(some))
        if rows:
            yield _block(rows)


def _block(rows: list[Row[Any]]) -> EntryBlock:
    """Rows as columns; those that cannot be are left out and named."""
    try:
        return _columns(rows)
    except (ValueError, TypeError, LookupError, OverflowError):
        unusable = [(str(row.entry_id), said) for row in rows if (said := _problem(row))]
        sound = [row for row in rows if _problem(row) is None]
        block = _columns(sound) if sound else EntryBlock([], [], [], [])
        return replace(block, unusable=unusable)


def _columns(rows: list[Row[Any]]) -> EntryBlock:
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
        listed = [bits[i] for i in which]
        if set(map(len, listed)) != {kind.bits // 8}:
            raise ValueError("a hash of the wrong length")
        times = [np.nan if timestamp[i] is None else timestamp[i] for i in which]
        grades = [UNKNOWN_QUALITY if quality[i] is None else quality[i] for i in which]
        columns.append(
            HashColumn(
                kind,
                place[which],
                np.frombuffer(b"".join(listed), np.uint8).reshape(len(which), -1),
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


def _problem(row: Row[Any]) -> str | None:
    """Why a row cannot be put into columns, without what it holds."""
    if row.media not in _MEDIA:
        return "a kind of media that there is not"
    if row.algorithm not in set(Algorithm):
        return "an algorithm that there is not"
    if not isinstance(row.bits, bytes) or len(row.bits) * 8 != Algorithm(row.algorithm).bits:
        return f"a {row.algorithm} of the wrong length"
    if not isinstance(row.timestamp, float | int | None):
        return "a timestamp that no video has"
    if row.quality is not None and row.quality not in range(101):
        return "a quality outside 0 to 100"
    return None
