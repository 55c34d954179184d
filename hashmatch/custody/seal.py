"""Sealing: a clip's bytes go into an age file that only the holders of the private keys can open.

    recipients = parse_recipients(["age1…custodian", "age1…break-glass"])
    stream = SealedStream(store.read(key, etag), recipients, sha256=fingerprint.digests.sha256)
    vault.write(name, stream)     # sealed bytes, as they are asked for
    stream.content, stream.sealed               # size and SHA-256 of both sides

Streams in constant memory: one thread reads and seals, the caller takes. The stream ends without an
error only when the source ended without one, its digest is the expected one, and the sealed size is
what the age format makes of that many bytes. A store that publishes an object only when its input
ended well therefore never holds a part of a clip, or another clip, under this name.

pyrage drops what goes wrong in its very last write (a buffer that is flushed when it is freed), so
nothing here relies on its success: errors are kept on both sides of it, and the sizes are compared.

Not guaranteed here: that the bytes arrived. `vault` reads back and `case` compares.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import pyrage

from hashmatch.errors import ConfigError, CustodyError

MIN_RECIPIENTS = 2

# The age format, https://c2sp.org/age: a text header that ends in a line "--- MAC", a nonce, then
# the content in chunks that each carry a tag. Only empty content has an empty last chunk.
_MAGIC = b"age-encryption.org/v1\n"
_NONCE = 16
_CHUNK = 64 * 1024
_TAG = 16

_PIECE = 256 * 1024
_PIECES_WAITING = 8


class NoRecipients(ConfigError):
    """{source}: {given} distinct age public keys are given, sealing needs at least two.

    One is the custodian's, one the break-glass key, so that a lost key does not lose what was
    sealed. Make each with `age-keygen` on a machine that is not a scan host, and put its public
    key (age1…) here.
    """


class BadRecipient(ConfigError):
    """{source}: number {number} is not an age public key.

    A public key starts with age1 and is printed by `age-keygen -y KEYFILE`. SSH keys, plugins and
    passphrases cannot be used.
    """


class PrivateKeyGiven(ConfigError):
    """{source}: number {number} is a PRIVATE key. A scan host must never hold one.

    Whoever could read this setting could open the vault: replace that key, take it out of every
    file and shell history it was in, and put the new one's public key (age1…) here.
    """


class SealingFailed(CustodyError):
    """A clip could not be sealed: {problem}"""


class ContentDiffers(CustodyError):
    """The clip that was read is not the clip that was scanned, though storage calls it the same."""


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


class Recipients(NamedTuple):
    """Who can open what is sealed: at least two distinct age public keys, `age1…`."""

    keys: tuple[str, ...]

    def parsed(self) -> list[pyrage.x25519.Recipient]:
        return [pyrage.x25519.Recipient.from_str(key) for key in self.keys]


def parse_recipients(texts: Sequence[str], source: str = "vault.recipients") -> Recipients:
    """The public keys of a setting, checked. No text is repeated in an error: it may be a secret.

    Raises PrivateKeyGiven, BadRecipient, NoRecipients (fewer than two distinct keys).
    """
    keys: dict[str, None] = {}
    for number, text in enumerate(texts, 1):
        folded = text.strip().casefold()
        if "secret-key" in folded or "private key" in folded:
            raise PrivateKeyGiven(source=source, number=number)
        try:
            keys[str(pyrage.x25519.Recipient.from_str(text.strip()))] = None
        except pyrage.RecipientError:
            # Without its cause: the library's message may quote the text.
            raise BadRecipient(source=source, number=number) from None
    if len(keys) < MIN_RECIPIENTS:
        raise NoRecipients(source=source, given=len(keys))
    return Recipients(tuple(keys))


def content_size(head: bytes, sealed_size: int) -> int | None:
    """How many bytes a complete age file of `sealed_size` bytes holds; None if it cannot be whole.

    head: its first bytes, as many as the header has (64 KiB are more than enough).
    """
    mac = head.find(b"\n--- ")
    end = head.find(b"\n", mac + 1)
    if not head.startswith(_MAGIC) or mac < 0 or end < 0:
        return None
    body = sealed_size - (end + 1) - _NONCE
    full, rest = divmod(body, _CHUNK + _TAG)
    if body < _TAG or (rest and rest < _TAG) or (full and rest == _TAG):
        return None
    return full * _CHUNK + max(0, rest - _TAG)


class SealedStream:
    """The sealed bytes of `chunks`, to be iterated once. `sha256`: what the content must have.

    Iterating raises whatever the source raises, ContentDiffers when the source ended with other
    content, SealingFailed when the sealed side is not whole. The error is also kept in `failure`,
    for a writer that hides it behind one of its own. `content` and `sealed` are there after a good
    end, and None until then.
    """

    def __init__(self, chunks: Iterable[bytes], recipients: Recipients, *, sha256: str) -> None:
        self._source = _Source(chunks)
        self._recipients = recipients.parsed()
        self._expected = sha256
        self._pieces = _Handover()
        self.failure: BaseException | None = None
        self.content: Measure | None = None
        self.sealed: Measure | None = None

    def __iter__(self) -> Iterator[bytes]:
        thread = threading.Thread(target=self._seal, name="seal", daemon=True)
        thread.start()
        meter, head = Meter(), b""
        try:
            while (piece := self._pieces.take()) is not None:
                head = head or piece
                meter.update(piece)
                yield piece
            thread.join()
            content, sealed = self._source.meter.result(), meter.result()
            self._check(content, sealed, head)
            self.content, self.sealed = content, sealed
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self._pieces.abandon()
            thread.join()

    def _check(self, content: Measure, sealed: Measure, head: bytes) -> None:
        failure = self._source.failure or self.failure
        if failure is not None:
            raise failure
        if content_size(head, sealed.size) != content.size:
            raise SealingFailed(
                problem=f"{content.size} bytes became {sealed.size} sealed ones, which is not whole"
            )
        if content.sha256 != self._expected:
            raise ContentDiffers

    def _seal(self) -> None:
        """The thread: everything that goes wrong is kept for the one who takes the pieces."""
        sink = _Sink(self._pieces)
        try:
            pyrage.encrypt_io(self._source, sink, self._recipients)
            sink.finish()
        except _AbandonedError:
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the taker's thread
            self.failure = SealingFailed(problem=type(error).__name__)
        finally:
            self._pieces.end()


class _AbandonedError(Exception):
    """Nobody takes the sealed bytes any more."""


class _SourceFailedError(Exception):
    """Stands for the source's own error, which pyrage might take for one to try again after."""


class _Source:
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


class _Sink:
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
