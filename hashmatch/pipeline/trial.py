"""A trial: what a list version would match of what is stored, before it may act.

    result = trial(db, settings)("c3p", 2)
    result.matched, result.clips

A version that would take a good share of all clips is more likely to be wrong than they are. Nothing is
recorded of the clips, and no media is read.
"""

from __future__ import annotations

import logging

from sqlalchemy import select
from sqlalchemy.orm import Session

from hashmatch.config import Settings
from hashmatch.db import fingerprints
from hashmatch.db.schema import FingerprintRow
from hashmatch.db.session import Database
from hashmatch.hashing.packing import FingerprintDamaged
from hashmatch.hashing.recipes import recipe
from hashmatch.lists.activation import Trial
from hashmatch.lists.active import trial_list
from hashmatch.lists.trust import TrialResult
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import conclusive
from hashmatch.model import Fingerprint
from hashmatch.pipeline.scan import compare, rules

PAGE = 500

logger = logging.getLogger(__name__)


def trial(db: Database, settings: Settings) -> Trial:
    """What `activate` calls with a list's name and a version."""

    def try_version(name: str, version: int) -> TrialResult:
        with db.read() as session:
            lists = ListSet.build([trial_list(session, name, version)])
        recipes = {recipe(algorithm) for algorithm in lists.algorithms if algorithm.perceptual}
        clips = matched = last = 0
        while True:
            with db.read() as session:
                page = session.scalars(
                    select(FingerprintRow.clip_id)
                    .where(FingerprintRow.clip_id > last)
                    .distinct()
                    .order_by(FingerprintRow.clip_id)
                    .limit(PAGE)
                ).all()
                stored = [_load(session, clip, recipes) for clip in page]
            if not page:
                return TrialResult(clips, matched)
            last = page[-1]
            for fingerprint in stored:
                if fingerprint is not None:
                    clips += 1
                    found = compare(fingerprint, lists, settings)
                    matched += any(conclusive(m, rules(settings)) for m in found)

    return try_version


def _load(session: Session, clip: int, recipes: set[str]) -> Fingerprint | None:
    try:
        return fingerprints.load(session, clip, recipes)
    except FingerprintDamaged as error:
        logger.warning("left out of the trial: %s", error.message)
        return None
