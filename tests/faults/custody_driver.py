"""A process that takes cases through custody and is killed at the n-th thing it does.

Reads one JSON request a line, does it in a child of its own, and answers with one JSON line: how
the child ended (0, or minus the signal). A point is before and after every system call of Python
code that changes files or moves bytes, and before and after every commit.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import Session

from hashmatch.audit.names import KeyedNames
from hashmatch.clips.store_folder import FolderStore
from hashmatch.config import People
from hashmatch.custody.case import Custody
from hashmatch.custody.platform import Platform
from hashmatch.custody.reply import Nothing
from hashmatch.custody.requests import Terms
from hashmatch.custody.seal import parse_recipients
from hashmatch.custody.vault import Vault
from hashmatch.db.session import Database

CALLS = ("open", "read", "write", "fsync", "link", "replace", "unlink", "mkdir", "close")


def work(request: dict[str, Any]) -> None:
    """Advance every unfinished case."""
    points = itertools.count(1)

    def point(*_: object) -> None:
        if next(points) == request["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    def pointed(call: Any) -> Any:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            point()
            result = call(*args, **kwargs)
            point()
            return result

        return wrapped

    home = Path(request["home"])
    db = Database.connect(request["database"], home)
    vault = Vault(FolderStore(home / "vault"), parse_recipients(request["recipients"]))
    names = KeyedNames(request["secret"].encode())
    platform = Platform(db, Nothing(), 0)
    terms = Terms(People(), timedelta(hours=1), ())
    clips = FolderStore(home / "clips")
    custody = Custody(db, clips, vault, platform, names, terms, "hashmatch 0")
    event.listen(Session, "before_commit", point)
    event.listen(Session, "after_commit", point)
    for name in CALLS:
        setattr(os, name, pointed(getattr(os, name)))
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
