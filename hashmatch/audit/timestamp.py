"""Time-stamps: an authority signs when something existed (RFC 3161).

    token = stamp(note.encode(), "https://tsa.example/tsr", Path("tsa-roots.pem"), timeout=20)

`openssl ts -verify -token_in -in TOKEN -data NOTE -CAfile ROOTS` checks a token that was kept.
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import urllib3
from cryptography.x509 import Certificate, ObjectIdentifier, load_pem_x509_certificates
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from hashmatch.errors import ConfigError, HashmatchError

_SHA256 = ObjectIdentifier("2.16.840.1.101.3.4.2.1")
_GRANTED = (0, 1)  # as it was asked, or with changes, which are looked at. RFC 3161, 2.4.2
_MOST_BYTES = 1 << 20


class NoTimestamp(HashmatchError):
    message = "The time-stamp authority gave none that holds: {problem}."
    remedy = "Check anchors.timestamp_url and anchors.timestamp_roots."
    exit_code = 15


def stamp(content: bytes, url: str, roots: Path | None, timeout: float) -> bytes:
    """The token (DER) for these bytes, whose SHA-256 is all that is sent.

    It is for this request: imprint and nonce are compared. With roots (PEM), its signature is
    verified up to one of them. timeout: seconds, for all of it. Raises NoTimestamp, ConfigError.
    """
    trusted = _load(roots) if roots is not None else None
    builder = TimestampRequestBuilder(content, HashAlgorithm.SHA256, nonce=True, cert_req=True)
    request = builder.build()
    assert request.nonce is not None
    answer = _post(url, request.as_bytes(), timeout)
    try:
        response = decode_timestamp_response(_ordered(answer))
        _check(response, request.nonce, content)
        if trusted is not None:
            verifier = VerifierBuilder(roots=trusted, nonce=request.nonce).build()
            verifier.verify_message(response, content)
        return response.time_stamp_token()
    except ValueError as error:
        raise NoTimestamp(problem="its answer is no time-stamp response") from error
    except VerificationError as error:
        raise NoTimestamp(problem=f"its signature does not hold ({error})") from error


def _check(response: TimeStampResponse, nonce: int, content: bytes) -> None:
    if response.status not in _GRANTED:
        raise NoTimestamp(problem=f"it refused, with status {response.status}")
    said = response.tst_info
    imprint = said.message_imprint
    if (imprint.hash_algorithm, imprint.message) != (_SHA256, hashlib.sha256(content).digest()):
        raise NoTimestamp(problem="its answer is about something else")
    if said.nonce != nonce:
        raise NoTimestamp(problem="its answer is to another request")


def _post(url: str, body: bytes, timeout: float) -> bytes:
    """No error says the url: it may hold a password."""
    if not url.startswith(("https://", "http://")):
        raise NoTimestamp(problem="its url begins neither with https:// nor with http://")
    until = time.monotonic() + timeout
    headers = {"Content-Type": "application/timestamp-query"}
    answer = b""
    try:
        with urllib3.PoolManager(timeout=timeout, retries=False) as pool:
            response = pool.request("POST", url, body=body, headers=headers, preload_content=False)
            while chunk := response.read1(_MOST_BYTES):
                answer += chunk
                if len(answer) > _MOST_BYTES:
                    raise NoTimestamp(problem="its answer is too long")
                if time.monotonic() > until:
                    raise NoTimestamp(problem="it takes too long")
    except urllib3.exceptions.HTTPError as error:
        problem = f"it cannot be asked ({type(error).__name__})"
        raise NoTimestamp(problem=problem) from error
    if response.status != 200:
        raise NoTimestamp(problem=f"it answers with {response.status}")
    return answer


def _ordered(answer: bytes) -> bytes:
    """The same response with its certificates in the order of DER, which rfc3161-client insists on.

    OpenSSL's authorities send the set in any order, as CMS allows; no signature covers it.
    Raises ValueError for what has no such parts.
    """
    status, *token = _parts(_content(answer))
    if not token:
        return answer  # refused
    kind, signed = _parts(_content(token[0]))
    parts = [
        _wrap(part[0], b"".join(sorted(_parts(_content(part))))) if part[0] == 0xA0 else part
        for part in _parts(_content(_content(signed)))
    ]
    signed = _wrap(0xA0, _wrap(0x30, b"".join(parts)))
    return _wrap(0x30, status + _wrap(0x30, kind + signed))


def _parts(content: bytes) -> list[bytes]:
    """The DER elements in a row, whole."""
    parts = []
    while content:
        _, end = _span(content)
        parts.append(content[:end])
        content = content[end:]
    return parts


def _content(element: bytes) -> bytes:
    start, end = _span(element)
    return element[start:end]


def _span(element: bytes) -> tuple[int, int]:
    """Where an element's content starts and ends."""
    if len(element) < 2:
        raise ValueError("an element is cut off")
    start, size = 2, element[1]
    if size >= 0x80:
        start += size - 0x80
        size = int.from_bytes(element[2:start], "big")
    if start + size > len(element):
        raise ValueError("an element is cut off")
    return start, start + size


def _wrap(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 + len(length)]) + length + content


def _load(roots: Path) -> list[Certificate]:
    try:
        return load_pem_x509_certificates(roots.read_bytes())
    except (OSError, ValueError) as error:
        problem = "anchors.timestamp_roots cannot be read as certificates in PEM"
        raise ConfigError(source=roots, problem=problem) from error
