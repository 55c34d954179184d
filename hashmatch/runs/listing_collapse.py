"""A listing that collapses: storage that lists far less than it did is taken for broken, not for empty.

    needed = least(expected(session), settings.clips)
    if listed < needed: ...

An unmounted share is an empty folder, and a wrong prefix an empty bucket; neither is an error there.
"""

from __future__ import annotations

from math import ceil

from hashmatch.config import Clips
from hashmatch.errors import StorageError


class ListingCollapsed(StorageError):
    message = "{url} lists {listed} clips, and {expected} are expected by the scans before."
    remedy = (
        "See that the storage is mounted and whole, and that clips.url, clips.include, "
        "clips.exclude and the feed are right. If the platform did remove that many, accept it "
        "once, with `HASHMATCH_CLIPS__LEAST_SHARE=0 hashmatch scan`; later scans are held to what "
        "that one lists."
    )


def least(expected: int, clips: Clips) -> int:
    """How many of so many expected clips storage has to list; fewer are an alarm."""
    if not expected or not clips.least_share:
        return 0
    if expected < clips.least_known:
        return 1
    return ceil(clips.least_share * expected)
