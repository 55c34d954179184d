"""One clip by one method: what of its original is found, what else is, and what it costs.

    measured = by_hashmatch(looker, clip, Sampling.REFERENCE, listed, scenes)
    measured.hit, measured.found_by_frame, measured.of, measured.false_alarms

`of` are the original's listed frames that are in the edit at all: no method can find the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hashmatch.config import Settings
from hashmatch.matching.policy import conclusive
from hashmatch.model import Sampling
from recall import frames
from recall.edits import EditedClip
from recall.listing import DISTANCE, USUAL_SHARE, TimedHashes, by_vpdq
from recall.looking import Looker, cpu_seconds
from recall.scenes import Relation, Scenes

VPDQ = "vpdq"
METHODS = (VPDQ, *Sampling)
# What counts as a false alarm, and is counted apart.
STRANGERS = (Relation.UNRELATED, Relation.SAME_ROOM)


@dataclass(frozen=True)
class Measured:
    """One row of the results.

    listed: whether the original is listed at all; hit: its entry is found; sure: by a rule that asks
    for more (vPDQ's usual 80 % of the clip's frames; hashmatch: enough to be `matched` and not for
    review). of: listed frames that are in the clip; found_by_frame, found_in_sequence: of those.
    false_alarms: listed videos found that are not in it, by relation; false_sequences: the same by
    sequences of frames alone; compared: videos there were to be found wrongly.
    """

    clip: str
    source: str
    edit: str
    method: str
    listed: bool
    hit: bool
    sure: bool
    of: int
    found_by_frame: int
    found_in_sequence: int
    false_alarms: Mapping[str, int]
    false_sequences: Mapping[str, int]
    compared: Mapping[str, int]
    cpu_seconds: float


def vpdq(clip: EditedClip, listed: Sequence[TimedHashes], scenes: Scenes) -> Measured:
    before = cpu_seconds()
    query = by_vpdq(clip.path).good()
    spent = cpu_seconds() - before
    found, sure = set(), False
    for video in listed:
        near = (frames.distances(query, video) <= DISTANCE).any(axis=(1, 2))
        if near.any():
            found.add(video.name)
        if video.name == clip.source.stem and len(query):
            sure = bool(near.mean() >= USUAL_SHARE)
    return _measured(VPDQ, clip, query, listed, scenes, found, sure, spent)


def hashmatch(
    looker: Looker,
    clip: EditedClip,
    sampling: Sampling,
    listed: Sequence[TimedHashes],
    scenes: Scenes,
    settings: Settings,
) -> tuple[Measured, TimedHashes]:
    """The row, and the clip's frames, those of poor quality among them."""
    look = looker.look(clip.path, sampling)
    found = {match.entry for match in look.matches}
    least = settings.match.min_frames
    sure = any(m.entry == clip.source.stem and conclusive(m, least) for m in look.matches)
    good = look.frames.good()
    row = _measured(sampling.value, clip, good, listed, scenes, found, sure, look.cpu_seconds)
    return row, look.frames


def _measured(
    method: str,
    clip: EditedClip,
    query: TimedHashes,
    listed: Sequence[TimedHashes],
    scenes: Scenes,
    found: set[str],
    sure: bool,
    spent: float,
) -> Measured:
    own = clip.source.stem
    relations = {video.name: scenes.relation(own, video.name) for video in listed}
    of, alone, together = 0, 0, 0
    sequences = set()
    for video in listed:
        between = frames.distances(query, video)
        line = frames.in_sequence(between, query, video, frames.SEQUENCE_DISTANCE)
        if line.any():
            sequences.add(video.name)
        if video.name == own:
            there = frames.in_clip(video, clip.pieces)
            of = int(there.sum())
            alone = int((frames.by_frame(between, DISTANCE) & there).sum())
            together = int((line & there).sum())
    return Measured(
        clip.path.name,
        own,
        clip.edit.name,
        method,
        own in relations,
        own in found,
        sure,
        of,
        alone,
        together,
        _strangers(relations, found),
        _strangers(relations, sequences),
        _strangers(relations, relations),
        spent,
    )


def _strangers(relations: Mapping[str, Relation], names: Iterable[str]) -> dict[str, int]:
    counts = Counter(relations[name] for name in names)
    return {relation.value: counts[relation] for relation in STRANGERS}


def share(found: int, of: int) -> float:
    return found / of if of else float(np.nan)
