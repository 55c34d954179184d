"""Staging: a delivery is read and checked as a whole before the database is touched.

    with Staging("c3p", names) as staged:
        for file in files(paths, how):
            staged.read(file, several=len(paths) > 1)
        staged.finish()
        staged.write(session, version_id)

In between the rows wait in a file without a name, which only this process can read. So the
transaction, which keeps everybody else from writing to a SQLite database, is for writing alone:
about 7 s for a million rows, of the 16 s that their import takes.
"""

from __future__ import annotations

import json
import marshal
import tempfile
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from sqlalchemy import Table, update
from sqlalchemy.orm import Session

from hashmatch.audit.names import KeyedNames
from hashmatch.db.schema import EntryHashRow, EntryRow
from hashmatch.errors import ListError
from hashmatch.freetext import hashlike
from hashmatch.lists.bulk import insert_rows, reserve
from hashmatch.lists.entries import Assembler
from hashmatch.lists.formats import ListFile, Rejected, Row
from hashmatch.lists.formats.kinds import kind_of
from hashmatch.lists.formats.rows import BadRow, Fault
from hashmatch.lists.trust import Tally
from hashmatch.model import Algorithm

BATCH = 5000
SHOWN_COLUMNS = 12
LONGEST_NAME = 60
_ENTRY = cast(Table, EntryRow.__table__)
_HASH = cast(Table, EntryHashRow.__table__)


class StagingFailed(ListError):
    message = "{name}: its rows cannot be kept in {folder} until they are written: {problem}"
    remedy = (
        "It takes as much room as the partner's file. Make some, or set TMPDIR to another folder."
    )


class Staging:
    """What was read so far.

    hashes: how many of each algorithm; assumed: how many were taken for PDQ by their length, of
    which median_split have half of their bits set, as PDQ hashes do.
    """

    def __init__(self, name: str, names: KeyedNames) -> None:
        self._name = name
        self._assembler = Assembler(names)
        with self._keeping():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by exit)
        self._new: list[tuple[Any, ...]] = []
        self._hashes: list[tuple[Any, ...]] = []
        self._sizes: list[int] = []
        self.tally = Tally()
        self.hashes: Counter[Algorithm] = Counter()
        self.assumed = 0
        self.median_split = 0
        self.notes: list[str] = []
        self._unused: dict[str, None] = {}

    def __enter__(self) -> Staging:
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):  # of bytes that nobody wants any more
            self._file.close()

    @property
    def entries(self) -> int:
        return len(self._assembler)

    def read(self, file: ListFile, *, several: bool) -> None:
        """All rows of a file. several: the file is named where its lines are."""
        prefix = f"{file.name} line " if several else "line "
        for row in file:
            self.tally.rows += 1
            if isinstance(row, Rejected):
                if row.fault is Fault.FEATURELESS_FRAME and row.group is not None:
                    self._assembler.blank(row.group, f"{prefix}{row.line}")
                self.tally.reject(row.fault, f"{prefix}{row.line}", row.kind)
                continue
            try:
                self._add(row)
            except BadRow as bad:
                self.tally.reject(bad.fault, f"{prefix}{row.line}")
        self._unused.update(dict.fromkeys(file.unused))
        if not file.complete:
            self.notes.append(
                f"{file.name}: its last line has no line end; compare it with the partner's file"
            )

    def finish(self) -> None:
        """There is nothing more to read."""
        self._stage()
        for where in self._assembler.blank_videos():
            self.tally.reject(Fault.BLANK_VIDEO, where)
        if self.assumed:
            self.notes.append(
                f"{self.assumed} hashes of 64 digits name no algorithm and were taken for PDQ "
                "(--algorithm sha256 if they are file digests)"
            )
        self.notes += _unused_columns(list(self._unused))
        self.notes += _keyed_names(self._assembler.unnamed, self._assembler.renamed)

    def write(self, session: Session, version_id: int) -> None:
        """All of it into the database, as the content of this version."""
        ids = array("q")
        for new, hashes in self._staged():
            ids.extend(reserve(session, _ENTRY, len(new)))
            insert_rows(
                session,
                _ENTRY,
                ("id", "version_id", "entry_id", "media", "classification", "extra"),
                [
                    (id, version_id, *fields)
                    for id, fields in zip(ids[len(ids) - len(new) :], new, strict=True)
                ],
            )
            insert_rows(
                session,
                _HASH,
                ("entry", "algorithm", "bits", "timestamp", "quality"),
                [(ids[number], *fields) for number, *fields in hashes],
            )
        for number, amendment in self._assembler.amendments():
            session.execute(
                update(EntryRow)
                .where(EntryRow.id == ids[number])
                .values(amendment.changes())
                .execution_options(synchronize_session=False)
            )

    def _add(self, row: Row) -> None:
        placed = self._assembler.place(row)
        if placed.new:
            extra = json.dumps(placed.extra, ensure_ascii=False) if placed.extra else None
            self._new.append((placed.id, placed.media.value, placed.classification, extra))
        self._hashes.append(
            (placed.number, row.algorithm.value, row.bits, row.timestamp, row.quality)
        )
        self.hashes[row.algorithm] += 1
        if row.assumed:
            self.assumed += 1
            self.median_split += int.from_bytes(row.bits).bit_count() == 128
        if len(self._hashes) >= BATCH:
            self._stage()

    def _stage(self) -> None:
        batch = marshal.dumps((self._new, self._hashes))
        with self._keeping():
            self._file.write(batch)
        self._sizes.append(len(batch))
        self._new.clear()
        self._hashes.clear()

    def _staged(self) -> Iterator[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]]:
        with self._keeping():
            self._file.seek(0)
        for size in self._sizes:
            with self._keeping():
                batch = self._file.read(size)
            yield marshal.loads(batch)  # noqa: S302  (this process wrote it)

    @contextmanager
    def _keeping(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StagingFailed(
                name=self._name,
                folder=tempfile.gettempdir(),
                problem=error.strerror or "it failed",
            ) from error


def _unused_columns(columns: list[str]) -> list[str]:
    """What a person should know of columns that are none of ours. Names no hash."""
    if not columns:
        return []
    # A file without its header, or keys of JSON objects, may have hashes where names should be.
    fit = [c for c in columns if c.isprintable() and len(c) <= LONGEST_NAME and not hashlike(c)]
    shown = ", ".join(c or "(no name)" for c in fit[:SHOWN_COLUMNS])
    if more := len(columns) - len(fit[:SHOWN_COLUMNS]):
        shown += (
            f"{' and ' if shown else ''}{more} {'more' if shown else 'whose names are not fit'}"
        )
    notes = [
        f"Columns that were not used, only kept with the entries: {shown}. "
        "If one of them is ours under another name: --map THEIRS=OURS"
    ]
    compared = [c for c in fit if isinstance(kind_of(c), Algorithm)]
    if compared:
        notes.append(
            f"The hashes in {', '.join(compared[:SHOWN_COLUMNS])} are not compared: only those in the "
            "column `hash` are. Give each hash a row of its own, with the same entry_id"
        )
    return notes


def _keyed_names(unnamed: int, renamed: int) -> list[str]:
    notes = []
    if unnamed:
        notes.append(
            f"{_entries(unnamed)} no id in the file; hashmatch names each of them by a keyed name "
            "(entry-…), which stays the same from version to version. If a column has their ids: "
            "--map THEIRS=entry_id"
        )
    if renamed:
        notes.append(
            f"{_entries(renamed)} an id that holds a hash; hashmatch shows a keyed name (entry-…) in "
            "its place"
        )
    return notes


def _entries(count: int) -> str:
    return "1 entry has" if count == 1 else f"{count} entries have"
