"""The tree is that of RFC 6962: the vectors of Certificate Transparency, and the RFC's text."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.audit.merkle import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# certificate-transparency, cpp/merkletree/merkle_tree_test.cc: its eight leaves, and what it says
# of the trees over the first n of them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEFT = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
PAIR = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
RIGHT_HALF = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"

# (leaf from 0, size) -> proof
INCLUSION = {
    (0, 1): [],
    (0, 8): [LEFT, PAIR, RIGHT_HALF],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
    (1, 5): [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        PAIR,
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}
# (old size, size) -> proof
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [LEFT, PAIR, RIGHT_HALF],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [PAIR, "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"],
}


def hashes(count: int) -> list[bytes]:
    return [leaf_hash(leaf) for leaf in LEAVES[:count]]


def rfc_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word by word."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + rfc_root(leaves[:k]) + rfc_root(leaves[k:])).digest()


leaf_lists = st.lists(st.binary(max_size=8), max_size=70)
grown_trees = st.lists(st.binary(max_size=4), min_size=1, max_size=70).flatmap(
    lambda leaves: st.tuples(st.just(leaves), st.integers(0, len(leaves) - 1))
)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert root_of(hashes(size)).hex() == ROOTS[size]


@pytest.mark.parametrize(("place", "proof"), INCLUSION.items())
def test_inclusion_proofs_are_those_of_certificate_transparency(
    place: tuple[int, int], proof: list[str]
) -> None:
    index, size = place
    assert [each.hex() for each in inclusion_proof(hashes(size), index)] == proof
    decoded = [bytes.fromhex(each) for each in proof]
    root = bytes.fromhex(ROOTS[size])
    assert verify_inclusion(leaf_hash(LEAVES[index]), index, size, decoded, root)


@pytest.mark.parametrize(("sizes", "proof"), CONSISTENCY.items())
def test_consistency_proofs_are_those_of_certificate_transparency(
    sizes: tuple[int, int], proof: list[str]
) -> None:
    old, new = sizes
    assert [each.hex() for each in consistency_proof(hashes(new), old)] == proof
    decoded = [bytes.fromhex(each) for each in proof]
    old_root, root = bytes.fromhex(ROOTS[old]), bytes.fromhex(ROOTS[new])
    assert verify_consistency(old, old_root, new, root, decoded)


@given(leaf_lists)
def test_a_frontier_has_the_root_of_the_rfc_at_every_size(leaves: list[bytes]) -> None:
    frontier = Frontier()
    for count, leaf in enumerate(leaves):
        assert frontier.root() == rfc_root(leaves[:count])
        frontier.append(leaf_hash(leaf))
    assert frontier.root() == rfc_root(leaves)


@given(leaf_lists, st.binary(max_size=8))
def test_a_frontier_goes_on_where_its_bytes_were_kept(leaves: list[bytes], more: bytes) -> None:
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf_hash(leaf))
    again = Frontier.from_bytes(frontier.size, frontier.to_bytes())
    again.append(leaf_hash(more))
    assert again.root() == rfc_root([*leaves, more])


@pytest.mark.parametrize(
    ("size", "data"),
    [(0, b"x"), (1, b""), (1, b"x" * 31), (2, b"x" * 64), (3, b"x" * 32), (-1, b"")],
)
def test_a_frontier_of_the_wrong_length_is_refused(size: int, data: bytes) -> None:
    with pytest.raises(ValueError, match=r"leaves|bytes"):
        Frontier.from_bytes(size, data)


@given(grown_trees)
def test_every_leaf_of_every_tree_is_provable(tree: tuple[list[bytes], int]) -> None:
    leaves, index = tree
    proof = inclusion_proof([leaf_hash(leaf) for leaf in leaves], index)
    assert verify_inclusion(leaf_hash(leaves[index]), index, len(leaves), proof, rfc_root(leaves))


@given(grown_trees, st.data())
def test_a_bent_inclusion_proof_is_refused(
    tree: tuple[list[bytes], int], data: st.DataObject
) -> None:
    leaves, index = tree
    proof = inclusion_proof([leaf_hash(leaf) for leaf in leaves], index)
    root, size, leaf = rfc_root(leaves), len(leaves), leaf_hash(leaves[index])
    extra = [*proof, leaf]
    assert not verify_inclusion(leaf, index, size, extra, root)
    assert not verify_inclusion(leaf_hash(b"never there"), index, size, proof, root)
    assert not verify_inclusion(leaf, size, size, proof, root)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        assert not verify_inclusion(leaf, index, size, proof[:at] + proof[at + 1 :], root)
        flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        assert not verify_inclusion(
            leaf, index, size, [*proof[:at], flipped, *proof[at + 1 :]], root
        )


@given(grown_trees)
def test_every_grown_tree_is_consistent_with_what_it_was(tree: tuple[list[bytes], int]) -> None:
    leaves, last = tree
    old = last + 1
    proof = consistency_proof([leaf_hash(leaf) for leaf in leaves], old)
    assert verify_consistency(old, rfc_root(leaves[:old]), len(leaves), rfc_root(leaves), proof)


@given(grown_trees)
@settings(max_examples=60)
def test_a_tree_with_another_past_is_not_consistent(tree: tuple[list[bytes], int]) -> None:
    leaves, last = tree
    old = last + 1
    past = [*leaves[:last], leaves[last] + b"?"]
    proof = consistency_proof([leaf_hash(leaf) for leaf in leaves], old)
    root = rfc_root(leaves)
    assert not verify_consistency(old, rfc_root(past), len(leaves), root, proof)
    assert not verify_consistency(
        old, rfc_root(leaves[:old]), len(leaves), node_hash(root, root), proof
    )


def test_an_empty_tree_is_consistent_with_every_tree_without_proof() -> None:
    empty, root = root_of([]), root_of(hashes(5))
    assert verify_consistency(0, empty, 5, root, [])
    assert not verify_consistency(0, empty, 5, root, [root])
    assert not verify_consistency(0, root, 5, root, [])


def test_what_cannot_be_proved_is_refused() -> None:
    with pytest.raises(ValueError, match="no leaf 3"):
        inclusion_proof(hashes(3), 3)
    with pytest.raises(ValueError, match="never had 4"):
        consistency_proof(hashes(3), 4)
