"""A run and its metrics: what `scan` and `rescan` do, whatever way the run ends."""

from __future__ import annotations

from collections.abc import Callable

from hashmatch.audit.names import KeyedNames
from hashmatch.config import Settings
from hashmatch.db.session import Database
from hashmatch.errors import AlreadyRunning, DatabaseError, HashmatchError
from hashmatch.lists.active import active_versions
from hashmatch.pipeline.job import now, open_job
from hashmatch.pipeline.plan import Selection
from hashmatch.pipeline.run import run
from hashmatch.pipeline.stop import Stop
from hashmatch.pipeline.turns import Progress
from hashmatch.report import metrics
from hashmatch.report.summary import RunSummary


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
        _write_metrics(settings, db, None, error.exit_code)
        raise
    _write_metrics(settings, db, summary, summary.exit_code)
    return summary


def _write_metrics(
    settings: Settings, db: Database, summary: RunSummary | None, exit_code: int
) -> None:
    if settings.report.metrics is None:
        return
    try:
        with db.read() as session:
            imported = {v.name: v.imported_at for v in active_versions(session)}
    except DatabaseError:
        imported = {}
    path = settings.path(settings.report.metrics)
    metrics.write(path, summary=summary, exit_code=exit_code, list_imported=imported, now=now())
