"""Which videos show the same: a match between them is no false alarm.

    scenes = Scenes.read(Path("scenes.json"))     # or Scenes() for the public test videos alone
    scenes.relation("chair-22-sd-grey-bar", "chair-19-sd-bar")      # Relation.SAME_RECORDING

A JSON file adds groups of names without suffix, which may have wildcards:

    {"recordings": [["holiday", "holiday-*"]],    one take, whatever was done to it: copies of each other
     "rooms": [["street-a", "street-b"]],         one camera, person and background at different moments
     "scenes": [["park-*"]]}                      alike in a way that is not known: counted nowhere

A name in no group shows what no other shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from itertools import chain
from pathlib import Path

Groups = tuple[tuple[str, ...], ...]

# By their published hashes: frame n of chair-19 is frame n + 111 of chair-orig-22, and n of chair-20 is
# n + 60, within 8 bits over 562 and 613 frames; pattern-longer is pattern-hd with a frame before it,
# within 12. pattern-sd-* keep pattern-hd's time at 60 to 112 bits, another crop or camera.
_RECORDINGS: Groups = (
    ("chair-*",),
    ("pattern-hd-*", "pattern-longer-*"),
    ("pattern-sd-*",),
)
_SCENES: Groups = (("pattern-*",),)


class Relation(StrEnum):
    """Of an edited clip to a listed video."""

    OWN = "own"
    SAME_RECORDING = "same recording"
    SAME_SCENE = "same scene"
    SAME_ROOM = "same room"
    UNRELATED = "unrelated"


class ScenesUnreadable(Exception):
    """The file of scenes is not what it should be."""


@dataclass(frozen=True)
class Scenes:
    recordings: Groups = _RECORDINGS
    rooms: Groups = ()
    scenes: Groups = _SCENES

    @classmethod
    def read(cls, file: Path) -> Scenes:
        """Raises ScenesUnreadable."""
        try:
            given = json.loads(file.read_text("utf-8"))
            if not isinstance(given, dict) or given.keys() - {"recordings", "rooms", "scenes"}:
                raise ValueError("it has other keys than recordings, rooms and scenes")
            groups = {kind: tuple(_group(one) for one in some) for kind, some in given.items()}
        except (OSError, ValueError, TypeError) as error:
            raise ScenesUnreadable(f"{file}: {error}") from error
        return cls(
            _RECORDINGS + groups.get("recordings", ()),
            groups.get("rooms", ()),
            _SCENES + groups.get("scenes", ()),
        )

    def with_rooms(self, rooms: Iterable[Iterable[str]]) -> Scenes:
        """With these groups of names as rooms too."""
        more = tuple(tuple(names) for names in rooms)
        return Scenes(self.recordings, self.rooms + more, self.scenes)

    def relation(self, clip: str, listed: str) -> Relation:
        """clip: the name of the video that was edited."""
        if clip == listed:
            return Relation.OWN
        for relation, groups in (
            (Relation.SAME_RECORDING, self.recordings),
            (Relation.SAME_ROOM, self.rooms),
            (Relation.SAME_SCENE, self.scenes),
        ):
            if any(_among(clip, group) and _among(listed, group) for group in groups):
                return relation
        return Relation.UNRELATED

    def unknown(self, names: Iterable[str]) -> list[str]:
        """Patterns that fit none of the names, those of the public test videos left out."""
        known = set(chain.from_iterable(_RECORDINGS + _SCENES))
        patterns = chain.from_iterable(self.recordings + self.rooms + self.scenes)
        names = list(names)
        return [p for p in patterns if p not in known and not any(fnmatchcase(n, p) for n in names)]


def _group(names: object) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"a group is a list of names: {names!r}")
    return tuple(names)


def _among(name: str, group: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in group)
