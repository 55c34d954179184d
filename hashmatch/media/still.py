"""Pictures by Pillow: one frame, or the timed frames of an animation.

    with StillReader(file, "GIF", limits) as reader:
        for frame in reader:
            print(frame.t, frame.luma.shape)

A damaged picture is given as far as it can be read, as browsers show it, and does not count as seen.

Some pictures can be read in two ways, and each gives a frame at the same time: first as the
reference implementations read them (transparency dropped, 16-bit grey cut off at 255, both by
Pillow's conversion to RGB), then as a viewer shows them (on white, scaled). Partners' hashes are of
the first, eyes see the second.
"""

from __future__ import annotations

import errno
import struct
import time
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import SEEK_END
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from PIL import Image, ImageFile, PngImagePlugin
from PIL.Image import Transpose

from hashmatch.media.frame import Frame
from hashmatch.media.intact import is_whole
from hashmatch.media.limits import LONGEST, Limits
from hashmatch.media.structure.window import Window
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling

# What Pillow raises for damaged files, depending on the format and on where they are damaged.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    EOFError,
    ArithmeticError,
    RuntimeError,
    struct.error,
    zlib.error,
)

# Pillow warns of odd metadata in words of the file.
warnings.filterwarnings("ignore", module=r"PIL\.")

# Pillow gives up a picture whose texts are larger than this; the decoder's memory is bounded anyway.
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY = 256 * 2**20

# What the operating system says where the file is at fault, and not the disk.
_OF_THE_FILE = frozenset((errno.EINVAL, errno.EOVERFLOW, errno.ESPIPE))

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}

_STILL_SECONDS = 1.0
# Browsers show a frame of 10 ms or less for this long.
_SHORTEST_FRAME, _USUAL_FRAME = 0.0105, 0.1


class StillReader:
    """One picture file. `reader.Reader` says what its attributes mean.

    Raises Unseeable at once if nothing of its first frame can be decoded.
    """

    def __init__(
        self,
        file: BinaryIO,
        format: str,
        limits: Limits,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._deadline = clock() + limits.max_seconds
        self.duration: float | None = None
        self.seen = 0.0
        self.sampling: Sampling | None = Sampling.EVERY
        self.trouble: Reason | None = None
        self.codec = self.container = format.lower()
        self._whole = is_whole(file, format, limits.max_pixels)
        self._file, self._format, self._max_pixels = file, format, limits.max_pixels
        self._image, first = self._open()
        self._first: Image.Image | None = first
        self.width, self.height = first.size

    def _open(self) -> tuple[Image.Image, Image.Image]:
        """The file, and its first frame; of a damaged one what can be read."""
        try:
            return self._opened()
        except _DAMAGE as error:
            _raise_if_of_the_disk(error)
        # A text with a wrong checksum is what Pillow gives up, too, and takes nothing from the picture.
        self._whole = self._whole and self._format == "PNG"
        with _lenient():
            try:
                return self._opened()
            except _DAMAGE as error:
                raise _unseeable(error, Reason.DAMAGED) from None

    def _opened(self) -> tuple[Image.Image, Image.Image]:
        # Pillow closes what it gives up.
        file = Window(self._file, 0, self._file.seek(0, SEEK_END))
        try:
            image = Image.open(file, formats=(self._format,))
        except Image.DecompressionBombError:
            raise Unseeable(Reason.TOO_MANY_PIXELS, "more than Pillow's own limit") from None
        try:
            width, height = image.size
            if width * height > self._max_pixels:
                raise Unseeable(Reason.TOO_MANY_PIXELS, f"{width}x{height}")
            self._turn = _orientation(image)
            return image, self._load(image)
        except BaseException:
            image.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._image.close()

    def __iter__(self) -> Iterator[Frame]:
        if self._first is None:
            return
        picture, self._first = self._first, None
        number = 0
        while True:
            t = self.seen
            self.seen = min(LONGEST, self.seen + _seconds_shown(self._image))
            if picture.size != (self.width, self.height):
                # A GIF's later pictures may go beyond its screen, to which browsers keep.
                yield from _frames(t, picture.crop((0, 0, self.width, self.height)))
            yield from _frames(t, picture)
            number += 1
            # The further pictures of a JPEG (depth, gain map) are never shown.
            if self.codec == "jpeg":
                break
            if self._clock() > self._deadline:
                self.trouble = Reason.TIME_LIMIT
                break
            try:
                self._image.seek(number)
                picture = self._load(self._image)
            except EOFError:
                # Only a GIF does not say at its start how many there are.
                if self.codec != "gif" and number < getattr(self._image, "n_frames", 1):
                    self.trouble = Reason.TRUNCATED
                break
            except Image.DecompressionBombError:
                self.trouble = Reason.TOO_MANY_PIXELS
                break
            except _DAMAGE as error:
                self.trouble = _unseeable(error, Reason.TRUNCATED).reason
                break
        if self.trouble is None and not self._whole:
            self.trouble = Reason.TRUNCATED
        elif self.trouble is None and number == 1:
            self.seen = _STILL_SECONDS
        elif self.trouble is None:
            self.duration = self.seen

    def _load(self, image: Image.Image) -> Image.Image:
        """The present frame, turned as its EXIF data says."""
        image.load()
        picture = image.copy()
        return picture if self._turn is None else picture.transpose(self._turn)


def _frames(t: float, picture: Image.Image) -> Iterator[Frame]:
    for rgb in _readings(picture):
        luma = np.asarray(rgb.convert("L"))
        yield Frame(t, luma, True, rgb.copy)


def _readings(picture: Image.Image) -> Iterator[Image.Image]:
    """The RGB pictures that a file's picture can be taken for: the reference's, then a viewer's."""
    yield picture.convert("RGB")
    if picture.mode.startswith("I;16"):
        yield Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8)).convert("RGB")
    if picture.has_transparency_data:
        whole = picture.convert("RGBA")
        lowest, _ = whole.getchannel("A").getextrema()
        if isinstance(lowest, int) and lowest < 255:
            white = Image.new("RGBA", whole.size, "white")
            yield Image.alpha_composite(white, whole).convert("RGB")


def _orientation(image: Image.Image) -> Transpose | None:
    try:
        value = image.getexif().get(_ORIENTATION_TAG)
    except _DAMAGE:
        # Unreadable EXIF data are as good as none: viewers show such a picture unturned.
        return None
    return _ORIENTATIONS.get(value) if isinstance(value, int) else None


def _seconds_shown(image: Image.Image) -> float:
    milliseconds = image.info.get("duration", 0)
    seconds = float(milliseconds) / 1000
    return seconds if seconds > _SHORTEST_FRAME else _USUAL_FRAME


@contextmanager
def _lenient() -> Iterator[None]:
    """Pillow reads as far as it can. The flag is the library's, and so the whole process's."""
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _raise_if_of_the_disk(error: Exception) -> None:
    if isinstance(error, OSError) and error.errno is not None and error.errno not in _OF_THE_FILE:
        raise error


def _unseeable(error: Exception, reason: Reason) -> Unseeable:
    """What a library's error says of the clip. An error of the disk is not the clip's: raised."""
    _raise_if_of_the_disk(error)
    return Unseeable(reason, type(error).__name__)
