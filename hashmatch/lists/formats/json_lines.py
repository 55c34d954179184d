"""JSON lines: one object a line, with the field names of the CSV columns.

    {"entry_id": "vid-7", "algorithm": "pdq", "hash": "f8…", "group": "vid-7", "timestamp": 1.5}

Fields nobody knows are kept, as text; values that are no text as their JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hashmatch.lists.formats.csv_table import COLUMNS, canonical
from hashmatch.lists.formats.rows import BadRow, Fault, Row, make_row
from hashmatch.model import Algorithm


def looks_like(line: str) -> bool:
    return line.lstrip().startswith("{")


def row(number: int, line: str, columns: Mapping[str, str], default: Algorithm | None) -> Row:
    """columns: their field -> ours, keys as `canonical` makes them."""
    fields: dict[str, Any] = {}
    extra: dict[str, str] = {}
    mapped = set(columns.values())
    for key, value in _object(line).items():
        name = canonical(key)
        if name in columns:
            name = columns[name]
        elif name in mapped or name not in COLUMNS:
            if value is not None:
                extra[_storable(key)] = _storable(
                    value if isinstance(value, str) else json.dumps(value)
                )
            continue
        if name in fields:
            raise BadRow(Fault.COLUMNS)
        fields[name] = value
    return make_row(
        number,
        hash=fields.get("hash"),
        id=fields.get("entry_id"),
        algorithm=fields.get("algorithm"),
        media=fields.get("media"),
        group=fields.get("group"),
        timestamp=fields.get("timestamp"),
        quality=fields.get("quality"),
        classification=fields.get("classification"),
        extra=extra or None,
        default=default,
    )


def _object(line: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadRow(Fault.NOT_JSON)
    return value


def _storable(text: str) -> str:
    """Escapes can make characters that no database takes: NUL, halves of surrogate pairs."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRow(Fault.TEXT)
    return text
