"""Canonical JSON (RFC 8785), read: the value, if its bytes are the only ones that it can have.

    content = parse(leaf.body)

`rfc8785` is the judge, and takes four times as long as the standard library's encoder, which writes
the same bytes for all that leaves usually hold. Where the two could differ (text that is not ASCII,
whose keys sort differently; numbers with an exponent, without need of a point, or beyond 2**53), and
whenever the bytes differ, `rfc8785` is asked.
"""

from __future__ import annotations

import json
from typing import Any

import rfc8785

# 10**15 and all shorter numbers are within 2**53.
_SAFE_DIGITS = 15


class NotJson(ValueError):
    """The bytes are not JSON, or hold what canonical JSON cannot."""


class NotCanonical(ValueError):
    """The bytes are JSON, spelled in another way than the canonical one."""


def parse(encoded: bytes) -> Any:
    """Raises NotJson or NotCanonical."""
    if encoded.isascii():
        text = encoded.decode("ascii")
        try:
            value = _DECODER.decode(text)
            if _ENCODER.encode(value) == text:
                return value
        except (ValueError, RecursionError):
            pass  # to be said by the judge
    return _judged(encoded)


def _judged(encoded: bytes) -> Any:
    try:
        value = json.loads(encoded)
        canonical = rfc8785.dumps(value)
    except (ValueError, RecursionError) as error:
        raise NotJson from error
    if canonical != encoded:
        raise NotCanonical
    return value


class _Unusual(ValueError):
    """A number that the two encoders may write differently."""


def _usual_float(text: str) -> float:
    """Both write the shortest digits that give the number back; so with a point only."""
    value = float(text)
    if repr(value) != text or "e" in text or text.endswith(".0"):
        raise _Unusual
    return value


def _usual_int(text: str) -> int:
    if len(text) > _SAFE_DIGITS:
        raise _Unusual
    return int(text)


_DECODER = json.JSONDecoder(parse_float=_usual_float, parse_int=_usual_int)
_ENCODER = json.JSONEncoder(
    sort_keys=True,
    ensure_ascii=False,
    separators=(",", ":"),
    allow_nan=False,
    check_circular=False,  # parsed JSON has no circles
)
