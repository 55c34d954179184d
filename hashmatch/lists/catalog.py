"""The catalogue: which lists there are, their versions, and which of them acts.

    with db.read() as session:
        for name in list_names(session):
            print(name, summary(session, name).active)

Reading only; `imports`, `activation` and `disabled` change it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from hashmatch.db.schema import DisabledEntryRow, ListRow, ListVersionRow
from hashmatch.errors import ListError
from hashmatch.freetext import hashlike

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)


class NameWrong(ListError):
    message = "{name}: not a name for a list."
    remedy = (
        "Names are of small letters, digits and single hyphens, at most 64, as in `c3p-images`; "
        "they are shown everywhere, so they hold no hash."
    )


class ListUnknown(ListError):
    message = "{name}: there is no list of this name."
    remedy = "See which there are with `hashmatch lists list`."


class VersionUnknown(ListError):
    message = "{name}: there is no version {version}."
    remedy = "See which there are with `hashmatch lists show {name}`."


class VersionRemoved(VersionUnknown):
    message = "{name}: version {version} was removed on {day}."
    remedy = (
        "Import its file again for a new version, or choose another: `hashmatch lists show {name}`."
    )


@dataclass(frozen=True)
class Summary:
    """A list and all of its versions, oldest first, also removed ones. disabled: entry -> reason."""

    list: ListRow
    versions: tuple[ListVersionRow, ...]
    disabled: Mapping[str, str]

    @property
    def active(self) -> ListVersionRow | None:
        return next((v for v in self.versions if v.version == self.list.active_version), None)

    @property
    def newest(self) -> ListVersionRow | None:
        """The newest that was not removed."""
        return next((v for v in reversed(self.versions) if v.removed_at is None), None)


def check_name(name: str) -> None:
    if len(name) > 64 or _NAME.fullmatch(name) is None or hashlike(name):
        shown = "file" if hashlike(name) or not name.isprintable() else name[:64]
        raise NameWrong(name=shown)


def list_names(session: Session) -> list[str]:
    """Of all lists that have a version which was not removed."""
    there = exists().where(
        ListVersionRow.list_name == ListRow.name, ListVersionRow.removed_at.is_(None)
    )
    return list(session.scalars(select(ListRow.name).where(there).order_by(ListRow.name)))


def summary(session: Session, name: str) -> Summary:
    """Raises ListUnknown."""
    row = get_list(session, name)
    versions = session.scalars(
        select(ListVersionRow)
        .where(ListVersionRow.list_name == name)
        .order_by(ListVersionRow.version)
    )
    disabled = session.execute(
        select(DisabledEntryRow.entry_id, DisabledEntryRow.reason)
        .where(DisabledEntryRow.list_name == name)
        .order_by(DisabledEntryRow.entry_id)
    )
    return Summary(row, tuple(versions), {row.entry_id: row.reason for row in disabled})


def get_list(session: Session, name: str, *, lock: bool = False) -> ListRow:
    """lock: nobody else changes the list until the transaction ends. Raises ListUnknown."""
    check_name(name)
    row = session.get(ListRow, name, with_for_update=lock)
    if row is None:
        raise ListUnknown(name=name)
    return row


def get_version(session: Session, name: str, version: int) -> ListVersionRow:
    """A version with its entries. Raises VersionUnknown, VersionRemoved."""
    row = session.scalars(
        select(ListVersionRow).where(
            ListVersionRow.list_name == name, ListVersionRow.version == version
        )
    ).first()
    if row is None:
        raise VersionUnknown(name=name, version=version)
    if row.removed_at is not None:
        raise VersionRemoved(name=name, version=version, day=row.removed_at.date())
    return row
