"""The clips' turns in a run: each is looked at, or compared from what is stored, and recorded once."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from hashmatch.audit import log
from hashmatch.db import ledger, renditions
from hashmatch.matching.policy import Breaker
from hashmatch.model import (
    Match,
    Outcome,
    Reason,
    Verdict,
)
from hashmatch.runs.alarms import Alarms
from hashmatch.runs.job import Job, now
from hashmatch.runs.local_executor import Done, Engine, Lost
from hashmatch.runs.recorder import Recorder
from hashmatch.runs.review_overrides import Reviewed
from hashmatch.runs.stop import Stop
from hashmatch.scanning.scanner import Scanned
from hashmatch.work import Task, Turn

logger = logging.getLogger(__name__)

# A clip that takes a second worker with it does not get a third. Renditions that do so together are
# looked at one by one: the others may be seen.
DEATHS_OF_A_CLIP = 2


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: clips with an outcome, of those planned; frame hashes that were compared."""

    done: int
    planned: int
    hashes: int = 0


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
    alarms: Alarms
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
            self._turns.extend(renditions.turns_of([first, *self._queue], alone=DEATHS_OF_A_CLIP))
            self._queue.clear()
        if not self._turns:
            return None
        turn = self._turns.popleft()
        with self.job.db.read() as session:
            return replace(turn, remembered=renditions.remembered(session, turn))

    def _record_turn(self, turn: Turn, scanned: tuple[Scanned, ...]) -> None:
        """Record a look at a clip, or at all renditions of one: all in one transaction."""
        reviewed = Reviewed(self.job.scan)
        with self.job.db.write() as session:
            log.tree_head(session, lock=True)  # whoever decides a review now waits, or is heard
            scanned = reviewed.sift_turn(session, turn, scanned)
            scanned = reviewed.take_turn(session, turn, self._braked(scanned))
            cases = self.recorder.turn(session, turn, scanned, now())
        for task, look, case in zip(turn.tasks, scanned, cases, strict=True):
            self._recorded(task, look.verdict, case)
            if any(cases) and look.fingerprint is None:
                clip = self.job.names.clip(task.clip.key)
                text = f"{clip}: its renditions matched, and it could not be read to be taken"
                self.alarms.add(text, run=self.run_id)

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
            text = f"circuit breaker: {entry} matches too many clips; the rest goes to review"
            self.alarms.add(text, run=self.run_id)

    def _recorded(self, task: Task, verdict: Verdict, case: str | None) -> None:
        self.done += 1
        self._log(task, verdict)
        if case is not None:
            progress = self.job.custody.advance(case)
            self.quarantined += progress.problem is None
            self.alarms.stuck(progress, run=self.run_id)
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
        told = [verdict.reason.text] if verdict.reason else []
        # What storage answered may name the clip's key, which the log does not.
        notes = (note.replace(repr(task.clip.key), clip) for note in verdict.notes)
        told += [note for note in notes if len(task.clip.key) < 4 or task.clip.key not in note]
        why = f" ({'; '.join(told)})" if told else ""
        about = {"run": self.run_id, "clip": clip, "outcome": verdict.outcome}
        logger.info("%s: %s%s", clip, verdict.outcome, why, extra=about)
