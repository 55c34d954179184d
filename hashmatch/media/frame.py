"""A decoded picture with its presentation time.

for frame in reader:
    pdq(frame.luma, full_range=frame.full_range)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """t: seconds from the start of the video stream, never decreasing within a clip.

    luma: (height, width) uint8, turned as the file says it is to be shown. It may be a view of the
    decoder's own memory with padded lines: read it, do not write it. full_range: whether black to
    white is 0..255, or 16..235 as in most video. picture: makes the same frame in colour.
    """

    t: float
    luma: NDArray[np.uint8]
    full_range: bool
    picture: Callable[[], Image]

    def image(self) -> Image:
        """The frame as an RGB picture, converted when asked for."""
        return self.picture()
