"""The canary: a drawn clip and its entry, which every worker must match at both ends of every run.

It goes the way of every clip (spool, decode, hash, index, segments), so whatever blinds the scanner
blinds it to the canary too. `scripts/draw_canary` made the clip, and another implementation its hashes.
"""

from __future__ import annotations

import hashlib
import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from hashmatch.clips.spool import Spooled
from hashmatch.hashing.recipes import recipe
from hashmatch.matching.list_input import ActiveList
from hashmatch.model import (
    Action,
    Algorithm,
    Digests,
    Entry,
    EntryHash,
    FrameHashes,
    Match,
    MatchKind,
    Media,
    Variant,
)
from hashmatch.scanning.local_file import spooled

LIST = "hashmatch-canary"
_HERE = files("hashmatch.scanning")
_MAX_BYTES = 1 << 20


def active_list() -> ActiveList:
    """The list that is always active. It only logs: a clip that is a copy of the canary is a clip."""
    known = (_HERE / "canary.json").read_bytes()
    origin = hashlib.sha256(known).hexdigest()
    return ActiveList(LIST, version=1, action=Action.LOG, entries=_entries(), origin=origin)


def clip(folder: Path) -> Spooled:
    """The canary's clip, spooled into `folder`."""
    with as_file(_HERE / "canary.mp4") as path:
        return spooled(path, folder, _MAX_BYTES)


def stored(distance: int) -> tuple[Digests, FrameHashes]:
    """The canary as it might be stored, each hash as many bits from its entry's as may be."""
    known = _known()
    bits = np.array([list(bytes.fromhex(frame["pdq"])) for frame in known["frames"]], np.uint8)
    turned = np.packbits(np.arange(Algorithm.PDQ.bits) < distance)
    hashes = FrameHashes(
        recipe=recipe(Algorithm.PDQ),
        algorithm=Algorithm.PDQ,
        t=np.array([frame["t"] for frame in known["frames"]], np.float64),
        quality=np.array([frame["quality"] for frame in known["frames"]], np.uint8),
        bits=(bits ^ turned)[:, np.newaxis],
        variants=(Variant.ORIGINAL,),
    )
    return Digests("", "", known["sha256"]), hashes


def _known() -> Any:
    return json.loads((_HERE / "canary.json").read_text("utf-8"))


def _entries() -> list[Entry]:
    known = _known()
    frames = tuple(
        EntryHash(Algorithm.PDQ, bytes.fromhex(frame["pdq"]), frame["t"], frame["quality"])
        for frame in known["frames"]
    )
    digest = EntryHash(Algorithm.SHA256, bytes.fromhex(known["sha256"]))
    return [
        Entry("canary-frames", Media.VIDEO, frames),
        Entry("canary-file", Media.FILE, (digest,)),
    ]


def problem(matches: tuple[Match, ...]) -> str | None:
    """None if the canary's frames and its digest were both matched; else what was not seen."""
    kinds = {match.kind for match in matches if match.list == LIST}
    if MatchKind.FILE not in kinds:
        return "its digest did not match"
    if not kinds & {MatchKind.FRAMES, MatchKind.SEQUENCE}:
        return "none of its frames matched"
    return None
