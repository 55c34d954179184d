"""One clip by one method: what of its original is found, what else is, and what it costs.

    row = measuring.hashmatch(looker, clip, Sampling.REFERENCE, listed, scenes).row
    row.outcome, row.share, row.others

`of` are the original's listed frames that are in the edit at all: no method can find the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hashmatch.matching.alignment import LEAST_PAIRS
from hashmatch.model import Match, Outcome, Sampling
from recall import frames
from recall.listing import DISTANCE, USUAL_SHARE, Reference, TimedHashes
from recall.looking import Looker
from recall.scenes import Relation, Scenes
from recall.subjects import Clip
from recall.unrelated import Unrelated

VPDQ = "vpdq"
METHODS = (VPDQ, *(sampling.value for sampling in Sampling))


@dataclass(frozen=True)
class Others:
    """Listed videos of one relation to the clip: how many, and those that were found in it."""

    compared: int
    matched: tuple[str, ...]
    review: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """One row of the results.

    outcome: as if the original were all that is listed (vPDQ: `matched` by its usual 80 % of the clip's
    frames, `review` by a single frame); of: listed frames that are in the clip; share: of those, found;
    near: of those, with a frame of the clip within the distance, by plain NumPy; at_instants: of
    `frames`, for each listed frame; copy: decades of evidence; frames: looked at, good ones; others: by
    relation; earlier: the cost was measured in another run.
    """

    clip: str
    source: str
    kind: str
    edit: str
    method: str
    outcome: str
    listed: int
    of: int
    share: float
    near: int
    at_instants: tuple[int | None, ...]
    copy: float | None
    frames: int
    others: dict[str, Others]
    cpu_seconds: float
    earlier: bool = False

    @property
    def found(self) -> bool:
        return self.outcome in (Outcome.MATCHED, Outcome.REVIEW)

    @property
    def matched(self) -> bool:
        return self.outcome == Outcome.MATCHED


@dataclass(frozen=True, eq=False)
class Result:
    """hashes: of the clip's frames, those of poor quality among them."""

    row: Measured
    hashes: TimedHashes


def vpdq(
    reference: Reference, clip: Clip, listed: Sequence[TimedHashes], scenes: Scenes
) -> Measured:
    """Raises VpdqUnable."""
    look = reference.look(clip.edited.path)
    query = look.frames.good()
    review, matched = set(), set()
    for video in listed:
        near = (frames.distances(query, video) <= DISTANCE).any(axis=(1, 2))
        if near.any():
            (matched if near.mean() >= USUAL_SHARE else review).add(video.name)
    own = clip.edited.source.stem
    outcome = Outcome.CLEAN
    if own in matched | review:
        outcome = Outcome.MATCHED if own in matched else Outcome.REVIEW
    return _measured(VPDQ, clip, query, listed, scenes, outcome, None, matched, review,
                     look.cpu_seconds, look.earlier)  # fmt: skip


def hashmatch(
    looker: Looker,
    clip: Clip,
    sampling: Sampling,
    listed: Sequence[TimedHashes],
    scenes: Scenes,
    unrelated: Unrelated | None = None,
) -> Result:
    """unrelated: where to count distances to videos that are."""
    look = looker.look(clip.edited.path, sampling)
    own = next((m for m in look.matches if m.entry == clip.edited.source.stem), None)
    outcome = looker.outcome(look, [] if own is None else [own])
    matched = {match.entry for match in look.matches if looker.sure(match)}
    review = {match.entry for match in look.matches} - matched
    good = look.frames.good()
    row = _measured(sampling.value, clip, good, listed, scenes, outcome, own, matched, review,
                    look.cpu_seconds, earlier=False, unrelated=unrelated)  # fmt: skip
    return Result(row, look.frames)


def _measured(
    method: str,
    clip: Clip,
    query: TimedHashes,
    listed: Sequence[TimedHashes],
    scenes: Scenes,
    outcome: Outcome,
    match: Match | None,
    matched: set[str],
    review: set[str],
    spent: float,
    earlier: bool,
    unrelated: Unrelated | None = None,
) -> Measured:
    edited = clip.edited
    relations = {video.name: scenes.relation(edited.source.stem, video.name) for video in listed}
    of, near, count = 0, 0, 0
    instants: list[int | None] = []
    for video in listed:
        relation = relations[video.name]
        if relation is Relation.OWN:
            between = frames.distances(query, video)
            there = frames.in_clip(video, edited.pieces)
            count, of = len(video), int(there.sum())
            near = int((frames.by_frame(between, DISTANCE) & there).sum())
            instants = frames.at_instants(between, query, video, edited.pieces)
        elif relation is Relation.UNRELATED and unrelated is not None:
            unrelated.add(frames.distances(query, video))
    # Entries of fewer frames than make a segment are not aligned, and `Match` counts none of them.
    found = near if match is None or match.listed < LEAST_PAIRS else match.found
    if method != VPDQ and match is None:
        found = 0
    return Measured(
        edited.path.name,
        edited.source.stem,
        clip.kind.value,
        edited.edit.name,
        method,
        outcome.value,
        count,
        of,
        min(1.0, found / of) if of else 0.0,
        near,
        tuple(instants),
        None if match is None else match.copy,
        len(query),
        {
            relation.value: _others(
                [name for name, r in relations.items() if r is relation], matched, review
            )
            for relation in Relation
            if relation is not Relation.OWN
        },
        spent,
        earlier,
    )


def _others(names: Iterable[str], matched: set[str], review: set[str]) -> Others:
    names = list(names)
    return Others(
        len(names),
        tuple(name for name in names if name in matched),
        tuple(name for name in names if name in review),
    )
