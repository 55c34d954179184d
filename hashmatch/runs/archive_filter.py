"""The archive, page by page, past a set of lists: which stored clips match anything in it.

    sifting = Sifting(lists, settings)
    while page := next_page(session, last, sifting.recipes, behind=None):
        sifted = sifting.page(session, page)
        sifted.hit, sifted.damaged

No clip is loaded as an object and none is judged here: that is for the few that are hit. A stored copy
of the canary goes with every page and must be hit, so that a blind search is never taken for an
archive without matches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from sqlalchemy.orm import Session

from hashmatch.config import Settings
from hashmatch.db.archive import Known, Stored, read
from hashmatch.errors import CanaryFailed
from hashmatch.hashing.packing import FingerprintDamaged, unpack
from hashmatch.hashing.recipes import recipe
from hashmatch.matching.listset import ListSet
from hashmatch.matching.sieve import Sieve
from hashmatch.model import Algorithm, Digests, Orientations
from hashmatch.scanning import canary

_TURNED = set(Orientations.ALL.outer)

# No clips' ids: the canary by its digest, and by its frames.
_CANARY = {-1, 0}


@dataclass(slots=True)
class Sifted:
    """What a page held, by clip id.

    hit: what `ListSet.match` finds anything in; usable: what has a frame of the least quality;
    damaged: what is not what was stored, and how; unturned: what was not hashed in all orientations;
    undigested: what was not read whole; hashes: how many frame hashes were compared, a frame in one
    variant each.
    """

    hit: set[int] = field(default_factory=set)
    usable: set[int] = field(default_factory=set)
    damaged: dict[int, str] = field(default_factory=dict)
    unturned: set[int] = field(default_factory=set)
    undigested: set[int] = field(default_factory=set)
    hashes: int = 0


class Sifting:
    """recipes: those of which frames are read."""

    def __init__(self, lists: ListSet, settings: Settings) -> None:
        rules = settings.match
        self._sieve = Sieve(lists, distance=rules.distance, quality=rules.quality)
        self._canary = canary.stored(rules.distance)
        self._pdq = recipe(Algorithm.PDQ)
        self.recipes = {recipe(name) for name in lists.algorithms if name.perceptual}

    def page(self, session: Session, clips: Sequence[Known]) -> Sifted:
        """Raises CanaryFailed."""
        sifted = Sifted()
        rows = read(session, [clip.id for clip in clips], self.recipes)
        for clip, fingerprint in groupby(rows, attrgetter("clip")):
            try:
                self._add(clip, list(fingerprint), sifted)
            except FingerprintDamaged as error:
                sifted.damaged[clip] = error.message
        digests, frames = self._canary
        self._sieve.add_digests(-1, digests)
        self._sieve.add_frames(0, frames)
        found = self._sieve.sift()
        if not found >= _CANARY:
            raise CanaryFailed(when="middle", problem="what is stored of it did not match")
        sifted.hit = found - _CANARY - sifted.damaged.keys()
        return sifted

    def _add(self, clip: int, rows: Sequence[Stored], sifted: Sifted) -> None:
        first = rows[0]
        if first.md5 is None or first.sha1 is None or first.sha256 is None:
            sifted.undigested.add(clip)
        else:
            self._sieve.add_digests(clip, Digests(first.md5, first.sha1, first.sha256))
        pdq_made_at = next((row.made_at for row in rows if row.recipe == self._pdq), None)
        for row in rows:
            if not row.frames:
                continue
            frames = unpack(row.frames)
            if frames.algorithm is Algorithm.PDQ and not set(frames.variants) >= _TURNED:
                sifted.unturned.add(clip)
            # The quality is PDQ's; where the PDQ hashes are of another look, theirs decides.
            every = row.made_at != pdq_made_at
            usable = self._sieve.add_frames(clip, frames, every=every)
            sifted.hashes += usable
            if usable and frames.algorithm is Algorithm.PDQ:
                sifted.usable.add(clip)
