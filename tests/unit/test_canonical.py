"""Canonical JSON is told from all other, exactly as RFC 8785's own implementation tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hashmatch.audit import canonical
from hashmatch.audit.canonical import NotCanonical, NotJson, parse

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.floats(0.0001, 1)
    | st.text(max_size=6)
    | st.text('\ue000\U0001f600az"\\/\x1f\x7f', max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("\ue000\U0001f600ab"), inner)
    ),
    max_leaves=8,
)
spellings = st.sampled_from(
    [
        lambda value: json.dumps(value).encode(),
        lambda value: json.dumps(value, separators=(",", ":")).encode(),
        lambda value: json.dumps(
            value, separators=(",", ":"), sort_keys=True, ensure_ascii=False
        ).encode("utf-8", "surrogatepass"),
        lambda value: json.dumps(value, separators=(",", ":"), sort_keys=True).encode(),
        lambda value: json.dumps(value).encode("utf-16"),
    ]
)


def judged(encoded: bytes) -> Any:
    """What the package by others says: the value, or the kind of error."""
    try:
        value = json.loads(encoded)
        again = rfc8785.dumps(value)
    except (ValueError, RecursionError):
        return NotJson
    return value if again == encoded else NotCanonical


def said(encoded: bytes) -> Any:
    try:
        return parse(encoded)
    except (NotJson, NotCanonical) as error:
        return type(error)


@given(values, spellings)
@example(1.0, json.dumps)
@settings(max_examples=400)
def test_every_spelling_is_judged_as_the_reference_judges_it(value: Any, spell: Any) -> None:
    encoded = spell(value)
    encoded = encoded.encode() if isinstance(encoded, str) else encoded
    assert said(encoded) == judged(encoded)


@given(st.text('{}[]:,"0123456789.eE+-aflnrstu\\ \n', max_size=12))
@settings(max_examples=400)
def test_no_junk_is_taken_for_canonical(text: str) -> None:
    assert said(text.encode()) == judged(text.encode())


NUMBERS = """
    0 -1 0.5 0.0001 123456789012345 9007199254740991 1e+21 1e-7 1.5e-7 5e-324 0.000001
    1.0 -0 -0.0 1e5 1E400 1e-05 0.10 9007199254740992 1e16 00 1. 1e21 0.00001
    100000000000000000000 NaN Infinity
"""


@pytest.mark.parametrize("number", NUMBERS.split())
def test_numbers_are_judged_as_the_reference_judges_them(number: str) -> None:
    encoded = f'{{"n":{number}}}'.encode()
    assert said(encoded) == judged(encoded)


def test_the_usual_leaf_needs_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canonical, "_judged", lambda _: pytest.fail("the slow way was taken"))
    leaf = {"at": "2026-11-22T03:00:00.000000Z", "body": {"coverage": 0.9871, "n": [1, None]}}
    assert parse(rfc8785.dumps(leaf)) == leaf


def test_what_is_nested_too_deeply_is_no_json() -> None:
    assert said(b"[" * 100_000) is NotJson
