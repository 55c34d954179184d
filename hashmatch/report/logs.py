"""Logs: plain lines for a person at a terminal, JSON lines for a collector.

Log lines name clips by their keyed names and never carry a key, a hash or a distance.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

_OWN = set(vars(logging.makeLogRecord({})))


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, event, and what the record was given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _OWN}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def set_up(form: Literal["auto", "plain", "json"]) -> None:
    """Send hashmatch's log to stderr. On a terminal only warnings: the progress bar has the rest."""
    terminal = sys.stderr.isatty()
    as_json = form == "json" or (form == "auto" and not terminal)
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if as_json else logging.Formatter("%(message)s"))
    logger = logging.getLogger("hashmatch")
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(logging.WARNING if terminal and not as_json else logging.INFO)
