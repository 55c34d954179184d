"""An installation that remembers clips nobody ever decoded: their hashes are drawn by chance.

    archive = Archive(home, db)
    archive.activate("partner", {"e1": [listed]})
    archive.remember("a.mp4", [near(listed, 20)])
    archive.activate("partner", {"e1": [listed], "e2": [other]})
    archive.compare().outcomes

The clips' files are there, so that a match can be taken into custody. The canary's decoder is left out:
no media is read.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pyrage
from lists_parts import trial_of, write_csv
from sqlalchemy import select

from hashmatch import config
from hashmatch.audit.keys import load_id_key
from hashmatch.audit.names import KeyedNames
from hashmatch.db import fingerprints
from hashmatch.db.schema import ClipRow, MatchRow
from hashmatch.db.session import Database
from hashmatch.hashing.recipes import recipe
from hashmatch.lists.activation import activate
from hashmatch.lists.compiled.building import compile_lists
from hashmatch.lists.compiled.state import ListState
from hashmatch.lists.imports import Delivery, import_list
from hashmatch.model import (
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Outcome,
    Reason,
    Sampling,
    Variant,
)
from hashmatch.report.summary import RunSummary
from hashmatch.runs import coordinator as running
from hashmatch.runs.job import open_job
from hashmatch.runs.plan import Selection
from hashmatch.runs.stop import Stop
from hashmatch.services.installing import Given, install

AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
_RECIPIENTS = tuple(str(pyrage.x25519.Identity.generate().to_public()) for _ in range(2))


def drawn(seed: int, algorithm: Algorithm = Algorithm.PDQ) -> bytes:
    return random.Random(seed).randbytes(algorithm.bits // 8)


def near(bits: bytes, distance: int, seed: int = 0) -> bytes:
    """The hash with so many of its bits turned."""
    number = int.from_bytes(bits, "big")
    for place in random.Random(seed).sample(range(8 * len(bits)), distance):
        number ^= 1 << place
    return number.to_bytes(len(bits), "big")


class SeeingEngine:
    """Workers that always see the canary and are given nothing else."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> SeeingEngine:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def canary(self) -> list[str]:
        return []


class Archive:
    def __init__(self, home: Path, db: Database) -> None:
        self.home, self.db = home, db
        there = (home / config.FILE).exists()
        self.settings, _ = install(home, Given(recipients=() if there else _RECIPIENTS))
        self.names = KeyedNames(load_id_key(self.settings.path(self.settings.audit.id_key)))
        self.job = open_job(self.settings, db, self.names)

    def activate(
        self, name: str, entries: Mapping[str, Sequence[bytes]], algorithm: str = "pdq"
    ) -> int:
        """Import a version and let it act; entries of several hashes are videos."""
        rows = []
        for entry, hashes in entries.items():
            for second, bits in enumerate(hashes):
                row = {"entry_id": entry, "algorithm": algorithm, "hash": bits.hex()}
                if len(hashes) > 1:
                    row = {**row, "entry_id": "", "group": entry, "timestamp": str(second)}
                rows.append(row)
        file = write_csv(self.home / "list.csv", rows)
        version = import_list(self.db, self.names, name, Delivery([file]), by="test", at=AT).version
        trial = trial_of(clips=100, matched=0)
        activate(self.db, name, version, by="test", at=AT, trial=trial, max_shrink=1)
        return version

    def comparison(self) -> ListState:
        return ListState.of(compile_lists(self.db, self.settings, AT), self.settings)

    def remember(
        self,
        key: str,
        hashes: Sequence[bytes],
        *,
        outcome: Outcome = Outcome.CLEAN,
        reason: Reason | None = None,
        coverage: float = 1.0,
        quality: int = 100,
        known: bool = True,
        **others: Sequence[bytes],
    ) -> int:
        """A clip with one frame a second, scanned with the lists as they are now. Returns its id.

        others: hashes by another algorithm's name; known: what its lists were is on record.
        """
        content = key.encode()
        path = self.settings.path(self.settings.clips.url) / key
        path.write_bytes(content)
        (clip,) = [one for one in self.job.clips.list(key) if one.key == key]
        comparison = self.comparison()
        with self.db.write() as session:
            if known:
                comparison.remember(session, AT)
            row = ClipRow(
                key=key, etag=clip.etag, size=clip.size, modified=clip.modified, attempts=1,
                scanned_etag=clip.etag, scanned_at=AT,
                list_set=comparison.id if known else "unknown",
                outcome=outcome, reason=reason, coverage=coverage,
            )  # fmt: skip
            session.add(row)
            session.flush()
            fingerprint = Fingerprint(
                digests=Digests(*(hashlib.new(n, content).hexdigest() for n in _NAMES)),
                size=len(content),
                duration=10.0,
                seen=10.0 * coverage,
                sampling=Sampling.EVERY,
                frames=tuple(
                    _frames(Algorithm(name), rows, quality)
                    for name, rows in {"pdq": hashes, **others}.items()
                ),
            )
            fingerprints.save(session, row.id, clip.etag, fingerprint, AT)
            return row.id

    def compare(self, stop: Any = None, **settings: Any) -> RunSummary:
        """`hashmatch rescan --stored`. settings: of [match], from now on."""
        rules = self.settings.match.model_copy(update=settings)
        self.settings = self.settings.model_copy(update={"match": rules})
        self.job = replace(self.job, settings=self.settings)
        with mock.patch.object(running, "Engine", SeeingEngine):
            return running.run(
                self.job,
                Selection(force=True, stored=True),
                stop=Stop() if stop is None else stop,
                watch=lambda progress: None,
            )

    def outcomes(self) -> dict[str, str]:
        with self.db.read() as session:
            return dict(session.execute(select(ClipRow.key, ClipRow.outcome)).all())  # type: ignore[arg-type]

    def matches(self) -> list[tuple[str, str]]:
        """(key, entry) of every match on record."""
        query = select(ClipRow.key, MatchRow.entry_id).join(ClipRow, MatchRow.clip_id == ClipRow.id)
        with self.db.read() as session:
            return sorted((key, entry) for key, entry in session.execute(query))


_NAMES = ("md5", "sha1", "sha256")


def _frames(algorithm: Algorithm, rows: Sequence[bytes], quality: int) -> FrameHashes:
    bits = np.frombuffer(b"".join(rows), np.uint8).reshape(len(rows), 1, algorithm.bits // 8)
    return FrameHashes(
        recipe(algorithm),
        algorithm,
        np.arange(len(rows), dtype=np.float64),
        np.full(len(rows), quality, np.uint8),
        bits,
        (Variant.ORIGINAL,),
    )
