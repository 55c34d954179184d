"""A process that takes cases through custody and is killed at the n-th thing it does.

Reads one JSON request a line, does it in a child of its own, and answers with one JSON line: how
the child ended (0, or minus the signal). A point is before and after every call of a store, every
request to S3, every commit and, where all is in folders, every system call of Python code that
changes files or moves bytes.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from botocore.httpsession import URLLib3Session
from sqlalchemy import event
from sqlalchemy.orm import Session

from hashmatch.clips.open_store import open_store
from hashmatch.clips.store import Store
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import Settings, Storage
from hashmatch.custody import viewing
from hashmatch.custody.approvals import Terms
from hashmatch.custody.case import Custody
from hashmatch.custody.notify.channel import Nothing
from hashmatch.custody.notify.platform import Platform
from hashmatch.custody.release import release
from hashmatch.custody.vault.sealing import CaseKey, parse_recipients
from hashmatch.custody.vault.store import Vault
from hashmatch.db.session import Database

CALLS = ("open", "read", "write", "fsync", "link", "replace", "unlink", "mkdir", "close")
STORE_CALLS = ("head", "list", "write", "delete")


class Pointed:
    """A store with a point before and after every call, and in the middle of what is read."""

    def __init__(self, store: Store, point: Callable[[], None]) -> None:
        self.store, self.point = store, point

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.store, name)
        return pointed(found, self.point) if name in STORE_CALLS else found

    def read(self, key: str, etag: str | None = None) -> Iterator[bytes]:
        for chunk in self.store.read(key, etag):
            self.point()
            yield chunk
        self.point()


def pointed(call: Any, point: Callable[[], None]) -> Any:
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        point()
        result = call(*args, **kwargs)
        point()
        return result

    return wrapped


def work(request: dict[str, Any]) -> None:
    """Do the act, and die at its `kill_at`-th point."""
    points = itertools.count(1)

    def point(*_: object) -> None:
        if next(points) == request["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    home = Path(request["home"])
    db = Database.connect(request["database"], home)
    clips, vault = (open_store(Storage(**request[name]), home) for name in ("clips", "vault"))
    settings = Settings(custody={"jurisdictions": ["US"]}, people={"custodians": ["alice", "bob"]})
    custody = Custody(
        db,
        Pointed(clips, point),
        Vault(Pointed(vault, point), parse_recipients(request["recipients"])),
        Platform(db, Nothing(), 0),
        Terms.of(settings),
        "hashmatch 0",
    )
    event.listen(Session, "before_commit", point)
    event.listen(Session, "after_commit", point)
    URLLib3Session.send = pointed(URLLib3Session.send, point)
    if isinstance(clips, FolderStore) and isinstance(vault, FolderStore):
        for name in CALLS:
            setattr(os, name, pointed(getattr(os, name), point))
    if request["act"] == "release":
        case = viewing.load(db, request["case"])
        key = CaseKey(str(case.case_key), request["key"])
        release(custody, case, key, settings.review, by="bob")
    else:
        for _ in custody.resume():
            pass


def main() -> None:
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            work(json.loads(line))
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps({"status": status}), flush=True)


if __name__ == "__main__":
    main()
