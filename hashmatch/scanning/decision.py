"""From a fingerprint, fresh or stored, to its one outcome, by the lists and the config.

judge(fingerprint, lists, config).outcome
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from hashmatch.matching.listset import ListSet
from hashmatch.matching.policy import Rules, decide
from hashmatch.model import Fingerprint, Match, Orientations, Verdict
from hashmatch.scanning import canary
from hashmatch.scanning.config import ScanConfig


def judge(
    fingerprint: Fingerprint,
    lists: ListSet,
    config: ScanConfig,
    orientations: Orientations = Orientations.MIRRORED,
) -> Verdict:
    """The one outcome of a fingerprint, fresh or stored, against the active lists."""
    found = compare(fingerprint, lists, config, orientations)
    return verdict_of(fingerprint, found, config)


def verdict_of(
    fingerprint: Fingerprint,
    found: Iterable[Match],
    config: ScanConfig,
    held: Container[tuple[str, str]] = (),
) -> Verdict:
    """The one outcome of a fingerprint of which `found` was found on the active lists.

    held: as `decide` takes it.
    """
    return decide(
        fingerprint,
        [match for match in found if match.list != canary.LIST],
        rules(config),
        min_coverage=config.decode.min_coverage,
        quality=config.match.quality,
        held=held,
    )


def compare(
    fingerprint: Fingerprint,
    lists: ListSet,
    config: ScanConfig,
    orientations: Orientations = Orientations.MIRRORED,
) -> tuple[Match, ...]:
    """What of the lists is in a fingerprint, the canary's list among them."""
    asked = config.match
    return lists.match(
        fingerprint,
        distance=asked.distance,
        quality=asked.quality,
        review_score=asked.review_score,
        orientations=orientations,
    )


def rules(config: ScanConfig) -> Rules:
    """What the settings say needs no second look."""
    return Rules(config.match.min_frames, config.match.copy_score)
