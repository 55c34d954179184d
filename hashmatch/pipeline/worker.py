"""What every worker process makes for itself: a scanner over the lists, mapped from their one file."""

from __future__ import annotations

from hashmatch.clips.opening import open_store
from hashmatch.config import Settings
from hashmatch.model import Orientations
from hashmatch.pipeline.listsets import CompiledFile, open_lists
from hashmatch.pipeline.renditions import RenditionScanner
from hashmatch.pipeline.scan import Scanner
from hashmatch.report import logs


def open_scanner(
    settings: Settings, lists: CompiledFile, orientations: Orientations = Orientations.MIRRORED
) -> Scanner:
    """Raises what keeps it from working."""
    store = open_store(settings.clips, settings.home)
    return Scanner(store, open_lists(lists), settings, orientations)


def open_worker(
    settings: Settings, lists: CompiledFile, orientations: Orientations
) -> RenditionScanner:
    """Raises what keeps it from working, which then fails the canary."""
    logs.set_up(settings.report.log_format, settings.report.log_level)
    opened = open_lists(lists)
    store = open_store(settings.clips, settings.home)
    scanner = Scanner(store, opened, settings, orientations)
    return RenditionScanner(scanner, opened, settings)
