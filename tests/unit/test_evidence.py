"""What a reviewer is told: how much, how near, what moves, where; no distance, no hash."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

from hashmatch.report.evidence import in_words


def row(**other: Any) -> Any:
    stretch = {"start": 30.0, "end": 35.0, "listed_start": 11.0, "listed_end": 16.5, "speed": 0.909}
    values = {
        "listed": 30,
        "found": 6,
        "shows": 24,
        "pictures": 5,
        "typical": 47,
        "copy": 12.3,
        "stretches": [stretch],
    }
    return SimpleNamespace(**values | other)


def test_an_image_or_a_file_needs_no_more_words() -> None:
    assert in_words(row(listed=0)) == []
    assert in_words(row(listed=None)) == []


def test_a_copy_is_told_with_how_much_and_where() -> None:
    first, second, third, where = in_words(row())
    assert first.startswith("6 of the video's 30 listed frames")
    assert "24 different pictures" in first
    assert "worth 5 pictures; its frames are edited" in second
    assert "one in 10^9 or less" in third
    assert "30.0 to 35.0 s of the clip is 11.0 to 16.5 s of the listed video" in where
    assert where.endswith("at 1.10 times its speed")


def test_the_same_room_is_said_to_be_possible() -> None:
    assert "same room at another moment" in in_words(row(copy=-2.0))[2]
    assert "same room at another moment" in in_words(row(copy=None, typical=None))[1]


def test_no_distance_is_told() -> None:
    for typical in (0, 17, 47, 61):
        assert not re.search(
            rf"\b{typical} bits|\b47\b|\b61\b", " ".join(in_words(row(typical=typical)))
        )
