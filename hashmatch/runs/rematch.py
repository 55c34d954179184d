"""Retro-matching: what is new in the lists against all that is remembered; no media is read.

    retro.compare(lists, fresh)

The archive is streamed past an index of what is new. A clip that is hit is judged in full, by the
code that judges a scan and with all the lists; every other clip keeps its outcome. A page of clips
is one transaction: what was found in it (work, matches, case, leaf, as in a scan), the new
`list_set` of all its clips, and a shard with its leaf that accounts for every one of them. A run
that is stopped or killed leaves whole pages, and the next one takes the rest.

What is on record stays: a clip is never made less than `matched` or `review` from here, whatever has
left the lists since. Only a new look does that.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from hashmatch.audit import coverage, log
from hashmatch.audit.commitments import named, salt_clips
from hashmatch.db import fingerprints, ledger
from hashmatch.db.archive import Known, next_page
from hashmatch.db.schema import ShardRow
from hashmatch.errors import RunBroken
from hashmatch.hashing.packing import FingerprintDamaged
from hashmatch.hashing.recipes import recipe
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import Breaker
from hashmatch.model import Fingerprint, Json, Orientations, Outcome, Reason, Verdict
from hashmatch.runs.alarms import Alarms
from hashmatch.runs.archive_filter import Sifted, Sifting
from hashmatch.runs.dispatcher import Progress
from hashmatch.runs.job import Job, now
from hashmatch.runs.recorder import Recorder
from hashmatch.runs.review_overrides import Reviewed
from hashmatch.runs.stop import Stop
from hashmatch.scanning import canary
from hashmatch.scanning.decision import judge
from hashmatch.scanning.scanner import Scanned

# What a stored comparison never takes back.
_WEIGHT = {Outcome.MATCHED: 2, Outcome.REVIEW: 1}

_TELL_SECONDS = 30.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """A clip of which more is to be recorded than that its outcome stands.

    stored: None where it was not loaded, or is damaged; incomplete: hashes that a list needs are
    missing.
    """

    clip: Known
    verdict: Verdict
    stored: Fingerprint | None
    incomplete: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Needs:
    """What lists compare clips by. digests: a partner lists digests of files."""

    recipes: frozenset[str]
    orientations: Orientations
    digests: bool

    @classmethod
    def of(cls, lists: ListSet) -> Needs:
        recipes = frozenset(recipe(name) for name in lists.algorithms if name.perceptual)
        return cls(recipes, lists.orientations, not lists.with_digests() <= {canary.LIST})


@dataclass(slots=True)
class Retro:
    """Compares what is stored of a run's clips, as only the coordinator may.

    versions: of the lists that act, by name.
    """

    job: Job
    run_id: str
    versions: Mapping[str, int]
    recorder: Recorder
    breaker: Breaker
    planned: int
    stop: Stop
    watch: Callable[[Progress], None]
    alarms: Alarms
    done: int = 0
    quarantined: int = 0
    hashes: int = 0
    _shards: int = 0
    _tell_at: float = 0.0

    def compare(self, lists: ListSet, fresh: ListSet) -> None:
        """lists: all that act; fresh: those of their entries that clips may not know yet.

        Returns when every clip has been compared, or the run is to stop. Raises CanaryFailed.
        """
        sifting = Sifting(fresh, self.job.settings)
        needed = Needs.of(lists)
        last = 0
        while not self.stop:
            with self.job.db.read() as session:
                page = next_page(session, last, sifting.recipes, behind=self.recorder.list_set)
                if not page:
                    return
                sifted = sifting.page(session, page)
                before = [_on_record(clip) for clip in page]
                found = [
                    one
                    for clip, verdict in zip(page, before, strict=True)
                    if (one := self._look(session, clip, verdict, sifted, lists, needed))
                ]
            last = page[-1].id
            self._record(page, before, found)
            self.hashes += sifted.hashes
            self.watch(Progress(self.done, self.planned, self.hashes))
            if time.monotonic() >= self._tell_at:
                self._tell_at = time.monotonic() + _TELL_SECONDS
                told = "%s of %s clips compared, %s frame hashes"
                about = {"run": self.run_id}
                logger.info(told, self.done, self.planned, self.hashes, extra=about)

    def _look(
        self,
        session: Session,
        clip: Known,
        before: Verdict,
        sifted: Sifted,
        lists: ListSet,
        needed: Needs,
    ) -> _Found | None:
        """Judge a clip again if there is a reason to; None where its outcome stands."""
        started, stored, verdict = time.monotonic(), None, before
        problem = sifted.damaged.get(clip.id)
        incomplete = problem is not None or lacks(clip, sifted, needed, before)
        doubtful = self._doubtful(before, incomplete, clip.borrowed or clip.id in sifted.usable)
        if problem is None and (clip.id in sifted.hit or doubtful):
            try:
                stored = fingerprints.load(session, clip.id, needed.recipes)
            except FingerprintDamaged as error:
                problem, incomplete = error.message, True
        if problem is not None:
            text = f"{self.job.names.clip(clip.key)}: {problem}"
            self.alarms.add(text, run=self.run_id)
        if stored is not None:
            reviewed = Reviewed(self.job.scan)
            verdict = judge(stored, lists, self.job.scan)
            verdict = reviewed.sift(session, clip.id, clip.etag, stored, verdict)
            verdict = _at_least(before, verdict)
            if stored.digests is None and verdict.outcome is Outcome.MATCHED:
                verdict, incomplete = not_for_custody_yet(verdict), True
        if incomplete:
            verdict = not_fully_compared(verdict)
        changed = (verdict.outcome, verdict.reason) != (before.outcome, before.reason)
        # A hit that came to nothing leaves no trace: it would tell how near a clean clip came.
        if changed or verdict.matches or (incomplete and not clip.due):
            return _Found(clip, verdict, stored, incomplete, time.monotonic() - started)
        return None

    def _doubtful(self, before: Verdict, incomplete: bool, usable: bool) -> bool:
        """Whether what is on record of a clip may not follow from the settings as they are now."""
        enough = before.coverage >= self.job.settings.decode.min_coverage
        if before.outcome is Outcome.CLEAN:
            return not (usable and enough)
        if before.outcome is Outcome.PARTIAL:
            return before.reason is Reason.TRUNCATED and enough
        return before.reason is Reason.OTHER_RECIPE and not incomplete

    def _record(
        self, page: Sequence[Known], before: Sequence[Verdict], found: Sequence[_Found]
    ) -> None:
        """One transaction for the page. Custody follows it, and is resumed where it cannot."""
        cases: list[str] = []
        with self.job.db.write() as session:
            log.tree_head(session, lock=True)
            verdicts = {one.clip.id: self._decided(session, one) for one in found}
            at = now()
            page = _salted(session, page)
            tasks = ledger.take_found(session, self.run_id, list(verdicts), self._shards)
            for one, task in zip(found, tasks, strict=True):
                size = task.clip.size if one.stored is None else one.stored.size
                verdict = verdicts[one.clip.id]
                scanned = Scanned(one.clip.etag, size, verdict, one.stored, one.seconds)
                case = self.recorder.compared(session, task, scanned, at, incomplete=one.incomplete)
                cases += [] if case is None else [case]
            self._account(session, page, before, verdicts, at)
        self._shards += 1
        self.done += len(page)
        for one in found:
            self._log(one.clip, verdicts[one.clip.id])
        for case in cases:
            progress = self.job.custody.advance(case)
            self.quarantined += progress.problem is None
            self.alarms.stuck(progress, run=self.run_id)

    def _decided(self, session: Session, found: _Found) -> Verdict:
        clip, held = found.clip, self._held(found.verdict)
        return Reviewed(self.job.scan).take(session, clip.id, clip.etag, found.stored, held)

    def _held(self, verdict: Verdict) -> Verdict:
        held, tripped = self.breaker.apply(verdict)
        for entry in tripped:
            text = f"circuit breaker: {entry} matches too many clips; the rest goes to review"
            self.alarms.add(text, run=self.run_id)
        return held

    def _account(
        self,
        session: Session,
        page: Sequence[Known],
        before: Sequence[Verdict],
        verdicts: Mapping[int, Verdict],
        at: datetime,
    ) -> None:
        """The page's shard and its leaf: how many clips ended in which outcome, and a hash that can
        prove each.

        Raises RunBroken if the clips that keep their outcome are not the ones that were read.
        """
        list_set = self.recorder.list_set
        standing = [v for clip, v in zip(page, before, strict=True) if clip.id not in verdicts]
        if ledger.keep(session, page[0].id, page[-1].id, list_set) != len(standing):
            left = self.planned - self.done
            raise RunBroken(run=self.run_id, listed=self.planned, left=left)
        said = [verdicts.get(clip.id, v) for clip, v in zip(page, before, strict=True)]
        root = coverage.root(map(_line, page, said)).hex()
        unscannable = [v.reason for v in standing if v.outcome is Outcome.UNSCANNABLE]
        session.add(
            ShardRow(
                run_id=self.run_id,
                number=self._shards,
                first_clip=page[0].id,
                last_clip=page[-1].id,
                clips=len(page),
                kept=_counted(verdict.outcome for verdict in standing),
                reasons=_counted(reason or "unknown" for reason in unscannable),
                digest=root,
                done_at=at,
            )
        )
        body: dict[str, Json] = {
            "run": self.run_id,
            "shard": self._shards,
            "clips": len(page),
            "outcomes": _counted(verdict.outcome for verdict in said),
            "recorded": len(verdicts),
            "list_set": list_set,
            "lists": dict(self.versions),
            "root": root,
        }
        log.append(session, "clips-compared", body, at)

    def _log(self, clip: Known, verdict: Verdict) -> None:
        name = self.job.names.clip(clip.key)
        why = f" ({verdict.reason.text})" if verdict.reason else ""
        about = {"run": self.run_id, "clip": name, "outcome": verdict.outcome}
        logger.info("%s: %s%s", name, verdict.outcome, why, extra=about)


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


def lacks(clip: Known, sifted: Sifted, needed: Needs, before: Verdict) -> bool:
    """Whether the clip was seen once, but not by all the recipes, in all the orientations, or with
    the digests, that the lists need now.
    """
    if before.outcome is Outcome.UNSCANNABLE and before.reason is not Reason.OTHER_RECIPE:
        return False
    if needed.digests and clip.id in sifted.undigested:
        return True
    if clip.borrowed:
        return False  # of the rendition that was decoded it is told
    turned = needed.orientations is Orientations.ALL
    return not needed.recipes <= set(clip.recipes) or (turned and clip.id in sifted.unturned)


def _salted(session: Session, page: Sequence[Known]) -> list[Known]:
    """The page, whose clips all have a salt now. Those from before leaves had commitments had none."""
    given = salt_clips(session, [clip.id for clip in page if clip.salt is None])
    return [clip if clip.salt is not None else clip._replace(salt=given[clip.id]) for clip in page]


def _line(clip: Known, verdict: Verdict) -> bytes:
    """What the run says of the clip, as `audit.coverage` writes it down."""
    assert clip.salt is not None
    return coverage.line(
        named("clip", clip.salt, clip.key),
        named("version", clip.salt, clip.etag),
        outcome=verdict.outcome.value,
        reason=verdict.reason.value if verdict.reason else None,
        recipes=clip.recipes,
    )


def _on_record(clip: Known) -> Verdict:
    """What was said of a clip when it was last looked at or compared, without its matches."""
    reason = Reason(clip.reason) if clip.reason else None
    return Verdict(Outcome(clip.outcome or Outcome.UNSCANNABLE), reason, clip.coverage or 0.0)


def _at_least(before: Verdict, verdict: Verdict) -> Verdict:
    """The verdict, if it takes back nothing that is on record."""
    if _WEIGHT.get(before.outcome, 0) > _WEIGHT.get(verdict.outcome, 0):
        return replace(verdict, outcome=before.outcome, reason=before.reason)
    return verdict


def _counted(names: Iterable[str]) -> dict[str, int]:
    return {str(name): count for name, count in sorted(Counter(names).items())}
