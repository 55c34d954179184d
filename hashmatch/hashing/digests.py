"""MD5, SHA-1 and SHA-256 of a file, in one pass over its bytes.

    digester = Digester()
    for chunk in chunks:
        digester.update(chunk)
    digester.result().sha256

Lists of known files still come with MD5 and SHA-1, so these are computed; nothing is trusted
because of them. Custody compares by SHA-256.
"""

from __future__ import annotations

import hashlib

from hashmatch.model import Digests


class Digester:
    def __init__(self) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._sha256 = hashlib.sha256()

    def update(self, chunk: bytes | bytearray | memoryview) -> None:
        """The file's next bytes. Chunks of 64 KiB and more are hashed at full speed."""
        self._md5.update(chunk)
        self._sha1.update(chunk)
        self._sha256.update(chunk)

    def result(self) -> Digests:
        """The digests of all bytes so far."""
        return Digests(self._md5.hexdigest(), self._sha1.hexdigest(), self._sha256.hexdigest())
