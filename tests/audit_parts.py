"""A log as runs and custody leave it, with the rows that it speaks of, made without any clip.

night = Night(db, KEY).scan("run-1", {"a.mp4": "clean", "b.mp4": "matched"})
night.case("b.mp4")
night.sign()
"""

from __future__ import annotations

import hashlib
import importlib.util
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit import coverage
from hashmatch.audit.checkpoint import verifier_key
from hashmatch.audit.commitments import commit, commit_clip, commit_version
from hashmatch.audit.log import append, make_checkpoint
from hashmatch.audit.names import KeyedNames
from hashmatch.audit.selection import line_of
from hashmatch.db.schema import CaseRow, ClipRow, ListRow, ListVersionRow, RunRow, WorkRow
from hashmatch.db.session import Database

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts" / "verify_bundle.py"
AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
ORIGIN = "hashmatch.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = verifier_key(ORIGIN, KEY.public_key())
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAMES = KeyedNames(b"a secret of the tests, 32 bytes or more")
LISTS = {"partner": 3}


@dataclass
class Night:
    db: Database
    key: Ed25519PrivateKey = field(default_factory=lambda: KEY)
    now: datetime = AT

    def tick(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def log(self, kind: str, body: dict[str, Any]) -> int:
        with self.db.write() as session:
            return append(session, kind, body, self.tick())

    def sign(self, origin: str = ORIGIN) -> str:
        with self.db.write() as session:
            return make_checkpoint(session, self.key, origin, self.tick())

    def import_list(self, name: str = "partner", version: int = 3) -> Night:
        at = self.tick()
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        with self.db.write() as session:
            session.add(ListRow(name=name, created_at=at, active_version=version))
            session.flush()
            row = ListVersionRow(
                list_name=name,
                version=version,
                source="file",
                sha256=sha256,
                format="csv",
                imported_at=at,
                imported_by="alice",
                entries=0,
                hashes=0,
                rejected=0,
                algorithms={},
            )
            session.add(row)
            body = {
                "list": name,
                "version": version,
                "sha256": sha256,
                "format": "csv",
                "options": {},
                "entries": 0,
                "hashes": {},
                "rejected": {},
            }
            append(session, "list-import", body, at)
            append(session, "list-activate", {"list": name, "version": version}, at)
        return self

    def scan(
        self, run: str, outcomes: dict[str, str], *, shard_size: int = 4, end: bool = True
    ) -> Night:
        """A run that looks at these clips, with one leaf a clip and one a shard."""
        self.begin_run(run)
        for first in range(0, len(outcomes), shard_size):
            some = dict(list(outcomes.items())[first : first + shard_size])
            self._shard(run, first // shard_size, some)
        if end:
            self.end_run(run, outcomes)
        return self

    def begin_run(self, run: str) -> None:
        at = self.tick()
        with self.db.write() as session:
            session.add(
                RunRow(
                    id=run,
                    kind="scan",
                    selection={},
                    status="running",
                    started_at=at,
                    software="0",
                    recipes={"pdq": "pdq/2"},
                    list_set="set",
                    lists=LISTS,
                )
            )
            body = {
                "run": run,
                "kind": "scan",
                "software": "0",
                "lists": LISTS,
                "list_set": "set",
                "recipes": {"pdq": "pdq/2"},
            }
            append(session, "run-started", body, at)

    def end_run(self, run: str, outcomes: dict[str, str], left: int = 0) -> None:
        at = self.tick()
        counted = dict(Counter(outcomes.values()))
        with self.db.write() as session:
            row = session.get_one(RunRow, run)
            row.status, row.ended_at, row.exit_code = "stopped" if left else "finished", at, 0
            row.listed, row.canary, row.summary = len(outcomes), "seen", {"outcomes": counted}
            body = {
                "run": run,
                "listed": len(outcomes),
                "outcomes": counted,
                "skipped_unchanged": 0,
                "left": left,
                "quarantined": 0,
                "canary": "seen",
            }
            append(session, "run-finished", body, at)

    def _shard(self, run: str, shard: int, outcomes: dict[str, str]) -> None:
        with self.db.write() as session:
            lines = []
            for key, outcome in outcomes.items():
                clip = self._clip(session, key)
                body = {
                    "run": run,
                    "clip": commit_clip(session, clip),
                    "version": commit_version(session, clip, clip.etag),
                    "how": "media",
                    "outcome": outcome,
                    "reason": None,
                    "coverage": 0.9876,
                    "recipes": ["pdq/2"],
                }
                leaf = append(session, "clip-scanned", body, self.tick())
                clip.outcome, clip.scanned_etag, clip.scanned_run = outcome, clip.etag, run
                session.add(
                    WorkRow(
                        run_id=run,
                        clip_id=clip.id,
                        shard=shard,
                        state="done",
                        deaths=0,
                        etag=clip.etag,
                        outcome=outcome,
                        leaf=leaf,
                    )
                )
                lines.append(line_of(body))
            body = {
                "run": run,
                "shard": shard,
                "clips": len(lines),
                "outcomes": dict(Counter(outcomes.values())),
                "list_set": "set",
                "lists": LISTS,
                "root": coverage.root(lines).hex(),
            }
            append(session, "shard-scanned", body, self.tick())

    def _clip(self, session: Session, key: str) -> ClipRow:
        clip = session.scalar(select(ClipRow).where(ClipRow.key == key))
        if clip is None:
            etag = f'"{hashlib.md5(key.encode("utf-8", "surrogateescape")).hexdigest()}"'
            clip = ClipRow(key=key, etag=etag, size=9, modified=AT, attempts=1)
            session.add(clip)
            session.flush()
        return clip

    def case(self, key: str, run: str = "run-1", steps: int = 4) -> str:
        """A case of a clip that the run looked at, so many steps far. Returns its id."""
        with self.db.write() as session:
            clip = self._clip(session, key)
            case, sha256 = NAMES.case(clip.key, clip.etag), hashlib.sha256(b"clip").hexdigest()
            at = self.tick()
            row = CaseRow(
                id=case,
                clip_id=clip.id,
                run_id=run,
                clip_key=clip.key,
                etag=clip.etag,
                size=9,
                sha256=sha256,
                state="detected",
                detected_at=at,
                vault_key=f"{case}.age",
            )
            session.add(row)
            session.flush()
            body = {
                "case": case,
                "clip": commit_clip(session, clip),
                "run": run,
                "size": 9,
                "content": NAMES.content(sha256),
            }
            append(session, "case-detected", body, at)
            sealed = {"case": case, "size": 209, "sha256": hashlib.sha256(b"sealed").hexdigest()}
            bodies = [("sealed", sealed), ("verified", sealed), ("removed", {"case": case})]
            for state, said in bodies[: steps - 1]:
                row.state, row.sealed_size, row.sealed_sha256 = state, 209, sealed["sha256"]
                append(session, f"case-{state}", said, self.tick())
        return case

    def hold(self, case: str, by: str, why: str) -> None:
        """A leaf with commitments to a person and a reason."""
        with self.db.write() as session:
            body = {
                "case": case,
                "by": commit(session, "person", by, subject="person"),
                "reason": commit(session, "reason", why, subject=case),
            }
            session.get_one(CaseRow, case).state = "held"
            append(session, "case-held", body, self.tick())


def verify_elsewhere(
    bundle: Path, *options: str, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run scripts/verify_bundle.py as on a machine that has no hashmatch."""
    command = [sys.executable, "-I", str(SCRIPT), *options, str(bundle)]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", env={}, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


def verifier() -> ModuleType:
    """The script as a module, for tests of many bundles."""
    if "verify_bundle" not in sys.modules:
        spec = importlib.util.spec_from_file_location("verify_bundle", SCRIPT)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["verify_bundle"] = module
        spec.loader.exec_module(module)
    return sys.modules["verify_bundle"]
