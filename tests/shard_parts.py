"""What shards' leaves must say, worked out from the tables and with another implementation of the tree."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import rfc8785
from pymerkle import InmemoryTree
from sqlalchemy import select

from hashmatch.db.schema import ClipRow, LeafRow, WorkRow
from hashmatch.db.session import Database


def committed(kind: str, salt: bytes, value: str) -> str:
    said = b"hashmatch commitment v1\0" + kind.encode() + b"\0" + salt + value.encode()
    digest = base64.b32encode(hashlib.sha256(said).digest()).decode()
    return f"{kind}-{digest.lower().rstrip('=')}"


def root_of_lines(lines: list[dict[str, Any]]) -> str:
    tree = InmemoryTree(algorithm="sha256")
    for line in sorted(map(rfc8785.dumps, lines)):
        tree.append_entry(line)
    return tree.get_root().hex()


def check_shards(db: Database) -> int:
    """Every clip with an outcome in a scan is in its shard's one leaf. Returns how many shards."""
    rows = (
        select(WorkRow, ClipRow, LeafRow.body)
        .join(ClipRow, WorkRow.clip_id == ClipRow.id)
        .join(LeafRow, WorkRow.leaf == LeafRow.seq, isouter=True)
        .where(WorkRow.state == "done")
    )
    shards: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with db.read() as session:
        for work, clip, leaf in session.execute(rows):
            own = json.loads(leaf)["body"]
            line = {
                "clip": committed("clip", clip.salt, clip.key),
                "version": committed("version", clip.salt, work.etag),
                "outcome": work.outcome,
                "reason": work.reason,
                "recipes": own["recipes"],
            }
            assert own["run"] == work.run_id
            assert {**own, **line} == own
            shards.setdefault((work.run_id, work.shard), []).append(line)
        written = select(LeafRow.body).where(LeafRow.kind == "shard-scanned")
        bodies = [json.loads(leaf)["body"] for leaf in session.scalars(written)]
    said = [((body["run"], body["shard"]), body["clips"], body["root"]) for body in bodies]
    expected = [(name, len(lines), root_of_lines(lines)) for name, lines in shards.items()]
    assert sorted(said) == sorted(expected)
    return len(said)
