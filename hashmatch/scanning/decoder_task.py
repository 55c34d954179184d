"""The task that runs inside the sandbox: a clip's bytes in, its frame hashes out, in batches.

    for header, packed in hash_frames(file, {"algorithms": ["pdq"], "sampling": "every", ...}):
        header["kind"]        # 'batch', 'batch', 'cut', 'end', or once 'unseeable'

Everything that decodes or hashes is imported here, at the top: once a clip is being read the
process can open no file, so it can import nothing either. `decoder_output` is the other side.
"""

from __future__ import annotations

import importlib
import pkgutil
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
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
from hashmatch.media import streams  # noqa: F401 - `open_media` imports it when it is called
from hashmatch.media.frame import Frame
from hashmatch.media.limits import Limits
from hashmatch.media.reader import Reader, open_media
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Algorithm, FrameHashes, Orientations, Reason, Sampling, Variant
from hashmatch.scanning.cropping import ClipBars, Message, cut_again, hashed, inside

# A batch goes out when it has this many frames or is this old: a crash loses no more than that.
_BATCH_FRAMES = 256
_BATCH_SECONDS = 1.0


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


def hash_frames(file: BinaryIO, request: dict[str, Any]) -> Iterator[Message]:
    """Messages by kind; `progress` is {"duration", "seen", "sampling", "trouble"} so far.

    batch: {"progress"} and frame hashes of one algorithm, packed, each frame with its PDQ quality
    whatever the algorithm; cut: {"first"} and the inner variants, packed, of as many frames that were
    told before, from that number on, in the place of what was told; end: {"progress", "hashed"}, the
    last one; unseeable: {"reason"}, the only one.
    """
    limits = Limits(**request["limits"])
    sampling = Sampling(request["sampling"])
    started = time.monotonic()
    try:
        reader = open_media(file, sampling, limits)
    except Unseeable as unseeable:
        yield {"kind": "unseeable", "reason": unseeable.reason}, b""
        return
    orientations = Orientations(request["orientations"])
    bars = ClipBars()
    with reader:
        batch = _Batch(frozenset(Algorithm(name) for name in request["algorithms"]), orientations)
        for frame in islice(reader, request.get("first")):
            batch.add(frame, bars)
            if batch.due:
                yield from batch.messages(reader)
        yield from batch.messages(reader)
        progress = _progress(reader)
    if progress["trouble"] != Reason.TIME_LIMIT and (corrections := bars.corrections()):
        left = limits.max_seconds - (time.monotonic() - started)
        file.seek(0)
        whole = yield from cut_again(
            lambda: open_media(file, sampling, replace(limits, max_seconds=left)),
            corrections,
            orientations,
        )
        if not whole and progress["trouble"] is None:
            progress["trouble"] = Reason.TIME_LIMIT
    yield {"kind": "end", "progress": progress, "hashed": len(bars)}, b""


class _Batch:
    """Frames hashed and not yet sent."""

    def __init__(self, algorithms: frozenset[Algorithm], orientations: Orientations) -> None:
        self._others = sorted(algorithms - {Algorithm.PDQ})
        self._orientations = orientations
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

    def add(self, frame: Frame, bars: ClipBars) -> None:
        """Hash a frame, unless it is too small for that."""
        try:
            whole = hashed(frame.luma, frame.full_range, self._orientations)
        except FrameTooSmall:
            return
        box = bars.look(frame.luma, whole.quality)
        self._t.append(frame.t)
        self._quality.append(whole.quality)
        inner = inside(frame, box, self._orientations)
        self._bits[Algorithm.PDQ].append(
            np.concatenate([whole.bits, whole.bits if inner is None else inner])
        )
        if self._others:
            image = frame.image()
            for algorithm in self._others:
                self._bits[algorithm].append(image_hash(algorithm, image)[np.newaxis])

    def messages(self, reader: Reader) -> Iterator[Message]:
        if not self._t:
            return
        t, quality = np.array(self._t, np.float64), np.array(self._quality, np.uint8)
        for algorithm, rows in self._bits.items():
            pdq_variants = self._orientations.variants
            variants = pdq_variants if algorithm is Algorithm.PDQ else (Variant.ORIGINAL,)
            hashes = FrameHashes(
                recipe(algorithm), algorithm, t, quality, np.array(rows, np.uint8), variants
            )
            yield {"kind": "batch", "progress": _progress(reader)}, pack(hashes)
        self._clear()


def _progress(reader: Reader) -> dict[str, Any]:
    return {
        "duration": reader.duration,
        "seen": reader.seen,
        "sampling": reader.sampling,
        "trouble": reader.trouble,
    }
