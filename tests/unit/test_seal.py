"""Sealing: what goes in comes out of the real `age` program, or the caller hears why not."""

from __future__ import annotations

import hashlib
import threading
import traceback
from collections.abc import Iterable, Iterator

import pyrage
import pytest
from custody_parts import make_key, needs_age, opened
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.custody.vault import sealing
from hashmatch.custody.vault.sealing import (
    BadRecipient,
    ContentDiffers,
    NoRecipients,
    PrivateKeyGiven,
    SealedStream,
    SealingFailed,
    content_size,
    parse_recipients,
)

IDENTITIES = [pyrage.x25519.Identity.generate() for _ in range(2)]
RECIPIENTS = parse_recipients([str(identity.to_public()) for identity in IDENTITIES])
CHUNK = 64 * 1024


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def stream(chunks: Iterable[bytes], digest: str) -> SealedStream:
    return SealedStream(chunks, RECIPIENTS, sha256=digest)


def failing(error: BaseException, after: Iterable[bytes]) -> Iterator[bytes]:
    yield from after
    raise error


@needs_age
@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, 3_000_001])
def test_every_custodian_opens_with_age_what_was_sealed(tmp_path, size):
    keys = [make_key(tmp_path, name) for name in ("custodian", "break-glass")]
    data = (b"a clip of somebody's stream " * (size // 28 + 1))[:size]
    sealing = SealedStream(
        [data[i : i + 50_000] for i in range(0, size, 50_000)],
        parse_recipients([key.public for key in keys]),
        sha256=sha256(data),
    )
    file = tmp_path / "sealed.age"
    file.write_bytes(b"".join(sealing))
    assert [opened(file, key) for key in keys] == [data, data]


@given(st.lists(st.binary(max_size=3000), max_size=30))
def test_sizes_and_digests_of_both_sides_are_those_of_the_bytes(chunks):
    data = b"".join(chunks)
    sealing = stream(chunks, sha256(data))
    sealed = b"".join(sealing)
    assert sealing.content == (len(data), sha256(data))
    assert sealing.sealed == (len(sealed), sha256(sealed))
    assert pyrage.decrypt(sealed, IDENTITIES[:1]) == data


def test_an_empty_chunk_is_not_the_end_of_the_clip():
    data = b"before" + b"after"
    sealed = b"".join(stream([b"", b"before", b"", b"", b"after", b""], sha256(data)))
    assert pyrage.decrypt(sealed, IDENTITIES[:1]) == data


class Trouble(Exception):
    pass


@pytest.mark.parametrize("before", [[], [b"a few bytes"], [b"x" * CHUNK] * 100])
@pytest.mark.parametrize("error", [Trouble("disk"), InterruptedError("signal"), OSError(5, "io")])
def test_a_clip_that_cannot_be_read_to_its_end_is_never_sealed(before, error):
    data = b"".join(before)
    sealing = stream(failing(error, before), sha256(data))
    with pytest.raises(type(error)) as caught:
        list(sealing)
    assert caught.value is error
    assert sealing.failure is error
    assert sealing.sealed is None


def test_another_clip_than_the_scanned_one_is_never_sealed():
    sealing = stream([b"what is there now"], sha256(b"what was scanned"))
    with pytest.raises(ContentDiffers):
        list(sealing)
    assert sealing.sealed is None


def test_a_writer_that_gives_up_leaves_no_thread_behind_and_stops_the_reading():
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * CHUNK

    sealing = stream(endless(), sha256(b""))
    pieces = iter(sealing)
    next(pieces)
    pieces.close()
    assert sealing.sealed is None
    assert read < 200
    assert "seal" not in [thread.name for thread in threading.enumerate()]


def test_a_large_clip_is_not_held_in_memory():
    ahead, taken = 0, 0

    def chunks() -> Iterator[bytes]:
        nonlocal ahead
        for sent in range(0, 64 * 2**20, CHUNK):
            ahead = max(ahead, sent - taken)
            yield b"\0" * CHUNK

    for piece in stream(chunks(), sha256(b"\0" * (64 * 2**20))):
        taken += len(piece)
    assert ahead < 4 * 2**20


def test_a_library_that_reports_success_on_a_short_write_is_not_believed(monkeypatch):
    class Short:
        def __init__(self, sink):
            self.sink = sink
            self.written = 0

        def write(self, data: bytes) -> int:
            self.written += len(data)
            if self.written < 300_000:
                self.sink.write(data)
            return len(data)

        def flush(self) -> None:
            pass

    real = pyrage.encrypt_io
    monkeypatch.setattr(
        sealing.pyrage, "encrypt_io", lambda source, sink, to: real(source, Short(sink), to)
    )
    data = b"x" * 400_000
    with pytest.raises(SealingFailed, match="not whole"):
        list(stream([data], sha256(data)))


def test_a_library_that_fails_is_an_error_of_ours(monkeypatch):
    def broken(source, sink, to):
        raise pyrage.EncryptError("no")

    monkeypatch.setattr(sealing.pyrage, "encrypt_io", broken)
    with pytest.raises(SealingFailed):
        list(stream([b"x"], sha256(b"x")))


@given(
    st.integers(0, 4 * CHUNK)
    | st.sampled_from([CHUNK, 2 * CHUNK]).flatmap(lambda size: st.integers(size - 20, size + 20))
)
def test_the_size_of_an_age_file_tells_the_size_of_its_content(size):
    sealed = pyrage.encrypt(b"\0" * size, [identity.to_public() for identity in IDENTITIES])
    assert content_size(sealed[:CHUNK], len(sealed)) == size


@given(st.integers(0, 3 * CHUNK), st.floats(0, 1, exclude_max=True))
def test_a_cut_age_file_never_passes_for_a_whole_one(size, share):
    sealed = pyrage.encrypt(b"\0" * size, [IDENTITIES[0].to_public()])
    cut = sealed[: int(len(sealed) * share)]
    assert content_size(cut[:CHUNK], len(cut)) != size


@pytest.mark.parametrize("head", [b"", b"a clip", b"age-encryption.org/v1\n", b"\n--- x\n"])
def test_what_is_no_age_file_has_no_content(head):
    assert content_size(head, 1000) is None


class TestRecipients:
    PUBLIC = RECIPIENTS.keys

    def test_two_public_keys_are_taken_as_they_are(self):
        assert parse_recipients(self.PUBLIC).keys == self.PUBLIC

    @pytest.mark.parametrize("texts", [[], [PUBLIC[0]], [PUBLIC[0], f" {PUBLIC[0].upper()} "]])
    def test_sealing_needs_two_distinct_keys(self, texts):
        with pytest.raises(NoRecipients):
            parse_recipients(texts)

    @pytest.mark.parametrize(
        "change", [str, str.lower, lambda key: f"  {key}\n", lambda key: key[:40]]
    )
    def test_a_private_key_is_refused_and_never_repeated(self, change):
        secret = change(str(IDENTITIES[0]))
        with pytest.raises(PrivateKeyGiven) as caught:
            parse_recipients([self.PUBLIC[0], secret, self.PUBLIC[1]])
        error = caught.value
        shown = "".join((str(error), repr(error), error.remedy, *traceback.format_exception(error)))
        assert "number 2" in error.message
        assert str(IDENTITIES[0])[20:40].casefold() not in shown.casefold()

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "age1",
            "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
            PUBLIC[0][:-1],
            PUBLIC[0][:-1] + "é",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN",
            "correct horse battery staple",
        ],
        ids=["empty", "prefix", "checksum", "cut", "foreign letter", "ssh", "phrase"],
    )
    def test_what_is_no_public_key_is_refused_and_not_repeated(self, text):
        with pytest.raises(BadRecipient) as caught:
            parse_recipients([*self.PUBLIC, text])
        shown = "".join(traceback.format_exception(caught.value))
        assert not text[8:] or text[8:] not in shown
