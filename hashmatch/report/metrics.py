"""Prometheus metrics in a textfile, for a job that is gone by the time anybody scrapes.

Point node_exporter's `--collector.textfile.directory` at the folder of `report.metrics`. What to alert
on is in docs/operations.md.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from hashmatch.errors import StorageError
from hashmatch.report.summary import RunSummary

_LAST_SUCCESS = "hashmatch_last_success_timestamp_seconds"


def write(
    path: Path,
    *,
    kind: str,
    summary: RunSummary | None,
    exit_code: int,
    list_imported: Mapping[str, datetime],
    now: datetime,
) -> None:
    """Write the state after a run, whole or not at all. summary: None if the run failed.

    kind: of the run; what the file has of runs of other kinds stays. The last success is that of a
    scan that saw its canary twice and a listing that had not collapsed. Raises OSError.
    """
    before = _before(path)
    registry = CollectorRegistry()

    def gauge(name: str, about: str, value: float, **labels: str) -> None:
        if name not in gauges:
            gauges[name] = Gauge(name, about, list(labels), registry=registry)
        (gauges[name].labels(**labels) if labels else gauges[name]).set(value)

    gauges: dict[str, Gauge] = {}

    def of_run(name: str, about: str, value: float, **labels: str) -> None:
        gauge(name, about, value, kind=kind, **labels)

    good = kind == "scan" and summary is not None and not summary.missing
    success = now.timestamp() if good else before.success
    if success is not None:
        gauge(_LAST_SUCCESS, "End of the last scan that saw its canary twice.", success)
    for sample in before.others(kind):
        gauge(sample.name, before.about[sample.name], sample.value, **sample.labels)
    of_run("hashmatch_last_run_timestamp_seconds", "End of the last run.", now.timestamp())
    of_run("hashmatch_last_exit_code", "Exit code of the last run.", exit_code)
    for name, at in list_imported.items():
        age = (now - at).total_seconds()
        gauge(
            "hashmatch_list_age_seconds", "Since the import of the active version.", age, list=name
        )
    if summary is not None:
        for outcome, count in summary.outcomes.items():
            of_run("hashmatch_clips", "Clips of the last run.", count, outcome=outcome.value)
        for reason, count in summary.unscannable.items():
            of_run("hashmatch_unscannable", "Unscannable clips by reason.", count, reason=reason)
        scanned = sum(summary.outcomes.values())
        rate = scanned / summary.seconds if summary.seconds else 0.0
        of_run("hashmatch_run_seconds", "Duration of the last run.", summary.seconds)
        of_run("hashmatch_clips_per_second", "Throughput of the last run.", rate)
        of_run("hashmatch_read_bytes", "Of clips, read from storage.", summary.bytes_read)
        of_run(
            "hashmatch_skipped_unchanged", "Clips that had an outcome.", summary.skipped_unchanged
        )
        of_run("hashmatch_quarantined", "Clips taken into custody.", summary.quarantined)
        of_run("hashmatch_backlog", "Listed clips the last run did not reach.", summary.left)
        of_run("hashmatch_waiting", "Clips that wait for another look.", summary.waiting)
        of_run("hashmatch_missing", "Clips that storage should have listed.", summary.missing)
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
        of_run(
            "hashmatch_seen_by_rendition",
            "Clips of which another rendition was decoded.",
            summary.seen_by_rendition,
        )
        of_run("hashmatch_alarms", "Alarms of the last run.", len(summary.alarms))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_to_textfile(str(path), registry)


class MetricsUnwritable(StorageError):
    message = "report.metrics: {path} cannot be written: {problem}"
    remedy = (
        "Give the account that scans the right to write in that folder, or correct report.metrics."
    )


def check(path: Path) -> None:
    """Whether `write` could write there; what is there stays as it is. Raises MetricsUnwritable."""
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _before(path)
        # As `write_to_textfile` does: a file beside it, which no collector reads.
        with NamedTemporaryFile(prefix=f"{path.name}.", dir=path.parent) as aside:
            aside.write(b"hashmatch doctor\n")
            aside.flush()
    except OSError as error:
        problem = error.strerror or type(error).__name__
        raise MetricsUnwritable(path=path, problem=problem) from error


@dataclass(frozen=True, slots=True)
class _Before:
    """What the textfile of an earlier run says, so that another kind of run does not erase it."""

    success: float | None = None
    samples: tuple[Sample, ...] = ()
    about: Mapping[str, str] = field(default_factory=dict)

    def others(self, kind: str) -> Iterator[Sample]:
        return (one for one in self.samples if one.labels.get("kind", kind) != kind)


def _before(path: Path) -> _Before:
    """A file that is damaged says nothing. Raises OSError."""
    try:
        families = list(text_string_to_metric_families(path.read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return _Before()
    samples = tuple(sample for family in families for sample in family.samples)
    success = next((one.value for one in samples if one.name == _LAST_SUCCESS), None)
    return _Before(success, samples, {one.name: one.documentation for one in families})
