"""Reasons that people give for what they decide: shown to others, and kept on record."""

from __future__ import annotations

from hashmatch.lists.formats.rows import hashlike


def problem_with(reason: str) -> str | None:
    """Why a reason cannot be recorded; None where it can."""
    if not reason.strip() or not reason.strip().isprintable():
        return "it is empty or cannot be printed"
    if hashlike(reason):
        return "it holds a hash"
    return None
