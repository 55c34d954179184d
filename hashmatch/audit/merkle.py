"""The audit log's Merkle tree: RFC 6962 section 2.1, which RFC 9162 section 2.1 keeps.

    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf_hash(leaf))
    frontier.root()

All hashes are SHA-256, 32 bytes. Proofs are lists of hashes, from the leaves up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

HASH_BYTES = 32


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root hash over leaf hashes; the hash of nothing when there are none."""
    frontier = Frontier()
    for each in hashes:
        frontier.append(each)
    return frontier.root()


class Frontier:
    """A growing tree, remembered by the roots of its perfect subtrees, the largest first.

    Their number is the number of one bits in `size`, so the frontier of 2**60 leaves has at most
    60 hashes. Appending and the root cost at most as many hashes.
    """

    __slots__ = ("_roots", "size")

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        if size < 0 or len(roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has not {len(roots)} perfect subtrees")
        if any(len(root) != HASH_BYTES for root in roots):
            raise ValueError(f"a root has {HASH_BYTES} bytes")
        self.size = size
        self._roots = list(roots)

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Frontier:
        """The frontier that `to_bytes` wrote. Raises ValueError if the bytes cannot be one."""
        return cls(size, [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)])

    def to_bytes(self) -> bytes:
        """The roots one after the other; the size is to be kept with them."""
        return b"".join(self._roots)

    def append(self, hash_of_leaf: bytes) -> None:
        """Adds one leaf by its `leaf_hash`. Each trailing one bit of the size is a merge."""
        merged = hash_of_leaf
        size = self.size
        while size & 1:
            merged = node_hash(self._roots.pop(), merged)
            size >>= 1
        self._roots.append(merged)
        self.size += 1

    def root(self) -> bytes:
        if not self._roots:
            return hashlib.sha256(b"").digest()
        root = self._roots[-1]
        for left in reversed(self._roots[:-1]):
            root = node_hash(left, root)
        return root


def inclusion_proof(hashes: Sequence[bytes], index: int) -> list[bytes]:
    """That leaf `index` (from 0) is in the tree over these leaf hashes. RFC 9162, 2.1.3.1."""
    if not 0 <= index < len(hashes):
        raise ValueError(f"there is no leaf {index} in a tree of {len(hashes)}")
    if len(hashes) == 1:
        return []
    split = _split(len(hashes))
    left, right = hashes[:split], hashes[split:]
    if index < split:
        return [*inclusion_proof(left, index), root_of(right)]
    return [*inclusion_proof(right, index - split), root_of(left)]


def verify_inclusion(
    hash_of_leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """RFC 9162, 2.1.3.2."""
    if not 0 <= index < size:
        return False
    here, last, computed = index, size - 1, hash_of_leaf
    for sibling in proof:
        if last == 0:
            return False
        if here & 1 or here == last:
            computed = node_hash(sibling, computed)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and computed == root


def consistency_proof(hashes: Sequence[bytes], old_size: int) -> list[bytes]:
    """That the tree over these leaf hashes only adds to its first `old_size`. RFC 9162, 2.1.4.1."""
    if not 0 < old_size <= len(hashes):
        raise ValueError(f"a tree of {len(hashes)} leaves never had {old_size}")
    return _subproof(hashes, old_size, complete=True)


def verify_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """RFC 9162, 2.1.4.2. An empty old tree is consistent with every tree, without a proof."""
    if not 0 <= old_size <= size:
        return False
    if old_size == 0:
        return not proof and old_root == root_of(())
    if old_size == size:
        return not proof and old_root == root
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    here, last = old_size - 1, size - 1
    while here & 1:
        here, last = here >> 1, last >> 1
    old_computed = computed = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if here & 1 or here == last:
            old_computed = node_hash(sibling, old_computed)
            computed = node_hash(sibling, computed)
            while not here & 1 and here:
                here, last = here >> 1, last >> 1
        else:
            computed = node_hash(computed, sibling)
        here, last = here >> 1, last >> 1
    return last == 0 and old_computed == old_root and computed == root


def _subproof(hashes: Sequence[bytes], old_size: int, *, complete: bool) -> list[bytes]:
    if old_size == len(hashes):
        return [] if complete else [root_of(hashes)]
    split = _split(len(hashes))
    left, right = hashes[:split], hashes[split:]
    if old_size <= split:
        return [*_subproof(left, old_size, complete=complete), root_of(right)]
    return [*_subproof(right, old_size - split, complete=False), root_of(left)]


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)
