"""A trial: what a list version would match of what is stored, before it may act.

    result = trial(db, settings)("c3p", 2)
    result.matched, result.clips

A version that would take a good share of all clips is more likely to be wrong than they are. It counts
what would match whatever the list's action, so that the action may be changed on what it says. Nothing
is recorded of the clips, and no media is read.
"""

from __future__ import annotations

import logging

from hashmatch.config import Settings
from hashmatch.db import fingerprints
from hashmatch.db.archive import next_page
from hashmatch.db.session import Database
from hashmatch.lists.activation import Trial
from hashmatch.lists.active import Policy, trial_list
from hashmatch.lists.trust import TrialResult
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import sure
from hashmatch.runs.archive_filter import Sifting
from hashmatch.scanning import canary
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.decision import compare, rules

logger = logging.getLogger(__name__)


def trial(db: Database, settings: Settings) -> Trial:
    """What `lists.activation` calls with a list's name, a version, and how it would act."""

    config = ScanConfig.of(settings)

    def try_version(name: str, version: int, policy: Policy | None = None) -> TrialResult:
        with db.read() as session:
            tried = trial_list(session, name, version, policy)
            lists = ListSet.build([tried, canary.active_list()])
        sifting = Sifting(lists, settings)
        clips = matched = near = last = 0
        while True:
            with db.read() as session:
                page = next_page(session, last, sifting.recipes, behind=None)
                if not page:
                    return TrialResult(clips, matched, near)
                last = page[-1].id
                sifted = sifting.page(session, page)
                for problem in sifted.damaged.values():
                    logger.warning("left out of the trial: %s", problem)
                clips += sum(bool(clip.recipes) for clip in page) - len(sifted.damaged)
                for clip in sifted.hit:
                    stored = fingerprints.load(session, clip, sifting.recipes)
                    found = () if stored is None else compare(stored, lists, config)
                    ours = [match for match in found if match.list == name]
                    sure_of_it = any(sure(match, rules(config)) for match in ours)
                    matched += sure_of_it
                    near += bool(ours) and not sure_of_it

    return try_version
