"""Coverage: what a run said of each clip of a shard, in one hash that can prove any one of them.

    lines = [line(clip, version, outcome="clean", reason=None, recipes=["pdq/2"]) for …]
    root(lines)                                  # 32 bytes, in the shard's leaf

A line is canonical JSON (RFC 8785) and names the clip and its version by commitments. The lines are
sorted by their bytes and are the leaves of a Merkle tree (`audit.merkle`), so that a proof of one
clip shows hashes of the others and nothing more.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from hashmatch.audit.merkle import inclusion_proof, leaf_hash, root_of

# Canonical for what a line holds: no numbers, and keys that are given in their order. A quarter of the
# time of a general encoder, for every clip of an archive.
_canonical = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def line(
    clip: str, version: str, *, outcome: str, reason: str | None, recipes: Sequence[str]
) -> bytes:
    """One clip's line. clip, version: commitments to its key and its ETag."""
    said = {
        "clip": clip,
        "outcome": outcome,
        "reason": reason,
        "recipes": sorted(recipes),
        "version": version,
    }
    return _canonical(said).encode()


def root(lines: Iterable[bytes]) -> bytes:
    """The root hash over the sorted lines."""
    return root_of([leaf_hash(each) for each in sorted(lines)])


def prove(lines: Iterable[bytes], wanted: bytes) -> tuple[int, list[bytes]]:
    """The place of a line among the sorted ones, and its inclusion proof.

    Raises ValueError if it is not among them.
    """
    ordered = sorted(lines)
    index = ordered.index(wanted)
    return index, inclusion_proof([leaf_hash(each) for each in ordered], index)
