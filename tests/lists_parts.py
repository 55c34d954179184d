"""Lists for tests: hashes drawn by chance, and the files a partner would send."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from hashmatch.audit.names import KeyedNames
from hashmatch.lists.activation import Trial
from hashmatch.lists.active import Policy
from hashmatch.lists.trust import TrialResult

NAMES = KeyedNames(b"a secret of the tests, 32 bytes or more")
AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

# The documented example of the PDQ reference implementation (ThreatExchange, pdq/README.md).
BRIDGE = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"
MD5 = hashlib.md5(b"a harmless file").hexdigest()
SHA1 = hashlib.sha1(b"a harmless file").hexdigest()
SHA256 = hashlib.sha256(b"a harmless file").hexdigest()

COLUMNS = (
    "entry_id",
    "algorithm",
    "hash",
    "media",
    "group",
    "timestamp",
    "quality",
    "classification",
)


def pdq_hash(seed: int) -> str:
    """A hash with half of its bits set, as real ones have."""
    bits = [True] * 128 + [False] * 128
    random.Random(seed).shuffle(bits)
    return f"{int(''.join(map(str, map(int, bits))), 2):064x}"


def images(count: int, *, first: int = 0) -> list[dict[str, str]]:
    """Rows of image entries img-<first> and on, each with its PDQ hash."""
    return [
        {"entry_id": f"img-{i}", "algorithm": "pdq", "hash": pdq_hash(i)}
        for i in range(first, first + count)
    ]


def write_csv(path: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    lines = [",".join(COLUMNS)]
    lines += [",".join(row.get(column, "") for column in COLUMNS) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def trial_of(clips: int, matched: int) -> Trial:
    """A trial on that many stored clips."""

    def try_version(_name: str, _version: int, _policy: Policy | None = None) -> TrialResult:
        return TrialResult(clips, matched)

    return try_version


NO_TRIAL = trial_of(clips=0, matched=0)
