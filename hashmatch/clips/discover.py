"""Discovery: the clips of a store, chosen by globs, with what the feed says of each.

    discovery = Discovery(store, settings.clips, settings.home)
    for clip in discovery:
        ...
    discovery.listed, discovery.excluded, discovery.incomplete, discovery.problems

Every object that the store lists is either handed out or counted as excluded. Where a prefix would cut
through the renditions of one clip, all of them are handed out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from hashmatch.clips.feed import Feed
from hashmatch.clips.globs import Glob, common_prefix
from hashmatch.clips.store import ListingIncomplete, ObjectInfo, Store
from hashmatch.config import Clips
from hashmatch.model import Clip, Metadata
from hashmatch.renditions import Pattern


class Discovery:
    """Iterate it once; the figures are final when the iteration has ended.

    listed: clips handed out; excluded: objects left out by the globs, or because the feed calls
    them private and clips.exclude_private is set; problems: sentences for the operator about bad
    lines of the feed and parts of the storage that could not be listed; incomplete: there are such
    parts, so what was handed out is not all.
    """

    def __init__(self, store: Store, clips: Clips, home: Path, prefix: str = "") -> None:
        self._store = store
        self._include = [Glob(pattern) for pattern in clips.include]
        self._exclude = [Glob(pattern) for pattern in clips.exclude]
        self._exclude_private = clips.exclude_private
        self._feed = None if clips.feed is None else home / clips.feed
        self._renditions = Pattern(clips.renditions) if clips.renditions else None
        self._prefix = self._whole_groups(prefix) or common_prefix(self._include)
        self.listed = 0
        self.excluded = 0
        self.incomplete = False
        self.problems: list[str] = []

    def __iter__(self) -> Iterator[Clip]:
        """Raises FeedUnreadable, and StorageError if the store cannot be listed at all."""
        with ExitStack() as stack:
            feed = None if self._feed is None else stack.enter_context(Feed(self._feed))
            if feed is not None and feed.damage is not None:
                self.problems.append(feed.damage.message)
            try:
                for found in self._store.list(self._prefix):
                    metadata = Metadata() if feed is None else feed.metadata(found.key)
                    if self._takes(found, metadata):
                        self.listed += 1
                        yield self._clip(found, metadata)
                    else:
                        self.excluded += 1
            except ListingIncomplete as error:
                self.incomplete = True
                self.problems.append(f"{error.message} {error.remedy}")

    def _whole_groups(self, prefix: str) -> str:
        return self._renditions.widened(prefix) if self._renditions and prefix else prefix

    def _clip(self, found: ObjectInfo, metadata: Metadata) -> Clip:
        rendition = self._renditions.of(found.key) if self._renditions else None
        return Clip(found.key, found.etag, found.size, found.modified, metadata, rendition)

    def _takes(self, found: ObjectInfo, metadata: Metadata) -> bool:
        if not any(glob.matches(found.key) for glob in self._include):
            return False
        if any(glob.matches(found.key) for glob in self._exclude):
            return False
        private = (metadata.visibility or "").casefold() == "private"
        return not (private and self._exclude_private)
