"""Promise 2 over a case's whole life: killed at any point of any act, nothing is lost or done twice.

Folders and S3, SQLite and PostgreSQL. In a change's tests some points of each; all of them, some
hundreds, with the slow ones.
"""

from __future__ import annotations

import itertools
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from custody_parts import CLIP, Scene, keys, needs_age, now
from driving import Driver
from sqlalchemy import func, select, update

from hashmatch.audit.verification import verify
from hashmatch.clips.open_store import open_store
from hashmatch.config import Settings, Storage
from hashmatch.custody import approvals, viewing
from hashmatch.custody.approvals import Terms
from hashmatch.custody.case import Custody
from hashmatch.custody.preconditions import Kind
from hashmatch.custody.release import release
from hashmatch.custody.vault.sealing import CaseKey
from hashmatch.db.schema import CaseRow, DecisionRow, OutboxRow
from hashmatch.db.session import Database
from hashmatch.errors import CustodyBusy

__all__ = ["keys"]
pytestmark = needs_age

SETTINGS = Settings(custody={"jurisdictions": ["US"]}, people={"custodians": ["alice", "bob"]})


@dataclass
class Place:
    """Where a case lives, and the process that works on it."""

    scene: Scene
    home: Path
    url: str
    storage: dict[str, dict[str, Any]]
    driver: Driver

    def custody(self) -> Custody:
        custody = self.scene.custody()
        custody.terms = Terms.of(SETTINGS)
        return custody

    def killed(self, at: int, **more: Any) -> bool:
        """Whether the process died at that point, and did not end before it."""
        ended = self.driver.run(self.scene, self.home, self.url, at, **self.storage, **more)
        assert ended in (0, -signal.SIGKILL)
        self._wait_for_the_lock()
        return ended != 0

    def _wait_for_the_lock(self) -> None:
        """A database server frees the lock of a killed client when it notices, not at once."""
        for _ in range(200):
            with suppress(CustodyBusy), self.scene.db.custody_lock():
                return
            time.sleep(0.05)
        pytest.fail("the lock of a killed process was never freed")

    def begin(self, number: int) -> str:
        key = f"2026/clip-{number}.mp4"
        self.scene.begin(key=key)
        return key

    def ask(self, kind: Kind) -> None:
        terms = Terms.of(SETTINGS)
        with self.scene.db.write() as session:
            if kind is Kind.DESTROY:
                ago = now() - timedelta(days=400)
                session.execute(
                    update(CaseRow)
                    .where(CaseRow.id == self.scene.case)
                    .values(state="reported", reported_at=ago, detected_at=ago)
                )
            about = {"reason": "a test", "by": "alice", "now": now(), "terms": terms}
            approvals.ask(session, kind, self.scene.case, **about)
        with self.scene.db.write() as session:
            approvals.confirm(session, self.scene.case, by="bob", now=now(), terms=terms)

    def said(self, kind: str) -> int:
        """How often the log has this of the case."""
        return [
            leaf for leaf, body in self.scene.leaves() if body.get("case") == self.scene.case
        ].count(kind)

    def objects(self) -> list[str]:
        return [place for place in self.scene.vault_keys() if self.scene.case in place]


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture(params=["folders and SQLite", "S3 and PostgreSQL", "S3 and SQLite"])
def place(request, tmp_path, keys, driver, sqlite_template) -> Iterator[Place]:
    stores, database = request.param.split(" and ")
    if database == "SQLite":
        url = f"sqlite:///{tmp_path / 'hashmatch.db'}"
        (tmp_path / "hashmatch.db").write_bytes(sqlite_template.read_bytes())
    else:
        server = request.getfixturevalue("postgres")
        url = server.url(server.create(request.getfixturevalue("postgres_template")))
    storage: dict[str, dict[str, Any]] = {}
    for name in ("clips", "vault"):
        if stores == "folders":
            (tmp_path / name).mkdir()
            storage[name] = {"url": str(tmp_path / name)}
        else:
            found: Storage = request.getfixturevalue("s3").storage(f"{name}/")
            secret = found.secret_access_key
            storage[name] = {
                **found.model_dump(exclude={"secret_access_key"}),
                "secret_access_key": secret.get_secret_value() if secret else None,
            }
    db = Database.connect(url, tmp_path)
    clips, vault = (open_store(Storage(**storage[name]), tmp_path) for name in ("clips", "vault"))
    yield Place(Scene(db, clips, vault, keys), tmp_path, url, storage, driver)
    db.close()


EVERYWHERE, HERE_AND_THERE = 1, 11
TESTS = 9


@pytest.fixture(scope="module")
def faults() -> Iterator[dict[int, list[int]]]:
    """How many points each test was killed at: of all tests together there must be enough."""
    counted: dict[int, list[int]] = {EVERYWHERE: [], HERE_AND_THERE: []}
    yield counted
    for step, least in ((EVERYWHERE, 500), (HERE_AND_THERE, 60)):
        if len(counted[step]) == TESTS:
            assert sum(counted[step]) >= least, counted[step]


@pytest.fixture(params=[pytest.param(EVERYWHERE, marks=pytest.mark.slow), HERE_AND_THERE])
def points(request, faults) -> Iterator[Iterator[int]]:
    """Where to kill: everywhere, or here and there."""
    reached = []

    def each() -> Iterator[int]:
        for at in itertools.count(1 if request.param == EVERYWHERE else 3, request.param):
            reached.append(at)
            yield at

    yield each()
    faults[request.param].append(len(reached) - 1)  # the last one was not reached
    assert len(reached) > 1


def test_promise_2_killed_anywhere_while_a_clip_is_taken(place, points):
    for at in points:
        key = place.begin(at)
        killed = place.killed(at)
        original = place.scene.original(key) == CLIP
        assert original or place.scene.recovered() == [CLIP, CLIP], f"lost at point {at}"
        assert [found.problem for found in place.custody().resume()] in ([], [None])
        assert place.scene.row.state == "removed"
        assert place.scene.original(key) is None
        assert place.objects() == place.scene.places()
        assert place.said("case-removed") == place.said("case-withdrawn") == 1
        assert place.said("case-sealed") == 1
        assert place.scene.open_steps() == []
        if not killed:
            break
    assert place.scene.recovered() == [CLIP, CLIP]
    with place.scene.db.read() as session:
        assert verify(session).size


def test_promise_2_killed_anywhere_while_a_clip_is_given_back(place, points):
    for at in points:
        key = place.begin(at)
        assert place.custody().advance(place.scene.case).problem is None
        place.ask(Kind.RELEASE)
        secret = place.scene.case_key(place.scene.keys[0])
        killed = place.killed(at, act="release", case=place.scene.case, key=secret)
        assert place.scene.recovered() == [CLIP, CLIP]
        list(place.custody().resume())
        if place.scene.row.state != "released":
            custody = place.custody()
            case = viewing.load(place.scene.db, place.scene.case)
            given = CaseKey(str(case.case_key), secret)
            release(custody, case, given, SETTINGS.review, by="bob")
        assert place.scene.original(key) == CLIP
        assert place.said("case-released") == 1
        assert place.scene.open_steps() == []
        with place.scene.db.read() as session:
            waiting = select(func.count()).where(OutboxRow.answered_at.is_(None))
            assert session.scalar(waiting) == 0
            twice = select(func.count()).select_from(DecisionRow)
            assert session.scalar(twice) == 0  # these cases have no match rows
        if not killed:
            break


def test_promise_2_killed_anywhere_while_a_case_is_destroyed(place, points):
    for at in points:
        place.begin(at)
        assert place.custody().advance(place.scene.case).problem is None
        place.ask(Kind.DESTROY)
        killed = place.killed(at)
        assert [found.problem for found in place.custody().resume()] in ([], [None])
        assert place.scene.row.state == "destroyed"
        assert place.objects() == []
        assert place.said("case-destroyed") == 1
        assert place.scene.open_steps() == []
        if not killed:
            break
