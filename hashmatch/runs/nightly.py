"""A run and its metrics: what `scan` and `rescan` do, whatever way the run ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

from hashmatch.audit.names import KeyedNames
from hashmatch.config import Settings
from hashmatch.db.session import Database
from hashmatch.errors import AlreadyRunning, DatabaseError, HashmatchError
from hashmatch.lists.active import active_versions
from hashmatch.report import metrics
from hashmatch.report.summary import RunSummary
from hashmatch.runs.coordinator import amend, run
from hashmatch.runs.dispatcher import Progress
from hashmatch.runs.job import now, open_job
from hashmatch.runs.plan import Selection
from hashmatch.runs.stop import Stop

logger = logging.getLogger(__name__)


def nightly(
    settings: Settings,
    db: Database,
    names: KeyedNames,
    selection: Selection,
    *,
    stop: Stop,
    watch: Callable[[Progress], None],
) -> RunSummary:
    """Run once and write the metrics of it, also when it fails. Raises what the run raises."""
    try:
        summary = run(open_job(settings, db, names), selection, stop=stop, watch=watch)
    except AlreadyRunning:
        raise  # the metrics are the other run's
    except HashmatchError as error:
        _write_metrics(settings, db, selection, None, error.exit_code)
        raise
    problem = _write_metrics(settings, db, selection, summary, summary.exit_code)
    if problem is None:
        return summary
    summary = replace(summary, alarms=(*summary.alarms, problem), metrics_failed=True)
    amend(db, summary)
    return summary


def _write_metrics(
    settings: Settings, db: Database, selection: Selection, summary: RunSummary | None, code: int
) -> str | None:
    """Returns the alarm to raise where they could not be written."""
    if settings.report.metrics is None:
        return None
    try:
        with db.read() as session:
            imported = {v.name: v.imported_at for v in active_versions(session)}
    except DatabaseError:
        imported = {}
    path, kind = settings.path(settings.report.metrics), selection.metrics_kind
    try:
        metrics.write(
            path, kind=kind, summary=summary, exit_code=code, list_imported=imported, now=now()
        )
    except OSError as error:
        problem = metrics.MetricsUnwritable(path=path, problem=error.strerror).message
        logger.error("%s", problem)
        return problem
    return None
