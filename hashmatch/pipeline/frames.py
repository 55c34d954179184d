"""The task that runs inside the sandbox: a clip's bytes in, its frame hashes out, in batches.

    for header, packed in hash_frames(file, {"algorithms": ["pdq"], "sampling": "every", ...}):
        header["kind"]        # 'batch', 'batch', 'end', or once 'unseeable'

Everything that decodes or hashes is imported here, at the top: once a clip is being read the
process can open no file, so it can import nothing either. `testimony` is the other side.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hashmatch.errors import FrameTooSmall
from hashmatch.hashing import borders, pdq
from hashmatch.hashing.imagehashes import image_hash
from hashmatch.hashing.packing import pack
from hashmatch.hashing.recipes import recipe
from hashmatch.media import still, video  # noqa: F401 - `open_media` imports them when it is called
from hashmatch.media.frame import Frame
from hashmatch.media.limits import Limits
from hashmatch.media.reader import Reader, open_media
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import VARIANTS, Algorithm, FrameHashes, Sampling

# A batch goes out when it has this many frames or is this old: a crash loses no more than that.
_BATCH_FRAMES = 256
_BATCH_SECONDS = 1.0

# PDQ's own advice: a hash of less quality says nothing. The frame's quality is that of the whole.
_LEAST_QUALITY_INSIDE = 50

_Message = tuple[dict[str, Any], bytes]


def warm() -> None:
    """Load what loads itself at first use: kernels, codecs, and the imports within functions."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    pdq.warm()
    borders.warm()
    Image.init()
    picture = Image.new("RGB", (64, 64))
    for algorithm in (Algorithm.PHASH, Algorithm.DHASH, Algorithm.WHASH):
        image_hash(algorithm, picture)
    for algorithm in Algorithm:
        recipe(algorithm)


def hash_frames(file: BinaryIO, request: dict[str, Any]) -> Iterator[_Message]:
    """Messages by kind; `progress` is {"duration", "seen", "sampling", "trouble"} so far.

    batch: {"progress"} and frame hashes of one algorithm, packed, each frame with its PDQ quality
    whatever the algorithm; end: {"progress", "hashed"}, the last one; unseeable:
    {"reason"}, the only one.
    """
    limits = Limits(**request["limits"])
    try:
        reader = open_media(file, Sampling(request["sampling"]), limits)
    except Unseeable as unseeable:
        yield {"kind": "unseeable", "reason": unseeable.reason}, b""
        return
    hashed = 0
    with reader:
        batch = _Batch(frozenset(Algorithm(name) for name in request["algorithms"]))
        for frame in reader:
            hashed += batch.add(frame)
            if batch.due:
                yield from batch.messages(reader)
        yield from batch.messages(reader)
        yield {"kind": "end", "progress": _progress(reader), "hashed": hashed}, b""


class _Batch:
    """Frames hashed and not yet sent."""

    def __init__(self, algorithms: frozenset[Algorithm]) -> None:
        self._others = sorted(algorithms - {Algorithm.PDQ})
        self._clear()

    def _clear(self) -> None:
        self._since = time.monotonic()
        self._t: list[float] = []
        self._quality: list[int] = []
        self._bits: dict[Algorithm, list[NDArray[np.uint8]]] = {
            algorithm: [] for algorithm in (Algorithm.PDQ, *self._others)
        }

    @property
    def due(self) -> bool:
        return len(self._t) >= _BATCH_FRAMES or time.monotonic() - self._since >= _BATCH_SECONDS

    def add(self, frame: Frame) -> bool:
        """Whether the frame is large enough to be hashed."""
        try:
            whole = pdq.pdq(frame.luma, full_range=frame.full_range)
        except FrameTooSmall:
            return False
        self._t.append(frame.t)
        self._quality.append(whole.quality)
        inner = _without_bars(frame) or whole
        self._bits[Algorithm.PDQ].append(np.concatenate([whole.bits, inner.bits]))
        if self._others:
            image = frame.image()
            for algorithm in self._others:
                self._bits[algorithm].append(image_hash(algorithm, image)[np.newaxis])
        return True

    def messages(self, reader: Reader) -> Iterator[_Message]:
        if not self._t:
            return
        t, quality = np.array(self._t, np.float64), np.array(self._quality, np.uint8)
        for algorithm, rows in self._bits.items():
            variants = len(VARIANTS) if algorithm is Algorithm.PDQ else 1
            bits = np.array(rows, np.uint8).reshape(len(t), variants, algorithm.bits // 8)
            hashes = FrameHashes(recipe(algorithm), algorithm, t, quality, bits)
            yield {"kind": "batch", "progress": _progress(reader)}, pack(hashes)
        self._clear()


def _without_bars(frame: Frame) -> pdq.PdqHash | None:
    """The hash of the picture inside its bars; None where there are none, or nothing to see inside."""
    box = borders.inner(frame.luma)
    if box is None:
        return None
    top, bottom, left, right = box
    try:
        inside = pdq.pdq(frame.luma[top:bottom, left:right], full_range=frame.full_range)
    except FrameTooSmall:
        return None
    return inside if inside.quality >= _LEAST_QUALITY_INSIDE else None


def _progress(reader: Reader) -> dict[str, Any]:
    return {
        "duration": reader.duration,
        "seen": reader.seen,
        "sampling": reader.sampling,
        "trouble": reader.trouble,
    }
