"""Renditions: which objects of clip storage hold one clip at several heights, told by their keys.

    pattern = Pattern("{id}/{height}.mp4")
    pattern.of("2026/11/abc/360.mp4")      # Rendition(of="2026/11/abc", height=360)
    pattern.of("2026/11/abc/cover.mp4")    # None: a clip of its own

A pattern is compared with the whole key. `{id}` stands for one or more characters of any kind, `/`
among them; `{height}` for a number of pixels, 64 to 8192, without leading zeros; `{ext}`, after a dot at
the end, for letters and digits. Everything else stands for itself.
"""

from __future__ import annotations

import re

from hashmatch.errors import ConfigError
from hashmatch.model import Rendition

# Less is too small to hash, more is larger than any frame that is looked at.
LOWEST, HIGHEST = 64, 8192

_PLACEHOLDER = re.compile(r"\{[^{}]*\}")
_EXTENSION = ".{ext}"
_MEANING = {"{id}": "(?P<id>.+)", "{height}": "(?P<height>[1-9][0-9]{1,3})"}


class Pattern:
    """What the keys of renditions look like. Raises ConfigError for a text that is no pattern."""

    def __init__(self, pattern: str) -> None:
        stem = pattern.removesuffix(_EXTENSION)
        _check(pattern, stem)
        self._before, self._between, self._after = _PLACEHOLDER.split(stem)
        first, second = _PLACEHOLDER.findall(stem)
        self._id_first = first == "{id}"
        self._open_end = stem != pattern
        # One unbounded part only, so a key costs at most its length times the pattern's.
        self._key = re.compile(
            re.escape(self._before)
            + _MEANING[first]
            + re.escape(self._between)
            + _MEANING[second]
            + re.escape(self._after)
            + (r"\.[A-Za-z0-9]+" if self._open_end else ""),
            re.DOTALL,
        )

    def of(self, key: str) -> Rendition | None:
        """What a key says; None where it does not fit, or names a height that no video has."""
        found = self._key.fullmatch(key)
        if found is None or not LOWEST <= int(found["height"]) <= HIGHEST:
            return None
        return Rendition(found["id"], int(found["height"]))

    def widened(self, prefix: str) -> str:
        """A prefix that all renditions share whose like has a key that begins with `prefix`.

        It is `prefix` itself unless that ends within or behind a height, and may take in more.
        """
        if not self._id_first:
            return self._before if prefix.startswith(self._before) else prefix
        at = len(self._before)
        while (at := prefix.find(self._between, at + 1)) >= 0:
            stem = at + len(self._between)
            if self._ends_a_key(prefix[stem:]):
                return prefix[:stem]
        return prefix

    def _ends_a_key(self, rest: str) -> bool:
        """Whether `rest` may be how a height begins, and what comes behind it."""
        digits = re.match("[0-9]{0,4}", rest)
        assert digits is not None
        behind = rest[digits.end() :]
        if not behind:
            return True
        tail = self._after + ("." if self._open_end else "")
        shared = min(len(behind), len(tail))
        return behind[:shared] == tail[:shared] and (self._open_end or len(behind) <= len(tail))


def _check(pattern: str, stem: str) -> None:
    """Raises ConfigError unless every key fits a pattern in at most one sensible way."""
    placeholders = _PLACEHOLDER.findall(stem)
    literals = _PLACEHOLDER.split(stem)
    if sorted(placeholders) != ["{height}", "{id}"]:
        problem = "{id} and {height} are in it once each; .{ext} may end it; others are not known"
    elif any(sign in literal for literal in literals for sign in "{}*?"):
        problem = "braces, * and ? cannot be part of it: {id} stands for any characters"
    elif not literals[1]:
        problem = "something must stand between {id} and {height}, as in {id}/{height}.mp4"
    elif re.search(r"[0-9]\{height\}|\{height\}[0-9]", stem):
        problem = "a digit beside {height} would be read as part of it"
    else:
        return
    raise ConfigError(source="[clips] renditions", problem=f"{pattern!r} is no pattern: {problem}")
