"""A process that compares what is stored and is killed at the n-th point: before and after commits.

Called with the archive's home, the database's URL, and the point.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
from pathlib import Path
from unittest import mock

from archive_parts import Archive
from sqlalchemy import event
from sqlalchemy.orm import Session

from hashmatch.db import archive as pages
from hashmatch.db.session import Database


def main() -> None:
    home, url, kill_at = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    archive = Archive(home, Database.connect(url, home))
    points = itertools.count(1)

    def point(*_: object) -> None:
        if next(points) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(Session, "before_commit", point)
    event.listen(Session, "after_commit", point)
    with mock.patch.object(pages, "PAGE_CLIPS", 3):
        archive.compare()


if __name__ == "__main__":
    main()
