"""What services return, as JSON has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import pytest

from hashmatch.model import Action
from hashmatch.services.documents import document


@dataclass(frozen=True)
class Inner:
    at: datetime
    none: None = None


@dataclass(frozen=True)
class Outer:
    inner: tuple[Inner, ...]
    counts: Mapping[Action, int]


def test_a_result_is_json_with_the_values_of_its_enums_and_times_in_utc():
    at = datetime(2026, 11, 28, 22, 30, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    result = document(Outer((Inner(at),), {Action.REVIEW: 2}))
    inner = {"at": "2026-11-28T20:30:05Z", "none": None}
    assert json.loads(json.dumps(result)) == {"inner": [inner], "counts": {"review": 2}}


@pytest.mark.parametrize("value", [b"bytes, which may be a hash", {1, 2}, timedelta(1), Inner])
def test_what_no_service_may_return_is_refused(value):
    with pytest.raises(TypeError):
        document({"value": value})
