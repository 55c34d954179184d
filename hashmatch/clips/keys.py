r"""Keys: how a clip's name, which may be any bytes, becomes text that every database keeps.

    to_key(b"2026/caf\xc3\xa9.mp4")     # '2026/café.mp4'
    to_key(b"2026/caf\xe9.mp4")         # '2026/caf\\xE9.mp4'
    to_name('2026/caf\\xE9.mp4')        # b'2026/caf\xe9.mp4'

File names are bytes on Linux, and S3-compatible stores return what was uploaded. A name that is
not UTF-8, or has a NUL in it, would end as a lone surrogate or a NUL in a string, which PostgreSQL
refuses. So each such byte is written `\xHH` (upper-case hex). A backslash is left alone, unless
what follows it would read as such an escape: then it is written `\x5C`. Names and keys are one to
one; a text that is not the key of its own name (`\x41`, a lone surrogate) is no key.
"""

from __future__ import annotations

import re

_WOULD_READ_AS_ESCAPE = re.compile(rb"\\(?=x[0-9A-F]{2})")
_UNSTORABLE = re.compile("[\0\udc80-\udcff]")
_ESCAPE = re.compile(rb"\\x([0-9A-F]{2})")


def to_key(name: bytes) -> str:
    """The key of a name. Every name has one, and no two names have the same."""
    unambiguous = _WOULD_READ_AS_ESCAPE.sub(rb"\\x5C", name)
    text = unambiguous.decode("utf-8", "surrogateescape")
    return _UNSTORABLE.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02X}", text)


def to_name(key: str) -> bytes:
    """The name that a key stands for. Raises ValueError for a text that is the key of no name."""
    name = _ESCAPE.sub(lambda found: bytes([int(found[1], 16)]), key.encode("utf-8"))
    if to_key(name) != key:
        raise ValueError("not the key of any name")
    return name
