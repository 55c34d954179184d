"""Streams through the age library in constant memory: one thread works, the caller takes.

    class Sealed(AgeStream):
        def work(self, source, sink):
            pyrage.encrypt_io(source, sink, recipients)

    for piece in Sealed(store.read(key, etag)):
        ...

pyrage drops what goes wrong in its very last write (a buffer that is flushed when it is freed), so
nothing relies on its success: errors are kept on both sides of it, and what went through is measured.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_PIECE = 256 * 1024
_PIECES_WAITING = 8


class Measure(NamedTuple):
    """Size in bytes and SHA-256 (lower-case hex) of a stream."""

    size: int
    sha256: str


class Meter:
    """Measures a stream as it passes."""

    def __init__(self) -> None:
        self._size = 0
        self._digest = hashlib.sha256()

    def update(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._digest.update(chunk)

    def result(self) -> Measure:
        return Measure(self._size, self._digest.hexdigest())


def measure(data: bytes) -> Measure:
    meter = Meter()
    meter.update(data)
    return meter.result()


class AgeStream:
    """What `work` makes of `chunks`, to be iterated once.

    Iterating raises whatever the source raises, what `translate` makes of the library's errors, and
    what `check` finds. The error is also kept in `failure`, for a writer that hides it behind one of
    its own. `taken` and `given` measure both sides, and are None until a good end.
    """

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._source = Source(chunks)
        self._pieces = _Handover()
        self.failure: BaseException | None = None
        self.taken: Measure | None = None
        self.given: Measure | None = None

    def work(self, source: Source, sink: Sink) -> None:
        """Read all of the source and write to the sink, by the library's own functions."""
        raise NotImplementedError

    def translate(self, error: BaseException) -> BaseException:
        """What the taker hears of an error of `work`."""
        raise NotImplementedError

    def check(self, taken: Measure, given: Measure, head: bytes) -> None:
        """Raise if what went through is not what it should be. head: the first piece given."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[bytes]:
        thread = threading.Thread(target=self._run, name="age", daemon=True)
        thread.start()
        meter, head = Meter(), b""
        try:
            while (piece := self._pieces.take()) is not None:
                head = head or piece
                meter.update(piece)
                yield piece
            thread.join()
            taken, given = self._source.meter.result(), meter.result()
            failure = self._source.failure or self.failure
            if failure is not None:
                raise failure
            self.check(taken, given, head)
            self.taken, self.given = taken, given
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._pieces.abandon()
            thread.join()

    def _run(self) -> None:
        """The thread: everything that goes wrong is kept for the one who takes the pieces."""
        sink = Sink(self._pieces)
        try:
            self.work(self._source, sink)
            sink.finish()
        except _AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the taker's thread
            self.failure = self.translate(error)
        finally:
            self._pieces.end()


class _AbandonedError(Exception):
    """Nobody takes the sealed bytes any more."""


class _SourceFailedError(Exception):
    """Stands for the source's own error, which pyrage might take for one to try again after."""


class Source:
    """Chunks of any size as the file that pyrage reads, in pieces of the size it asks for."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._chunk = memoryview(b"")
        self.meter = Meter()
        self.failure: BaseException | None = None

    def read(self, size: int) -> bytes:
        # An empty chunk in the middle must not look like the end.
        while not self._chunk:
            chunk = self._next()
            if chunk is None:
                return b""
            self.meter.update(chunk)
            self._chunk = memoryview(chunk)
        piece, self._chunk = self._chunk[:size], self._chunk[size:]
        return bytes(piece)

    def _next(self) -> bytes | None:
        try:
            return next(self._chunks, None)
        except BaseException as error:  # noqa: BLE001 - raised again in the taker's thread
            self.failure = error
            raise _SourceFailedError from None


class Sink:
    """The file that pyrage writes. Takes everything or raises: pyrage dies of a wrong count."""

    def __init__(self, pieces: _Handover) -> None:
        self._pieces = pieces
        self._buffer = bytearray()

    def write(self, data: bytes) -> int:
        self._buffer += data
        if len(self._buffer) >= _PIECE:
            self.finish()
        return len(data)

    def flush(self) -> None:
        """Asked for by the file protocol; `finish` sends the rest."""

    def finish(self) -> None:
        if self._buffer:
            self._pieces.put(bytes(self._buffer))
            self._buffer.clear()


class _Handover:
    """A short queue whose ends can leave: a taker who left stops the giver, and the other way."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._ended = False
        self._abandoned = False
        self._changed = threading.Condition()

    def put(self, piece: bytes) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._waiting) < _PIECES_WAITING or self._abandoned)
            if self._abandoned:
                raise _AbandonedError
            self._waiting.append(piece)
            self._changed.notify_all()

    def take(self) -> bytes | None:
        """The next piece; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            piece = self._waiting.popleft() if self._waiting else None
            self._changed.notify_all()
            return piece

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        with self._changed:
            self._abandoned = True
            self._changed.notify_all()
