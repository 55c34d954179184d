"""Discovery: every stored object is handed out, or counted as left out."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from stores import make

from hashmatch.clips.discover import Discovery
from hashmatch.clips.feed import FeedUnreadable
from hashmatch.clips.store import StorageUnavailable, Store
from hashmatch.config import Clips
from hashmatch.model import Metadata

KEYS = ["2026/11/a.mp4", "2026/11/b.webm", "2026/12/c.mp4", "thumbs/a.jpg", "z.mp4"]


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    store = make(request.param, request)
    for key in KEYS:
        store.write(key, [key.encode()])
    return store


@pytest.fixture
def feed(tmp_path: Path):
    def write(*lines: object) -> str:
        text = "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        (tmp_path / "feed.ndjson").write_text(text)
        return "feed.ndjson"

    return write


def keys(discovery: Discovery) -> list[str]:
    return sorted(clip.key for clip in discovery)


def test_everything_is_a_clip_unless_said_otherwise(store: Store, tmp_path: Path) -> None:
    discovery = Discovery(store, Clips(), tmp_path)
    clips = {clip.key: clip for clip in discovery}
    assert sorted(clips) == KEYS
    for key, clip in clips.items():
        head = store.head(key)
        assert (clip.etag, clip.size, clip.metadata) == (head.etag, len(key), Metadata())
    assert (discovery.listed, discovery.excluded, discovery.problems) == (5, 0, [])
    assert not discovery.incomplete


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        (["**/*.mp4"], [], ["2026/11/a.mp4", "2026/12/c.mp4", "z.mp4"]),
        (["**"], ["thumbs/**"], [key for key in KEYS if key != "thumbs/a.jpg"]),
        (["*"], [], ["z.mp4"]),
        (["**/*.mp4", "**/*.webm"], ["2026/12/**", "z*"], ["2026/11/a.mp4", "2026/11/b.webm"]),
        ([], [], []),
    ],
)
def test_globs_choose_and_the_rest_is_counted(
    store: Store, tmp_path: Path, include: list[str], exclude: list[str], expected: list[str]
) -> None:
    settings = Clips(include=tuple(include), exclude=tuple(exclude))
    discovery = Discovery(store, settings, tmp_path)
    assert keys(discovery) == expected
    assert discovery.listed == len(expected)
    assert discovery.listed + discovery.excluded == len(KEYS)


def test_only_what_can_match_is_listed(store: Store, tmp_path: Path) -> None:
    discovery = Discovery(store, Clips(include=("2026/11/*.mp4",)), tmp_path)
    assert keys(discovery) == ["2026/11/a.mp4"]
    assert discovery.excluded == 1


def test_a_prefix_narrows_the_listing(store: Store, tmp_path: Path) -> None:
    discovery = Discovery(store, Clips(include=("**/*.mp4",)), tmp_path, prefix="2026/1")
    assert keys(discovery) == ["2026/11/a.mp4", "2026/12/c.mp4"]
    assert discovery.excluded == 1


def test_the_feed_tells_of_its_clips(store: Store, tmp_path: Path, feed) -> None:
    line = {"key": "z.mp4", "id": "7h2", "created": "2026-11-22T21:04:05Z", "views": 3}
    settings = Clips(feed=feed(line, {"key": "not stored"}))
    clips = {clip.key: clip.metadata for clip in Discovery(store, settings, tmp_path)}
    created = datetime(2026, 11, 22, 21, 4, 5, tzinfo=UTC)
    assert clips["z.mp4"] == Metadata("7h2", created, None, None, 3)
    assert clips["2026/11/a.mp4"] == Metadata()


@pytest.mark.parametrize("word", ["private", "PRIVATE"])
def test_private_clips_are_left_out_only_on_request(
    store: Store, tmp_path: Path, feed, word: str
) -> None:
    path = feed({"key": "z.mp4", "visibility": word}, {"key": KEYS[0], "visibility": "unlisted"})
    assert keys(Discovery(store, Clips(feed=path), tmp_path)) == KEYS
    discovery = Discovery(store, Clips(feed=path, exclude_private=True), tmp_path)
    assert keys(discovery) == KEYS[:-1]
    assert discovery.excluded == 1


def test_a_bad_line_does_not_hide_its_clip(store: Store, tmp_path: Path, feed) -> None:
    path = feed('{"key": "z.mp4", "visibility": "private", "views": -1}\n', {"key": "a"})
    discovery = Discovery(store, Clips(feed=path, exclude_private=True), tmp_path)
    assert "z.mp4" in keys(discovery)
    (problem,) = discovery.problems
    assert "line 1" in problem


def test_a_missing_feed_stops_the_run(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FeedUnreadable):
        keys(Discovery(store, Clips(feed="gone.ndjson"), tmp_path))


def test_a_listing_with_holes_is_used_and_told(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = make("folder", request)
    store.write("a", [b"x"])
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (Path(store.url) / "link").symlink_to(outside)
    discovery = Discovery(store, Clips(), tmp_path)
    assert keys(discovery) == ["a"]
    assert discovery.incomplete
    assert "link" in discovery.problems[0]


def test_a_store_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    from hashmatch.clips.open_store import open_store

    store = open_store(Clips(url="unmounted"), tmp_path)
    with pytest.raises(StorageUnavailable):
        keys(Discovery(store, Clips(), tmp_path))
