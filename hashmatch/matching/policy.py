"""What a clip's matches mean: exactly one outcome, and a brake on a list that matches too much.

    rules = Rules(min_frames=2, copy_score=4)
    verdict = decide(fingerprint, matches, rules, min_coverage=0.95, quality=50)
    verdict, alarms = breaker.apply(verdict)

The order is matched, review, unscannable, partial, clean. What was seen before a crash still counts
as evidence; only what was seen well enough, and matches nothing, is clean.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from hashmatch.model import (
    Action,
    Algorithm,
    Fingerprint,
    Match,
    MatchKind,
    Outcome,
    Reason,
    Verdict,
)

# Raise it with any change to matching that can make a clip match, or clean, that was not: what is
# stored is then compared with all of the lists once more.
RULES = 1

# Trouble after which the frames that were given are good and the rest is missing. After any other,
# too little is known of what the decoder did to call the clip anything but unscannable.
BROKE_OFF = frozenset({Reason.TRUNCATED, Reason.UNKNOWN_PARTS, Reason.TIME_LIMIT})

# In a run of fewer clips, a share says nothing: one clip of three is a third.
SHARE_FROM_CLIPS = 20
# Of a longer listed video in which nothing moves, so that its order cannot tell, this share of its
# different pictures, found in any order, is the video.
COVERED = 0.5
# Entries that a note names; the matches have all of them.
NAMED_ENTRIES = 3


class Rules(NamedTuple):
    """What needs no second look.

    min_frames: distinct frames on one entry; copy_score: decades of evidence that a clip is a copy
    of a listed video (`significance`).
    """

    min_frames: int
    copy_score: float


def decide(
    fingerprint: Fingerprint,
    matches: Sequence[Match],
    rules: Rules,
    *,
    min_coverage: float,
    quality: int,
    held: Container[tuple[str, str]] = (),
) -> Verdict:
    """The one outcome of a clip. Matches on lists that only log are kept and change nothing.

    min_coverage: 0..1; quality: PDQ quality from which a frame is usable; held: (list, entry) whose
    matches the caller made to be for review only, and says why itself.
    """
    coverage = fingerprint.coverage
    unseen = _unseen(fingerprint, min_coverage, quality)
    if any(conclusive(match, rules) for match in matches):
        outcome = Outcome.MATCHED
    elif any(match.action is not Action.LOG for match in matches):
        outcome = Outcome.REVIEW
    elif unseen is None:
        return Verdict(Outcome.CLEAN, None, coverage, tuple(matches))
    else:
        return Verdict(*unseen, coverage, tuple(matches))
    notes: tuple[str, ...] = ()
    if unseen is not None:
        notes = (f"not seen in full: {unseen[1].text}",)
    if outcome is Outcome.REVIEW:
        notes += _why_review(matches, rules, held)
    return Verdict(outcome, None, coverage, tuple(matches), notes)


def conclusive(match: Match, rules: Rules) -> bool:
    """This match alone makes a clip `matched`."""
    return match.action is Action.QUARANTINE and sure(match, rules)


def sure(match: Match, rules: Rules) -> bool:
    """This match needs no second look, whatever its list does: the whole file, a copy, or enough frames.

    The same room at another moment shares still frames with a longer listed video. So where the order
    of what moves can tell, it has to show that the clip is a copy. Frames alone decide for images
    and brief videos, and for longer ones in which nothing moves and that are covered by half.
    """
    if match.kind is MatchKind.FILE:
        return True
    if match.copy is not None and match.copy >= rules.copy_score:
        return True
    if match.frames < rules.min_frames:
        return False
    if match.listed == 0 or match.brief:
        return True
    return not match.moves and match.covered >= COVERED


def _why_review(
    matches: Sequence[Match], rules: Rules, held: Container[tuple[str, str]]
) -> tuple[str, ...]:
    """Why no match is taken without a second look: a sentence a cause, with the entries it is of."""
    causes: dict[str, list[str]] = {}
    for match in matches:
        if match.action is not Action.LOG and (match.list, match.entry) not in held:
            entries = causes.setdefault(_doubt(match, rules), [])
            if (name := f"{match.list}/{match.entry}") not in entries:
                entries.append(name)
    return tuple(f"{cause}: {_named(entries)}" for cause, entries in causes.items())


def _doubt(match: Match, rules: Rules) -> str:
    """Why a match is for review."""
    if match.action is Action.REVIEW:
        return "the list's action is review"
    if match.frames == 0:
        return "near match: frames that are only alike, and too little evidence of a copy"
    if match.frames < rules.min_frames:
        return "single frame" if match.frames == 1 else f"only {match.frames} frames"
    if match.moves:
        return "near match: maybe the same room at another moment, and not a copy"
    return "near match: too little of a listed video in which little moves"


def _named(entries: Sequence[str]) -> str:
    more = len(entries) - NAMED_ENTRIES
    return ", ".join(entries[:NAMED_ENTRIES]) + (f" and {more} more" if more > 0 else "")


def _unseen(
    fingerprint: Fingerprint, min_coverage: float, quality: int
) -> tuple[Outcome, Reason] | None:
    """Why this clip cannot be called clean, None where it can."""
    trouble = fingerprint.trouble
    if trouble is not None and trouble not in BROKE_OFF:
        return Outcome.UNSCANNABLE, trouble
    pdq = [frames for frames in fingerprint.frames if frames.algorithm is Algorithm.PDQ]
    if not any((frames.quality >= quality).any() for frames in pdq):
        none_at_all = not any(len(frames) for frames in pdq)
        return Outcome.UNSCANNABLE, (none_at_all and trouble) or Reason.NO_USABLE_FRAMES
    if trouble is not None:
        return Outcome.PARTIAL, trouble
    if fingerprint.coverage < min_coverage:
        return Outcome.PARTIAL, Reason.TRUNCATED
    return None


class Breaker:
    """Counts the clips that each entry takes in one run, and stops one that takes too many.

    A wrong entry (a common intro, a test card, a poisoned list) would otherwise quarantine a whole
    platform in one night. Beyond its limit an entry sends clips to review, and only clips that no
    other entry matches.

    Not guaranteed here: anything about clips that were quarantined before the limit was reached.
    """

    def __init__(
        self,
        limit_clips: int,
        limit_share: float,
        clips: int,
        rules: Rules,
        *,
        counts: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """clips: how many the run will look at; rules: what `decide` was given.

        counts: what a run that was cut short had come to: (list, entry) to the number of clips with
        a `conclusive` match on it, whatever their outcome. Entries beyond the limit in there have
        had their alarm.
        """
        self._limit = limit_clips
        if clips >= SHARE_FROM_CLIPS:
            self._limit = min(limit_clips, max(1, int(limit_share * clips + 1e-9)))
        self._rules = rules
        self._counts = Counter(counts or {})

    def apply(self, verdict: Verdict) -> tuple[Verdict, tuple[str, ...]]:
        """Count one clip. Returns its verdict, and the entries ("list/entry") this clip tripped.

        Call it once for every clip; each entry is returned once.
        """
        if verdict.outcome is not Outcome.MATCHED:
            return verdict, ()
        entries = sorted({(m.list, m.entry) for m in verdict.matches if conclusive(m, self._rules)})
        self._counts.update(entries)
        tripped = tuple("/".join(e) for e in entries if self._counts[e] == self._limit + 1)
        if not entries or any(self._counts[entry] <= self._limit for entry in entries):
            return verdict, tripped
        names = _named(["/".join(entry) for entry in entries])
        note = f"for review only: the circuit breaker holds {names}, which matches too many clips"
        verdict = replace(verdict, outcome=Outcome.REVIEW, notes=(*verdict.notes, note))
        return verdict, tripped
