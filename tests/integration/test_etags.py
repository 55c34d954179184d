"""Storage whose listing writes ETags as its other answers do not: one version is one version."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from fault_server import FaultServer, forward
from s3_server import Bucket

from hashmatch.clips.discover import Discovery
from hashmatch.clips.etags import canonical
from hashmatch.clips.open_store import open_store
from hashmatch.clips.spool import fetch
from hashmatch.clips.store import ObjectChanged, ObjectNotFound, Store
from hashmatch.config import Clips
from hashmatch.db import ledger
from hashmatch.db.schema import RunRow
from hashmatch.db.session import Database
from hashmatch.model import Outcome, Verdict
from hashmatch.runs.plan import Plan, Selection, plan_listing
from hashmatch.work import Retry

BODIES = {"a.mp4": b"one clip", "b.mp4": b"another one"}


def bare(etag: str) -> str:
    return etag.strip('"')


def weak(etag: str) -> str:
    return f"W/{etag}"


def another(etag: str) -> str:
    return f'"listed-{bare(etag)}"'


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.stop()


def gateway(server: FaultServer, s3: Bucket, listed=str, given=str) -> Store:
    """A store behind a gateway that writes ETags in its own ways."""
    server.forget()
    server.answer = forward(s3.endpoint, listed=listed, given=given)
    for key, body in BODIES.items():
        s3.put(key, body)
    storage = s3.storage().model_copy(update={"endpoint": server.endpoint})
    return open_store(storage, Path())


def night(db: Database, store: Store, folder: Path, run: str) -> tuple[Plan, list[str]]:
    """A run without its decoder: what it planned, and which clips it read."""
    now = datetime.now(UTC)
    with db.write() as session:
        about = {"selection": {}, "recipes": {}, "lists": {}, "software": "hashmatch 0"}
        session.add(RunRow(id=run, kind="scan", status="running", started_at=now, **about))
    plan = plan_listing(
        db,
        run,
        Discovery(store, Clips(), folder),
        Selection(),
        shard_size=10,
        clock=lambda: now,
        head=store.head,
    )
    read = []
    while True:
        with db.write() as session:
            tasks = ledger.lease_shard(session, run, "worker", now)
        if not tasks:
            return plan, sorted(read)
        for task in tasks:
            with fetch(store, task.clip, folder, 1 << 20) as spooled, db.write() as session:
                read.append(task.clip.key)
                ledger.finish(
                    session,
                    task,
                    run_id=run,
                    verdict=Verdict(Outcome.CLEAN, None, 1.0),
                    etag=spooled.etag,
                    size=spooled.size,
                    list_set="set",
                    seconds=0,
                    now=now,
                    retry=Retry(3, timedelta(minutes=1)),
                )


WAYS = [
    pytest.param(bare, str, 0, id="unquoted in the listing"),
    pytest.param(str, bare, 0, id="unquoted elsewhere"),
    pytest.param(str, weak, 0, id="weak elsewhere"),
    pytest.param(weak, weak, 0, id="weak everywhere"),
    pytest.param(another, str, 2, id="another in the listing"),
    pytest.param(another, weak, 2, id="another in the listing, weak elsewhere"),
]


@pytest.mark.parametrize(("listed", "given", "misnamed"), WAYS)
def test_promise_1_a_clip_is_looked_at_once_whatever_its_listing_calls_it(
    sqlite_db, server, s3, tmp_path, listed, given, misnamed
):
    store = gateway(server, s3, listed, given)
    plan, read = night(sqlite_db, store, tmp_path, "run-1")
    assert (plan.planned, plan.misnamed, read) == (2, 0, sorted(BODIES))
    for run in ("run-2", "run-3"):
        plan, read = night(sqlite_db, store, tmp_path, run)
        assert (plan.planned, plan.misnamed, read) == (0, misnamed, [])
    s3.put("a.mp4", b"new bytes")
    plan, read = night(sqlite_db, store, tmp_path, "run-4")
    assert read == ["a.mp4"]


@pytest.mark.parametrize("given", [str, weak, bare])
def test_a_version_is_read_and_removed_by_its_etag_and_no_other(server, s3, given):
    store = gateway(server, s3, given=given)
    etag = store.head("a.mp4").etag
    assert etag == canonical(etag)
    assert b"".join(store.read("a.mp4", etag)) == BODIES["a.mp4"]
    assert b"".join(store.read_range("a.mp4", etag, 1, 4)) == BODIES["a.mp4"][1:4]
    with pytest.raises(ObjectChanged):
        list(store.read("a.mp4", '"0"'))
    with pytest.raises((ObjectChanged, ObjectNotFound)):
        store.delete("a.mp4", '"0"')
    assert store.delete("a.mp4", etag).versions == 1
    assert s3.keys() == ["b.mp4"]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ('"5d41"', '"5d41"'),
        ("5d41", '"5d41"'),
        ('W/"5d41"', '"5d41"'),
        ('"5d41-2"', '"5d41-2"'),
        ("", '""'),
        ('"a"b"', '"a"b"'),
    ],
)
def test_an_etag_has_one_form(written, form):
    assert canonical(written) == form
