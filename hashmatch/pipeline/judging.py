"""From a fingerprint, fresh or stored, to its one outcome, by the lists and the settings.

judge(fingerprint, lists, settings).outcome
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from hashmatch.config import Settings
from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import Rules, decide
from hashmatch.model import Fingerprint, Match, Orientations, Verdict
from hashmatch.pipeline import canary


def judge(
    fingerprint: Fingerprint,
    lists: ListSet,
    settings: Settings,
    orientations: Orientations = Orientations.MIRRORED,
) -> Verdict:
    """The one outcome of a fingerprint, fresh or stored, against the active lists."""
    found = compare(fingerprint, lists, settings, orientations)
    return verdict_of(fingerprint, found, settings)


def verdict_of(
    fingerprint: Fingerprint,
    found: Iterable[Match],
    settings: Settings,
    held: Container[tuple[str, str]] = (),
) -> Verdict:
    """The one outcome of a fingerprint of which `found` was found on the active lists.

    held: as `decide` takes it.
    """
    return decide(
        fingerprint,
        [match for match in found if match.list != canary.LIST],
        rules(settings),
        min_coverage=settings.decode.min_coverage,
        quality=settings.match.quality,
        held=held,
    )


def compare(
    fingerprint: Fingerprint,
    lists: ListSet,
    settings: Settings,
    orientations: Orientations = Orientations.MIRRORED,
) -> tuple[Match, ...]:
    """What of the lists is in a fingerprint, the canary's list among them."""
    asked = settings.match
    return lists.match(
        fingerprint,
        distance=asked.distance,
        quality=asked.quality,
        review_score=asked.review_score,
        orientations=orientations,
    )


def rules(settings: Settings) -> Rules:
    """What the settings say needs no second look."""
    return Rules(settings.match.min_frames, settings.match.copy_score)
