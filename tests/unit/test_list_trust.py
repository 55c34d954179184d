"""The checks that make a version trustworthy."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest
from lists_parts import AT, MD5

from hashmatch.errors import ListTooOld
from hashmatch.lists.formats.rows import Fault
from hashmatch.lists.trust import (
    DigestDiffers,
    ListRejected,
    ListShrank,
    NotPdq,
    Tally,
    TrialResult,
    TrialTooWide,
    check_age,
    check_digest,
    check_shrink,
    check_trial,
    check_untyped,
)


def test_bad_rows_beyond_the_limit_refuse_the_file_with_counts_and_first_lines():
    tally = Tally(rows=1000)
    for line in range(1, 10):
        tally.reject(Fault.NOT_HEX, f"line {line}")
    tally.check("c3p", 0.01)
    for line in (20, 21):
        tally.reject(Fault.LENGTH, f"line {line}")
    with pytest.raises(ListRejected) as caught:
        tally.check("c3p", 0.01)
    assert caught.value.exit_code == 31
    assert "11 of 1000 rows" in str(caught.value)
    assert "line 1, line 2, line 3, line 4, line 5 and 4 more: not hexadecimal" in (
        caught.value.remedy
    )
    assert "line 20, line 21: the hash has the wrong length" in caught.value.remedy


def test_one_bad_row_is_too_many_where_none_is_allowed():
    tally = Tally(rows=1000)
    tally.check("c3p", 0)
    tally.reject(Fault.NOT_HEX, "line 1")
    with pytest.raises(ListRejected):
        tally.check("c3p", 0)


def test_black_frames_and_repeated_lines_are_no_bad_rows():
    tally = Tally(rows=2)
    tally.reject(Fault.FEATURELESS_FRAME, "line 1")
    tally.reject(Fault.REPEATED, "line 2")
    tally.check("c3p", 0)
    assert tally.left_out.total() == 2


def test_bytes_that_are_not_the_published_ones_are_refused():
    check_digest("c3p", None, "ab")
    check_digest("c3p", " AB ", "ab")
    with pytest.raises(DigestDiffers):
        check_digest("c3p", "cd", "ab")


@pytest.mark.parametrize(("new", "shrank"), [(800, False), (799, True), (0, True), (1200, False)])
def test_a_version_may_lose_a_fifth(new, shrank):
    if shrank:
        with pytest.raises(ListShrank, match=f"the new version has {new} entries") as caught:
            check_shrink("c3p", 1000, new, 0.2)
        assert caught.value.exit_code == 33
    else:
        check_shrink("c3p", 1000, new, 0.2)


def test_sha256_digests_are_not_taken_for_pdq():
    """Of real digests, with the share of Meta's samples on the other side: all of them."""
    digests = [hashlib.sha256(bytes([i])).digest() for i in range(100)]
    split = sum(int.from_bytes(digest).bit_count() == 128 for digest in digests)
    with pytest.raises(NotPdq):
        check_untyped("c3p", len(digests), split)
    check_untyped("c3p", 5872, 5872)
    check_untyped("c3p", 5, 0)


def test_a_version_that_matches_much_of_what_is_stored_is_refused():
    check_trial("c3p", 2, TrialResult(clips=100, matched=20), 0.2)
    check_trial("c3p", 2, TrialResult(clips=10, matched=10), 0.2)
    with pytest.raises(TrialTooWide, match="21 of 100 stored clips"):
        check_trial("c3p", 2, TrialResult(clips=100, matched=21), 0.2)


def test_an_old_import_is_too_old():
    check_age("c3p", AT, AT + timedelta(days=30), 30)
    with pytest.raises(ListTooOld, match="imported 30 days ago"):
        check_age("c3p", AT, AT + timedelta(days=30, seconds=1), 30)


def test_a_report_is_of_lines_and_reasons_only():
    tally = Tally(rows=1)
    tally.reject(Fault.NOT_HEX, "line 17")
    assert tally.report() == ["line 17: not hexadecimal"]
    assert MD5 not in repr(tally)
