"""A run: lock, canary, plan, the clips' turns, canary, proof that the counts add up, checkpoint, anchors.

    summary = run(job, Selection(), stop=Stop(), watch=print)
    summary.exit_code

Only the coordinator, which is the process this runs in, writes to the database. Killed at any moment, it
leaves a state from which the next run carries on: clips without an outcome are due again, cases go on from
their recorded step.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import select

from hashmatch import __version__
from hashmatch.audit import anchors, log
from hashmatch.clips.discover import Discovery
from hashmatch.counting import counted
from hashmatch.custody import case_record
from hashmatch.custody.host import host_id
from hashmatch.custody.notify.platform import nobody_told
from hashmatch.custody.vault import marker
from hashmatch.custody.vault.store import VaultFailed
from hashmatch.db import ledger, listings, renditions
from hashmatch.db.schema import RunRow
from hashmatch.db.session import Database
from hashmatch.errors import CanaryFailed, HashmatchError, RunBroken
from hashmatch.hashing.recipes import recipe
from hashmatch.lists.compiled.building import compile_lists
from hashmatch.lists.compiled.state import ListState, fresh_lists
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import Breaker
from hashmatch.model import Json, Outcome, Reason
from hashmatch.report.logs import NOTICE
from hashmatch.report.summary import RunSummary
from hashmatch.reviews import entry_standing
from hashmatch.reviews import review_record as reviews
from hashmatch.runs import settings_record, shard_record
from hashmatch.runs.alarms import Alarms
from hashmatch.runs.dispatcher import Progress, Turns
from hashmatch.runs.job import Job, now
from hashmatch.runs.listing_collapse import ListingCollapsed, least
from hashmatch.runs.local_executor import Engine
from hashmatch.runs.plan import NothingFits, Plan, Selection, plan_listing, plan_stored
from hashmatch.runs.recorder import Recorder
from hashmatch.runs.rematch import Retro
from hashmatch.runs.stop import Stop
from hashmatch.runs.worker import open_worker
from hashmatch.scanning import canary
from hashmatch.scanning.decision import rules
from hashmatch.work import Retry

logger = logging.getLogger(__name__)


def run(
    job: Job, selection: Selection, *, stop: Stop, watch: Callable[[Progress], None]
) -> RunSummary:
    """Execute the job once. Raises AlreadyRunning, NoActiveList, ListTooOld, CanaryFailed, …"""
    with job.db.run_lock():
        with job.db.write() as session:
            settings_record.record(session, job.settings, job.names, job.signer, now())
        _close_interrupted(job)
        alarms = Alarms()
        if (silent := nobody_told(job.settings.withdraw)) is not None:
            alarms.add(f"{silent.message} {silent.remedy}")
        vault_away = _vault_is_away(job, alarms)
        for progress in job.custody.resume():
            alarms.stuck(progress)
        _settle_reviews(job, alarms)
        compiled = compile_lists(job.db, job.settings, now())
        alarms.add(*compiled.alarms)
        begun = _Run(job, selection, ListState.of(compiled, job.settings), stop, alarms)
        begun.vault_away = vault_away
        return begun.execute(watch)


class _Done(NamedTuple):
    """What came of the clips' turns. bytes_read: of clips, from storage."""

    quarantined: int = 0
    bytes_read: int = 0


class _Run:
    def __init__(
        self, job: Job, selection: Selection, state: ListState, stop: Stop, alarms: Alarms
    ) -> None:
        self.job, self.selection, self.state = job, selection, state
        self.compiled = state.compiled
        self.stop, self.alarms = stop, alarms
        self.id = f"{now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.started = time.monotonic()
        self.fresh: ListSet | None = None
        self.excluded = 0
        self.incomplete = False
        self.vault_away = False
        self.missing = 0

    def execute(self, watch: Callable[[Progress], None]) -> RunSummary:
        self._begin()
        try:
            with self._engine() as engine:
                self._see_canary(engine, "start")
                plan = self._plan()
                if self.selection.stored:
                    done = self._compare(plan, watch)
                else:
                    done = self._scan(plan, engine, watch)
                self._see_canary(engine, "end")
            summary = self._end(plan, done)
        except HashmatchError as error:
            self._fail(error)
            raise
        return self._attest(summary)

    def _begin(self) -> None:
        lists = dict(self.compiled.versions)
        recipes = {name.value: recipe(name) for name in self.compiled.perceptual}
        started = now()
        row = RunRow(
            id=self.id,
            kind=self.selection.kind,
            selection=self.selection.as_json(),
            status="running",
            started_at=started,
            software=__version__,
            recipes=recipes,
            list_set=self.state.id,
            lists=lists,
            host=host_id(),
        )
        body: dict[str, Json] = {
            "run": self.id,
            "host": row.host,
            "kind": row.kind,
            "stored": self.selection.stored,
            "orientations": self.selection.orientations.value,
            "software": __version__,
            "lists": dict(lists),
            "list_set": self.state.id,
            "compiled": self.compiled.id,
            "recipes": dict(recipes),
        }
        with self.job.db.write() as session:
            self.state.remember(session, started)
            session.add(row)
            log.append(session, "run-started", body, started)
        about = {"run": self.id, "kind": row.kind, "lists": lists}
        logger.log(NOTICE, "run %s started", self.id, extra=about)

    def _engine(self) -> Engine:
        settings = self.job.settings
        workers = (
            1 if self.selection.stored else settings.run.workers or len(os.sched_getaffinity(0))
        )
        decode = settings.decode.max_seconds
        return Engine(
            workers,
            partial(open_worker, settings, self.compiled.file, self.selection.orientations),
            # Twice the decoder's limit, and storage that gives a megabyte a second.
            lambda size: 2 * decode + 120 + size / 1e6,
        )

    def _see_canary(self, engine: Engine, when: str) -> None:
        problems = engine.canary()
        if not problems:
            return
        if when == "end":
            with self.job.db.write() as session:
                if self.selection.stored:
                    doubted = ledger.distrust_lists(session, self.state.id)
                else:
                    doubted = ledger.distrust(session, self.id)
                log.append(session, "run-distrusted", {"run": self.id, "clips": doubted}, now())
        raise CanaryFailed(when=when, problem="; ".join(sorted(set(problems))))

    def _plan(self) -> Plan:
        job, size = self.job, self.job.settings.run.shard_size
        if self.selection.stored:
            return self._plan_stored()
        listing = Discovery(
            job.clips, job.settings.clips, job.settings.home, self.selection.listing_prefix
        )
        with job.db.read() as session:
            expected = listings.expected(session)
        plan = plan_listing(
            job.db,
            self.id,
            listing,
            self.selection,
            shard_size=size,
            clock=now,
            head=job.clips.head,
        )
        self.excluded, self.incomplete = listing.excluded, listing.incomplete
        if self.selection.listing_prefix and not plan.listed and self.selection.since is None:
            raise NothingFits(prefix=self.selection.listing_prefix)
        if not self.selection.listing_prefix:
            self._hold_to(expected, listing.listed)
        if plan.oversized:
            fit = counted(plan.oversized, "clip fits", "clips fit")
            listing.problems.append(
                f"{fit} clips.renditions in groups of more than {renditions.MOST_RENDITIONS}: "
                "each is looked at by itself; correct the pattern"
            )
        if plan.misnamed:
            misnamed = counted(plan.misnamed, "clip")
            listing.problems.append(
                f"clip storage lists {misnamed} under other ETags than it gives them by; each "
                "takes a request of its own every night. Ask whoever runs the storage or its gateway"
            )
        if listing.problems:
            # Not their texts: those may name folders and clips.
            what = f"{counted(len(listing.problems), 'alarm')} about the listing or the feed"
            logged = f"{what}: hashmatch runs show {self.id}"
            self.alarms.add(*listing.problems, logged=logged, run=self.id)
        return plan

    def _hold_to(self, expected: int, listed: int) -> None:
        if listed >= least(expected, self.job.settings.clips):
            return
        self.missing = expected - listed
        error = ListingCollapsed(url=self.job.clips.url, listed=listed, expected=expected)
        about = {"run": self.id, "listed": listed, "expected": expected}
        logged = f"{counted(listed, 'clip')} listed, {expected} expected"
        self.alarms.add(f"{error.message} {error.remedy}", logged=logged, **about)

    def _plan_stored(self) -> Plan:
        """Take the clips to which something in the lists is new; to the others nothing happens."""
        run, about = self.id, {"run": self.id}
        with self.job.db.read() as session:
            known = ledger.states_behind(session, self.state.id)
            self.fresh = fresh_lists(session, self.state, known)
        with self.job.db.write() as session:
            if self.fresh is None and known:
                kept = ledger.keep(session, None, None, self.state.id)
                body: dict[str, Json] = {"run": run, "clips": kept, "list_set": self.state.id}
                log.append(session, "nothing-new", body, now())
            plan = plan_stored(session, run, self.state.id)
        if self.fresh is None:
            logger.info("nothing in the lists is new to what is stored", extra=about)
        else:
            entries = sum(one.entries for one in self.fresh.lists if one.name != canary.LIST)
            logger.info("%s clips against %s entries", plan.planned, entries, extra=about)
        return plan

    def _scan(self, plan: Plan, engine: Engine, watch: Callable[[Progress], None]) -> _Done:
        turns = Turns(
            job=self.job,
            run_id=self.id,
            recorder=self._recorder(),
            breaker=self._breaker(plan),
            planned=plan.planned,
            stop=self.stop,
            watch=watch,
            alarms=self.alarms,
        )
        turns.scan(engine)
        return _Done(turns.quarantined, turns.bytes_read)

    def _compare(self, plan: Plan, watch: Callable[[Progress], None]) -> _Done:
        """Compare what is stored with what is new."""
        if self.fresh is None:
            return _Done()
        retro = Retro(
            job=self.job,
            run_id=self.id,
            versions=self.compiled.versions,
            recorder=self._recorder(),
            breaker=self._breaker(plan),
            planned=plan.planned,
            stop=self.stop,
            watch=watch,
            alarms=self.alarms,
        )
        retro.compare(self.compiled.lists, self.fresh)
        return _Done(retro.quarantined)

    def _recorder(self) -> Recorder:
        again = self.job.settings.run
        return Recorder(
            run_id=self.id,
            list_set=self.state.id,
            software=self.job.custody.software,
            names=self.job.names,
            retry=Retry(again.max_attempts, timedelta(minutes=again.retry_minutes)),
        )

    def _breaker(self, plan: Plan) -> Breaker:
        limits = self.job.settings.match
        return Breaker(limits.breaker_clips, limits.breaker_share, plan.turns, rules(self.job.scan))

    def _end(self, plan: Plan, done: _Done) -> RunSummary:
        """Count from the ledger, not from memory."""
        with self.job.db.write() as session:
            left = shard_record.drop_unfinished(session, self.id, now())
            reviews_open, oldest = reviews.waiting(session)
            outcomes = ledger.outcomes(session, self.id)
            if self.selection.stored:
                left = plan.planned - sum(outcomes.values())
            unscannable = ledger.unscannable_by_reason(session, self.id)
            if full := unscannable.get(Reason.SPOOL_FULL, 0):
                self._alarm_spool(full)
            summary = RunSummary(
                run=self.id,
                listed=plan.listed - left,
                outcomes=outcomes,
                skipped_unchanged=plan.unchanged,
                quarantined=done.quarantined,
                bytes_read=done.bytes_read,
                canary="seen",
                seconds=time.monotonic() - self.started,
                checkpoint=None,
                left=left,
                excluded=self.excluded,
                incomplete=self.incomplete,
                vault_away=self.vault_away,
                missing=self.missing,
                waiting=plan.waiting,
                custody_open=len(case_record.unfinished(session)),
                reviews_open=reviews_open,
                oldest_review_seconds=(now() - oldest).total_seconds() if oldest else 0.0,
                behind=ledger.behind(session, self.state.id),
                seen_by_rendition=ledger.seen_by_rendition(session, self.id),
                unscannable=unscannable,
                storage_failed=self.alarms.storage_failed,
                interrupted=self.stop.interrupted,
                alarms=self.alarms.texts(),
            )
            if not summary.adds_up or left < 0 or (left and not self.stop):
                raise RunBroken(run=self.id, listed=plan.listed, left=left)
            log.append(session, "run-finished", _finished(summary), now())
            row = session.get_one(RunRow, self.id)
            row.status = "stopped" if left else "finished"
            row.ended_at, row.exit_code, row.canary = now(), summary.exit_code, summary.canary
            row.listed, row.skipped_unchanged = summary.listed, summary.skipped_unchanged
            row.quarantined, row.summary = summary.quarantined, summary.as_json()
        return summary

    def _alarm_spool(self, clips: int) -> None:
        unseen = counted(clips, "clip was", "clips were")
        text = f"the disk of run.state is full: {unseen} not looked at; free some space"
        self.alarms.add(text, run=self.id)

    def _attest(self, summary: RunSummary) -> RunSummary:
        """Sign what was counted and hand it to the anchors. What the run did stands in any case.

        Raises what `Signer.checkpoint` raises; the run's exit code is that error's then.
        """
        try:
            summary = replace(summary, checkpoint=self.job.signer.checkpoint(self.job.db, now()))
        except HashmatchError as error:
            logger.error("%s", error.message, extra={"run": self.id})
            summary = replace(summary, alarms=(*summary.alarms, error.message))
            self._amend(summary.as_json(), error.exit_code)
            self._tell_end(summary, error.exit_code)
            raise
        failed = self._hand_over()
        alarms = (*summary.alarms, *failed)
        summary = replace(summary, alarms=alarms, anchors_failed=bool(failed))
        self._amend(summary.as_json(), summary.exit_code)
        self._tell_end(summary, summary.exit_code)
        return summary

    def _tell_end(self, summary: RunSummary, exit_code: int) -> None:
        status = "stopped" if summary.left else "finished"
        counts = ", ".join(f"{count} {name}" for name, count in summary.outcomes.items() if count)
        text = "run %s %s: %s clips (%s; %s unchanged) in %.1f s, exit code %s"
        told = (status, summary.listed, counts or summary.of_none, summary.skipped_unchanged)
        about = {
            **_finished(summary),
            "status": status,
            "unscannable": dict(summary.unscannable),
            "bytes_read": summary.bytes_read,
            "custody_open": summary.custody_open,
            "incomplete": summary.incomplete,
            "exit_code": exit_code,
            "seconds": round(summary.seconds, 3),
        }
        logger.log(NOTICE, text, self.id, *told, summary.seconds, exit_code, extra=about)

    def _hand_over(self) -> list[str]:
        problems = anchors.hand_over(self.job.db, self.job.settings)
        for problem in problems:
            logger.error("%s", problem, extra={"run": self.id})
        return problems

    def _amend(self, summary: dict[str, Any], exit_code: int) -> None:
        _amend(self.job.db, self.id, summary, exit_code)

    def _fail(self, error: HashmatchError) -> None:
        body: dict[str, Json] = {
            "run": self.id,
            "error": type(error).__name__,
            "exit_code": error.exit_code,
        }
        with self.job.db.write() as session:
            shard_record.drop_unfinished(session, self.id, now())
            row = session.get_one(RunRow, self.id)
            row.status, row.ended_at, row.exit_code = "failed", now(), error.exit_code
            row.canary = "failed" if isinstance(error, CanaryFailed) else row.canary
            row.summary = {"error": error.message}
            log.append(session, "run-failed", body, now())
        try:
            self.job.signer.checkpoint(self.job.db, now())
            alarms = self._hand_over()
        except HashmatchError as refused:  # the run's own error is raised
            logger.error("%s", refused.message, extra={"run": self.id})
            alarms = [refused.message]
        if alarms:
            self._amend({"error": error.message, "alarms": alarms}, error.exit_code)
        seconds = round(time.monotonic() - self.started, 3)
        about = {**body, "status": "failed", "seconds": seconds}
        text = "run %s failed: %s, exit code %s"
        logger.error(text, self.id, type(error).__name__, error.exit_code, extra=about)


def amend(db: Database, summary: RunSummary) -> None:
    """Put on the run's record what came of it after its end. In no leaf."""
    _amend(db, summary.run, summary.as_json(), summary.exit_code)


def _amend(db: Database, run_id: str, summary: dict[str, Any], exit_code: int) -> None:
    with db.write() as session:
        row = session.get_one(RunRow, run_id)
        row.summary, row.exit_code = summary, exit_code


def _finished(summary: RunSummary) -> dict[str, Json]:
    return {
        "run": summary.run,
        "listed": summary.listed,
        "outcomes": {outcome.value: summary.outcomes[outcome] for outcome in Outcome},
        "skipped_unchanged": summary.skipped_unchanged,
        "seen_by_rendition": summary.seen_by_rendition,
        "left": summary.left,
        "quarantined": summary.quarantined,
        "canary": summary.canary,
        "alarms": len(summary.alarms),
    }


def _close_interrupted(job: Job) -> None:
    """End the runs that a crash left open; what they did not finish is due again by itself."""
    with job.db.write() as session:
        for row in session.scalars(select(RunRow).where(RunRow.status == "running")).all():
            left = shard_record.drop_unfinished(session, row.id, now())
            row.status, row.ended_at = "interrupted", now()
            log.append(session, "run-interrupted", {"run": row.id, "left": left}, now())
            again = (
                "its clips are due again" if row.kind == "scan" else "start it again for the rest"
            )
            logger.warning("run %s was interrupted; %s", row.id, again)


def _vault_is_away(job: Job, alarms: Alarms) -> bool:
    """Whether the vault is not the one that was used before, or cannot be reached.

    Clips are looked at all the same: what matches waits in clip storage.
    """
    try:
        marker.place(job.db, job.custody.vault.store, now())
    except VaultFailed as error:
        alarms.add(error.message)
        return True
    return False


def _settle_reviews(job: Job, alarms: Alarms) -> None:
    """Bring reviews and entries up to the settings; an entry that does not act by itself is an alarm."""
    with job.db.write() as session:
        reviews.open_missing(session, job.names, now())
        entry_standing.settle(session, job.settings.review, now())
        demoted = sorted(entry_standing.demoted(session))
    for entry in demoted:
        alarms.add(f"{entry}: its matches were rejected too often; they only go to review")
