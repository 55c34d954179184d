"""What one clip may cost while it is read.

limits = Limits(max_pixels=8192 * 8192, max_seconds=600, max_gap_seconds=0.25)
"""

from __future__ import annotations

from dataclasses import dataclass

# Seconds of presentation time that one stream or animation may have: longer than any recording. A file
# that names more is damaged.
LONGEST = 1e5


@dataclass(frozen=True, slots=True)
class Limits:
    """max_pixels: width times height of one frame; max_seconds: wall-clock seconds from opening;
    max_gap_seconds, max_keyframe_gap_seconds: presentation time that the reference sampling, and the
    keyframes alone, may leave out between two frames.
    """

    max_pixels: int
    max_seconds: float
    max_gap_seconds: float
    max_keyframe_gap_seconds: float = 5.0
