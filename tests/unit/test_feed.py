"""The feed: good lines count, bad lines are counted, and no bad line hides a clip."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.clips.feed import LONGEST_LINE, Feed, FeedUnreadable, parse_line
from hashmatch.model import Metadata

GOOD = '{"key": "a.mp4", "id": "7h2"}\n'


@pytest.fixture
def write(tmp_path: Path):
    def write(*lines: str | bytes) -> Path:
        path = tmp_path / "feed.ndjson"
        path.write_bytes(b"".join(x.encode() if isinstance(x, str) else x for x in lines))
        return path

    return write


def test_a_line_tells_what_the_platform_knows(write) -> None:
    line = {
        "id": "7h2",
        "key": "2026/caf\\xE9.mp4",
        "created": "2026-11-22T23:04:05+02:00",
        "channel": "c1",
        "visibility": "public",
        "views": 3,
        "title": "ignored",
    }
    with Feed(write(json.dumps(line))) as feed:
        created = datetime(2026, 11, 22, 21, 4, 5, tzinfo=UTC)
        expected = Metadata("7h2", created, "c1", "public", 3)
        assert feed.metadata("2026/caf\\xE9.mp4") == expected
        assert feed.damage is None


def test_a_clip_without_a_line_has_no_metadata(write) -> None:
    with Feed(write(GOOD)) as feed:
        assert feed.metadata("b.mp4") == Metadata()


def test_the_later_of_two_lines_counts(write) -> None:
    first, last = '{"key": "a", "views": 1, "id": "x"}\n', '{"key": "a", "views": 2}\n'
    with Feed(write(first, '{"key": "b"}\n', last)) as feed:
        assert feed.metadata("a") == Metadata(views=2)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("nonsense", "not JSON"),
        ('{"key": "a"', "not JSON"),
        ("[1]", "not an object"),
        ("{}", "no key"),
        ('{"key": ""}', "no key"),
        ('{"key": 7}', "key: not text"),
        ('{"key": "\\u0000"}', "key: has a NUL"),
        ('{"key": "\\udce9"}', "key: has half of a surrogate pair"),
        ('{"key": "\\\\x41"}', "key: not as hashmatch lists keys"),
        ('{"key": "a", "created": "2026-11-22T21:04:05"}', "created: without a zone"),
        ('{"key": "a", "created": "2026-11-22"}', "created: without a zone"),
        ('{"key": "a", "created": "yesterday"}', "created: not an ISO 8601 time"),
        ('{"key": "a", "created": "0001-01-01T00:00:00+14:00"}', "created: not an ISO 8601 time"),
        ('{"key": "a", "created": 1795381445}', "created: not text"),
        ('{"key": "a", "views": -1}', "views: not a whole number"),
        ('{"key": "a", "views": true}', "views: not a whole number"),
        ('{"key": "a", "views": 1.5}', "views: not a whole number"),
        ('{"key": "a", "views": 9223372036854775808}', "views: not a whole number"),
        ('{"key": "a", "visibility": "' + "x" * 33 + '"}', "visibility: longer than 32 characters"),
        ('{"key": "a", "channel": ["c"]}', "channel: not text"),
        (b'{"key": "caf\xe9"}', "not UTF-8"),
        ("[" * 60_000, "nested too deep"),
        ('{"key": "' + "a" * LONGEST_LINE + '"}', f"longer than {LONGEST_LINE} bytes"),
        ('{"key": "a", "views": ' + "9" * 5000 + "}", ""),
    ],
)
def test_a_bad_line_is_reported_by_number_and_not_used(write, line, problem: str) -> None:
    with Feed(write(GOOD, "\n", line, "\n", '{"key": "z", "id": 5}\n')) as feed:
        damage = feed.damage
        assert damage is not None
        assert damage.details["count"] == 1
        assert damage.details["line"] == 3
        assert problem in damage.message
        assert feed.metadata("a") == Metadata()
        assert feed.metadata("z") == Metadata(id="5")


def test_what_a_bad_line_holds_is_not_quoted(write) -> None:
    with Feed(write(GOOD, '{"key": "a", "channel": 5, "id": "alice"}\n', "alice\n")) as feed:
        assert "alice" not in str(feed.damage.details["bad"])


def test_a_feed_without_a_good_line_is_refused(write) -> None:
    with pytest.raises(FeedUnreadable, match="line 1: not JSON"):
        Feed(write("<html>\n"))


def test_a_missing_feed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedUnreadable, match="No such file"):
        Feed(tmp_path / "feed.ndjson")


def test_an_empty_feed_knows_nothing(write) -> None:
    with Feed(write("")) as feed:
        assert feed.lines == 0
        assert feed.damage is None


def test_a_byte_order_mark_and_windows_line_ends_are_no_trouble(write) -> None:
    with Feed(write(b"\xef\xbb\xbf", GOOD.strip(), "\r\n")) as feed:
        assert feed.metadata("a.mp4") == Metadata(id="7h2")


def test_a_large_feed_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "feed.ndjson"
    with path.open("w") as file:
        for n in range(50_000):
            file.write(f'{{"key": "2026/{n:08}.mp4", "id": "clip-{n}", "channel": "c{n % 99}"}}\n')
    tracemalloc.start()
    with Feed(path) as feed:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert feed.metadata("2026/00049999.mp4").id == "clip-49999"
    assert peak < 2 << 20


@given(st.text(), st.datetimes(), st.integers(-14, 14), st.integers(0, 2**63 - 1))
def test_every_aware_time_and_count_comes_through(
    channel: str, when: datetime, hours: int, views: int
) -> None:
    if "\0" in channel or any("\ud800" <= c <= "\udfff" for c in channel):
        return
    offset = f"{'-' if hours < 0 else '+'}{abs(hours):02}:00"
    line = {"key": "k", "channel": channel, "created": when.isoformat() + offset, "views": views}
    try:
        expected = (when - timedelta(hours=hours)).replace(tzinfo=UTC)
    except OverflowError:
        return
    row = parse_line(json.dumps(line))
    assert row[3] == channel
    assert datetime.fromisoformat(row[2]) == expected
    assert row[5] == views


@given(st.text())
def test_any_other_text_is_refused_as_a_line_and_nothing_else(text: str) -> None:
    try:
        parse_line(text)
    except (ValueError, RecursionError):
        return
    assert json.loads(text)["key"]
