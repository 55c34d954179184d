"""Standard Webhooks: how a receiver knows that a request is ours, and whole.

    secrets = parse_secrets("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = signed(secrets, "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W", 1674087231, b'{"type": …}')

The id stays the same however often a message is sent, so that a receiver acts once; the time is
that of the request, so that an old one cannot be played back.
Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
version 1.0.0, its symmetric scheme.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

PREFIX = "whsec_"
LEAST, MOST = 24, 64


def parse_secrets(text: str) -> tuple[bytes, ...]:
    """The secrets in a text, divided by spaces: each `whsec_` and 24 to 64 bytes in base64.

    Raises ValueError, which repeats nothing of the text.
    """
    secrets = tuple(_parse(one) for one in text.split())
    if not secrets:
        raise ValueError("is empty")
    return secrets


def signed(secrets: Sequence[bytes], message: str, at: int, body: bytes) -> dict[str, str]:
    """The three headers of a request. at: now, in seconds since 1970; message: without a `.`.

    One signature a secret, so that a receiver may know the old one or the new one.
    """
    to_sign = f"{message}.{at}.".encode() + body
    signatures = (hmac.new(secret, to_sign, hashlib.sha256).digest() for secret in secrets)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode()}" for signature in signatures
        ),
    }


def _parse(one: str) -> bytes:
    if not one.startswith(PREFIX):
        raise ValueError(f"does not begin with {PREFIX}")
    encoded = one.removeprefix(PREFIX).rstrip("=")
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"is not base64 after {PREFIX}") from None
    if not LEAST <= len(secret) <= MOST:
        raise ValueError(f"has {len(secret)} bytes; it takes {LEAST} to {MOST}")
    return secret
