"""Sealing: a clip's bytes go into an age file that only the holders of the private keys can open.

    recipients = parse_recipients(["age1…custodian", "age1…break-glass"])
    key = new_case_key()
    seal_bytes(key.private.encode(), recipients)        # the case's key, for the custodians
    stream = SealedStream(store.read(clip, etag), Recipients((key.public,)), sha256=digest)
    vault.write(name, stream)                           # sealed bytes, as they are asked for
    stream.content, stream.sealed                       # size and SHA-256 of both sides

Each case has a key of its own. Custodians come and go by sealing that key anew, not the clip; where
it is erased, no copy of the sealed clip can be opened any more.

Streams in constant memory: one thread reads and seals, the caller takes. The stream ends without an
error only when the source ended without one, its digest is the expected one, and the sealed size is
what the age format makes of that many bytes. A store that publishes an object only when its input
ended well therefore never holds a part of a clip, or another clip, under this name.

Not guaranteed here: that the bytes arrived. `store` reads back and `case` compares.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pyrage

from hashmatch.custody.vault.age_stream import AgeStream, Measure, Sink, Source
from hashmatch.errors import ConfigError, CustodyError

MIN_RECIPIENTS = 2

# The age format, https://c2sp.org/age: a text header that ends in a line "--- MAC", a nonce, then
# the content in chunks that each carry a tag. Only empty content has an empty last chunk.
_MAGIC = b"age-encryption.org/v1\n"
_NONCE = 16
_CHUNK = 64 * 1024
_TAG = 16


class NoRecipients(ConfigError):
    message = "{source}: {given} distinct age public keys are given, sealing needs at least two."
    remedy = (
        "One is the custodian's, one the break-glass key, so that a lost key does not lose what "
        "was sealed. Make each with `age-keygen` on a machine that is not a scan host, and put its "
        "public key (age1…) here."
    )


class BadRecipient(ConfigError):
    message = "{source}: number {number} is not an age public key."
    remedy = (
        "A public key starts with age1 and is printed by `age-keygen -y KEYFILE`. SSH keys, "
        "plugins and passphrases cannot be used."
    )


class PrivateKeyGiven(ConfigError):
    message = "{source}: number {number} is a PRIVATE key. A scan host must never hold one."
    remedy = (
        "Whoever could read this setting could open the vault: replace that key, take it out of "
        "every file and shell history it was in, and put the new one's public key (age1…) here."
    )


class SealingFailed(CustodyError):
    message = "A clip could not be sealed: {problem}"


class ContentDiffers(CustodyError):
    message = (
        "The clip that was read is not the clip that was scanned, though storage calls it the same."
    )


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


class SealedStream(AgeStream):
    """The sealed bytes of `chunks`, to be iterated once. `sha256`: what the content must have.

    Raises, beside what the source raises, ContentDiffers when the source ended with other content,
    SealingFailed when the sealed side is not whole.
    """

    def __init__(self, chunks: Iterable[bytes], recipients: Recipients, *, sha256: str) -> None:
        super().__init__(chunks)
        self._recipients = recipients.parsed()
        self._expected = sha256

    @property
    def content(self) -> Measure | None:
        return self.taken

    @property
    def sealed(self) -> Measure | None:
        return self.given

    def work(self, source: Source, sink: Sink) -> None:
        pyrage.encrypt_io(source, sink, self._recipients)

    def translate(self, error: BaseException) -> BaseException:
        return SealingFailed(problem=type(error).__name__)

    def check(self, taken: Measure, given: Measure, head: bytes) -> None:
        if content_size(head, given.size) != taken.size:
            raise SealingFailed(
                problem=f"{taken.size} bytes became {given.size} sealed ones, which is not whole"
            )
        if taken.sha256 != self._expected:
            raise ContentDiffers


class CaseKey(NamedTuple):
    """A key pair of one case's own. private: `AGE-SECRET-KEY-1…`, never to be written unsealed."""

    public: str
    private: str

    def __repr__(self) -> str:
        return f"CaseKey({self.public})"


def new_case_key() -> CaseKey:
    identity = pyrage.x25519.Identity.generate()
    return CaseKey(str(identity.to_public()), str(identity))


def seal_bytes(data: bytes, recipients: Recipients) -> bytes:
    """A small secret or paper, sealed whole in memory. Raises SealingFailed."""
    try:
        sealed: bytes = pyrage.encrypt(data, recipients.parsed())
    except pyrage.EncryptError:
        raise SealingFailed(problem="the age library refused to seal") from None
    if content_size(sealed, len(sealed)) != len(data):
        raise SealingFailed(problem="what was sealed is not whole")
    return sealed
