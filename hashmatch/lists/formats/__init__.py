"""What partners send, read row by row.

    how = Reading(detect([path]))
    for file in files([path], how):
        for row in file:                # Row, or Rejected with its line and why
            ...

Every file is read in one pass and never held in memory. What is wrong with a row is yielded; what
is wrong with a file (encoding, header, cut short, empty) raises a ListError. Neither quotes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path

from hashmatch.errors import ListError
from hashmatch.lists.formats import csv_table, hash_lines, json_document, json_lines, vpdq
from hashmatch.lists.formats.rows import BadRow, Rejected, Row
from hashmatch.lists.formats.text import TextFile, label
from hashmatch.model import Algorithm

__all__ = [
    "FileEmpty",
    "FileTruncated",
    "Format",
    "FormatUnknown",
    "ListFile",
    "Reading",
    "Rejected",
    "Row",
    "SameName",
    "detect",
    "files",
]

SNIFFED_LINES = 20
MOST_FIELDS = 100  # of JSON objects, whose keys may be as many as their rows


class Format(StrEnum):
    CSV = "csv"
    LINES = "lines"
    JSON = "jsonl"
    VPDQ = "vpdq"


class FormatUnknown(ListError):
    message = "{name}: the format cannot be told from the first lines."
    remedy = (
        "Known are csv (with a header that names a hash column; --map THEIRS=hash if it is called "
        "otherwise), lines (`[type ]hash`), jsonl (one object a line) and vpdq. Say which with "
        "--format."
    )


class FileEmpty(ListError):
    message = "{name}: there is no row in it."
    remedy = (
        "An empty list is taken for a failed download, not for a list that was withdrawn. Ask the "
        "partner for it again; to stop a list from acting, use `hashmatch lists deactivate`."
    )
    exit_code = 31


class FileTruncated(ListError):
    message = "{name}: the file was cut short: line {line}, its last, breaks off."
    remedy = "Fetch it again, and compare its SHA-256 with the one that the partner published."
    exit_code = 31


class SameName(ListError):
    message = (
        "{name}: two of the files have this name, so their videos would have the same entry id."
    )
    remedy = "Rename one of them."


@dataclass(frozen=True)
class Reading:
    """How to read a file. columns: their header -> ours; algorithm: of rows that name none."""

    format: Format
    columns: Mapping[str, str] = field(default_factory=dict)
    algorithm: Algorithm | None = None


def detect(paths: Sequence[Path], columns: Mapping[str, str] | None = None) -> Format:
    """The format that the first of the files is in. Raises FormatUnknown, FileEmpty."""
    name = label(paths[0])
    json_document.refuse(paths[0], name)
    seen = False
    for _, line in islice(_content(TextFile(paths[0], name), comments=True), SNIFFED_LINES):
        if json_lines.looks_like(line):
            return Format.JSON
        if vpdq.looks_like(line):
            return Format.VPDQ
        if hash_lines.looks_like(line):
            return Format.LINES
        if not seen and csv_table.separator(line, columns or {}) is not None:
            return Format.CSV
        seen = True
    if not seen:
        raise FileEmpty(name=name)
    raise FormatUnknown(name=name)


def files(paths: Sequence[Path], how: Reading) -> Iterator[ListFile]:
    """The files of a list, to be read one after the other."""
    if how.format is Format.VPDQ:
        _refuse_same_names(paths)
    for number, path in enumerate(paths, 1):
        yield ListFile(path, label(path, number), how)


class ListFile:
    """One file: iterating it gives its rows, then `sha256`, `complete` and `unused` are known.

    name: fit to be shown; complete: its last line has its line end; unused: its columns or fields
    that are none of ours, as the file calls them, in the order in which they were met.
    """

    def __init__(self, path: Path, name: str, how: Reading) -> None:
        self.path = path
        self.name = name
        self.how = how
        self.sha256 = ""
        self.complete = True
        self.unused: list[str] = []

    def __iter__(self) -> Iterator[Row | Rejected]:
        if self.how.format is Format.JSON:
            json_document.refuse(self.path, self.name)
        fields: dict[str, None] = {}
        file = TextFile(self.path, self.name)
        make: Callable[[int, str], Row] | None = None
        found: Row | Rejected | None = None
        for line, text in _content(file, comments=self.how.format is Format.LINES):
            if make is None:
                if self.how.format is Format.CSV:
                    make = csv_table.reader(self.name, text, self.how.columns, self.how.algorithm)
                    fields.update(dict.fromkeys(csv_table.unused(text, self.how.columns)))
                    continue
                make = self._maker()
            try:
                found = make(line, text)
            except BadRow as bad:
                found = Rejected(line, bad.fault, bad.group, bad.kind)
            else:
                if found.extra and len(fields) < MOST_FIELDS:
                    fields.update(dict.fromkeys(found.extra))
            yield found
        if found is None:
            raise FileEmpty(name=self.name)
        damaged = isinstance(found, Rejected) and not found.fault.harmless
        if damaged and found.line == file.last and not file.complete:
            raise FileTruncated(name=self.name, line=found.line)
        self.sha256 = file.sha256
        self.complete = file.complete
        self.unused = list(fields)

    def _maker(self) -> Callable[[int, str], Row]:
        how = self.how
        if how.format is Format.JSON:
            columns = {csv_table.canonical(theirs): ours for theirs, ours in how.columns.items()}
            return lambda line, text: json_lines.row(line, text, columns, how.algorithm)
        if how.format is Format.VPDQ:
            video = video_id(self.path)
            return lambda line, text: vpdq.row(line, text, video)
        return lambda line, text: hash_lines.row(line, text, how.algorithm)


def video_id(path: Path) -> str:
    """The entry id of a vPDQ file: its name without `.txt`."""
    return path.name.removesuffix(".txt")


def _content(file: TextFile, *, comments: bool) -> Iterator[tuple[int, str]]:
    """The lines that say something. Spreadsheets end their tables with rows of bare separators.

    comments: `#` begins one anywhere, not only before the first row.
    """
    begun = False
    for line, text in file:
        if not text.strip(" \t,;") or (text.startswith("#") and (comments or not begun)):
            continue
        begun = True
        yield line, text


def _refuse_same_names(paths: Sequence[Path]) -> None:
    seen = set()
    for number, path in enumerate(paths, 1):
        if (video := video_id(path)) in seen:
            raise SameName(name=label(path, number))
        seen.add(video)
