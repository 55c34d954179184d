"""Rows become entries, and an entry's name never is a hash."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lists_parts import BRIDGE, MD5, NAMES, SHA1, pdq_hash

from hashmatch.audit.names import KeyedNames
from hashmatch.freetext import hashlike
from hashmatch.lists.entries import Assembler
from hashmatch.lists.formats.rows import BadRow, Fault, Row, make_row
from hashmatch.model import Media

DHASH = "3c7e66c3db991824"


def row(hash: str = BRIDGE, **fields: object) -> Row:
    return make_row(1, hash=hash, **fields)


def fault_of(entries: Assembler, row: Row) -> Fault:
    with pytest.raises(BadRow) as caught:
        entries.place(row)
    return caught.value.fault


@pytest.fixture
def entries() -> Assembler:
    return Assembler(NAMES)


def test_one_id_with_two_algorithms_is_one_entry(entries):
    first = entries.place(row(id="a"))
    second = entries.place(row(MD5, id="a"))
    assert (first.new, second.new) == (True, False)
    assert first.number == second.number
    assert len(entries) == 1


def test_one_id_with_one_algorithm_twice_is_refused(entries):
    entries.place(row(id="a"))
    assert fault_of(entries, row(pdq_hash(1), id="a")) is Fault.DUPLICATE
    assert fault_of(entries, row(id="a")) is Fault.DUPLICATE


def test_rows_of_a_group_are_one_video_called_like_the_group(entries):
    placed = [entries.place(row(pdq_hash(i), id=f"f-{i}", group="vid")) for i in range(3)]
    assert (placed[0].id, placed[0].media) == ("vid", Media.VIDEO)
    assert {one.number for one in placed} == {0}


def test_a_video_may_bring_its_files_digest(entries):
    entries.place(row(group="vid"))
    assert entries.place(row(MD5, group="vid")).number == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (row(id="a", media="image"), row(MD5, id="a", media="file")),
        (row(id="a", media="image"), row(group="a")),
        (row(group="a"), row(DHASH, algorithm="dhash", id="a")),
        (row(id="a"), row(group="a", hash=pdq_hash(1))),
        (row(MD5, id="a", media="file"), row(id="a")),
        (row(id="a"), row(MD5, id="a", media="file")),
    ],
)
def test_rows_that_disagree_on_what_an_entry_is_are_refused(entries, first, second):
    entries.place(first)
    assert fault_of(entries, second) is Fault.CONFLICT


def test_rows_that_disagree_on_the_classification_are_refused(entries):
    entries.place(row(id="a", classification="A1"))
    assert fault_of(entries, row(MD5, id="a", classification="B2")) is Fault.CONFLICT
    entries.place(row(SHA1, id="a"))


def test_a_refused_row_leaves_no_trace(entries):
    entries.place(row(MD5, id="a", media="file"))
    assert fault_of(entries, row(id="a")) is Fault.CONFLICT
    assert fault_of(entries, row(id="a")) is Fault.CONFLICT


def test_later_rows_may_say_what_earlier_ones_left_open(entries):
    entries.place(row(MD5, id="a"))
    entries.place(row(id="a", classification="A1"))
    ((number, amendment),) = entries.amendments()
    assert number == 0
    assert amendment.changes() == {"media": "image", "classification": "A1"}


@pytest.mark.parametrize(
    ("given", "media"), [(row(id="a"), Media.IMAGE), (row(MD5, id="a"), Media.FILE)]
)
def test_what_an_entry_is_follows_from_its_hash_where_nothing_is_said(entries, given, media):
    assert entries.place(given).media is media


def test_an_entry_without_an_id_has_a_keyed_one_that_stays(entries):
    id = entries.place(row()).id
    assert id == Assembler(NAMES).place(row()).id
    assert id != Assembler(KeyedNames(b"x" * 32)).place(row()).id
    assert id.startswith("entry-")


def test_a_hash_without_an_id_counts_once(entries):
    entries.place(row())
    assert fault_of(entries, row()) is Fault.REPEATED


@pytest.mark.parametrize("form", ["{}", "{}.jpg", "img-{}-2", " {} "])
@pytest.mark.parametrize("digits", [BRIDGE, MD5, SHA1, BRIDGE.upper()])
def test_an_id_that_holds_a_hash_is_not_the_entrys_name(entries, form, digits):
    """Of its own or of another: partners often call a picture by its file's digest."""
    placed = entries.place(row(BRIDGE, id=form.format(digits)))
    assert placed.id.startswith("entry-")
    assert placed.extra == {"entry_id": form.format(digits).strip()}


def test_rows_whose_common_id_is_a_hash_are_still_one_entry(entries):
    first = entries.place(row(MD5, id=MD5))
    assert entries.place(row(BRIDGE, id=MD5.upper())).number == first.number


def test_an_id_that_turns_out_to_hold_a_short_hash_is_replaced(entries):
    entries.place(row(BRIDGE, id=f"x{DHASH}"))
    entries.place(row(DHASH, algorithm="dhash", id=f"x{DHASH}"))
    ((_, amendment),) = entries.amendments()
    assert amendment.id is not None
    assert DHASH not in amendment.id


def test_no_partner_can_choose_a_keyed_name(entries):
    keyed = entries.place(row()).id
    assert entries.place(row(pdq_hash(1), id=keyed)).id != keyed


def test_a_video_of_featureless_frames_alone_is_reported(entries):
    entries.blank("black", "line 1")
    entries.blank("black", "line 2")
    entries.blank("later", "line 3")
    entries.place(row(group="later"))
    assert list(entries.blank_videos()) == ["line 1"]


@given(
    id=st.none() | st.text("0123456789abcdefxyz-", max_size=80),
    digits=st.sampled_from([BRIDGE, MD5]),
)
def test_no_name_ever_holds_a_hash(id, digits):
    placed = Assembler(NAMES).place(row(digits, id=id))
    assert not hashlike(placed.id)
