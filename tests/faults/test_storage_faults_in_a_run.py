"""Clip storage that fails while a run goes on: each clip says why it was not seen, the others are seen."""

from __future__ import annotations

import hashlib
import itertools
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from drawn import clip_bytes
from fault_server import Answer, FaultServer, forward, hang, refuse
from installation import Installation
from s3_server import Bucket, S3Server
from sites import site_of
from sqlalchemy import select

from hashmatch.db.schema import ClipRow, FingerprintRow

SIZE = {"width": 192, "height": 144}


class FailingBucket:
    """A real bucket behind a server that fails for single keys. `faults[""]` is the listing's."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.faults: dict[str, Answer] = {}
        self.server = FaultServer()
        self.server.answer = self._answer
        self._behind = forward(bucket.endpoint)

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        path = unquote(request.path.partition("?")[0])
        key = path.removeprefix(f"/{self.bucket.name}").removeprefix("/")
        fault = self.faults.get(key) if request.command == "GET" else None
        (fault or self._behind)(request)

    def settings(self) -> dict[str, str]:
        return self.bucket.settings("CLIPS") | {"HASHMATCH_CLIPS__ENDPOINT": self.server.endpoint}

    def changing(self, key: str, body: bytes) -> Answer:
        """Somebody writes another version of the clip whenever it is about to be read."""
        versions = itertools.count()

        def answer(request: BaseHTTPRequestHandler) -> None:
            self.bucket.put(key, body + bytes(next(versions) + 1))
            self._behind(request)

        return answer


@dataclass
class Night:
    """An installation on failing storage, and what its run said."""

    hashmatch: Installation
    storage: FailingBucket
    summary: dict[str, Any]
    outcomes: dict[str, tuple[str, str | None]]
    log: str = ""


EXPECTED = {
    "b-archived.mp4": ("unscannable", "archived"),
    "b-denied.mp4": ("unscannable", "storage-denied"),
    "d-vanished.mp4": ("unscannable", "vanished"),
    "e-broken.mp4": ("unscannable", "storage-error"),
    "g-hangs.mp4": ("unscannable", "storage-error"),
    "h-cut.mp4": ("unscannable", "storage-error"),
    "i-changes.mp4": ("unscannable", "changed-while-read"),
}
HEALTHY = {
    "a-clean.mp4": ("clean", None),
    "c-clean.mp4": ("clean", None),
    "f-copy.mp4": ("matched", None),
    "j-clean.mp4": ("clean", None),
}


@pytest.fixture(scope="module")
def bad_night(
    template: Installation, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Night]:
    """One scan of clips of which most cannot be read, each in its own way."""
    storage = FailingBucket(s3_server.bucket())
    hashmatch = template.copied(tmp_path_factory.mktemp("faults") / "home")
    hashmatch.environment |= storage.settings()
    hashmatch.environment |= {
        "HASHMATCH_CLIPS__TIMEOUT_SECONDS": "2",
        "HASHMATCH_CLIPS__RETRIES": "1",
    }
    clean, copy = (clip_bytes("mp4", seed=seed, **SIZE) for seed in (5, 99))
    for key in EXPECTED | HEALTHY:
        storage.bucket.put(key, copy if key == "f-copy.mp4" else clean)
    storage.faults = {
        "b-archived.mp4": refuse(403, "InvalidObjectState"),
        "b-denied.mp4": refuse(403, "AccessDenied"),
        "d-vanished.mp4": refuse(404, "NoSuchKey"),
        "e-broken.mp4": refuse(500, "InternalError"),
        "g-hangs.mp4": hang(storage.server),
        "h-cut.mp4": forward(storage.bucket.endpoint, send=1000),
        "i-changes.mp4": storage.changing("i-changes.mp4", clean),
    }
    done = hashmatch.run("scan", "--json", code=10)
    summary = json.loads(done.stdout)
    yield Night(hashmatch, storage, summary, hashmatch.outcomes(), done.stderr)
    storage.server.stop()


@pytest.fixture(scope="module")
def next_night(bad_night: Night) -> Night:
    """The next scan of the same, after the faults are gone."""
    bad_night.storage.faults = {}
    summary = bad_night.hashmatch.scan(code=0)
    return Night(bad_night.hashmatch, bad_night.storage, summary, bad_night.hashmatch.outcomes())


@pytest.mark.parametrize("key", EXPECTED)
def test_a_clip_that_storage_does_not_give_says_why(bad_night: Night, key: str):
    assert bad_night.outcomes[key] == EXPECTED[key]


CAUSES = {
    "b-archived.mp4": "is archived and must be restored",
    "b-denied.mp4": "HTTP 403 AccessDenied",
    "e-broken.mp4": "HTTP 500",
    "g-hangs.mp4": "no answer within 2 s",
}


def test_what_storage_answered_is_in_the_run_and_on_the_log(bad_night: Night):
    shown = bad_night.hashmatch.run("runs", "show").stdout.splitlines()
    for key, cause in CAUSES.items():
        (line,) = (line for line in shown if key in line.split("\t")[1:2])
        assert cause in line
        assert cause in bad_night.log
        assert key not in bad_night.log


def test_the_healthy_clips_in_between_are_seen(bad_night: Night):
    assert {key: bad_night.outcomes[key] for key in HEALTHY} == HEALTHY
    assert bad_night.summary["quarantined"] == 1
    assert "f-copy.mp4" not in bad_night.storage.bucket.objects()


def test_the_counts_add_up_and_the_canary_was_seen(bad_night: Night):
    assert bad_night.summary["listed"] == len(EXPECTED | HEALTHY)
    assert sum(bad_night.summary["outcomes"].values()) == len(EXPECTED | HEALTHY)
    assert bad_night.summary["canary"] == "seen"


def test_nothing_is_remembered_of_a_clip_that_was_not_read_whole(bad_night: Night):
    query = select(ClipRow.key).join(FingerprintRow, FingerprintRow.clip_id == ClipRow.id)
    site = site_of(bad_night.hashmatch)
    remembered = {key for (key,) in site.ask(query.where(ClipRow.outcome == "unscannable"))}
    site.db.close()
    assert remembered == set()


def test_a_listing_that_fails_ends_the_run_with_15_and_no_outcome(bad_night: Night):
    before, bad_night.storage.faults = bad_night.storage.faults, {"": refuse(500, "InternalError")}
    try:
        failed = bad_night.hashmatch.run("scan", code=15)
    finally:
        bad_night.storage.faults = before
    assert "cannot be used now" in failed.stderr
    assert "Check that the storage is up" in failed.stderr
    shown = bad_night.hashmatch.json("runs", "show")
    assert (shown["status"], shown["exit"], shown["clips"]) == ("failed", 15, [])


def test_when_the_faults_are_gone_the_next_scan_sees_what_was_missed(next_night: Night):
    assert next_night.outcomes == dict.fromkeys(EXPECTED, ("clean", None))
    assert next_night.summary["skipped_unchanged"] == len(HEALTHY) - 1


PIECE = 256 << 10
LENGTH = 12 * PIECE


class Rewriter(threading.Thread):
    """A program that keeps writing one video over another in place, a piece at a time."""

    def __init__(self, file: Path, versions: list[bytes], pause: float) -> None:
        super().__init__(daemon=True)
        self.file, self.versions, self.pause = file, versions, pause
        self.enough = threading.Event()

    def run(self) -> None:
        for version in itertools.cycle(self.versions):
            with self.file.open("r+b", buffering=0) as file:
                for start in range(0, LENGTH, PIECE):
                    file.write(version[start : start + PIECE])
                    if self.enough.wait(self.pause):
                        return


def digests_of(hashmatch: Installation) -> dict[str, str]:
    """The SHA-256 of what was seen of each clip."""
    site = site_of(hashmatch)
    query = select(ClipRow.key, FingerprintRow.sha256)
    found = site.ask(query.join(FingerprintRow, FingerprintRow.clip_id == ClipRow.id))
    site.db.close()
    return dict(found)


def test_a_clip_that_is_rewritten_while_it_is_read_is_seen_as_it_was_at_one_moment(
    template: Installation, tmp_path: Path
):
    """Its size stays, so only its times tell. What was seen last is what is there in the end."""
    hashmatch = template.copied(tmp_path / "home")
    one, other = (clip_bytes("mp4", seed=seed, **SIZE).ljust(LENGTH, b"\0") for seed in (5, 6))
    moments = {
        hashlib.sha256(new[:written] + old[written:]).hexdigest()
        for new, old in ((one, other), (other, one))
        for written in range(0, LENGTH + 1, PIECE)
    }
    pauses = {"busy-1.mp4": 0.0005, "busy-2.mp4": 0.003, "busy-3.mp4": 0.03, "busy-4.mp4": 0.2}
    for key in pauses:
        (hashmatch.clips / key).write_bytes(one)
    writers = [
        Rewriter(hashmatch.clips / key, [other, one], pause) for key, pause in pauses.items()
    ]
    for writer in writers:
        writer.start()
    try:
        hashmatch.scan()
    finally:
        for writer in writers:
            writer.enough.set()
            writer.join()
    outcomes, seen = hashmatch.outcomes(), digests_of(hashmatch)
    assert set(outcomes) == set(pauses)
    assert set(seen.values()) <= moments
    for key in set(pauses) - set(seen):
        assert outcomes[key] == ("unscannable", "changed-while-read")
    hashmatch.scan()
    assert digests_of(hashmatch) == {
        key: hashlib.sha256((hashmatch.clips / key).read_bytes()).hexdigest() for key in pauses
    }
