"""Numbers of things in words, for people."""

from __future__ import annotations


def counted(count: int, thing: str, things: str | None = None) -> str:
    """1 case, 2 cases, 0 entries. things: a plural of its own."""
    ending = thing.endswith("y") and thing[-2] not in "aeiou"
    plural = f"{thing[:-1]}ies" if ending else f"{thing}s"
    return f"{count} {thing if count == 1 else things or plural}"
