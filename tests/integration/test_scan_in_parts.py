"""Scans by keyframes: what is read of a clip, and when it is read whole after all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pdqhash
import pytest
from drawn import clip_bytes, moving_picture
from stores import make

from hashmatch.clips.store import ObjectInfo, StorageUnavailable, Store
from hashmatch.config import Decode, Settings
from hashmatch.matching.list_input import ActiveList
from hashmatch.matching.listset import ListSet
from hashmatch.model import (
    Action,
    Algorithm,
    Clip,
    Entry,
    EntryHash,
    Media,
    Outcome,
    Reason,
    Sampling,
)
from hashmatch.scanning import canary
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.scanner import LEAST_TO_READ_IN_PARTS, Scanned, Scanner

KEY = "2026/a.mp4"


@pytest.fixture(scope="module")
def body() -> bytes:
    return clip_bytes(
        "mp4",
        seconds=6,
        fps=20,
        width=320,
        height=240,
        options={"g": "40", "qp": "1"},
        container_options={"movflags": "faststart"},
    )


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> Store:
    return make(request.param, request)


Scan = Callable[..., Scanned]


@pytest.fixture
def scan(tmp_path: Path, store: Store) -> Iterator[Scan]:
    scanners = []

    def scan(clip: Clip, *lists: ActiveList, through: Any = store) -> Scanned:
        settings = Settings(decode=Decode(sampling=Sampling.KEYFRAMES))
        settings._home = tmp_path
        compiled = ListSet.build([canary.active_list(), *lists])
        scanner = Scanner(through, compiled, ScanConfig.of(settings))
        scanners.append(scanner)
        assert scanner.canary() is None
        return scanner.scan(clip)

    yield scan
    for scanner in scanners:
        scanner.close()


def put(store: Store, body: bytes, over: str | None = None) -> Clip:
    info = store.write(KEY, [body], over=over)
    return Clip(info.key, info.etag, info.size, info.modified)


def listing(*times: float) -> ActiveList:
    """A partner's list of the drawn scene at these times, by the reference implementation."""
    hashes = []
    for t in times:
        bits, quality = pdqhash.compute(moving_picture(t, 320, 240))
        packed = np.packbits(np.asarray(bits, np.uint8)).tobytes()
        hashes.append(EntryHash(Algorithm.PDQ, packed, t, int(quality)))
    entry = Entry("v1", Media.VIDEO, tuple(hashes))
    return ActiveList("partner", version=1, action=Action.QUARANTINE, entries=[entry])


def digests(of: bytes) -> ActiveList:
    digest = EntryHash(Algorithm.MD5, hashlib.md5(of).digest())
    entry = Entry("f1", Media.FILE, (digest,))
    return ActiveList("files", version=1, action=Action.QUARANTINE, entries=[entry])


class Meddled:
    """A store to which something happens when it is read; `ranges` counts the parts."""

    def __init__(self, store: Store, happens: Callable[[str, int], None]) -> None:
        self._store, self._happens = store, happens
        self.url = store.url
        self.ranges = 0

    def head(self, key: str) -> ObjectInfo:
        return self._store.head(key)

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        self._happens("whole", 0)
        return self._store.read(key, etag)

    def read_range(self, key: str, etag: str, start: int, stop: int) -> Iterator[bytes]:
        self.ranges += 1
        self._happens("part", self.ranges)
        return self._store.read_range(key, etag, start, stop)


def test_a_clean_clip_is_not_read_whole(store: Store, body: bytes, scan: Scan) -> None:
    assert len(body) > LEAST_TO_READ_IN_PARTS
    scanned = scan(put(store, body))
    assert scanned.verdict.outcome is Outcome.CLEAN
    assert scanned.fingerprint is not None
    assert scanned.fingerprint.digests is None
    assert scanned.fingerprint.bytes_read is not None
    assert scanned.fingerprint.bytes_read < 0.5 * len(body)
    assert list(scanned.fingerprint.frames[0].t) == [0.0, 2.0, 4.0]


def test_a_match_is_looked_at_whole(store: Store, body: bytes, scan: Scan) -> None:
    scanned = scan(put(store, body), listing(0.0, 2.0, 4.0))
    assert scanned.verdict.outcome is Outcome.MATCHED
    seen = scanned.fingerprint
    assert seen is not None
    assert seen.digests is not None
    assert seen.digests.sha256 == hashlib.sha256(body).hexdigest()
    assert seen.sampling is Sampling.REFERENCE
    assert len(seen.frames[0]) > 20


def test_where_a_partner_lists_files_every_clip_is_read_whole(
    store: Store, body: bytes, scan: Scan
) -> None:
    scanned = scan(put(store, body), digests(body))
    assert scanned.verdict.outcome is Outcome.MATCHED
    assert scanned.fingerprint is not None
    assert scanned.fingerprint.bytes_read == len(body)


def test_a_truncated_clip_is_read_whole_and_is_never_clean(
    store: Store, body: bytes, scan: Scan
) -> None:
    cut = body[: -len(body) // 3]
    scanned = scan(put(store, cut))
    assert scanned.verdict.outcome is Outcome.PARTIAL
    assert scanned.fingerprint is not None
    assert scanned.fingerprint.digests is not None


def test_a_clip_that_changes_between_two_parts_is_seen_in_its_newer_version(
    store: Store, body: bytes, scan: Scan
) -> None:
    clip = put(store, body)
    newer = body + b"\0\0\0\x08free"

    def change(how: str, number: int) -> None:
        if (how, number) == ("part", 3):
            put(store, newer, over=clip.etag)

    scanned = scan(clip, through=Meddled(store, change))
    assert scanned.etag == store.head(KEY).etag != clip.etag
    assert scanned.size == len(newer)
    assert scanned.verdict.outcome is Outcome.CLEAN


def test_a_part_that_storage_fails_to_give_is_no_part_that_was_seen(
    store: Store, body: bytes, scan: Scan
) -> None:
    def fail(how: str, number: int) -> None:
        if how == "whole" or number == 3:
            raise StorageUnavailable(url=store.url, problem="it is down.")

    scanned = scan(put(store, body), through=Meddled(store, fail))
    assert scanned.verdict.outcome is Outcome.UNSCANNABLE
    assert scanned.verdict.reason is Reason.STORAGE_ERROR


def test_a_match_that_cannot_be_read_whole_goes_to_review_and_is_tried_again(
    store: Store, body: bytes, scan: Scan
) -> None:
    def fail(how: str, number: int) -> None:
        if how == "whole":
            raise StorageUnavailable(url=store.url, problem="it is down.")

    scanned = scan(put(store, body), listing(0.0, 2.0, 4.0), through=Meddled(store, fail))
    assert scanned.verdict.outcome is Outcome.REVIEW
    assert [match.list for match in scanned.verdict.matches] == ["partner"]
    assert scanned.verdict.reason is not None
    assert scanned.verdict.reason.retryable
