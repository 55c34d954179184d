"""One file of named arrays that is memory-mapped and shared: header, table, arrays, checksum.

    checksum = write(file, meta, arrays)
    meta, arrays = read(mmap, "x.lists")                                      # views, no copies
    meta, arrays = read(mmap, "x.lists", checksum, trusted=True)   # after another has checked it

Everything is little-endian and aligned to 64 bytes. Nothing in it is ever unpickled or run.

The checksum is XXH3-128 over the whole file, which is read about as fast as the memory is. It finds
every accident (a truncated, half-written or mixed-up file, bits that turned), and is none against a
person who can write the folder: that person can also replace the program.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import xxhash
from numpy.typing import NDArray

from hashmatch.errors import ListError

MAGIC = b"HMLISTS\n"
VERSION = 2
ALIGN = 64
_HEAD = struct.Struct(
    "<8sIIQ8s"
)  # magic, version, bytes of the table and of the file, its checksum
_CHECKSUM = 16
_PIECE = 1 << 24


class ListSetDamaged(ListError):
    message = "The compiled lists in {file} cannot be used: {problem}."
    remedy = "Delete the file. It is compiled again from the database by the next run."
    exit_code = 36


def write(file: BinaryIO, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Write from the file's position on, in one pass. meta: what JSON can hold.

    Returns the checksum.
    """
    ready = {name: _little(array) for name, array in arrays.items()}
    table = {name: [a.dtype.str, list(a.shape)] for name, a in ready.items()}
    text = json.dumps({"meta": meta, "arrays": table}).encode()
    text += b" " * (-(_HEAD.size + len(text)) % ALIGN)
    size = _HEAD.size + len(text) + sum(_padded(a.nbytes) for a in ready.values()) + _CHECKSUM
    checksum = xxhash.xxh3_128()
    for part in (_head(len(text), size, text), text):
        checksum.update(part)
        file.write(part)
    for array in ready.values():
        data = array.reshape(-1).view(np.uint8).data
        for at in range(0, len(data), _PIECE):
            checksum.update(data[at : at + _PIECE])
            file.write(data[at : at + _PIECE])
        padding = bytes(_padded(len(data)) - len(data))
        checksum.update(padding)
        file.write(padding)
    file.write(checksum.digest())
    return checksum.hexdigest()


def read(
    buffer: Any, file: str, checksum: str | None = None, *, trusted: bool = False
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What was written, as read-only views of the buffer. Raises ListSetDamaged.

    file: its name, for the error. checksum: that of the one file that is wanted. trusted: it was
    just read whole by another process, so that header, table and checksum are looked at only.
    """
    view = memoryview(buffer).cast("B").toreadonly()
    table = _table(view, file)
    stored = checksum_of(view, file)
    if not trusted and stored != _sum(view):
        raise ListSetDamaged(file=file, problem="its checksum is wrong")
    if checksum is not None and stored != checksum:
        raise ListSetDamaged(file=file, problem="its checksum is that of another file")
    arrays: dict[str, NDArray[Any]] = {}
    at, end = _HEAD.size + table["size"], len(view) - _CHECKSUM
    for name, (kind, shape) in table["arrays"].items():
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        if (
            dtype.kind not in "iuf"
            or min(shape, default=0) < 0
            or at + count * dtype.itemsize > end
        ):
            raise ListSetDamaged(file=file, problem="its table does not fit it")
        arrays[name] = np.frombuffer(view, dtype, count, at).reshape(shape)
        at += _padded(count * dtype.itemsize)
    if at != end:
        raise ListSetDamaged(file=file, problem="its table does not fit it")
    return table["meta"], arrays


def checksum_of(buffer: Any, file: str) -> str:
    """The checksum that a file says it has. Raises ListSetDamaged."""
    view = memoryview(buffer)
    if len(view) < _HEAD.size + _CHECKSUM:
        raise ListSetDamaged(file=file, problem="it is truncated")
    return bytes(view[-_CHECKSUM:]).hex()


def _table(view: memoryview[int], file: str) -> dict[str, Any]:
    """The table of a file whose header is as `write` made it, with its own size."""
    if len(view) < _HEAD.size + _CHECKSUM:
        raise ListSetDamaged(file=file, problem="it is truncated")
    magic, version, table_size, size, _ = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise ListSetDamaged(file=file, problem="it holds something else")
    if version != VERSION:
        problem = f"its format is version {version}, this is for {VERSION}"
        raise ListSetDamaged(file=file, problem=problem)
    if size != len(view):
        problem = f"it has {len(view)} bytes where it should have {size}"
        raise ListSetDamaged(file=file, problem=problem)
    text = bytes(view[_HEAD.size : _HEAD.size + table_size])
    if _head(table_size, size, text) != bytes(view[: _HEAD.size]):
        raise ListSetDamaged(file=file, problem="the checksum of its table is wrong")
    table: dict[str, Any] = json.loads(text)
    return table | {"size": table_size}


def _head(table_size: int, size: int, text: bytes) -> bytes:
    head = _HEAD.pack(MAGIC, VERSION, table_size, size, bytes(8))
    return head[:-8] + xxhash.xxh3_64(head + text).digest()


def _sum(view: memoryview[int]) -> str:
    checksum = xxhash.xxh3_128()
    end = len(view) - _CHECKSUM
    for at in range(0, end, _PIECE):
        checksum.update(view[at : min(at + _PIECE, end)])
    return checksum.hexdigest()


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _padded(size: int) -> int:
    return size + -size % ALIGN
