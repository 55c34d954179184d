"""What every worker process makes for itself: a scanner over the lists, mapped from their one file."""

from __future__ import annotations

from hashmatch.clips.opening import open_store
from hashmatch.config import Settings
from hashmatch.pipeline.listsets import CompiledFile, open_lists
from hashmatch.pipeline.scan import Scanner


def open_scanner(settings: Settings, lists: CompiledFile) -> Scanner:
    """Raises what keeps it from working, which then fails the canary."""
    return Scanner(open_store(settings.clips, settings.home), open_lists(lists), settings)
