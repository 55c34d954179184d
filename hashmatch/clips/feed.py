"""The feed: what the platform knows of its clips, one JSON object a line.

    {"id": "7h2", "key": "2026/11/7h2.mp4", "created": "2026-11-22T21:04:05Z", "channel": "c1",
     "visibility": "public", "views": 3}                                   (in one line)

    with Feed(Path("feed.ndjson")) as feed:
        feed.metadata("2026/11/7h2.mp4").channel

Only `key`, as hashmatch lists it, must be there. `created` carries its zone or offset: a local time
would shift every selection by date. Of two lines with one key the later counts; other fields are
ignored. A bad line is counted and not used: its clip is looked at like one that no line names. The
feed is kept in a temporary SQLite file, so that a million lines take little memory.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from hashmatch.clips.keys import to_name
from hashmatch.errors import HashmatchError
from hashmatch.model import Metadata

LONGEST_LINE = 64 << 10
MOST_VIEWS = 2**63 - 1
_KEPT = 10

Row = tuple[str, str | None, str | None, str | None, str | None, int | None]


class FeedUnreadable(HashmatchError):
    message = "The feed {path} cannot be used: {problem}"
    remedy = "Have the platform write it anew, or unset clips.feed to scan without it."
    exit_code = 14


class FeedDamaged(HashmatchError):
    message = (
        "{path}: {count} of the feed's {lines} lines are not used, first line {line}: {problem}"
    )
    remedy = 'Have them put right where the feed is written. `details["bad"]` holds the first few.'
    exit_code = 10


class Feed:
    """Reads the file at once. `lines`: good ones; `damage`: what was wrong with others, if any.

    Raises FeedUnreadable if it is not there, or if it has lines but no good one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines = 0
        self._bad = 0
        self._first_bad: list[tuple[int, str]] = []
        self._rows = sqlite3.connect("", isolation_level=None)
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA cache_size = -65536")
        self._rows.execute(
            "CREATE TABLE clip (key TEXT PRIMARY KEY, id TEXT, created TEXT, channel TEXT,"
            " visibility TEXT, views INTEGER) WITHOUT ROWID"
        )
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def metadata(self, key: str) -> Metadata:
        """What the feed says of a clip; nothing, if it does not name it."""
        query = "SELECT id, created, channel, visibility, views FROM clip WHERE key = ?"
        row = self._rows.execute(query, (key,)).fetchone()
        if row is None:
            return Metadata()
        id_, created, channel, visibility, views = row
        when = None if created is None else datetime.fromisoformat(created)
        return Metadata(id_, when, channel, visibility, views)

    @property
    def damage(self) -> FeedDamaged | None:
        if not self._bad:
            return None
        line, problem = self._first_bad[0]
        return FeedDamaged(
            path=self.path,
            count=self._bad,
            lines=self.lines + self._bad,
            line=line,
            problem=problem,
            bad=tuple(self._first_bad),
        )

    def close(self) -> None:
        self._rows.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _read(self) -> None:
        try:
            with self.path.open("rb") as file:
                self._rows.execute("BEGIN")
                self._rows.executemany(
                    "INSERT OR REPLACE INTO clip VALUES (?, ?, ?, ?, ?, ?)",
                    self._good(iter(lambda: file.readline(LONGEST_LINE + 1), b"")),
                )
                self._rows.execute("COMMIT")
        except OSError as error:
            raise FeedUnreadable(path=self.path, problem=f"{error.strerror}.") from None
        except sqlite3.Error as error:
            problem = f"no room to index it ({error})."
            raise FeedUnreadable(path=self.path, problem=problem) from None
        if self._bad and not self.lines:
            line, problem = self._first_bad[0]
            raise FeedUnreadable(
                path=self.path, problem=f"not one line is good, line {line}: {problem}"
            )

    def _good(self, pieces: Iterator[bytes]) -> Iterator[Row]:
        number = 0
        for line in pieces:
            number += 1
            if len(line) > LONGEST_LINE:
                while line and not line.endswith(b"\n"):
                    line = next(pieces, b"")
                self._refuse(number, f"longer than {LONGEST_LINE} bytes")
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                if not text:
                    continue
                row = parse_line(text)
            except (ValueError, RecursionError) as error:
                self._refuse(number, _problem(error))
            else:
                self.lines += 1
                yield row

    def _refuse(self, number: int, problem: str) -> None:
        self._bad += 1
        if len(self._first_bad) < _KEPT:
            self._first_bad.append((number, problem))


def parse_line(text: str) -> Row:
    """One line of a feed. Raises ValueError, or RecursionError for one that is nested too deep."""
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    key = _text(found, "key")
    if not key:
        raise ValueError("no key")
    try:
        to_name(key)
    except ValueError:
        raise ValueError("key: not as hashmatch lists keys") from None
    clip = found.get("id")
    if isinstance(clip, int) and not isinstance(clip, bool):
        found["id"] = str(clip)
    visibility = _text(found, "visibility")
    if visibility is not None and len(visibility) > 32:
        raise ValueError("visibility: longer than 32 characters")
    return (
        key,
        _text(found, "id"),
        _created(_text(found, "created")),
        _text(found, "channel"),
        visibility,
        _views(found.get("views")),
    )


def _text(found: dict[str, Any], field: str) -> str | None:
    value = found.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError(f"{field}: not text")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"{field}: has half of a surrogate pair") from None
    if "\0" in value:
        raise ValueError(f"{field}: has a NUL")
    return value


def _created(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        when = datetime.fromisoformat(value)
        if when.tzinfo is not None:
            return when.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise ValueError("created: not an ISO 8601 time") from None
    raise ValueError("created: without a zone (write 2026-11-22T21:04:05Z)")


def _views(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_VIEWS:
        raise ValueError("views: not a whole number from 0 on")
    return value


def _problem(error: ValueError | RecursionError) -> str:
    """Without quoting the line: a feed may hold what nobody meant for a log."""
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, json.JSONDecodeError):
        return "not JSON"
    if isinstance(error, RecursionError):
        return "nested too deep"
    return str(error)
