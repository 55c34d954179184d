"""A small installation for the tests of custody: stores, keys, a database with a matched clip."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select
from storing import put

from hashmatch.audit.names import KeyedNames
from hashmatch.audit.verification import verify
from hashmatch.clips.store import ObjectNotFound, Store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import People
from hashmatch.custody import case_record
from hashmatch.custody.approvals import Terms
from hashmatch.custody.case import Custody
from hashmatch.custody.notify.channel import Nothing
from hashmatch.custody.notify.platform import Platform
from hashmatch.custody.vault.sealing import parse_recipients
from hashmatch.custody.vault.store import Vault, key_name, manifest_name
from hashmatch.db.schema import CaseRow, CaseStepRow, ClipRow, LeafRow, ListRow, RunRow
from hashmatch.db.session import Database
from hashmatch.model import Action, Match, MatchKind

TERMS = Terms(People(custodians=("alice", "bob")), timedelta(hours=72), ())
NAMES = KeyedNames(b"a secret of the tests, 32 bytes or more")
KEY = "2026/11/somebody's clip.mp4"
CLIP = bytes(range(256)) * 2800  # 700 KB: a few pieces of sealed bytes

MATCH = Match(
    list="partner",
    version=3,
    entry="entry-17",
    kind=MatchKind.SEQUENCE,
    action=Action.QUARANTINE,
    distance=9,
    start=1.25,
    end=14.5,
    frames=31,
    classification="A1",
)

needs_age = pytest.mark.skipif(
    shutil.which("age") is None or shutil.which("age-keygen") is None,
    reason="the age program (Debian package `age`) is not installed",
)


class Key(NamedTuple):
    """An age key pair: its file, which a scan host never has, and its public half."""

    file: Path
    public: str


def make_key(folder: Path, name: str) -> Key:
    file = folder / f"{name}.key"
    subprocess.run(["age-keygen", "-o", str(file)], check=True, capture_output=True)
    return Key(file, re.search(r"age1[a-z0-9]+", file.read_text()).group())


def opened(sealed: Path | bytes, key: Key) -> bytes:
    """What `age -d` makes of a sealed file, or of its bytes."""
    command = ["age", "--decrypt", "--identity", str(key.file)]
    data = sealed if isinstance(sealed, bytes) else sealed.read_bytes()
    return subprocess.run(command, check=True, capture_output=True, input=data).stdout


def opened_with(sealed: bytes, secret: str) -> bytes:
    """What `age -d` makes of sealed bytes with a private key."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(secret)
        file.flush()
        return opened(sealed, Key(Path(file.name), ""))


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Scene:
    """One matched clip in clip storage, its case opened, and nothing done about it yet."""

    db: Database
    clips: Store
    vault: Store
    keys: tuple[Key, ...]
    case: str = ""
    platform: Platform | None = None

    def custody(self, clips: Store | None = None, vault: Store | None = None) -> Custody:
        """Custody on the scene's stores, or on others that stand for them."""
        recipients = parse_recipients([key.public for key in self.keys])
        sealed = Vault(vault or self.vault, recipients)
        return Custody(
            self.db,
            clips or self.clips,
            sealed,
            self.platform or Platform(self.db, Nothing(), 0),
            TERMS,
            "hashmatch 0",
        )

    def begin(self, content: bytes = CLIP, key: str = KEY) -> Scene:
        """Put a clip into clip storage, with what a run that matched it leaves in the database."""
        info = put(self.clips, key, [content])
        with self.db.write() as session:
            if session.get(RunRow, "run-1") is None:
                session.add(
                    RunRow(
                        id="run-1",
                        kind="scan",
                        selection={},
                        status="running",
                        started_at=now(),
                        software="hashmatch 0",
                        recipes={},
                        lists={},
                    )
                )
                session.add(ListRow(name=MATCH.list, created_at=now()))
                session.flush()
            clip = session.scalar(select(ClipRow).where(ClipRow.key == key))
            if clip is None:
                clip = ClipRow(key=key, modified=info.modified)
                session.add(clip)
            clip.etag = clip.scanned_etag = info.etag
            clip.size, clip.outcome = info.size, "matched"
            session.flush()
            self.case = case_record.open_case(
                session,
                NAMES,
                run_id="run-1",
                clip=clip,
                sha256=sha256(content),
                size=info.size,
                matches=[MATCH],
                siblings=(),
                software="hashmatch 0",
                at=now(),
            )
        return self

    @property
    def row(self) -> CaseRow:
        with self.db.read() as session:
            return session.get_one(CaseRow, self.case)

    @property
    def clip(self) -> ClipRow:
        with self.db.read() as session:
            return session.get_one(ClipRow, self.row.clip_id)

    def open_steps(self) -> list[str]:
        """What was intended and has no result on record."""
        with self.db.read() as session:
            query = select(CaseStepRow.step).where(CaseStepRow.ended_at.is_(None))
            return list(session.scalars(query))

    def leaves(self) -> list[tuple[str, dict[str, Any]]]:
        """Kind and body of every leaf, in order."""
        with self.db.read() as session:
            rows = session.scalars(select(LeafRow).order_by(LeafRow.seq)).all()
        return [(row.kind, json.loads(row.body)["body"]) for row in rows]

    def kinds(self) -> list[str]:
        return [kind for kind, _ in self.leaves()]

    def way(self) -> list[str]:
        """The leaves that say how far the case came, without what was intended."""
        beside = ("case-intends", "case-keyed")
        return [kind for kind in self.kinds() if kind.startswith("case-") and kind not in beside]

    def original(self, key: str = KEY) -> bytes | None:
        """What is in clip storage under the clip's key."""
        return _content(self.clips, key)

    def case_key(self, key: Key) -> str:
        """The private half of the case's key, as a custodian's `age` opens it."""
        sealed = _content(self.vault, key_name(self.row.vault_key))
        assert sealed is not None
        return opened(sealed, key).decode()

    def sealed(self) -> bytes | None:
        """What is in the vault under the case's key."""
        return _content(self.vault, self.row.vault_key)

    def vault_keys(self) -> list[str]:
        """Every object of the vault but a folder store's unnamed ones, which a kill may leave."""
        keys = sorted(found.key for found in self.vault.list())
        return [key for key in keys if not key.endswith(".partial")]

    def sealed_clips(self) -> list[str]:
        """The objects of the vault that hold a clip."""
        beside = (".key.age", ".manifest.age")
        return [place for place in self.vault_keys() if not place.endswith(beside)]

    def places(self) -> list[str]:
        """The three objects that a verified case has in the vault."""
        place = self.row.vault_key
        return sorted([place, key_name(place), manifest_name(place)])

    def recovered(self) -> list[bytes]:
        """What each holder of a key gets out of the vault, with the `age` program alone."""
        sealed = self.sealed()
        assert sealed is not None
        return [opened_with(sealed, self.case_key(key)) for key in self.keys]

    def manifest(self) -> dict[str, Any]:
        """The manifest, opened."""
        sealed = _content(self.vault, manifest_name(self.row.vault_key))
        assert sealed is not None
        return json.loads(opened_with(sealed, self.case_key(self.keys[0])))

    def original_or_copy(self) -> bool:
        """Whether the clip's bytes can be had: from clip storage, or by a custodian's key."""
        return self.original() == CLIP or (
            self.sealed() is not None and self.recovered() == [CLIP] * len(self.keys)
        )

    def assert_taken(self) -> None:
        """The clip is in the vault, once, and nowhere else, and the log says how it got there."""
        assert self.row.state == "removed"
        assert self.row.problem is None
        assert self.original() is None
        assert self.vault_keys() == self.places()
        assert self.recovered() == [CLIP] * len(self.keys)
        assert self.row.sealed_sha256 == sha256(self.sealed())
        assert self.manifest()["content"] == {"size": len(CLIP), "sha256": sha256(CLIP)}
        kinds = self.kinds()
        assert kinds[0] == "case-detected"
        assert kinds[-1] == "case-removed"
        assert self.open_steps() == []
        assert kinds.count("case-removed") == 1
        # Sealed once, and again only after a copy was found to be damaged.
        assert kinds.count("case-sealed") == 1 + kinds.count("case-damaged")
        assert "case-verified" in kinds[kinds.index("case-sealed") :]
        with self.db.read() as session:
            assert verify(session).size == len(kinds)


class Through:
    """A store that passes everything on; for doubles that change one thing of a real one."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def in_folders(home: Path, db: Database, keys: tuple[Key, ...]) -> Scene:
    """A scene whose clips and vault are folders in `home`."""
    for name in ("clips", "vault"):
        (home / name).mkdir()
    return Scene(db, FolderStore(home / "clips"), FolderStore(home / "vault"), keys)


def _content(store: Store, key: str) -> bytes | None:
    try:
        return b"".join(store.read(key))
    except ObjectNotFound:
        return None


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Key, ...]:
    if shutil.which("age-keygen") is None:
        pytest.skip("the age program (Debian package `age`) is not installed")
    folder = tmp_path_factory.mktemp("custodians")
    return make_key(folder, "custodian"), make_key(folder, "break-glass")
