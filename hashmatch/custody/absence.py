"""Whether a clip that storage does not have is gone, or storage is.

An unmounted share is an empty folder: every original in it would be on record as gone, and be there
again, for everybody, when the share is.
"""

from __future__ import annotations

from hashmatch.clips.store import Store
from hashmatch.db.listings import expected
from hashmatch.db.session import Database
from hashmatch.errors import StorageError


class StorageEmpty(StorageError):
    message = "Clip storage lists nothing at all, so nobody can say whether the original is gone."
    remedy = "See that it is mounted, and that clips.url is right; the next run carries on."


def check_absence(db: Database, clips: Store) -> None:
    """Raises StorageEmpty where nothing is listed and other clips than the one in hand should be.

    Not noticed: storage of which a part is there.
    """
    if next(iter(clips.list()), None) is not None:
        return
    with db.read() as session:
        if expected(session) > 1:
            raise StorageEmpty
