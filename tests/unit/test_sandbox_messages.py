"""Messages of the decoder process: whole ones come out as they went in, nothing else does."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.media.messages import DONE, FAILED, MESSAGE, Incoming, Malformed, encode

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=10,
)
headers = st.dictionaries(st.text(max_size=8), json_values, max_size=4)
kinds = st.sampled_from([MESSAGE, DONE, FAILED])
messages = st.lists(st.tuples(kinds, headers, st.binary(max_size=300)), max_size=6)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


@given(messages, st.lists(st.integers(0, 60), max_size=30))
def test_messages_survive_the_pipe_however_it_cuts_them(
    sent: list[tuple[bytes, dict[str, Any], bytes]], sizes: list[int]
) -> None:
    incoming = Incoming(max_message=300, max_total=2**20)
    heard = []
    for piece in cut(b"".join(encode(*message) for message in sent), sizes):
        incoming.feed(piece)
        heard += list(incoming)
    assert heard == sent


@given(st.binary(max_size=400))
def test_no_bytes_do_worse_than_to_be_refused(data: bytes) -> None:
    incoming = Incoming(max_message=100, max_total=2**20)
    incoming.feed(data)
    with contextlib.suppress(Malformed):
        for kind, header, payload in incoming:
            assert kind in (MESSAGE, DONE, FAILED)
            assert isinstance(header, dict)
            assert len(payload) <= 100


@pytest.mark.parametrize(
    ("header_size", "payload_size"), [(2**16 + 1, 0), (2**32 - 1, 0), (2, 101), (2, 2**32 - 1)]
)
def test_a_size_that_is_too_large_is_refused_before_anything_of_it_comes(
    header_size: int, payload_size: int
) -> None:
    incoming = Incoming(max_message=100, max_total=2**40)
    incoming.feed(struct.pack(">cII", MESSAGE, header_size, payload_size))
    with pytest.raises(Malformed, match="too large"):
        list(incoming)


def test_small_messages_cannot_fill_memory_by_their_number() -> None:
    incoming = Incoming(max_message=100, max_total=10 * 4096)
    incoming.feed(encode(MESSAGE, {}) * 10)
    assert len(list(incoming)) == 10
    incoming.feed(encode(MESSAGE, {}))
    with pytest.raises(Malformed, match="more output"):
        list(incoming)


@pytest.mark.parametrize(
    "header", [b"[1]", b"3", b'"x"', b"{", b"", b'{"t": NaN}', b'{"t": -Infinity}', b"\xff\xfe{}"]
)
def test_a_header_that_is_no_plain_object_is_refused(header: bytes) -> None:
    incoming = Incoming(max_message=100, max_total=2**20)
    incoming.feed(struct.pack(">cII", MESSAGE, len(header), 0) + header)
    with pytest.raises(Malformed):
        list(incoming)


def test_a_number_that_no_json_has_is_never_sent() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode(MESSAGE, {"seen": float("nan")})
