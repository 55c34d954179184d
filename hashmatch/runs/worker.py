"""What every worker process makes for itself: a scanner over the lists, mapped from their one file."""

from __future__ import annotations

from hashmatch.clips.open_store import open_store
from hashmatch.config import Settings
from hashmatch.matching.compiled_file import CompiledFile, open_lists
from hashmatch.model import Orientations
from hashmatch.report import logs
from hashmatch.scanning.config import ScanConfig
from hashmatch.scanning.renditions import RenditionScanner
from hashmatch.scanning.scanner import Scanner


def open_scanner(settings: Settings, lists: CompiledFile) -> Scanner:
    """One that looks at files in this process. Raises what keeps it from working."""
    store = open_store(settings.clips, settings.home)
    return Scanner(store, open_lists(lists), ScanConfig.of(settings))


def open_worker(
    settings: Settings, lists: CompiledFile, orientations: Orientations
) -> RenditionScanner:
    """Raises what keeps it from working, which then fails the canary."""
    logs.set_up(settings.report.log_format, settings.report.log_level)
    opened, config = open_lists(lists), ScanConfig.of(settings)
    scanner = Scanner(open_store(settings.clips, settings.home), opened, config, orientations)
    return RenditionScanner(scanner, opened, config)
