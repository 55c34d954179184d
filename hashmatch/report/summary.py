"""What a run comes to: the figures that people, cron and other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hashmatch.errors import INTERRUPTED, RunIncomplete, StorageError
from hashmatch.model import Outcome


@dataclass(frozen=True, slots=True)
class RunSummary:
    """listed = the outcomes' sum + skipped_unchanged. left: listed clips that a run which stopped
    early did not reach; they are not counted in `listed`, and the next run takes them. excluded: objects
    the settings leave out. incomplete: parts of storage could not be listed. vault_away: the vault is not
    the one that was used before, or cannot be reached. storage_failed: clip storage or the vault kept a
    case where it was. interrupted: by Ctrl-C. behind: clips that were not compared with the lists as
    they are now. waiting: clips that wait for another look, counted as unchanged. missing:
    clips that storage should have listed, where it listed so few that this is an alarm. bytes_read: of
    clips, from storage. seen_by_rendition:
    clips with an outcome that were not decoded, because another rendition of theirs was. reviews_open:
    clips that wait for a person, the oldest for oldest_review_seconds. metrics_failed, anchors_failed:
    the metrics could not be written, the checkpoint not be handed to each anchor."""

    run: str
    listed: int
    outcomes: Mapping[Outcome, int]
    skipped_unchanged: int
    quarantined: int
    canary: str
    seconds: float
    checkpoint: str | None
    bytes_read: int = 0
    left: int = 0
    excluded: int = 0
    incomplete: bool = False
    vault_away: bool = False
    storage_failed: bool = False
    interrupted: bool = False
    missing: int = 0
    waiting: int = 0
    custody_open: int = 0
    behind: int = 0
    reviews_open: int = 0
    oldest_review_seconds: float = 0.0
    seen_by_rendition: int = 0
    unscannable: Mapping[str, int] = field(default_factory=dict)
    metrics_failed: bool = False
    anchors_failed: bool = False
    alarms: tuple[str, ...] = ()

    @property
    def adds_up(self) -> bool:
        return self.listed == sum(self.outcomes.values()) + self.skipped_unchanged

    @property
    def unseen(self) -> int:
        """Clips that were not seen, or not in full, and clips that were not reached."""
        return self.outcomes[Outcome.UNSCANNABLE] + self.outcomes[Outcome.PARTIAL] + self.left

    @property
    def of_none(self) -> str:
        """What is said in place of counts where no clip was looked at."""
        return "none looked at" if self.left else "nothing to look at"

    @property
    def exit_code(self) -> int:
        """Ctrl-C's, else that of what most needs a person: storage first, then what was not seen."""
        if self.interrupted:
            return INTERRUPTED
        if self.missing or self.vault_away or self.storage_failed:
            return StorageError.exit_code
        short = self.unseen or self.waiting or self.incomplete or self.custody_open
        if short:
            return RunIncomplete.exit_code
        return StorageError.exit_code if self.metrics_failed or self.anchors_failed else 0

    def as_json(self) -> dict[str, Any]:
        return {
            "run": self.run,
            "listed": self.listed,
            "outcomes": {outcome.value: self.outcomes[outcome] for outcome in Outcome},
            "skipped_unchanged": self.skipped_unchanged,
            "quarantined": self.quarantined,
            "canary": self.canary,
            "seconds": round(self.seconds, 3),
            "checkpoint": self.checkpoint,
            "bytes_read": self.bytes_read,
            "left": self.left,
            "excluded": self.excluded,
            "incomplete": self.incomplete,
            "vault_away": self.vault_away,
            "storage_failed": self.storage_failed,
            "interrupted": self.interrupted,
            "missing": self.missing,
            "waiting": self.waiting,
            "custody_open": self.custody_open,
            "behind": self.behind,
            "reviews_open": self.reviews_open,
            "oldest_review_seconds": round(self.oldest_review_seconds),
            "seen_by_rendition": self.seen_by_rendition,
            "unscannable": dict(self.unscannable),
            "metrics_failed": self.metrics_failed,
            "anchors_failed": self.anchors_failed,
            "alarms": list(self.alarms),
        }
