"""What people type: whether it may go on record, and how it is said back to them."""

from __future__ import annotations

from hashmatch.lists.formats.rows import hashlike


def problem_with(reason: str) -> str | None:
    """Why a reason cannot be recorded; None where it can."""
    if not reason.strip() or not reason.strip().isprintable():
        return "it is empty or cannot be printed"
    if hashlike(reason):
        return "it holds a hash"
    return None


def said_back(name: str) -> str:
    """A name that nothing has, for a message. One that may be a hash is not repeated."""
    return "of that name" if hashlike(name) or not name.isprintable() else name
