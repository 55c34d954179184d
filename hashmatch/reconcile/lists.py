"""Lists, their versions, what acts, and disabled entries: what the log says of them."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hashmatch.db.schema import (
    DisabledEntryRow,
    EntryHashRow,
    EntryRow,
    ListRow,
    ListVersionRow,
)
from hashmatch.reconcile.books import Body, Book, DatabaseDiffers, compare, missing, unheard_of

_VERSION = {
    "sha256": "sha256",
    "format": "format",
    "options": "options",
    "entries": "entries",
    "hashes": "algorithms",
}
_POLICY = {"action": "action", "distance": "distance", "orientations": "orientations"}


class ListBook(Book):
    kinds = ("list-",)

    def __init__(self) -> None:
        self.versions: dict[tuple[str, int], tuple[int, Body]] = {}
        self.active: dict[str, tuple[int, int | None]] = {}
        self.policies: dict[str, tuple[int, Body]] = {}
        self.removed: dict[tuple[str, int], int] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        name, self.seen = str(body.get("list")), seq
        if kind == "list-import":
            self.versions[name, body["version"]] = (seq, body)
            self.active.setdefault(name, (seq, None))
        elif kind in ("list-activate", "list-rollback"):
            self.active[name] = (seq, body["version"])
        elif kind == "list-deactivate":
            self.active[name] = (seq, None)
        elif kind == "list-remove":
            self.removed[name, body["version"]] = seq
            if body["acted"]:
                self.active[name] = (seq, None)
        elif kind == "list-set":
            self.policies[name] = (seq, body)

    def close(self, session: Session) -> None:
        rows = {row.name: row for row in session.scalars(select(ListRow))}
        for name, (seq, version) in self.active.items():
            if name not in rows:
                raise missing(f"list {name}", seq)
            if rows[name].active_version != version:
                problem = f"another version of list {name} acts than its last leaf says"
                raise DatabaseDiffers(problem=problem, leaf=seq)
        for name, (seq, body) in self.policies.items():
            if name not in rows:
                raise missing(f"list {name}", seq)
            compare(f"list {name}", seq, body, rows[name], _POLICY)
        self._versions(session)

    def _versions(self, session: Session) -> None:
        counted = dict(
            session.execute(
                select(EntryRow.version_id, func.count()).group_by(EntryRow.version_id)
            ).all()
        )
        hashes = dict(
            session.execute(
                select(EntryRow.version_id, func.count())
                .join(EntryHashRow, EntryHashRow.entry == EntryRow.id)
                .group_by(EntryRow.version_id)
            ).all()
        )
        rows = {
            (row.list_name, row.version): row for row in session.scalars(select(ListVersionRow))
        }
        for (name, version), (seq, body) in self.versions.items():
            row, what = rows.get((name, version)), f"version {version} of list {name}"
            if row is None:
                raise missing(what, seq)
            compare(what, seq, body, row, _VERSION)
            removed = self.removed.get((name, version))
            if (row.removed_at is None) != (removed is None):
                said = "removed" if removed is not None else "there"
                problem = f"{what} is {said} by its last leaf only"
                raise DatabaseDiffers(problem=problem, leaf=seq if removed is None else removed)
            if removed is not None:
                if counted.get(row.id):
                    problem = f"entries of {what} are there, which was removed"
                    raise DatabaseDiffers(problem=problem, leaf=removed)
                continue
            if counted.get(row.id, 0) != body.get("entries", row.entries):
                raise DatabaseDiffers(problem=f"entries of {what} were added or removed", leaf=seq)
            if hashes.get(row.id, 0) != sum(body.get("hashes", row.algorithms).values()):
                raise DatabaseDiffers(problem=f"hashes of {what} were added or removed", leaf=seq)
        for name, version in rows.keys() - self.versions.keys():
            raise unheard_of(f"version {version} of list {name}", self.seen)


class DisabledBook(Book):
    kinds = ("entry-disable", "entry-enable")

    def __init__(self) -> None:
        self.disabled: dict[tuple[str, str], tuple[int, bool]] = {}
        self.seen = 0

    def take(self, seq: int, kind: str, body: Body) -> None:
        self.disabled[body["list"], body["entry"]] = (seq, kind == "entry-disable")
        self.seen = seq

    def close(self, session: Session) -> None:
        query = select(DisabledEntryRow.list_name, DisabledEntryRow.entry_id)
        rows = {(name, entry) for name, entry in session.execute(query)}
        for (name, entry), (seq, disabled) in self.disabled.items():
            if ((name, entry) in rows) != disabled:
                said = "disabled" if disabled else "enabled"
                problem = f"an entry of list {name} is {said} by its last leaf only"
                raise DatabaseDiffers(problem=problem, leaf=seq)
        for name, _ in rows - self.disabled.keys():
            raise unheard_of(f"a disabled entry of list {name}", self.seen)
