"""What others choose (keys, metadata, entry ids, reasons), shown without the terminal obeying it.

    visible("a\\x1b[2J\\nb.mp4")         # a\\x1b[2J\\nb.mp4, in letters

Everything a person reads goes through here: tables, messages, errors, logs in plain form. A backslash
stays as it is, so what was shown once may be shown again; `--json` has the exact text.
"""

from __future__ import annotations

import json
import re
import string
from typing import Any

# What JSON takes as it is and a terminal might obey; in JSON it can only be inside of a text.
_UNPRINTED = re.compile(r"[^\n\x20-\x7e]")


def visible(value: object) -> str:
    """The value as one line of printable letters: all else is written as Python escapes it."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def json_text(value: Any, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """JSON whose texts are readable where they can be printed, and escaped elsewhere."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only, default=str)
    return _UNPRINTED.sub(lambda one: one[0] if one[0].isprintable() else _in_json(one[0]), text)


class VisibleFields(string.Formatter):
    """`str.format` for templates of ours: what is put into them is made visible."""

    def format_field(self, value: Any, format_spec: str) -> str:
        return visible(super().format_field(value, format_spec))


def _escaped(one: str) -> str:
    return one.encode("unicode_escape").decode()


def _in_json(one: str) -> str:
    return json.dumps(one)[1:-1]
