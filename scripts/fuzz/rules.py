"""What counts as a find. Pure: what was looked at, what the witness shows, and the seeds' truth in.

    finds = judge(mutant, look, evidence, truths)        # () where nothing speaks against the outcome

Only `clean` is doubted: every other outcome says itself that not all was seen. Everything is asked of the
seeds' frames, which are what a list would have: a frame is *shown* if the witness gave a picture within 31
bits of it, *seen* if we hashed one. Pictures that resemble no seed (what decoders make of damage) are
nobody's loss and count for nothing. *Enough* is a quarter of a second in a row (`decode.max_gap_seconds`) and
more than four frames of a video, or one picture of a still or an animation.

unseen: enough that the witness shows, in any stream, with or without edit lists, or behind the picture,
    was not seen.
unsaid: enough of a seed was seen neither by us nor by the witness, and the witness complained of the file,
    as it does not of the seed. A clean cut that no decoder can tell is no find; nor do pictures from
    before the first one that is in the file add to what is lost behind it.
hole: our own frames' times go on over half a second or more, and three times what usually lies between
    them, while what the seed shows in it was not seen: a player freezes there. What has long gaps
    throughout is a slow stream, and whole. So is an MP4 whose index lists no sample there: a picture's
    length is what it says, and nothing is hidden in the file.
tail: the container claims half a second more than we saw, and that much of the seed's end was not seen.
squeezed: a second of a seed, seen in order and without a hole, within a quarter of a second of our time,
    though the mutation left times within it as they were: it would not be aligned with a listed video.
crashed: the decoder's process ended in an exception or by a signal, or hung: damage has reasons of its own.
slow: looking took longer than PATIENCE seconds.
refused: an unharmed seed is not `clean`.

What these rules cannot tell: a hole that lies within one scene (0.3 s); whether what is seen lies at the
right time, beyond `squeezed`; what the witness does not know either (animated WebP it does not show at all).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fuzz.looking import Look
from fuzz.mutants import Mutant
from fuzz.truth import Hashes, Truth
from hashmatch.model import Outcome, Reason

PATIENCE = 60.0
_ENOUGH_SECONDS, _ENOUGH_FRAMES = 0.25, 5
_FREEZE, _UNUSUAL = 0.5, 3.0
_STRETCH, _SQUEEZED = 1.0, 0.25
_CRASHED = (Reason.DECODER_CRASHED, Reason.DECODER_HUNG)


class Evidence(NamedTuple):
    """Of the witness. bits: (n, 32), hashes of all it showed; complaints, claimed: of `witness.Shown`."""

    bits: Hashes
    complaints: frozenset[str]
    claimed: float


class Find(NamedTuple):
    """rule: one of those above; what: the seed, and which of its seconds, in words."""

    rule: str
    what: str


def before_the_witness(mutant: Mutant, look: Look) -> list[Find]:
    """What the look alone tells."""
    finds = []
    if look.reason in _CRASHED:
        finds.append(Find("crashed", str(look.reason)))
    if look.took > PATIENCE:
        finds.append(Find("slow", f"{look.took:.0f} s"))
    if mutant.unharmed and look.outcome is not Outcome.CLEAN:
        finds.append(Find("refused", f"{look.outcome}, {look.reason}"))
    return finds


def judge(
    mutant: Mutant, look: Look, evidence: Evidence, truths: Mapping[str, Truth]
) -> list[Find]:
    """Of a mutant whose outcome is `clean`. truths: of its seeds, at least."""
    finds = []
    for name in dict.fromkeys(mutant.seeds):
        truth = truths[name]
        seen, shown = truth.among(look.bits), truth.among(evidence.bits)
        new = evidence.complaints.difference(*(truths[seed].complaints for seed in mutant.seeds))
        for first, last in runs(shown & ~seen, truth):
            finds.append(Find("unseen", _said(truth, first, last)))
        lost = runs(~shown & ~seen & truth.since(mutant.begins), truth)
        if lost and new:
            where = ", ".join(_said(truth, *run) for run in lost)
            finds.append(Find("unsaid", f"{where}; {min(new)}"))
        if truth.seed.is_video and len(look.t):
            finds += _of_times(mutant, look, evidence, truth, seen)
    return finds


def _of_times(
    mutant: Mutant, look: Look, evidence: Evidence, truth: Truth, seen: NDArray[np.bool_]
) -> list[Find]:
    finds = []
    step, shows = truth.seed.step, truth.where(look.bits)
    # A picture that is shown again, as decoders do in place of what is lost, goes on from when it came;
    # one that resembles no seed is shown in a gap that would be a hole without it.
    new = np.flatnonzero((np.diff(shows, prepend=-2) != 0) | (shows < 0))
    usual = float(np.median(np.diff(look.t))) if len(look.t) > 1 else 0.0
    freeze = max(_FREEZE, _UNUSUAL * usual)
    for one, following in pairwise(new) if not _listed(mutant) else ():
        lost = [
            run
            for run in runs(~seen, truth)
            if 0 <= shows[one] < run[0] and run[1] < shows[following]
        ]
        if lost and look.t[following] - look.t[one] >= freeze:
            finds.append(Find("hole", _said(truth, *lost[0])))
    ends = [run for run in runs(~seen, truth) if run[1] == len(seen) - 1]
    ended = float(look.t[-1]) + step
    if ends and not mutant.sound and evidence.claimed - ended >= _FREEZE:
        finds.append(Find("tail", f"{_said(truth, *ends[0])}; claimed {evidence.claimed:.2f} s"))
    if mutant.keeps_time and (squeezed := _squeezed(shows, look.t, step)) is not None:
        finds.append(Find("squeezed", f"{truth.seed.name}: a second from {squeezed:.2f} s"))
    return finds


def _listed(mutant: Mutant) -> bool:
    """Whether all its samples are in the index of an MP4."""
    return mutant.suffix in ("mp4", "mov") and b"moof" not in mutant.data


def _squeezed(shows: NDArray[np.intp], t: NDArray[np.float64], step: float) -> float | None:
    """When, in the seed, a second begins that has no time of ours; None: there is none."""
    stretch = round(_STRETCH / step)
    run: list[tuple[int, float]] = []
    for place, when in zip(shows, t, strict=True):
        if place < 0:
            continue
        if run and not 0 <= place - run[-1][0] <= _FREEZE / step:
            run = []
        run.append((int(place), float(when)))
        begun = [(p, w) for p, w in run if run[-1][0] - p >= stretch]
        if begun and when - begun[-1][1] < _SQUEEZED:
            return begun[-1][0] * step
    return None


def runs(marked: NDArray[np.bool_], truth: Truth) -> list[tuple[int, int]]:
    """First and last frame of each stretch of marked ones that is enough."""
    least = 1
    if truth.seed.is_video:
        least = max(_ENOUGH_FRAMES, round(_ENOUGH_SECONDS / truth.seed.step))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], marked.astype(np.int8), [0]))))
    pairs = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    return [(start, stop - 1) for start, stop in pairs if stop - start >= least]


def _said(truth: Truth, first: int, last: int) -> str:
    step = truth.seed.step
    return f"{truth.seed.name} {first * step:.2f}-{(last + 1) * step:.2f} s"


def kinds(finds: Sequence[Find]) -> list[str]:
    return sorted({find.rule for find in finds})
