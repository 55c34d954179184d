"""What people type: whether it may go on record, and how it is said back to them."""

from __future__ import annotations

import re

LONGEST = 1000

_HASHLIKE = re.compile(r"[0-9A-Fa-f]{32}")


def hashlike(text: str) -> bool:
    """Whether a text holds what may be a hash: 32 hexadecimal digits in a row."""
    return _HASHLIKE.search(text) is not None


def problem_with(text: str, *, may_be_hash: bool = False) -> str | None:
    """Why a reason, or something else that people write, cannot be recorded; None where it can."""
    text = text.strip()
    if not text or not text.isprintable():
        return "it is empty or cannot be printed"
    if len(text) > LONGEST:
        return f"it is longer than {LONGEST} letters"
    if hashlike(text) and not may_be_hash:
        return "it holds a hash"
    return None


def said_back(name: str) -> str:
    """A name that nothing has, for a message. One that may be a hash is not repeated."""
    return "of that name" if hashlike(name) or not name.isprintable() else name
