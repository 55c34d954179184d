"""Keyed names: how logs, leaves and reports speak of a clip without saying which one.

    names = KeyedNames(secret)
    names.clip("2026/11/alice's clip.mp4")      # 'clip-7hq2k6w4v3mzdpbe'

HMAC-SHA256 under the installation's secret, cut to 80 bits: who has the secret can look a clip up,
who has only the log learns nothing, and two installations name the same clip differently.
"""

from __future__ import annotations

import base64
import hashlib
import hmac


class KeyedNames:
    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("a naming secret has at least 32 bytes")
        self._secret = secret

    def clip(self, key: str) -> str:
        return self._name("clip", key)

    def case(self, key: str, etag: str) -> str:
        return self._name("case", key, etag)

    def review(self, key: str, etag: str) -> str:
        return self._name("review", key, etag)

    def content(self, sha256: str) -> str:
        """A commitment to a file's bytes that does not give their digest away."""
        return self._name("content", sha256)

    def entry(self, algorithm: str, bits: bytes) -> str:
        """For an entry that its list gives no id, or a hash as its id."""
        return self._name("entry", algorithm, bits.hex())

    def _name(self, kind: str, *parts: str) -> str:
        message = "\0".join((kind, *parts)).encode("utf-8", "surrogateescape")
        digest = hmac.new(self._secret, message, hashlib.sha256).digest()[:10]
        return f"{kind}-{base64.b32encode(digest).decode().lower()}"
