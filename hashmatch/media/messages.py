"""What the decoder process says to its parent: (JSON object, bytes) pairs down a pipe.

    pipe.write(encode(MESSAGE, {"frames": 256}, packed))
    incoming = Incoming(max_message=2**20, max_total=2**26)
    incoming.feed(os.read(pipe, 65536))
    for kind, header, payload in incoming: ...

On the wire: kind (1 byte), lengths of header and payload (4 bytes each, big-endian), JSON, bytes.
The writer may have been taken over by the file it reads, so everything is bounded before it is
stored and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import select
import struct
from collections.abc import Iterator
from typing import Any, NoReturn

MESSAGE, DONE, FAILED = b"m", b"d", b"f"
_HEAD = struct.Struct(">cII")
_MAX_HEADER = 64 * 1024
# What a message costs the receiver, however little is in it: many small ones fill memory too.
_MIN_COST = 4096


class Malformed(Exception):
    """The other side does not speak this protocol: it is not the program that was started."""


def encode(kind: bytes, header: dict[str, Any], payload: bytes = b"") -> bytes:
    text = json.dumps(header, allow_nan=False).encode()
    return _HEAD.pack(kind, len(text), len(payload)) + text + payload


class Incoming:
    """Takes bytes as they come and gives whole messages. Raises Malformed.

    max_message: bytes one header or payload may have; max_total: bytes all messages together may
    have, where each counts as 4 KiB at least. At most one message is buffered beside what `feed`
    was just given.
    """

    def __init__(self, max_message: int, max_total: int) -> None:
        self._buffer = bytearray()
        self._max_message = max_message
        self._left = max_total

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def __iter__(self) -> Iterator[tuple[bytes, dict[str, Any], bytes]]:
        while len(self._buffer) >= _HEAD.size:
            kind, header_size, payload_size = _HEAD.unpack_from(self._buffer)
            if kind not in (MESSAGE, DONE, FAILED):
                raise Malformed("an unknown kind of message")
            if header_size > _MAX_HEADER or payload_size > self._max_message:
                raise Malformed("a message that is too large")
            middle = _HEAD.size + header_size
            end = middle + payload_size
            if len(self._buffer) < end:
                return
            self._left -= max(end, _MIN_COST)
            if self._left < 0:
                raise Malformed("more output than a clip can have")
            header = _parse(bytes(self._buffer[_HEAD.size : middle]))
            payload = bytes(self._buffer[middle:end])
            del self._buffer[:end]
            yield kind, header, payload


def _parse(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        raise Malformed("a header that is not JSON") from None
    if not isinstance(header, dict):
        raise Malformed("a header that is not an object")
    return header


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def readable(seconds: float, *descriptors: int) -> set[int]:
    """Those that have something to read, or an end to report, after waiting at most `seconds`."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return {descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)}
