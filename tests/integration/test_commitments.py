"""Commitments: what leaves may say of what must be erasable one day."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.audit.commitments import commit, commitment, forget, opened
from hashmatch.db.session import Database


def test_a_commitment_can_be_computed_by_anyone_who_has_its_opening() -> None:
    salt = bytes(range(16))
    by_hand = hashlib.sha256(b"hashmatch commitment v1\0person\0" + salt + "älice".encode())
    encoded = base64.b32encode(by_hand.digest()).decode().lower().rstrip("=")
    assert commitment("person", salt, "älice") == f"person-{encoded}"


@given(st.tuples(st.binary(min_size=16, max_size=16), st.text()), st.text())
def test_another_value_or_kind_has_another_commitment(first, other):
    salt, value = first
    if other != value:
        assert commitment("clip", salt, value) != commitment("clip", salt, other)
    assert commitment("clip", salt, value) != commitment("case", salt, value)


def test_a_short_salt_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        commitment("clip", b"short", "a")


def test_one_subject_has_one_commitment_to_a_value_and_others_have_others(db: Database) -> None:
    with db.write() as session:
        first = commit(session, "reason", "a logo", subject="case-1")
        assert commit(session, "reason", "a logo", subject="case-1") == first
        assert commit(session, "reason", "a logo", subject="case-2") != first
        assert opened(session, first) == "a logo"


def test_what_is_forgotten_of_one_subject_is_kept_of_others(db: Database) -> None:
    with db.write() as session:
        gone = commit(session, "reason", "a logo", subject="case-1")
        kept = commit(session, "reason", "a logo", subject="case-2")
        assert forget(session, subject="case-1") == 1
        assert opened(session, gone) is None
        assert opened(session, kept) == "a logo"
        again = commit(session, "reason", "a logo", subject="case-1")
        assert again != gone
