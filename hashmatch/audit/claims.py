"""What a bundle claims: of which leaves, in the tree of which checkpoint, with which openings.

    with db.read() as session:
        claim = of_case(session, "case-7hq2k6w4v3mzdpbe", openings=True)
        claim.leaves, claim.size, claim.newer

Everything is proved in the tree of one checkpoint. Leaves that no checkpoint covers yet are left out
(`newer`): the next run signs them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.commitments import commitment, named
from hashmatch.audit.selection import Look, NothingToProve, about_case, in_period, looks_at
from hashmatch.db.schema import CaseRow, CheckpointRow, ClipRow, LeafRow, OpeningRow
from hashmatch.model import Json

Item = TypeVar("Item")

# What may be a digest of a matched clip, and so a listed hash, is told to nobody: its content, and
# its version, which is its ETag.
UNOPENED = ("content", "version")
TAKEN = ("matched", "review")

AT_ONCE = 500  # numbers or names in one statement

_COMMITMENT = re.compile(rb'"([a-z]+-[a-z2-7]{52})"')


@dataclass(frozen=True, slots=True)
class Opening:
    """What a commitment is to."""

    kind: str
    salt: bytes
    value: str

    @property
    def commitment(self) -> str:
        return commitment(self.kind, self.salt, self.value)


@dataclass(frozen=True, slots=True)
class Claim:
    """said: the claim as the manifest has it. size: of the tree that all is proved in.

    leaves: their numbers, ascending; a range is one without gaps. checkpoints: their sizes, the
    last of which is `size`. newer: leaves that would belong here, and that no checkpoint covers.
    """

    said: dict[str, Json]
    leaves: Sequence[int]
    size: int
    checkpoints: Sequence[int]
    newer: Sequence[int] = ()
    openings: Sequence[Opening] | None = None
    looks: Sequence[Look] | None = None


def of_case(session: Session, case: str, *, openings: bool) -> Claim:
    """All about a case, in the newest checkpoint.

    openings: with those of the case's commitments that are kept, and all checkpoints since its first
    leaf. Raises NothingToProve.
    """
    leaves = about_case(session, case)
    sizes = _checkpoints(session)
    size = _newest(sizes)
    covered = [seq for seq in leaves if seq < size]
    if not covered:
        raise _not_signed_yet(leaves)
    return Claim(
        said={"kind": "case", "case": case},
        leaves=covered,
        size=size,
        checkpoints=[each for each in sizes if each > covered[0]] if openings else [size],
        newer=leaves[len(covered) :],
        openings=_openings(session, case, covered) if openings else None,
    )


def of_period(session: Session, begin: date, end: date) -> Claim:
    """All leaves of these days (UTC, both included), in the first checkpoint that covers them.

    With the checkpoints between, and the last one before. Raises NothingToProve.
    """
    until = datetime.combine(end, time(), UTC) + timedelta(days=1)
    first, last = in_period(session, datetime.combine(begin, time(), UTC), until)
    sizes = _checkpoints(session)
    size = next((each for each in sizes if each > last), _newest(sizes))
    if size <= first:
        raise _not_signed_yet(range(first, last + 1))
    covered = range(first, min(last + 1, size))
    before = [each for each in sizes if each <= first][-1:]
    return Claim(
        said={"kind": "period", "first": first, "last": covered[-1]},
        leaves=covered,
        size=size,
        checkpoints=before + [each for each in sizes if first < each <= size],
        newer=range(covered.stop, last + 1),
    )


def of_coverage(session: Session, key: str, day: date) -> Claim:
    """What the runs that began on a day (UTC) said of one clip, and nothing of any other.

    key: in clip storage. Raises NothingToProve.
    """
    seen = looks_at(session, key, day)
    size = _newest(_checkpoints(session))
    numbers = [number for look in seen.looks for number in _numbers(look)]
    looks = [look for look in seen.looks if all(number < size for number in _numbers(look))]
    if not looks:
        raise _not_signed_yet(sorted(numbers))
    clip = Opening("clip", seen.salt, seen.key)
    taken = {look.etag for look in looks if look.outcome in TAKEN}
    versions = [
        Opening("version", seen.salt, etag)
        for etag in dict.fromkeys(look.etag for look in looks)
        # Of a version that was forgotten there is nothing to open.
        if etag not in taken and named("version", seen.salt, etag) != etag
    ]
    proved = sorted({number for look in looks for number in _numbers(look)})
    return Claim(
        said={"kind": "coverage", "clip": clip.commitment},
        leaves=proved,
        size=size,
        checkpoints=[size],
        newer=sorted(set(numbers) - set(proved)),
        openings=[clip, *versions],
        looks=looks,
    )


def _numbers(look: Look) -> list[int]:
    own = [] if look.leaf is None else [look.leaf]
    return [*look.run, *own, *([look.place.leaf] if look.place else [])]


def _checkpoints(session: Session) -> list[int]:
    """Their sizes, ascending. That of an empty tree proves nothing."""
    query = select(CheckpointRow.size).where(CheckpointRow.size > 0)
    return list(session.scalars(query.order_by(CheckpointRow.size)))


def _newest(sizes: Sequence[int]) -> int:
    if not sizes:
        raise NothingToProve(
            problem="there is no checkpoint yet; every `hashmatch scan` makes one."
        )
    return sizes[-1]


def _not_signed_yet(leaves: Sequence[int]) -> NothingToProve:
    problem = f"no checkpoint covers leaf {leaves[0]} and later yet; the next run's does."
    return NothingToProve(problem=problem)


def _openings(session: Session, case: str, leaves: Sequence[int]) -> list[Opening]:
    """Of what the leaves name by commitments, as far as it is kept; of clips, the case's own."""
    names: set[str] = set()
    for some in pieces(leaves):
        for body in session.scalars(select(LeafRow.body).where(LeafRow.seq.in_(some))):
            names.update(name.decode() for name in _COMMITMENT.findall(body))
    found = []
    for given in pieces(sorted(names)):
        these = OpeningRow.commitment.in_(given) & OpeningRow.kind.not_in(UNOPENED)
        kept = session.scalars(select(OpeningRow).where(these))
        found += [Opening(one.kind, one.salt, one.value) for one in kept]
    query = select(ClipRow.salt, CaseRow.clip_key).join(CaseRow).where(CaseRow.id == case)
    clip = session.execute(query).one_or_none()
    if clip is not None and clip.salt:
        own = Opening("clip", clip.salt, clip.clip_key)
        found += [own] if own.commitment in names else []
    return sorted(found, key=lambda each: each.commitment)


def pieces(many: Sequence[Item]) -> Iterator[Sequence[Item]]:
    for start in range(0, len(many), AT_ONCE):
        yield many[start : start + AT_ONCE]
