"""Frame hashes of edited clips and of listed videos, with the truth about them, for fitting models.

    for pair in read(Path("pairs.npz")):
        pair.clip.t, pair.listed.t, pair.relation, pair.pieces

One clip is stored once, however many listed videos it is paired with.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from recall.edits import EditedClip, Piece
from recall.listing import TimedHashes
from recall.scenes import Relation, Scenes

Seen = tuple[EditedClip, TimedHashes]

_PARTS = ("t", "quality", "bits")


@dataclass(frozen=True, eq=False)
class Pair:
    """An edited clip and a listed video.

    clip: all frames, in all variants, whatever their quality; listed: in one variant. pieces,
    mirrored: how the listed video is in the clip; of meaning for Relation.OWN only.
    """

    source: str
    edit: str
    clip: TimedHashes
    listed: TimedHashes
    relation: Relation
    pieces: tuple[Piece, ...]
    mirrored: bool


def write(file: Path, clips: Iterable[Seen], listed: Sequence[TimedHashes], scenes: Scenes) -> None:
    arrays, described = {}, []
    for edited, frames in clips:
        arrays |= {f"clip/{frames.name}/{part}": getattr(frames, part) for part in _PARTS}
        described.append(
            {
                "clip": frames.name,
                "source": edited.source.stem,
                "edit": edited.edit.name,
                "mirrored": edited.edit.mirrored,
                "pieces": [asdict(piece) for piece in edited.pieces],
            }
        )
    names = []
    for video in listed:
        arrays |= {f"listed/{video.name}/{part}": getattr(video, part) for part in _PARTS}
        names.append(video.name)
    sources = {one["source"] for one in described}
    related = [[one, name, scenes.relation(one, name)] for one in sources for name in names]
    meta = json.dumps({"clips": described, "listed": names, "relations": related})
    np.savez_compressed(file, meta=np.array(meta), **arrays)


def read(file: Path) -> Iterator[Pair]:
    with np.load(file) as stored:
        meta = json.loads(str(stored["meta"]))
        relations = {(clip, name): Relation(relation) for clip, name, relation in meta["relations"]}

        def hashes(kind: str, name: str) -> TimedHashes:
            return TimedHashes(name, *(stored[f"{kind}/{name}/{part}"] for part in _PARTS))

        listed = [hashes("listed", name) for name in meta["listed"]]
        for one in meta["clips"]:
            clip = hashes("clip", one["clip"])
            pieces = tuple(Piece(**piece) for piece in one["pieces"])
            for video in listed:
                yield Pair(
                    one["source"],
                    one["edit"],
                    clip,
                    video,
                    relations[one["source"], video.name],
                    pieces,
                    one["mirrored"],
                )
