"""Globs over keys: which objects of a store are clips to look at.

    Glob("2026/**/*.mp4").matches("2026/11/22/a.mp4")

A key is taken whole and compared segment by segment, segments being what `/` divides, empty ones
included. In a segment `*` stands for any characters, none included, and `?` for one. A segment that
is `**` stands for any number of segments, at the end of the pattern for at least one: `a/**` is all
that is in `a`. Everything else, `[` too, stands for itself; upper and lower case differ.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from os.path import commonprefix


class Glob:
    def __init__(self, pattern: str) -> None:
        self._segments = [_segment(part) for part in _ended(pattern.split("/"))]
        self.literal = re.split(r"[*?]", pattern)[0]

    def matches(self, key: str) -> bool:
        """In time that grows with segments times segments: keys are not ours to trust."""
        parts = key.split("/")
        at = here = 0
        star, retry = -1, 0
        while here < len(parts):
            if at < len(self._segments):
                segment = self._segments[at]
                if segment is None:
                    star, retry = at, here
                    at += 1
                    continue
                if segment.match(parts[here]):
                    at += 1
                    here += 1
                    continue
            if star < 0:
                return False
            retry += 1
            at, here = star + 1, retry
        return all(segment is None for segment in self._segments[at:])


def common_prefix(globs: Sequence[Glob]) -> str:
    """What every key that one of the globs matches starts with."""
    return commonprefix([glob.literal for glob in globs])  # noqa: RUF071


def _ended(parts: list[str]) -> list[str]:
    return [*parts, "*"] if parts[-1] == "**" else parts


def _segment(part: str) -> re.Pattern[str] | None:
    # fnmatch's expressions have no exponential case; its character classes are switched off.
    return None if part == "**" else re.compile(fnmatch.translate(part.replace("[", "[[]")))
