"""Where a RIFF file (WebP, AVI) ends, by the length at its start.

    end, whole = extent(file, 0, size)

An AVI of more than a gibibyte goes on in further RIFF chunks (OpenDML). A writer that was stopped
leaves the length at nought.
Source: Microsoft, Multimedia Programming Interface and Data Specifications 1.0; Matrox, OpenDML AVI
File Format Extensions 1.02.
"""

from __future__ import annotations

from typing import BinaryIO

from hashmatch.media.structure.window import read_at


def extent(file: BinaryIO, start: int, size: int) -> tuple[int, bool]:
    """The first byte behind what begins at `start`, and whether the file reaches to there.

    Without a length, all of the file is taken for it.
    """
    at = start
    while True:
        length = int.from_bytes(read_at(file, at + 4, 4), "little")
        end = at + 8 + length + length % 2
        if not length or at + 8 + length > size:
            return size, not length
        at = min(end, size)
        following = read_at(file, at, 12)
        if not (following[:4] == b"RIFF" and following[8:] == b"AVIX"):
            return at, True
