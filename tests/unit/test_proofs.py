"""Many proofs in one pass are those that the tree of `merkle` and that of others give one by one."""

from __future__ import annotations

import pymerkle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_merkle import CONSISTENCY, INCLUSION, LEAVES, ROOTS

from hashmatch.audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from hashmatch.audit.proofs import Proofs, consistency_spans, inclusion_spans

sizes = st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def leaves(count: int) -> list[bytes]:
    return [number.to_bytes(4) for number in range(count)]


def grown(hashes: list[bytes], *, inclusion=(), consistency=(), roots=()) -> Proofs:
    proofs = Proofs()
    for each in inclusion:
        proofs.want_inclusion(*each)
    for each in consistency:
        proofs.want_consistency(*each)
    for size in roots:
        proofs.want_root(size)
    for each in hashes:
        proofs.append(each)
    return proofs


def their_tree(count: int) -> pymerkle.InmemoryTree:
    tree = pymerkle.InmemoryTree(algorithm="sha256")
    for leaf in leaves(count):
        tree.append_entry(leaf)
    return tree


@given(sizes, st.data())
def test_every_proof_is_the_one_that_the_whole_tree_gives(
    tree: tuple[int, int], data: st.DataObject
) -> None:
    total, size = tree
    hashes = [leaf_hash(leaf) for leaf in leaves(total)]
    indices = data.draw(st.lists(st.integers(0, size - 1), max_size=5))
    olds = data.draw(st.lists(st.integers(1, size), max_size=5))
    proofs = grown(
        hashes,
        inclusion=[(index, size) for index in indices],
        consistency=[(old, size) for old in olds],
        roots=[size, 0],
    )
    assert proofs.root(size) == root_of(hashes[:size])
    assert proofs.root(0) == root_of([])
    assert Frontier(size, proofs.perfect(size)).root() == root_of(hashes[:size])
    for index in indices:
        assert proofs.inclusion(index, size) == inclusion_proof(hashes[:size], index)
    for old in olds:
        assert proofs.consistency(old, size) == consistency_proof(hashes[:size], old)


def test_certificate_transparencys_own_proofs_are_given() -> None:
    proofs = grown(
        [leaf_hash(leaf) for leaf in LEAVES],
        inclusion=INCLUSION,
        consistency=CONSISTENCY,
        roots=range(9),
    )
    assert [proofs.root(size).hex() for size in range(9)] == ROOTS
    for place, proof in INCLUSION.items():
        assert [each.hex() for each in proofs.inclusion(*place)] == proof
    for both, proof in CONSISTENCY.items():
        assert [each.hex() for each in proofs.consistency(*both)] == proof


@given(sizes, st.data())
@settings(max_examples=50)
def test_pymerkle_has_the_same_roots_and_inclusion_proofs_and_verifies_ours(
    tree: tuple[int, int], data: st.DataObject
) -> None:
    total, size = tree
    index = data.draw(st.integers(0, size - 1))
    theirs = their_tree(total).prove_inclusion(index + 1, size)
    hashes = [leaf_hash(leaf) for leaf in leaves(total)]
    ours = grown(hashes, inclusion=[(index, size)], roots=[size])
    base, root = hashes[index], ours.root(size)
    assert their_tree(size).get_root() == root
    assert theirs.path == [base, *ours.inclusion(index, size)]
    assert verify_inclusion(base, index, size, theirs.path[1:], root)
    again = pymerkle.InclusionProof(
        "sha256", True, size, index + 1, theirs.rule, [base, *ours.inclusion(index, size)]
    )
    pymerkle.verify_inclusion(base, root, again, index=index + 1, size=size)


@given(sizes)
@settings(max_examples=50)
def test_pymerkle_calls_the_same_trees_consistent(tree: tuple[int, int]) -> None:
    """Its proofs have a form of their own, so it is the roots and the answer that agree."""
    size, old = tree
    theirs = their_tree(size).prove_consistency(old, size)
    ours = grown([leaf_hash(leaf) for leaf in leaves(size)], consistency=[(old, size)], roots=[old])
    old_root, root = ours.root(old), their_tree(size).get_root()
    pymerkle.verify_consistency(old_root, root, theirs, prior_size=old, later_size=size)
    proof = ours.consistency(old, size)
    assert verify_consistency(old, old_root, size, root, proof)
    forked = leaf_hash(b"another past")
    assert not verify_consistency(old, forked, size, root, proof)
    with pytest.raises(pymerkle.InvalidProof):
        pymerkle.verify_consistency(forked, root, theirs, prior_size=old, later_size=size)


def test_a_long_logs_proofs_keep_few_hashes() -> None:
    proofs = Proofs()
    for index in range(0, 2**15, 512):
        proofs.want_inclusion(index, 2**15)
    for number in range(2**15):
        proofs.append(leaf_hash(number.to_bytes(4)))
    assert len(proofs._kept) <= 64 * 15


@pytest.mark.parametrize(("index", "size"), [(3, 3), (-1, 3), (0, 0)])
def test_a_leaf_that_is_not_there_cannot_be_wanted(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_spans(index, size)


@pytest.mark.parametrize(("old", "size"), [(4, 3), (0, 3), (-1, 3)])
def test_a_past_that_never_was_cannot_be_wanted(old: int, size: int) -> None:
    with pytest.raises(ValueError, match="never had"):
        consistency_spans(old, size)


def test_what_is_wanted_too_late_is_refused() -> None:
    proofs = grown([leaf_hash(b"")])
    with pytest.raises(ValueError, match="before the first leaf"):
        proofs.want_root(1)
