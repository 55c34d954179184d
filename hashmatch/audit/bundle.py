"""Bundles: leaves of the log with all that somebody without this installation needs to check them.

    done = export(db, public_key, lambda session: of_case(session, case, openings=True),
                  Path("case.zip"), {"what": "case", "case": case}, by="alice", at=now)

The format is described in docs/audit-bundle.md and checked by scripts/verify_bundle.py. The same log
gives the same bytes: nothing in a bundle says when or by whom it was made, and nothing is compressed,
so that no version of a compressor matters and none can be attacked.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BufferedRandom
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.audit.checkpoint import Checkpoint, CheckpointError, open_note, split, verifier_key
from hashmatch.audit.claims import Claim, Opening, pieces
from hashmatch.audit.commitments import commit_person
from hashmatch.audit.log import append
from hashmatch.audit.merkle import leaf_hash
from hashmatch.audit.proofs import Proofs
from hashmatch.audit.selection import Look
from hashmatch.db.schema import AnchorRow, CheckpointRow, LeafRow
from hashmatch.db.session import Database
from hashmatch.errors import AuditBroken
from hashmatch.model import Json
from hashmatch.newfile import new_file, sync

FORMAT = "hashmatch audit bundle 1"

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can say
_UNIX = 3
_BATCH = 1000


class Exported(NamedTuple):
    """What was written. sha256: of the file; root: of the tree that all is proved in."""

    claim: Claim
    root: bytes
    sha256: str


class _Note(NamedTuple):
    said: Checkpoint
    note: str


def export(
    db: Database,
    public_key: Ed25519PublicKey,
    select_claim: Callable[[Session], Claim],
    out: Path,
    about: Mapping[str, Json],
    *,
    by: str,
    at: datetime,
) -> Exported:
    """Write a bundle to a new file, and a leaf that says so (which the bundle cannot contain).

    about: what the leaf says besides. Raises NothingToProve, OutputRefused, AuditBroken.
    """
    with new_file(out) as file:
        with db.read() as session:
            claim = select_claim(session)
            root = write(session, claim, public_key, file)
        sync(file)  # a full disk is told before the leaf
        file.seek(0)
        done = Exported(claim, root, hashlib.file_digest(file, "sha256").hexdigest())
        with db.write() as session:
            body: dict[str, Json] = {
                **about,
                **{name: value for name, value in claim.said.items() if name != "kind"},
                "leaves": len(claim.leaves),
                "size": claim.size,
                "sha256": done.sha256,
                "by": commit_person(session, by),
            }
            append(session, "audit-exported", body, at)
    return done


def write(
    session: Session, claim: Claim, public_key: Ed25519PublicKey, file: BufferedRandom
) -> bytes:
    """Write the bundle of a claim; returns the root of its tree.

    Raises AuditBroken where the log is not what its checkpoints say, so that no bundle is made which
    nobody could verify.
    """
    notes = _notes(session, claim.checkpoints, public_key)
    newest = notes[-1].said
    with zipfile.ZipFile(file, "w") as archive:
        members = _Members(archive)
        members.add("leaves.jsonl", _leaves(session, claim.leaves))
        proofs = _proofs(session, claim, notes)
        members.add_json("proofs.json", _proofs_json(claim, proofs))
        if claim.openings is not None:
            members.add_json("openings.json", [_opening_json(each) for each in claim.openings])
        if claim.looks is not None:
            members.add_json("coverage.json", [_look_json(each) for each in claim.looks])
        origins = sorted({each.said.origin for each in notes})
        keys = "".join(verifier_key(origin, public_key) + "\n" for origin in origins)
        members.add("key.pub", [keys.encode()])
        for said, note in notes:
            members.add(f"checkpoints/{said.size}.note", [note.encode()])
        for size, kind, receipt in _receipts(session, claim.checkpoints):
            members.add(f"anchors/{size}.{kind}", [receipt])
        manifest: dict[str, Json] = {
            "format": FORMAT,
            "origin": newest.origin,
            "claim": claim.said,
            "leaves": len(claim.leaves),
            "tree": {"size": newest.size, "root": newest.root.hex()},
            "files": dict(members.written),
        }
        members.add_json("manifest.json", manifest)
    return newest.root


@dataclass
class _Members:
    """The archive's files, each with its size and digest, as the manifest has them."""

    archive: zipfile.ZipFile

    def __post_init__(self) -> None:
        self.written: dict[str, Json] = {}

    def add(self, name: str, chunks: Iterable[bytes]) -> None:
        entry = zipfile.ZipInfo(name, _EPOCH)
        entry.create_system, entry.external_attr = _UNIX, 0o100600 << 16
        digest, size = hashlib.sha256(), 0
        # As if it were large: how large it becomes is not known yet.
        with self.archive.open(entry, "w", force_zip64=True) as member:
            for chunk in chunks:
                member.write(chunk)
                digest.update(chunk)
                size += len(chunk)
        self.written[name] = {"size": size, "sha256": digest.hexdigest()}

    def add_json(self, name: str, content: Json) -> None:
        self.add(name, [rfc8785.dumps(content) + b"\n"])


def _notes(session: Session, sizes: Sequence[int], public_key: Ed25519PublicKey) -> list[_Note]:
    """The checkpoints of these sizes, whose signatures hold."""
    found = []
    for some in pieces(sizes):
        query = select(CheckpointRow).where(CheckpointRow.size.in_(some))
        for row in session.scalars(query.order_by(CheckpointRow.size)):
            try:
                said = Checkpoint.parse(split(row.note)[0])
                open_note(row.note, said.origin, public_key)
            except CheckpointError as error:
                problem = f"a checkpoint cannot be trusted, {error.details['problem']}"
                raise AuditBroken(problem=problem, leaf=row.size) from error
            if said.size != row.size:
                raise AuditBroken(problem="a checkpoint was changed", leaf=row.size)
            found.append(_Note(said, row.note))
    return found


def _leaves(session: Session, numbers: Sequence[int]) -> Iterator[bytes]:
    """The leaves' bytes, a line each. Raises AuditBroken for one that is not there or was changed."""
    query = select(LeafRow.seq, LeafRow.body, LeafRow.hash).order_by(LeafRow.seq)
    if isinstance(numbers, range):
        parts = [query.where(LeafRow.seq.between(numbers[0], numbers[-1]))]
    else:
        parts = [query.where(LeafRow.seq.in_(some)) for some in pieces(numbers)]
    wanted = iter(numbers)
    for part in parts:
        for seq, body, hashed in session.execute(part.execution_options(yield_per=_BATCH)):
            number = next(wanted)
            if seq != number:
                raise AuditBroken(problem="a leaf was removed", leaf=number)
            if not isinstance(body, bytes) or leaf_hash(body) != hashed:
                raise AuditBroken(problem="a leaf was changed", leaf=seq)
            yield body + b"\n"
    for number in wanted:
        raise AuditBroken(problem="a leaf was removed", leaf=number)


def _proofs(session: Session, claim: Claim, notes: Sequence[_Note]) -> Proofs:
    """One pass over the hashes of the tree, which must give every checkpoint's root."""
    proofs, leaves, size = Proofs(), claim.leaves, claim.size
    if isinstance(leaves, range):
        proofs.want_root(leaves.start)
        proofs.want_consistency(leaves.stop, size)
    else:
        for number in leaves:
            proofs.want_inclusion(number, size)
    for older, newer in pairwise(claim.checkpoints):
        proofs.want_consistency(older, newer)
    for said, _ in notes:
        proofs.want_root(said.size)
    query = select(LeafRow.hash).where(LeafRow.seq < size).order_by(LeafRow.seq)
    for hashed in session.scalars(query.execution_options(yield_per=_BATCH)):
        proofs.append(hashed)
    if proofs.size < size:
        raise AuditBroken(problem="a leaf was removed", leaf=proofs.size)
    for said, _ in notes:
        if proofs.root(said.size) != said.root:
            problem = f"the first {said.size} leaves do not give their checkpoint's root"
            raise AuditBroken(problem=problem, leaf=0)
    return proofs


def _proofs_json(claim: Claim, proofs: Proofs) -> dict[str, Json]:
    leaves, size = claim.leaves, claim.size
    said: dict[str, Json] = {
        "consistency": [
            {"old": old, "new": new, "path": _hex(proofs.consistency(old, new))}
            for old, new in pairwise(claim.checkpoints)
        ]
    }
    if isinstance(leaves, range):
        said["range"] = {
            "first": leaves.start,
            "last": leaves.stop - 1,
            "before": _hex(proofs.perfect(leaves.start)),
            "path": _hex(proofs.consistency(leaves.stop, size)),
        }
    else:
        said["inclusion"] = [
            {"leaf": number, "path": _hex(proofs.inclusion(number, size))} for number in leaves
        ]
    return said


def _opening_json(opening: Opening) -> dict[str, Json]:
    """A value that is no Unicode text (a key of clip storage may be any bytes) goes in hex."""
    said: dict[str, Json] = {
        "commitment": opening.commitment,
        "kind": opening.kind,
        "salt": opening.salt.hex(),
    }
    encoded = opening.value.encode("utf-8", "surrogateescape")
    try:
        said["value"] = encoded.decode()
    except UnicodeDecodeError:
        said["bytes"] = encoded.hex()
    return said


def _look_json(look: Look) -> dict[str, Json]:
    said: dict[str, Json] = {"run": look.id, "leaf": look.leaf, "shard": None}
    if look.place is not None:
        said["shard"] = {
            "leaf": look.place.leaf,
            "line": look.place.line.decode(),
            "index": look.place.index,
            "clips": look.place.clips,
            "path": _hex(look.place.path),
        }
    return said


def _receipts(session: Session, sizes: Sequence[int]) -> Iterator[tuple[int, str, bytes]]:
    for some in pieces(sizes):
        query = select(AnchorRow.size, AnchorRow.kind, AnchorRow.receipt)
        query = query.where(AnchorRow.size.in_(some)).order_by(AnchorRow.size, AnchorRow.kind)
        for size, kind, receipt in session.execute(query):
            if receipt is not None:
                yield size, kind, receipt


def _hex(hashes: Iterable[bytes]) -> list[Json]:
    return [each.hex() for each in hashes]
