"""A second opinion on decoding: OpenCV, which brings an FFmpeg of its own, over a clip we trust.

Hashes of frames that PyAV and OpenCV decode must agree. A build of either that turns pixels, mistakes
colour ranges or reads padding as picture shows here, and nowhere in a test that uses one of them.
Never for clips from outside: OpenCV's reader runs in this process, unconfined, and knows no PTS.
"""

from __future__ import annotations

from typing import BinaryIO

import cv2
import numpy as np
from numpy.typing import NDArray

from hashmatch.errors import CanaryFailed
from hashmatch.hashing.pdq import pdq, pdq_rgb
from hashmatch.media.limits import Limits
from hashmatch.media.reader import open_media
from hashmatch.model import Sampling

# From luma, and from the RGB that OpenCV makes of it: rounding may move a few bits.
MOST_BITS_APART = 10


def compare(file: BinaryIO) -> int:
    """The most bits that two hashes of the same frame are apart. Raises CanaryFailed."""
    limits = Limits(max_pixels=1 << 22, max_seconds=60, max_gap_seconds=0.25)
    with open_media(file, Sampling.EVERY, limits) as reader:
        ours = [pdq(frame.luma, full_range=frame.full_range).bits[0] for frame in reader]
    theirs = [pdq_rgb(picture).bits[0] for picture in _second_decoder(file)]
    if len(ours) != len(theirs):
        problem = f"one decoder gives {len(ours)} frames of it, the other {len(theirs)}"
        raise CanaryFailed(when="doctor's examination", problem=problem)
    apart = max(int(np.bitwise_count(a ^ b).sum()) for a, b in zip(ours, theirs, strict=True))
    if apart > MOST_BITS_APART:
        problem = f"two decoders see frames of it that are {apart} bits apart"
        raise CanaryFailed(when="doctor's examination", problem=problem)
    return apart


def _second_decoder(file: BinaryIO) -> list[NDArray[np.uint8]]:
    """Every frame as RGB (height, width, 3)."""
    capture = cv2.VideoCapture(f"/proc/self/fd/{file.fileno()}")
    pictures: list[NDArray[np.uint8]] = []
    try:
        while True:
            more, picture = capture.read()
            if not more:
                return pictures
            pictures.append(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8))
    finally:
        capture.release()
