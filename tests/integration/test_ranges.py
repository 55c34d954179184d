"""Ranged spooling: what was asked for is there, of one version, and nothing is read twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from stores import KINDS, make

from hashmatch.clips.ranges import BLOCK, Ranges, TooManyParts, open_ranges
from hashmatch.clips.spool import ClipTooLarge
from hashmatch.clips.store import ObjectChanged, StorageUnavailable, Store
from hashmatch.model import Clip

BODY = random.Random(3).randbytes(20 * BLOCK + 5)


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest) -> Store:
    return make(request.param, request)


def put(store: Store, body: bytes = BODY, over: str | None = None) -> Clip:
    info = store.write("a.mp4", [body], over=over)
    return Clip(info.key, info.etag, info.size, info.modified)


def part(ranges: Ranges, start: int, stop: int) -> bytes:
    ranges.supply(start, stop)
    ranges.file.seek(start)
    return ranges.file.read(stop - start)


class Breaking:
    """A store whose ranges break off after some bytes, until it is mended."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.url = store.url
        self.broken = True

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        whole = b"".join(self._store.read_range(key, etag, start, stop))
        if self.broken:
            yield whole[:100]
            raise StorageUnavailable(url=self.url, problem="it broke off.")
        yield whole


@pytest.mark.parametrize(
    ("start", "stop"),
    [(0, 1), (0, len(BODY)), (len(BODY) - 1, len(BODY)), (BLOCK - 1, BLOCK + 1), (5000, 90_000)],
)
def test_what_is_asked_for_is_there(store: Store, tmp_path: Path, start: int, stop: int) -> None:
    with open_ranges(store, put(store), tmp_path / "spool", 1 << 30) as ranges:
        assert part(ranges, start, stop) == BODY[start:stop]
        assert ranges.bytes_read <= stop - start + 2 * BLOCK
        assert list((tmp_path / "spool").iterdir()) == []


def test_nothing_is_read_twice(store: Store, tmp_path: Path) -> None:
    choose = random.Random(5)
    with open_ranges(store, put(store), tmp_path / "spool", 1 << 30) as ranges:
        for _ in range(60):
            start = choose.randrange(len(BODY))
            stop = choose.randrange(start + 1, min(len(BODY), start + 5 * BLOCK) + 1)
            assert part(ranges, start, stop) == BODY[start:stop]
        assert part(ranges, 0, len(BODY)) == BODY
        assert ranges.bytes_read == len(BODY)


def test_a_newer_version_is_never_mixed_in(store: Store, tmp_path: Path) -> None:
    clip = put(store)
    with open_ranges(store, clip, tmp_path / "spool", 1 << 30) as ranges:
        part(ranges, 0, BLOCK)
        put(store, BODY[::-1], over=clip.etag)
        with pytest.raises(ObjectChanged):
            ranges.supply(BLOCK, 2 * BLOCK)


def test_a_part_that_broke_off_is_not_taken_for_read(store: Store, tmp_path: Path) -> None:
    breaking = Breaking(store)
    with open_ranges(breaking, put(store), tmp_path / "spool", 1 << 30) as ranges:
        with pytest.raises(StorageUnavailable):
            ranges.supply(0, 2 * BLOCK)
        breaking.broken = False
        assert part(ranges, 0, 2 * BLOCK) == BODY[: 2 * BLOCK]


def test_many_small_parts_are_refused(store: Store, tmp_path: Path) -> None:
    """Or a decoder that was taken over could cost a request for every block of a large clip."""
    clip = put(store, bytes(400 * BLOCK))
    with (
        open_ranges(store, clip, tmp_path / "spool", 1 << 30) as ranges,
        pytest.raises(TooManyParts),
    ):
        for block in range(0, 400, 2):
            ranges.supply(block * BLOCK, block * BLOCK + 1)
    assert ranges.requests == 64 + 100


def test_a_clip_that_is_too_large_is_not_opened(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ClipTooLarge):
        open_ranges(store, put(store), tmp_path / "spool", len(BODY) - 1)
