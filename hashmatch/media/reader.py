"""One file in, timed frames out, whatever it holds.

    with open_media(file, Sampling.REFERENCE, limits) as reader:
        for frame in reader:
            ...
    reader.seen, reader.duration, reader.trouble

Runs in the child process of `media.sandbox`: the libraries behind it are given hostile bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, Protocol, Self

from hashmatch.media.frame import Frame
from hashmatch.media.limits import Limits
from hashmatch.media.probe import sniff
from hashmatch.media.ranged import RangedFile
from hashmatch.media.structure.boxes import has_whole_index
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling


class Reader(Protocol):
    """Iterate once; what was seen is known afterwards.

    duration: seconds that the container claims, None where it says nothing (and for a still); seen:
    seconds of presentation time covered by decoded frames, 1.0 for a whole still, so that its
    coverage is 1; sampling: the way really taken, EVERY only if every frame was decoded; trouble:
    why seeing ended early, None if it did not; width, height: of the picture as it is shown.
    """

    @property
    def duration(self) -> float | None: ...
    @property
    def seen(self) -> float: ...
    @property
    def sampling(self) -> Sampling | None: ...
    @property
    def trouble(self) -> Reason | None: ...
    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...
    @property
    def codec(self) -> str: ...
    @property
    def container(self) -> str: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...


def open_media(file: BinaryIO, sampling: Sampling, limits: Limits) -> Reader:
    """A reader of all that the clip in `file` (seekable, not closed here) shows, with at least one
    frame to give.

    Of a `RangedFile` the keyframes are read and nothing between them, if its index tells where they
    are; else it is DAMAGED. Where they are too far apart it is TRUNCATED.

    Raises Unseeable if there is nothing to see. The decoding libraries are loaded here and not
    before.
    """
    from hashmatch.media import streams
    from hashmatch.media.clip import open_all

    if isinstance(file, RangedFile):
        if sniff(file).name != "mov" or not has_whole_index(file):
            raise Unseeable(Reason.DAMAGED, "no index that tells where its keyframes are")
        return streams.only_stream(file, sampling, limits)
    openers, incomplete = streams.shown(file, sampling, limits)
    return open_all(openers, limits, incomplete=incomplete)
