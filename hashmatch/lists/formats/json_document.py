"""One JSON document where a list has a row a line, told apart before its lines are taken for rows.

    refuse(path, name="vics.json")      # raises VicsDocument or JsonDocument

Read line by line, a whole document is a list of damaged rows whose last line breaks off. It is not,
and asking the partner for it again would not help.
"""

from __future__ import annotations

import codecs
import json
import re
from pathlib import Path

from hashmatch.errors import ListError

HEAD = 1 << 16
TAIL = 1 << 10
_BEGINNING = re.compile(r"\{|\[\s*[\[{\"]")
_VICS = re.compile(r'"@?odata\.(context|metadata)"|"(Media|MediaID|VictimIdentified|CaseID)"\s*:')


class VicsDocument(ListError):
    message = (
        "{name}: this is a VICS document (Project VIC, CAID){cut}, which hashmatch does not read "
        "as it is."
    )
    remedy = (
        "What its categories mean depends on the country and the year, and one of them stands for "
        "harmless files: choose those that may act. docs/lists.md shows how to make a CSV of them."
    )


class JsonDocument(ListError):
    message = "{name}: this is one JSON document{cut}, where JSON lines have one object a line."
    remedy = (
        "Turn it into lines (`jq -c '.[]' FILE`, for an array of objects), with the names of the "
        "columns that docs/lists.md tells, or into CSV."
    )


def refuse(path: Path, name: str) -> None:
    """Raises VicsDocument or JsonDocument if a file is one document; reads only its two ends.

    What cannot be read or decoded is left to who reads its lines, and says where.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            file.seek(-min(TAIL, file.seek(0, 2)), 2)
            tail = file.read()
    except OSError:
        return
    text = _text(head).lstrip()
    if _BEGINNING.match(text) is None or _begins_with_a_row(text):
        return
    ending = tail.replace(b"\0", b"").rstrip()
    cut = "" if ending.endswith((b"}", b"]")) else " that was cut short"
    kind = VicsDocument if _VICS.search(text) else JsonDocument
    raise kind(name=name, cut=cut)


def _begins_with_a_row(text: str) -> bool:
    """Whether the first line is an object of its own, or a damaged one among others that are."""
    lines = [line.strip() for line in text.split("\n", 20)[:20] if line.strip()]
    try:
        first = json.loads(lines[0])
    except (ValueError, RecursionError):
        if len(lines) == 1:
            return text.startswith("{") and _VICS.search(text) is None
        return lines[0].startswith("{") and lines[1].startswith("{") and lines[1][-1] != ","
    if not isinstance(first, dict):
        return False
    return not any(isinstance(first.get(key), list) for key in ("value", "Media"))


def _text(head: bytes) -> str:
    utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return head.decode("utf-16" if utf16 else "utf-8-sig", "ignore")
