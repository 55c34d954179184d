"""Checkpoints are C2SP signed notes, readable by other tools; no malformed one is read here."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.audit.checkpoint import (
    Checkpoint,
    CheckpointError,
    key_id,
    open_note,
    sign,
    split,
    verifier_key,
)

# The example of Go's golang.org/x/mod/sumdb/note, where signed notes come from.
GO_NAME = "PeterNeumann"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = (
    GO_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
    "qdngotpRZb6KE6RyyBwJnAM=\n"
)
GO_KEY = Ed25519PublicKey.from_public_bytes(base64.b64decode(GO_VERIFIER.split("+", 2)[2])[1:])

# The example of https://c2sp.org/tlog-checkpoint (its public key is not published there).
C2SP_NOTE = (
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2"
    "q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)

ORIGIN = "hashmatch.example/log"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ROOT = bytes(range(32))
ROOT_TEXT = base64.b64encode(ROOT).decode()
TEXT = Checkpoint(ORIGIN, 3, ROOT).text()
NOTE = sign(TEXT, ORIGIN, KEY)


def test_a_note_signed_by_go_opens() -> None:
    assert open_note(GO_NOTE, GO_NAME, GO_KEY) == GO_TEXT


def test_a_note_signed_here_is_the_one_that_go_signs() -> None:
    seed = base64.b64decode(GO_SIGNER.split("+", 4)[4])[1:]
    assert sign(GO_TEXT, GO_NAME, Ed25519PrivateKey.from_private_bytes(seed)) == GO_NOTE


def test_a_public_key_is_written_as_go_writes_it() -> None:
    assert verifier_key(GO_NAME, GO_KEY) == GO_VERIFIER
    assert key_id(GO_NAME, GO_KEY).hex() == "c74f20a3"


def test_the_standards_example_is_read() -> None:
    checkpoint = Checkpoint.parse(split(C2SP_NOTE)[0])
    assert checkpoint.origin == "example.com/behind-the-sofa"
    assert checkpoint.size == 20852163
    assert checkpoint.root.hex().startswith("0ac5186a91863e8e")


@given(
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text("abc 123+=—é", min_size=1), max_size=3),
)
def test_what_was_signed_is_what_is_read(size: int, root: bytes, extensions: list[str]) -> None:
    made = Checkpoint(ORIGIN, size, root, tuple(extensions))
    note = sign(made.text(), ORIGIN, KEY)
    assert Checkpoint.parse(open_note(note, ORIGIN, KEY.public_key())) == made


def test_a_cosigned_note_opens_by_our_signature() -> None:
    witness = sign(TEXT, "witness.example", Ed25519PrivateKey.generate()).rsplit("\n\n", 1)[1]
    assert open_note(NOTE + witness, ORIGIN, KEY.public_key()) == TEXT


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{ORIGIN}\n3\n{ROOT_TEXT}", "newline"),
        (f"{ORIGIN}\n3\n", "three lines"),
        ("\n", "three lines"),
        (f"\n3\n{ROOT_TEXT}\n", "origin is empty"),
        (f"{ORIGIN}\n03\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n-3\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n+3\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n3 \n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n٣\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n{2**63}\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n{'9' * 5000}\n{ROOT_TEXT}\n", "size"),
        (f"{ORIGIN}\n3\nnot base64\n", "base64"),
        (f"{ORIGIN}\n3\n{ROOT_TEXT.rstrip('=')}\n", "base64"),
        (f"{ORIGIN}\n3\n{ROOT_TEXT[:-2]}9=\n", "base64"),
        (f"{ORIGIN}\n3\n{base64.b64encode(ROOT[:31]).decode()}\n", "31 bytes"),
        (f"{ORIGIN}\n3\n\n", "0 bytes"),
        (f"{ORIGIN}\n3\n{ROOT_TEXT}\n\nmore\n", "extension"),
    ],
)
def test_a_malformed_checkpoint_is_refused_by_name(text: str, problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        Checkpoint.parse(text)


SIGNATURE = NOTE.rsplit("\n\n", 1)[1]


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        ("", "no signature"),
        (TEXT, "no signature"),
        (TEXT + "\n", "malformed|no signature"),
        (NOTE[:-1], "cut off"),
        (NOTE + "\n", "no signature|malformed"),
        (NOTE.replace("— ", "- "), "malformed"),
        (NOTE.replace("— ", "—"), "malformed"),
        (NOTE.replace(f"— {ORIGIN}", "— "), "malformed"),
        (NOTE.replace(f"— {ORIGIN}", f"— {ORIGIN}+1"), "malformed"),
        (f"{TEXT}\n— {ORIGIN} AAAA\n", "malformed"),
        (f"{TEXT}\n— {ORIGIN} AAAAA\n", "malformed"),
        (NOTE.replace("\n", "\r\n"), "control characters"),
        (NOTE + "\0", "control characters"),
        ("\udc80" + NOTE, "UTF-8"),
        (f"{TEXT}\n{SIGNATURE * 17}", "more than 16"),
        ("x" * 70_000 + NOTE, "larger than"),
    ],
)
def test_a_malformed_note_is_refused_by_name(note: str, problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        split(note)


def test_a_changed_text_does_not_open() -> None:
    with pytest.raises(CheckpointError, match="does not hold"):
        open_note(NOTE.replace("\n3\n", "\n4\n"), ORIGIN, KEY.public_key())


def test_a_note_of_another_key_or_name_does_not_open() -> None:
    with pytest.raises(CheckpointError, match="not signed by this key"):
        open_note(NOTE, ORIGIN, Ed25519PrivateKey.generate().public_key())
    with pytest.raises(CheckpointError, match="not signed by this key"):
        open_note(NOTE, "elsewhere.example/log", KEY.public_key())


def test_one_false_signature_of_ours_spoils_the_note() -> None:
    signature = base64.b64decode(SIGNATURE.split()[2])
    false = base64.b64encode(signature[:-1] + bytes([signature[-1] ^ 1])).decode()
    with pytest.raises(CheckpointError, match="does not hold"):
        open_note(f"{NOTE}— {ORIGIN} {false}\n", ORIGIN, KEY.public_key())


@given(st.integers(0, len(NOTE.encode()) - 1), st.integers(0, 7))
def test_no_flipped_bit_goes_unseen(at: int, bit: int) -> None:
    raw = bytearray(NOTE.encode())
    raw[at] ^= 1 << bit
    with pytest.raises(CheckpointError):
        open_note(raw.decode("utf-8", "surrogateescape"), ORIGIN, KEY.public_key())


@given(st.text(max_size=300))
def test_no_text_is_read_as_ours(text: str) -> None:
    with pytest.raises(CheckpointError):
        open_note(text, ORIGIN, KEY.public_key())


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u00a0b"])
def test_a_name_that_would_break_the_note_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        sign(TEXT, name, KEY)


def test_a_text_without_newline_is_not_signed() -> None:
    with pytest.raises(ValueError, match="newline"):
        sign(TEXT[:-1], ORIGIN, KEY)
