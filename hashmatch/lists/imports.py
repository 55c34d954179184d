"""Importing: what a partner delivered becomes one immutable version of a list. Nothing acts yet.

    done = import_list(db, names, "c3p", Delivery([path]), by="alice", at=now)
    done.version, done.entries, done.tally.report()

A version, its entries and its leaf of the audit log are one transaction: all of it, or nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commit, commit_person
from hashmatch.audit.log import append
from hashmatch.audit.names import KeyedNames
from hashmatch.db.schema import ListRow, ListVersionRow
from hashmatch.db.session import Database
from hashmatch.lists import trust
from hashmatch.lists.catalog import check_name
from hashmatch.lists.formats import Format, Reading, detect, files
from hashmatch.lists.formats.text import ListUnreadable, label
from hashmatch.lists.staging import Staging
from hashmatch.model import Algorithm, Json


@dataclass(frozen=True)
class Delivery:
    """Files as they came from a partner, and how to read them.

    format: None to tell it from the first lines; columns: their header -> ours; algorithm: of rows
    that name none; sha256: what the partner published; source: where it came from, for the record.
    """

    paths: Sequence[Path]
    format: Format | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    algorithm: Algorithm | None = None
    sha256: str | None = None
    source: str | None = None


@dataclass(frozen=True)
class Imported:
    """What became of a delivery. created: False if the newest version has the same content.

    algorithms: how many hashes of each; notes: what a person should know of the files.
    """

    name: str
    version: int
    created: bool
    sha256: str
    format: Format
    entries: int
    hashes: int
    algorithms: Mapping[str, int]
    tally: trust.Tally = field(default_factory=trust.Tally)
    notes: Sequence[str] = ()


def import_list(
    db: Database,
    names: KeyedNames,
    name: str,
    delivery: Delivery,
    *,
    by: str,
    at: datetime,
    max_rejected: float = 0.01,
) -> Imported:
    """Makes the next version of the list `name`; the list too, if it is its first.

    The same bytes, read in the same way, as the newest version's make no new one.
    Raises ListError, and then nothing was imported.
    """
    check_name(name)
    paths = delivery.paths
    sha256 = combined([_sha256(path, label(path, i)) for i, path in enumerate(paths, 1)])
    trust.check_digest(name, delivery.sha256, sha256)
    how = Reading(
        delivery.format or detect(paths, delivery.columns), delivery.columns, delivery.algorithm
    )
    with db.read() as session:
        newest = _newest(session, name)
    if newest is not None and newest.removed_at is None and _same(newest, sha256, how):
        return _imported(newest, created=False)
    with Staging(name, names) as staged:
        read = []
        for file in files(paths, how):
            staged.read(file, several=len(paths) > 1)
            read.append(file.sha256)
        staged.finish()
        if combined(read) != sha256:
            raise ListUnreadable(name=name, problem="its file changed while it was read")
        staged.tally.check(name, max_rejected)
        trust.check_untyped(name, staged.assumed, staged.median_split)
        trust.check_entries(name, staged.entries, staged.tally)
        with db.write() as session:
            row = _next_version(session, name, at)
            row.source = delivery.source or _source(paths)
            row.sha256 = sha256
            row.format = how.format.value
            row.options = _options(how)
            row.imported_by = by
            row.entries = staged.entries
            row.hashes = staged.hashes.total()
            row.rejected = staged.tally.rejected.total()
            row.algorithms = {kind.value: count for kind, count in sorted(staged.hashes.items())}
            session.add(row)
            session.flush()
            staged.write(session, row.id)
            append(session, "list-import", _leaf(session, row, len(paths), staged.tally), at)
        return _imported(row, created=True, tally=staged.tally, notes=staged.notes)


def combined(digests: Sequence[str]) -> str:
    """One SHA-256 for a delivery: of one file, its own; of several, that of their sorted digests.

    By hand: sha256sum FILES | cut -c1-64 | sort | sha256sum
    """
    if len(digests) == 1:
        return digests[0]
    lines = "".join(f"{digest}\n" for digest in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()


def _sha256(path: Path, shown: str) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ListUnreadable(name=shown, problem=error.strerror or "unreadable") from None


def _newest(session: Session, name: str) -> ListVersionRow | None:
    return session.scalars(
        select(ListVersionRow)
        .where(ListVersionRow.list_name == name)
        .order_by(ListVersionRow.version.desc())
        .limit(1)
    ).first()


def _next_version(session: Session, name: str, at: datetime) -> ListVersionRow:
    """A version with the next number. The list stays locked, so that the number has no rival."""
    if session.get(ListRow, name, with_for_update=True) is None:
        session.add(ListRow(name=name, created_at=at))
        session.flush()
    newest = _newest(session, name)
    number = newest.version + 1 if newest else 1
    return ListVersionRow(list_name=name, version=number, imported_at=at)


def _options(how: Reading) -> dict[str, Json]:
    return {
        "columns": dict(how.columns),
        "algorithm": how.algorithm.value if how.algorithm else None,
    }


def _same(newest: ListVersionRow, sha256: str, how: Reading) -> bool:
    wanted = (sha256, how.format.value, _options(how))
    return (newest.sha256, newest.format, newest.options) == wanted


def _source(paths: Sequence[Path]) -> str:
    return label(paths[0]) if len(paths) == 1 else f"{len(paths)} files"


def _leaf(session: Session, row: ListVersionRow, count: int, tally: trust.Tally) -> dict[str, Json]:
    return {
        "list": row.list_name,
        "version": row.version,
        "sha256": row.sha256,
        "source": commit(session, "source", row.source, subject=f"list-{row.list_name}"),
        "files": count,
        "format": row.format,
        "options": row.options,
        "rows": tally.rows,
        "entries": row.entries,
        "hashes": dict(row.algorithms),
        "rejected": {fault.name.lower(): n for fault, n in sorted(tally.rejected.items())},
        "left_out": {fault.name.lower(): n for fault, n in sorted(tally.left_out.items())},
        "incomparable": dict(sorted(tally.incomparable.items())),
        "by": commit_person(session, row.imported_by),
    }


def _imported(
    row: ListVersionRow,
    *,
    created: bool,
    tally: trust.Tally | None = None,
    notes: Sequence[str] = (),
) -> Imported:
    return Imported(
        row.list_name,
        row.version,
        created,
        row.sha256,
        Format(row.format),
        row.entries,
        row.hashes,
        dict(row.algorithms),
        tally or trust.Tally(),
        notes,
    )
