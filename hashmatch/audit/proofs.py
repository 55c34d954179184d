"""Proofs for many leaves of a long log: one pass over its leaf hashes, and only what is asked kept.

    proofs = Proofs()
    proofs.want_inclusion(3, 1_000_000)
    proofs.want_consistency(900_000, 1_000_000)
    for each in hashes:
        proofs.append(each)
    proofs.inclusion(3, 1_000_000)               # as `merkle.inclusion_proof`, leaves upwards

A proof is a list of subtree hashes, and a subtree is a few perfect ones. Which they are follows from
the sizes alone, so they are picked up while the tree grows: time for n leaves and k proofs is
n + k log n hashes, memory k log n of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from hashmatch.audit.merkle import node_hash

Span = tuple[int, int]


class Proofs:
    """Everything is to be wanted before the first leaf is appended."""

    def __init__(self) -> None:
        self.size = 0
        self._kept: dict[tuple[int, int], bytes] = {}
        self._wanted: set[tuple[int, int]] = set()
        self._open: list[bytes] = []

    def want_inclusion(self, index: int, size: int) -> None:
        """The proof that leaf `index` is in the tree of `size`. Raises ValueError if it cannot be."""
        self._want(inclusion_spans(index, size))

    def want_consistency(self, old: int, size: int) -> None:
        """The proof that the tree of `size` only adds to that of `old`. Raises ValueError."""
        self._want(consistency_spans(old, size))

    def want_root(self, size: int) -> None:
        """The root of the first `size` leaves, and with it their perfect subtrees."""
        self._want([(0, size)])

    def append(self, hash_of_leaf: bytes) -> None:
        """The next leaf, by its hash."""
        merged, first, width, size = hash_of_leaf, self.size, 1, self.size
        wanted = self._wanted
        if (first, 1) in wanted:
            self._kept[first, 1] = merged
        while size & 1:
            merged = hashlib.sha256(b"\x01" + self._open.pop() + merged).digest()
            first -= width
            width <<= 1
            size >>= 1
            if (first, width) in wanted:
                self._kept[first, width] = merged
        self._open.append(merged)
        self.size += 1

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """A proof that was wanted, once `size` leaves were appended. RFC 9162, 2.1.3.1."""
        return [self._root(*span) for span in inclusion_spans(index, size)]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """As `inclusion`. RFC 9162, 2.1.4.1."""
        return [self._root(*span) for span in consistency_spans(old, size)]

    def root(self, size: int) -> bytes:
        return self._root(0, size)

    def perfect(self, size: int) -> list[bytes]:
        """The roots of the perfect subtrees of a wanted root, the largest first; see `Frontier`."""
        return [self._kept[each] for each in _perfect(0, size)]

    def _want(self, spans: list[Span]) -> None:
        if self.size:
            raise ValueError("what is wanted must be known before the first leaf")
        for span in spans:
            self._wanted.update(_perfect(*span))

    def _root(self, first: int, end: int) -> bytes:
        if first == end:
            return hashlib.sha256(b"").digest()
        *lefts, root = [self._kept[each] for each in _perfect(first, end)]
        for left in reversed(lefts):
            root = node_hash(left, root)
        return root


def inclusion_spans(index: int, size: int) -> list[Span]:
    """The subtrees whose hashes prove leaf `index`, as (first leaf, leaf after the last)."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    spans, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((first, middle))
            first = middle
    return spans[::-1]


def consistency_spans(old: int, size: int) -> list[Span]:
    """The subtrees whose hashes prove that a tree of `size` leaves adds to its first `old`."""
    if not 0 < old <= size:
        raise ValueError(f"a tree of {size} leaves never had {old}")
    spans, first, end = [], 0, size
    while old != end:
        middle = first + _split(end - first)
        if old <= middle:
            spans.append((middle, end))
            end = middle
        else:
            spans.append((first, middle))
            first = middle
    # The old tree itself, unless it is one that the verifier has: its whole root.
    if first:
        spans.append((first, end))
    return spans[::-1]


def _perfect(first: int, end: int) -> Iterator[tuple[int, int]]:
    """The perfect subtrees of a subtree, the largest first, as (first leaf, leaves)."""
    left = end - first
    while left:
        width = 1 << (left.bit_length() - 1)
        yield first, width
        first, left = first + width, left - width


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)
