"""CSV with a header: entry_id, algorithm, hash, media, group, timestamp, quality, classification.

    entry_id,algorithm,hash,media
    img-1,pdq,f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22,image

Only `hash` is needed. Rows of one `group` are the frames of one video, and its entry is called like
the group. Headers are compared without case, with spaces and hyphens as underscores; a
partner's own are named with `columns` (theirs -> ours), and columns nobody knows are kept. The
separator is the one of comma, semicolon and tab that makes `hash` a column.

One line is one row. A quoted field cannot run over several lines: one stray quote would otherwise
swallow all rows up to the next.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping

from hashmatch.errors import ListError
from hashmatch.lists.formats.rows import BadRow, Fault, Row, make_row
from hashmatch.model import Algorithm

SEPARATORS = (",", ";", "\t")
COLUMNS = (
    "entry_id",
    "algorithm",
    "hash",
    "media",
    "group",
    "timestamp",
    "quality",
    "classification",
)


class HeaderWrong(ListError):
    message = "{name}: {problem}"
    remedy = (
        "The first line names the columns: entry_id, algorithm, hash, media, group, timestamp, "
        "quality, classification, of which only hash is needed. Others are given with --map "
        "THEIRS=OURS."
    )


def canonical(header: str) -> str:
    return header.strip().lower().replace(" ", "_").replace("-", "_")


def separator(line: str, columns: Mapping[str, str]) -> str | None:
    """The separator that makes this line a header with a `hash` column, or None."""
    for mark in SEPARATORS:
        try:
            names = split(line, mark)
        except BadRow:
            continue
        if "hash" in _ours(names, columns):
            return mark
    return None


def split(line: str, mark: str) -> list[str]:
    """The fields of one line. Raises BadRow."""
    if '"' not in line:
        return line.split(mark)
    try:
        return next(csv.reader([line], delimiter=mark, strict=True))
    except csv.Error:
        pass
    raise BadRow(Fault.QUOTE)


def unused(header: str, columns: Mapping[str, str]) -> list[str]:
    """The columns that are none of ours, as a header that `reader` took calls them."""
    mark = separator(header, columns) or SEPARATORS[0]
    theirs = split(header, mark)
    ours = _ours(theirs, columns)
    return [their.strip() for their, our in zip(theirs, ours, strict=True) if our not in COLUMNS]


def reader(
    name: str, header: str, columns: Mapping[str, str], default: Algorithm | None
) -> Callable[[int, str], Row]:
    """A function that makes rows of the lines below `header`. Raises HeaderWrong."""
    mark = separator(header, columns)
    if mark is None:
        raise HeaderWrong(name=name, problem="the first line names no hash column")
    theirs = split(header, mark)
    ours = _ours(theirs, columns)
    missing = [wanted for wanted in columns.values() if wanted not in ours]
    if missing:
        raise HeaderWrong(name=name, problem=f"no column of the file becomes {missing[0]}")
    for column in COLUMNS:
        if ours.count(column) > 1:
            raise HeaderWrong(name=name, problem=f"more than one column is {column}")
    width = len(ours)
    # A row is read by position; the last position, one past its end, stands for missing columns.
    at = {column: ours.index(column) if column in ours else width for column in COLUMNS}
    others = [(i, theirs[i].strip()) for i in range(width) if ours[i] not in COLUMNS]

    def row(number: int, line: str) -> Row:
        fields: list[str | None] = [*split(line, mark)]
        if len(fields) != width:
            raise BadRow(Fault.COLUMNS)
        extra = {key: value for i, key in others if (value := fields[i])} if others else None
        fields.append(None)
        return make_row(
            number,
            hash=fields[at["hash"]],
            id=fields[at["entry_id"]],
            algorithm=fields[at["algorithm"]],
            media=fields[at["media"]],
            group=fields[at["group"]],
            timestamp=fields[at["timestamp"]],
            quality=fields[at["quality"]],
            classification=fields[at["classification"]],
            extra=extra or None,
            default=default,
        )

    return row


def _ours(theirs: list[str], columns: Mapping[str, str]) -> list[str]:
    known = {canonical(key): value for key, value in columns.items()}
    mapped = set(known.values())
    names = []
    for header in theirs:
        name = canonical(header)
        if name in known:
            name = known[name]
        elif name in mapped:
            name = f"their {name}"  # another column was said to be ours of this name
        names.append(name)
    return names
