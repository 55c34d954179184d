"""What a scanner goes by: the settings of decoding and matching, and no secret.

    config = ScanConfig.of(settings)

Where clips are, with the credentials that reading them takes, is the store's that a scanner is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hashmatch.config import Decode, Settings
from hashmatch.config.sections import Matching


@dataclass(frozen=True, slots=True)
class ScanConfig:
    """max_bytes: of one clip; rendition_height: the least, in pixels, of the rendition to be decoded;
    spool: the folder in which clips lie while they are looked at."""

    decode: Decode
    match: Matching
    max_bytes: int
    rendition_height: int
    spool: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        clips = settings.clips
        spool = settings.path(settings.run.state) / "spool"
        return cls(settings.decode, settings.match, clips.max_bytes, clips.rendition_height, spool)
