"""Coverage: a run's word on every clip of a shard, in one hash that proves any one of them."""

from __future__ import annotations

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from hashmatch.audit.coverage import line, prove, root
from hashmatch.audit.merkle import leaf_hash, verify_inclusion

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(clip=TEXT, version=TEXT, outcome=TEXT, reason=st.none() | TEXT, recipes=st.lists(TEXT))
def test_a_line_is_canonical_json(
    clip: str, version: str, outcome: str, reason: str | None, recipes: list[str]
) -> None:
    made = line(clip, version, outcome=outcome, reason=reason, recipes=recipes)
    said = {
        "clip": clip,
        "version": version,
        "outcome": outcome,
        "reason": reason,
        "recipes": sorted(recipes),
    }
    assert made == rfc8785.dumps(said)


@given(lines=st.sets(st.binary(min_size=1, max_size=8), min_size=1, max_size=40))
def test_the_root_is_that_of_another_implementation_over_the_sorted_lines(
    lines: set[bytes],
) -> None:
    tree = InmemoryTree(algorithm="sha256")
    for each in sorted(lines):
        tree.append_entry(each)
    assert root(lines) == tree.get_root()
    for wanted in lines:
        index, proof = prove(list(lines), wanted)
        assert verify_inclusion(leaf_hash(wanted), index, len(lines), proof, root(lines))


def test_what_is_not_among_the_lines_cannot_be_proved() -> None:
    with pytest.raises(ValueError, match="not in list"):
        prove([b"a", b"b"], b"c")
