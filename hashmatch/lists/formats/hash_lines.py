"""One hash a line, `[type ]hash`.

    # comments and blank lines are skipped
    pdq f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22
    9e107d9d372bb6826bd81d3542a419d6

Without a type the hash's length tells it, see `rows`.
"""

from __future__ import annotations

import re

from hashmatch.lists.formats.rows import BadRow, Fault, Row, make_row
from hashmatch.model import Algorithm

_LINE = re.compile(
    r"\s*([A-Za-z][\w-]{1,23}\s+)?([0-9A-Fa-f]{16,288}|[0-9A-Za-z+/]{192})\s*", re.ASCII
)


def looks_like(line: str) -> bool:
    return _LINE.fullmatch(line) is not None


def row(number: int, line: str, default: Algorithm | None) -> Row:
    match line.split():
        case [digits]:
            return make_row(number, hash=digits, default=default)
        case [algorithm, digits]:
            return make_row(number, hash=digits, algorithm=algorithm)
    raise BadRow(Fault.COLUMNS)
