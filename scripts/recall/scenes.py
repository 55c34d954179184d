"""Which videos show the same: a match between them is no false alarm.

    scenes = Scenes.read(Path("scenes.json"))     # or Scenes() for the rule of names
    scenes.relation("chair-22-sd-grey-bar", "chair-19-sd-bar")      # Relation.SAME_ROOM

A scene is a place or thing that was filmed, a recording one take of it, whatever was done to it later.
By its name a video is of the scene of its first word, and of the recording of that and its first
number: chair-orig-22-sd and chair-22-sepia are one recording, chair-19-sd is another of the same chair.
Names without letters stand for themselves. A JSON file may say otherwise, for the names in it:
{"NAME": {"scene": "chair", "recording": "22"}}, names without suffix.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Relation(StrEnum):
    """Of an edited clip to a listed video."""

    OWN = "own"
    SAME_RECORDING = "same recording"
    SAME_ROOM = "same room"
    UNRELATED = "unrelated"


@dataclass(frozen=True)
class Scenes:
    given: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Scenes:
        return cls(json.loads(file.read_text("utf-8")))

    def of(self, name: str) -> tuple[str, str]:
        """Scene and recording of a video, given its name without suffix."""
        word, number = re.match(r"[^\W\d_]*", name), re.search(r"\d+", name)
        scene = word[0].lower() if word and word[0] else name
        recording = number[0] if number else ""
        if scene == "drawn":
            scene = name
        given = self.given.get(name, {})
        return given.get("scene", scene), given.get("recording", recording)

    def relation(self, clip: str, listed: str) -> Relation:
        """clip: the name of the video that was edited."""
        if clip == listed:
            return Relation.OWN
        (scene, recording), (other, take) = self.of(clip), self.of(listed)
        if scene != other:
            return Relation.UNRELATED
        return Relation.SAME_RECORDING if recording == take else Relation.SAME_ROOM
