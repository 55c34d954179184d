"""Prometheus metrics in a textfile, for a job that is gone by the time anybody scrapes.

Point node_exporter's `--collector.textfile.directory` at the folder of `report.metrics`. What to alert
on is in docs/operations.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from hashmatch.report.summary import RunSummary

_LAST_SUCCESS = "hashmatch_last_success_timestamp_seconds"


def write(
    path: Path,
    *,
    summary: RunSummary | None,
    exit_code: int,
    list_imported: Mapping[str, datetime],
    now: datetime,
) -> None:
    """Write the state after a run, whole or not at all. summary: None if the run failed."""
    registry = CollectorRegistry()

    def gauge(name: str, about: str, value: float, **labels: str) -> None:
        if name not in gauges:
            gauges[name] = Gauge(name, about, list(labels), registry=registry)
        (gauges[name].labels(**labels) if labels else gauges[name]).set(value)

    gauges: dict[str, Gauge] = {}
    success = now.timestamp() if summary is not None else last_success(path)
    if success is not None:
        gauge(_LAST_SUCCESS, "End of the last run that saw its canary twice.", success)
    gauge("hashmatch_last_run_timestamp_seconds", "End of the last run.", now.timestamp())
    gauge("hashmatch_last_exit_code", "Exit code of the last run.", exit_code)
    for name, at in list_imported.items():
        age = (now - at).total_seconds()
        gauge(
            "hashmatch_list_age_seconds", "Since the import of the active version.", age, list=name
        )
    if summary is not None:
        for outcome, count in summary.outcomes.items():
            gauge("hashmatch_clips", "Clips of the last run.", count, outcome=outcome.value)
        for reason, count in summary.unscannable.items():
            gauge("hashmatch_unscannable", "Unscannable clips by reason.", count, reason=reason)
        scanned = sum(summary.outcomes.values())
        rate = scanned / summary.seconds if summary.seconds else 0.0
        gauge("hashmatch_run_seconds", "Duration of the last run.", summary.seconds)
        gauge("hashmatch_clips_per_second", "Throughput of the last run.", rate)
        gauge("hashmatch_read_bytes", "Of clips, read from storage.", summary.bytes_read)
        gauge(
            "hashmatch_skipped_unchanged", "Clips that had an outcome.", summary.skipped_unchanged
        )
        gauge("hashmatch_quarantined", "Clips taken into custody.", summary.quarantined)
        gauge("hashmatch_backlog", "Listed clips the last run did not reach.", summary.left)
        gauge("hashmatch_waiting", "Clips that wait for another look.", summary.waiting)
        gauge("hashmatch_missing", "Clips that storage should have listed.", summary.missing)
        gauge("hashmatch_custody_open", "Cases whose custody is unfinished.", summary.custody_open)
        gauge("hashmatch_reviews_open", "Clips that wait for a person.", summary.reviews_open)
        gauge(
            "hashmatch_oldest_review_seconds",
            "How long the oldest of them waits.",
            summary.oldest_review_seconds,
        )
        gauge(
            "hashmatch_clips_behind_lists", "Clips not compared with these lists.", summary.behind
        )
        gauge(
            "hashmatch_seen_by_rendition",
            "Clips of which another rendition was decoded.",
            summary.seen_by_rendition,
        )
        gauge("hashmatch_alarms", "Alarms of the last run.", len(summary.alarms))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


def last_success(path: Path) -> float | None:
    """What the textfile of an earlier run says, so that a failed run does not erase it."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    for family in text_string_to_metric_families(text):
        if family.name == _LAST_SUCCESS:
            return float(family.samples[0].value)
    return None
