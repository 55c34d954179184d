"""One file of named arrays that is memory-mapped and shared: magic, version, table, data, checksum.

    write(file, meta, arrays)
    meta, arrays = read(mmap)          # views, no copies

Everything is little-endian and aligned to 64 bytes. Nothing in it is ever unpickled or run. Reading
checks the SHA-256 of the whole file, so that a damaged one is refused and not searched.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from hashmatch.errors import ListError

MAGIC = b"HMLISTS\n"
VERSION = 1
ALIGN = 64
_HEAD = struct.Struct("<8sIIQ")  # magic, version, bytes of the table, bytes of the file
_DIGEST = 32
_PIECE = 1 << 24


class ListSetDamaged(ListError):
    """The compiled lists cannot be used: {problem}.

    Delete the file. It is compiled again from the database by the next run.
    """

    exit_code = 36


def write(file: BinaryIO, meta: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write from the file's position on, in one pass. meta: what JSON can hold."""
    ready = {name: _little(array) for name, array in arrays.items()}
    table = {name: [a.dtype.str, list(a.shape)] for name, a in ready.items()}
    text = json.dumps({"meta": meta, "arrays": table}).encode()
    text += b" " * (-(_HEAD.size + len(text)) % ALIGN)
    size = _HEAD.size + len(text) + sum(_padded(a.nbytes) for a in ready.values()) + _DIGEST
    digest = hashlib.sha256()
    for part in (_HEAD.pack(MAGIC, VERSION, len(text), size), text):
        digest.update(part)
        file.write(part)
    for array in ready.values():
        data = array.reshape(-1).view(np.uint8).data
        for at in range(0, len(data), _PIECE):
            digest.update(data[at : at + _PIECE])
            file.write(data[at : at + _PIECE])
        padding = bytes(_padded(len(data)) - len(data))
        digest.update(padding)
        file.write(padding)
    file.write(digest.digest())


def read(buffer: bytes | memoryview[int] | Any) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What was written, as read-only views of the buffer. Raises ListSetDamaged."""
    view = memoryview(buffer).cast("B").toreadonly()
    if len(view) < _HEAD.size + _DIGEST:
        raise ListSetDamaged(problem="the file is truncated")
    magic, version, table_size, size = _HEAD.unpack_from(view)
    if magic != MAGIC:
        raise ListSetDamaged(problem="the file is not a compiled list set")
    if version != VERSION:
        raise ListSetDamaged(problem=f"its format is version {version}, this is for {VERSION}")
    if size != len(view):
        raise ListSetDamaged(problem=f"the file has {len(view)} bytes where it should have {size}")
    digest = hashlib.sha256()
    for at in range(0, size - _DIGEST, _PIECE):
        digest.update(view[at : min(at + _PIECE, size - _DIGEST)])
    if digest.digest() != view[size - _DIGEST :]:
        raise ListSetDamaged(problem="its checksum is wrong")
    # Past the checksum, this is what `write` wrote.
    table = json.loads(bytes(view[_HEAD.size : _HEAD.size + table_size]))
    arrays: dict[str, NDArray[Any]] = {}
    at = _HEAD.size + table_size
    for name, (kind, shape) in table["arrays"].items():
        dtype = np.dtype(kind)
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(view, dtype, count, at).reshape(shape)
        at += _padded(count * dtype.itemsize)
    return table["meta"], arrays


def _little(array: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<"))


def _padded(size: int) -> int:
    return size + -size % ALIGN
