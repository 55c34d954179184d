"""A trial: what a list version would match of what is stored, before it may act.

    result = trial(db, settings)("c3p", 2)
    result.matched, result.clips

A version that would take a good share of all clips is more likely to be wrong than they are. Nothing is
recorded of the clips, and no media is read.
"""

from __future__ import annotations

import logging

from hashmatch.config import Settings
from hashmatch.db import fingerprints
from hashmatch.db.archive import next_page
from hashmatch.db.session import Database
from hashmatch.lists.activation import Trial
from hashmatch.lists.active import trial_list
from hashmatch.lists.trust import TrialResult
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import conclusive
from hashmatch.pipeline import canary
from hashmatch.pipeline.judging import compare, rules
from hashmatch.pipeline.sifting import Sifting

logger = logging.getLogger(__name__)


def trial(db: Database, settings: Settings) -> Trial:
    """What `activate` calls with a list's name and a version."""

    def try_version(name: str, version: int) -> TrialResult:
        with db.read() as session:
            lists = ListSet.build([trial_list(session, name, version), canary.active_list()])
        sifting = Sifting(lists, settings)
        clips = matched = last = 0
        while True:
            with db.read() as session:
                page = next_page(session, last, sifting.recipes, behind=None)
                if not page:
                    return TrialResult(clips, matched)
                last = page[-1].id
                sifted = sifting.page(session, page)
                for problem in sifted.damaged.values():
                    logger.warning("left out of the trial: %s", problem)
                clips += sum(bool(clip.recipes) for clip in page) - len(sifted.damaged)
                for clip in sifted.hit:
                    stored = fingerprints.load(session, clip, sifting.recipes)
                    found = () if stored is None else compare(stored, lists, settings)
                    matched += any(conclusive(m, rules(settings)) for m in found)

    return try_version
