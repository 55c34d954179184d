"""What people decided, applied to what a look found: before the outcome is recorded.

    verdict = reviewed.sift(session, clip_id, etag, shown, verdict)      # before the breaker
    verdict = reviewed.take(session, clip_id, etag, fingerprint, verdict)   # after it

Only the coordinator does this: workers know no decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from hashmatch.matching.comparison import MAX_MATCHES
from hashmatch.model import Action, Fingerprint, Match, Outcome, Verdict
from hashmatch.reviews.entry_standing import EntryName, demoted, said_of
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import verdict_of
from hashmatch.scanning.scanner import Scanned
from hashmatch.work import Turn


@dataclass(frozen=True, slots=True)
class Reviewed:
    config: ScanConfig

    def sift(
        self,
        session: Session,
        clip_id: int,
        etag: str,
        shown: Fingerprint | None,
        verdict: Verdict,
    ) -> Verdict:
        """The verdict without matches that were rejected for this clip, and in which entries that
        were wrong too often only send to review. What is left decides the outcome.

        shown: what was seen of the clip, with its own digests.
        """
        if not verdict.matches or shown is None or len(verdict.matches) >= MAX_MATCHES:
            return verdict  # a full list may have left entries out that nobody rejected
        rejected = said_of(session, clip_id, etag, _sha256(shown)).rejected
        kept = tuple(match for match in verdict.matches if _name(match) not in rejected)
        dropped = tuple(_name(match) for match in verdict.matches if _name(match) in rejected)
        held = demoted(session, {_name(match) for match in kept})
        held = {_name(m) for m in kept if m.action is Action.QUARANTINE and _name(m) in held}
        if not dropped and not held:
            return verdict
        kept = tuple(
            replace(match, action=Action.REVIEW) if _name(match) in held else match
            for match in kept
        )
        decided = replace(self._decide(shown, kept, verdict, held), rejected=dropped)
        if held:
            names = ", ".join(str(name) for name in sorted(held))
            note = f"for review only: matches of {names} were rejected too often"
            decided = replace(decided, notes=(*decided.notes, note))
        return decided

    def _decide(
        self, shown: Fingerprint, kept: tuple[Match, ...], before: Verdict, held: set[EntryName]
    ) -> Verdict:
        """As `decide` does. A look that fell short in some other way still does."""
        if before.outcome not in (Outcome.MATCHED, Outcome.REVIEW):
            return replace(before, matches=kept)
        decided = verdict_of(shown, kept, self.config, held)
        if before.reason is None:
            return decided
        outcome = Outcome.REVIEW if decided.outcome is Outcome.MATCHED else decided.outcome
        if outcome is not Outcome.REVIEW:
            outcome = Outcome.UNSCANNABLE
        return replace(decided, outcome=outcome, reason=before.reason)

    def take(
        self,
        session: Session,
        clip_id: int,
        etag: str,
        fingerprint: Fingerprint | None,
        verdict: Verdict,
    ) -> Verdict:
        """`matched`, if a person confirmed one of the matches: for these bytes, or for another
        rendition of the clip.

        Of a rendition that only its name says is the same, or of a list that is for review, another
        one's confirmation says nothing. Without digests the clip cannot be taken.
        """
        if verdict.outcome is not Outcome.REVIEW or fingerprint is None:
            return verdict
        if fingerprint.digests is None:
            return verdict
        said = said_of(session, clip_id, etag, _sha256(fingerprint))
        for match in verdict.matches:
            beside = match.action is Action.QUARANTINE and _name(match) in said.beside
            if match.action is not Action.LOG and (beside or _name(match) in said.confirmed):
                note = f"a person confirmed {_name(match)}"
                notes = (*verdict.notes, note)
                return replace(verdict, outcome=Outcome.MATCHED, reason=None, notes=notes)
        return verdict

    def sift_turn(
        self, session: Session, turn: Turn, scanned: Sequence[Scanned]
    ) -> tuple[Scanned, ...]:
        """`sift`, for a look at a clip or at all renditions of one."""
        by_key = {task.clip.key: look for task, look in zip(turn.tasks, scanned, strict=True)}
        results = []
        for task, look in zip(turn.tasks, scanned, strict=True):
            shown = look.fingerprint
            if shown is not None and look.seen_by is not None:
                decoded = by_key[look.seen_by].fingerprint
                assert decoded is not None
                shown = replace(decoded, digests=shown.digests, size=shown.size)
            verdict = self.sift(session, task.clip_id, look.etag, shown, look.verdict)
            results.append(replace(look, verdict=verdict))
        return tuple(results)

    def take_turn(
        self, session: Session, turn: Turn, scanned: Sequence[Scanned]
    ) -> tuple[Scanned, ...]:
        return tuple(
            replace(
                look,
                verdict=self.take(session, task.clip_id, look.etag, look.fingerprint, look.verdict),
            )
            for task, look in zip(turn.tasks, scanned, strict=True)
        )


def _name(match: Match) -> EntryName:
    return EntryName(match.list, match.entry)


def _sha256(fingerprint: Fingerprint) -> str | None:
    return fingerprint.digests.sha256 if fingerprint.digests else None
