"""The clips' turns in a run: each is looked at, or compared from what is stored, and recorded once."""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session

from hashmatch.db import fingerprints, ledger
from hashmatch.db.ledger import Task, Turn
from hashmatch.hashing.packing import FingerprintDamaged
from hashmatch.hashing.recipes import recipe
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import Breaker
from hashmatch.model import (
    Algorithm,
    Fingerprint,
    Match,
    Orientations,
    Outcome,
    Reason,
    Verdict,
)
from hashmatch.pipeline import canary
from hashmatch.pipeline.engine import Done, Engine, Lost
from hashmatch.pipeline.job import Job, now
from hashmatch.pipeline.record import Recorder
from hashmatch.pipeline.scan import Scanned, judge
from hashmatch.pipeline.stop import Stop

logger = logging.getLogger(__name__)

# A clip that takes a second worker with it does not get a third. Renditions that do so together are
# looked at one by one: the others may be seen.
DEATHS_OF_A_CLIP = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: clips with an outcome, of those planned."""

    done: int
    planned: int


@dataclass(slots=True)
class Turns:
    """Hands out a run's clips and records what comes back, as only the coordinator may."""

    job: Job
    run_id: str
    recorder: Recorder
    breaker: Breaker
    planned: int
    stop: Stop
    watch: Callable[[Progress], None]
    alarms: list[str]
    done: int = 0
    quarantined: int = 0
    bytes_read: int = 0
    _queue: deque[Task] = field(default_factory=deque)
    _turns: deque[Turn] = field(default_factory=deque)

    def scan(self, engine: Engine) -> None:
        """Look at every planned clip, until there are none or the run is to stop."""
        while True:
            while engine.idle and (turn := self._next_turn()):
                engine.submit(turn)
            if not engine.busy:
                return
            for result in engine.wait():
                match result:
                    case Done(turn, scanned):
                        seen = [one.fingerprint for one in scanned if one.fingerprint is not None]
                        self.bytes_read += sum(one.bytes_read or 0 for one in seen)
                        self._record_turn(turn, scanned)
                    case Lost(turn):
                        self._lost(turn)

    def compare(self, lists: ListSet) -> None:
        """Compare what is stored of every planned clip with the lists; no media is read."""
        needed = {recipe(name) for name in lists.algorithms if name.perceptual}
        digests = not lists.with_digests() <= {canary.LIST}
        while task := self._next():
            started = time.monotonic()
            with self.job.db.read() as session:
                stored, damaged = self._stored(session, task, needed)
                etag = ledger.scanned_version(session, task)
                before = ledger.last_verdict(session, task)
            verdict = before if stored is None else judge(stored, lists, self.job.settings)
            if damaged or lacks(stored, needed, lists.orientations, before, digests=digests):
                verdict = not_fully_compared(verdict)
            if stored is not None and stored.digests is None:
                verdict = not_for_custody_yet(verdict)
            size = task.clip.size if stored is None else stored.size
            found = Scanned(etag, size, verdict, stored, time.monotonic() - started)
            self._record(task, found, self.recorder.compared)

    def _stored(
        self, session: Session, task: Task, needed: set[str]
    ) -> tuple[Fingerprint | None, bool]:
        """What is stored of a clip, and whether it is damaged: then a scan makes it anew."""
        try:
            return fingerprints.load(session, task.clip_id, needed), False
        except FingerprintDamaged as error:
            self._alarm(f"{self.job.names.clip(task.clip.key)}: {error.message}")
            return None, True

    def _next(self) -> Task | None:
        if self.stop:
            return None
        if not self._queue:
            with self.job.db.write() as session:
                holder = f"coordinator-{os.getpid()}"
                self._queue.extend(ledger.lease_shard(session, self.run_id, holder, now()))
        return self._queue.popleft() if self._queue else None

    def _next_turn(self) -> Turn | None:
        if self.stop:
            return None
        if not self._turns and (first := self._next()):
            self._turns.extend(ledger.turns_of([first, *self._queue], alone=DEATHS_OF_A_CLIP))
            self._queue.clear()
        if not self._turns:
            return None
        turn = self._turns.popleft()
        with self.job.db.read() as session:
            return replace(turn, remembered=ledger.remembered(session, turn))

    def _record(self, task: Task, scanned: Scanned, record: Callable[..., str | None]) -> None:
        verdict, tripped = self.breaker.apply(scanned.verdict)
        self._raise_breaker(tripped)
        scanned = replace(scanned, verdict=verdict)
        with self.job.db.write() as session:
            case = record(session, task, scanned, now())
        self._recorded(task, verdict, case)

    def _record_turn(self, turn: Turn, scanned: tuple[Scanned, ...]) -> None:
        """Record a look at a clip, or at all renditions of one: all in one transaction."""
        scanned = self._braked(scanned)
        with self.job.db.write() as session:
            cases = self.recorder.turn(session, turn, scanned, now())
        for task, look, case in zip(turn.tasks, scanned, cases, strict=True):
            self._recorded(task, look.verdict, case)
            if any(cases) and look.fingerprint is None:
                clip = self.job.names.clip(task.clip.key)
                self._alarm(f"{clip}: its renditions matched, and it could not be read to be taken")

    def _braked(self, scanned: tuple[Scanned, ...]) -> tuple[Scanned, ...]:
        """The breaker counts renditions that matched the same as the one clip that they are."""
        verdicts: dict[tuple[Match, ...], Verdict] = {}
        results = []
        for look in scanned:
            verdict = look.verdict
            if verdict.outcome is Outcome.MATCHED:
                if verdict.matches not in verdicts:
                    verdicts[verdict.matches], tripped = self.breaker.apply(verdict)
                    self._raise_breaker(tripped)
                counted = verdicts[verdict.matches]
                verdict = replace(verdict, outcome=counted.outcome, notes=counted.notes)
            results.append(replace(look, verdict=verdict))
        return tuple(results)

    def _raise_breaker(self, tripped: tuple[str, ...]) -> None:
        for entry in tripped:
            self._alarm(f"circuit breaker: {entry} matches too many clips; the rest goes to review")

    def _recorded(self, task: Task, verdict: Verdict, case: str | None) -> None:
        self.done += 1
        self._log(task, verdict)
        if case is not None:
            progress = self.job.custody.advance(case)
            self.quarantined += progress.problem is None
            if progress.problem is not None:
                self._alarm(f"{case}: {progress.problem}")
        self.watch(Progress(self.done, self.planned))

    def _lost(self, turn: Turn) -> None:
        if len(turn.tasks) > 1 or turn.tasks[0].deaths + 1 < DEATHS_OF_A_CLIP:
            with self.job.db.write() as session:
                for task in turn.tasks:
                    ledger.give_back(session, task)
            return
        (task,) = turn.tasks
        verdict = Verdict(Outcome.UNSCANNABLE, Reason.WORKER_DIED, 0.0)
        lost = Scanned(task.clip.etag, task.clip.size, verdict, None, 0.0)
        self._record_turn(turn, (lost,))

    def _log(self, task: Task, verdict: Verdict) -> None:
        clip = self.job.names.clip(task.clip.key)
        why = f" ({verdict.reason.text})" if verdict.reason else ""
        about = {"run": self.run_id, "clip": clip, "outcome": verdict.outcome}
        logger.info("%s: %s%s", clip, verdict.outcome, why, extra=about)

    def _alarm(self, text: str) -> None:
        self.alarms.append(text)
        logger.error("%s", text, extra={"run": self.run_id})


def not_fully_compared(verdict: Verdict) -> Verdict:
    """Hashes that a list needs are missing: what matched still counts, nothing else can be said."""
    if verdict.outcome in (Outcome.MATCHED, Outcome.REVIEW):
        return verdict
    return replace(verdict, outcome=Outcome.UNSCANNABLE, reason=Reason.OTHER_RECIPE)


def not_for_custody_yet(verdict: Verdict) -> Verdict:
    """The file's digests, by which custody knows it, were never taken: the next scan reads it whole."""
    if verdict.outcome is not Outcome.MATCHED:
        return verdict
    return replace(verdict, outcome=Outcome.REVIEW, reason=Reason.OTHER_RECIPE)


def lacks(
    stored: Fingerprint | None,
    needed: set[str],
    orientations: Orientations,
    before: Verdict,
    *,
    digests: bool,
) -> bool:
    """Whether the clip was seen once, but not by all the recipes, in all the orientations, or with the
    digests, that the lists need now.
    """
    if before.outcome is Outcome.UNSCANNABLE and before.reason is not Reason.OTHER_RECIPE:
        return False
    if digests and stored is not None and stored.digests is None:
        return True
    frames = stored.frames if stored else ()
    pdq = [hashes for hashes in frames if hashes.algorithm is Algorithm.PDQ]
    return not needed <= {hashes.recipe for hashes in frames} or not all(
        set(orientations.outer) <= set(hashes.variants) for hashes in pdq
    )
