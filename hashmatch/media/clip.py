"""All that one clip can show, read one after the other as if it were one.

    reader = open_all(openers, limits, incomplete=False)
    for frame in reader:
        frame.t                 # seconds; what is read second goes on where the first one ends

A file may hold several video streams, pictures beside them, and further files behind it; players
differ in which of them they show.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

from hashmatch.media.frame import Frame
from hashmatch.media.limits import Limits
from hashmatch.media.reader import Reader
from hashmatch.media.unseeable import Unseeable
from hashmatch.model import Reason, Sampling

# Opens one of the things that a clip shows, with the time that is left. Raises Unseeable.
Opener = Callable[[Limits], Reader]

# Of a part that ended well, so much has to be seen: else the others would hide what is missing.
_WHOLE = 0.95
_SAMPLINGS = (Sampling.KEYFRAMES, Sampling.REFERENCE, Sampling.EVERY)


def open_all(openers: Sequence[Opener], limits: Limits, *, incomplete: bool) -> Reader:
    """A reader of everything; incomplete: there is more in the clip that cannot be opened.

    Raises Unseeable if nothing can be seen, for the reason of the first of them.
    """
    if len(openers) == 1 and not incomplete:
        return openers[0](limits)
    return ClipReader(openers, limits, incomplete=incomplete)


class ClipReader:
    """Several readers, one at a time. `reader.Reader` says what its attributes mean.

    sampling: the least dense of theirs; codec, container, width, height: those of the first.
    """

    def __init__(
        self,
        openers: Sequence[Opener],
        limits: Limits,
        *,
        incomplete: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._openers = iter(openers)
        self._limits = limits
        self._clock = clock
        self._deadline = clock() + limits.max_seconds
        self._trouble: Reason | None = None
        self._incomplete = incomplete
        self._done: list[Reader] = []
        self._start = 0.0
        self._refused: Unseeable | None = None
        first = self._open_next()
        if first is None:
            raise self._refused or Unseeable(Reason.NO_VIDEO_STREAM, "nothing to show")
        self._now: Reader | None = first
        self.codec, self.container = first.codec, first.container
        self.width, self.height = first.width, first.height

    @property
    def duration(self) -> float | None:
        return sum(_length(reader) for reader in self._readers())

    @property
    def seen(self) -> float:
        return sum(reader.seen for reader in self._readers())

    @property
    def sampling(self) -> Sampling | None:
        taken = [reader.sampling for reader in self._readers() if reader.sampling is not None]
        return min(taken, key=_SAMPLINGS.index, default=None)

    @property
    def trouble(self) -> Reason | None:
        now = None if self._now is None else self._now.trouble
        return self._trouble or now or (Reason.UNKNOWN_PARTS if self._incomplete else None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._now is not None:
            self._now.__exit__(kind, error, trace)

    def __iter__(self) -> Iterator[Frame]:
        while self._now is not None:
            last = self._start
            for frame in self._now:
                frame = replace(frame, t=self._start + frame.t)
                last = frame.t
                yield frame
            self._finish(last)
            self._now = self._open_next()

    def _readers(self) -> Iterator[Reader]:
        yield from self._done
        if self._now is not None:
            yield self._now

    def _finish(self, last: float) -> None:
        """The present one has been read."""
        assert self._now is not None
        reader = self._now
        reader.__exit__(None, None, None)
        self._done.append(reader)
        self._start = max(last, self._start + _length(reader))
        whole = reader.seen >= _WHOLE * _length(reader)
        self._note(reader.trouble or (None if whole else Reason.TRUNCATED))

    def _open_next(self) -> Reader | None:
        """The next that can be opened; None after the last, or when there is no more time."""
        for opener in self._openers:
            left = self._deadline - self._clock()
            if left <= 0:
                self._trouble = Reason.TIME_LIMIT
                return None
            try:
                return opener(replace(self._limits, max_seconds=left))
            except Unseeable as refused:
                self._refused = self._refused or refused
                # A stream without a packet, or a part without video, shows nothing anywhere.
                if refused.reason is not Reason.NO_VIDEO_STREAM:
                    self._note(Reason.UNKNOWN_PARTS)
        return None

    def _note(self, trouble: Reason | None) -> None:
        """The first trouble stands, but for the end of the time: nothing is read after that."""
        if trouble is Reason.TIME_LIMIT:
            self._openers = iter(())
            self._trouble = trouble
        self._trouble = self._trouble or trouble


def _length(reader: Reader) -> float:
    return reader.seen if reader.duration is None else reader.duration
