"""What became of the lists since a set of them was compiled, as the matcher needs to know it.

    changes = since(session, base.lists, versions, room)
    changes.lists, changes.without          # what to compile, and what of the base to leave out

The database compares versions, and only entries that differ are read. Action, distance and the
number of a version are no entries: to change them costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from hashmatch.db.schema import ListVersionRow
from hashmatch.lists.active import ActiveVersion, active_list, origin
from hashmatch.lists.catalog import VersionUnknown, get_version
from hashmatch.lists.differences import new_or_changed, withdrawn
from hashmatch.matching.compiled_part import CompiledList
from hashmatch.matching.list_input import ActiveList


@dataclass(frozen=True, slots=True, eq=False)
class Changes:
    """lists: the active versions, with the entries that the base lacks; without: for lists that it
    has, the ids of its entries that no longer act, and perhaps some that it never had.
    """

    lists: list[ActiveList]
    without: Mapping[str, frozenset[str]]


class _TooMany(Exception):
    """There is no room for what was added."""


def since(
    session: Session, base: Sequence[CompiledList], versions: Iterable[ActiveVersion], room: int
) -> Changes | None:
    """None where all is better compiled anew: more than `room` entries were added or changed, or
    more than half of the base's no longer act.
    """
    known = {one.name: one for one in base}
    lists: list[ActiveList] = []
    without: dict[str, frozenset[str]] = {}
    try:
        for version in versions:
            before = known.get(version.name)
            if before is None:
                room = _left(room, version.entries)
                lists.append(active_list(session, version))
                continue
            added, without[version.name] = _of(session, before, version, room)
            room = _left(room, len(added))
            lists.append(active_list(session, version, added))
    except _TooMany:
        return None
    acting = sum(one.entries - len(without[one.name]) for one in base if one.name in without)
    if 2 * acting < sum(one.entries for one in base):
        return None
    return Changes(lists, without)


def _of(
    session: Session, before: CompiledList, version: ActiveVersion, room: int
) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of entries that the base lacks, and of those that it must not use if it has them."""
    disabled = frozenset(version.disabled)
    gone = disabled - before.disabled
    added = before.disabled - disabled
    if before.origin != version.origin:
        old = _row(session, version.name, before.version)
        new = _row(session, version.name, version.version)
        if old is None or new is None or origin(old) != before.origin:
            raise _TooMany  # what the base was made from is not in this database any more
        differ = new_or_changed(session, old, new, room + 1)
        _left(room, len(differ))
        gone |= frozenset(differ).union(withdrawn(session, old, new))
        added |= frozenset(differ) - disabled
    return added, gone


def _left(room: int, taken: int) -> int:
    if taken > room:
        raise _TooMany
    return room - taken


def _row(session: Session, name: str, version: int) -> ListVersionRow | None:
    try:
        return get_version(session, name, version)
    except VersionUnknown:
        return None
