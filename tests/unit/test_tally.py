"""Hits to counts: a frame is counted once for an entry, by its own distance."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashmatch.matching.index import HashIndex, Hits
from hashmatch.matching.tally import REPEATED, Counts, References, Runs, Tally
from hashmatch.model import Algorithm, FrameHashes, Variant


def picture(number: int, turned: int = 0) -> NDArray[np.uint8]:
    """A hash for every number, with that many of its bits turned."""
    bits = np.unpackbits(np.random.default_rng(number).integers(0, 256, 32, np.uint8))
    bits[:turned] ^= 1
    return np.packbits(bits)


def frames(
    t: Sequence[float], pictures: Sequence[NDArray[np.uint8]], mirrors: Sequence[int] = ()
) -> FrameHashes:
    columns = [pictures, [picture(number) for number in mirrors]] if mirrors else [pictures]
    bits = np.stack([np.array(column, np.uint8).reshape(len(t), 32) for column in columns], axis=1)
    quality = np.full(len(t), 100, np.uint8)
    variants = tuple(Variant)[: bits.shape[1]]
    return FrameHashes("recipe", Algorithm.PDQ, np.array(t, np.float64), quality, bits, variants)


def seen(t: Sequence[float], *numbers: int, mirrors: Sequence[int] = ()) -> Runs:
    clip = frames(t, [picture(number) for number in numbers], mirrors)
    return Runs.of(clip, np.ones(len(clip), np.bool_))


def frame_count(runs: Runs) -> list[int]:
    return [
        int(runs.new[a:b].sum()) for a, b in zip(runs.frame_at[:-1], runs.frame_at[1:], strict=True)
    ]


def references(*rows: Sequence[tuple[int, float | None]], quality: int = 255) -> References:
    """For each row, its (entry, timestamp) pairs."""
    flat = [pair for row in rows for pair in row]
    entry = np.array([entry for entry, _ in flat], np.uint32)
    timestamp = np.array([np.nan if t is None else t for _, t in flat], np.float64)
    return References(
        np.cumsum([0, *(len(row) for row in rows)]).astype(np.uint32),
        entry,
        timestamp,
        np.full(len(flat), quality, np.uint8),
        np.lexsort((timestamp, entry)).astype(np.uint32),
    )


def count(
    runs: Runs,
    rows: Sequence[NDArray[np.uint8]],
    listed: References,
    limits: Sequence[int] = (31,),
    list_of: Sequence[int] | None = None,
) -> Counts:
    index = HashIndex.build(np.array(rows, np.uint8).reshape(-1, 32))
    entries = int(listed.entry.max()) + 1
    of = np.zeros(entries, np.uint16) if list_of is None else np.array(list_of, np.uint16)
    tally = Tally(runs, index.rows, listed, of, np.array(limits, np.int16), quality=50)
    for hits in index.batches(runs.bits, 31, 64, room=1):
        tally.add(hits)
    return tally.counts()


def test_frames_that_repeat_the_last_kept_one_are_searched_once_and_counted() -> None:
    runs = seen([0.0, 1.0, 2.0, 3.0, 4.0], 1, 1, 1, 2, 1)
    assert len(runs.bits) == 3
    assert frame_count(runs) == [3, 1, 1]
    assert (runs.start.tolist(), runs.end.tolist()) == ([0.0, 3.0, 4.0], [2.0, 3.0, 4.0])


@pytest.mark.parametrize(("turned", "searched"), [(REPEATED, 1), (REPEATED + 1, 2)])
def test_a_frame_that_hardly_differs_repeats(turned: int, searched: int) -> None:
    clip = frames([0.0, 1.0], [picture(1), picture(1, turned)])
    assert len(Runs.of(clip, np.ones(2, np.bool_)).bits) == searched


def test_a_scene_that_changes_little_by_little_is_not_one_picture() -> None:
    slowly = [picture(1, turned) for turned in range(20)]
    runs = Runs.of(frames(list(range(20)), slowly), np.ones(20, np.bool_))
    assert len(runs.bits) == 7


def test_a_frame_whose_mirror_differs_is_not_a_repetition() -> None:
    assert frame_count(seen([0.0, 1.0], 1, 1, mirrors=[2, 3])) == [1, 1]


def test_the_same_picture_at_the_same_time_is_one_frame() -> None:
    assert frame_count(seen([0.0, 0.0, 0.0, 1.0], 1, 1, 1, 1)) == [2]


def test_frames_are_taken_in_the_order_of_their_times() -> None:
    assert seen([2.0, 0.0, 1.0], 3, 1, 2).start.tolist() == [0.0, 1.0, 2.0]


def test_frames_that_are_not_usable_are_left_out() -> None:
    clip = frames([0.0, 1.0, 2.0], [picture(1), picture(2), picture(1)])
    assert frame_count(Runs.of(clip, np.array([True, False, True]))) == [2]


def test_a_clip_without_usable_frames_has_no_runs() -> None:
    assert len(Runs.of(frames([0.0], [picture(1)]), np.array([False])).bits) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=30))
def test_no_frame_is_lost_or_made_up(clip: list[tuple[int, int]]) -> None:
    runs = seen([float(t) for t, _ in clip], *(number for _, number in clip))
    assert {bytes(row) for row in runs.bits} == {bytes(picture(number)) for _, number in clip}
    assert len({t for t, _ in clip}) <= int(runs.new.sum()) <= len(clip)


def test_a_frame_that_hits_many_hashes_of_an_entry_is_one_frame() -> None:
    rows = [picture(1, 9), picture(1, 2), picture(1, 5)]
    found = count(seen([4.0], 1), rows, references([(0, None)], [(0, None)], [(0, None)]))
    assert (found.frames.tolist(), found.distance.tolist()) == ([1], [2])


def test_a_frame_that_hits_in_both_variants_is_one_frame() -> None:
    runs = seen([0.0, 1.0], 1, 3, mirrors=[2, 2])
    rows = [picture(1), picture(2)]
    found = count(runs, rows, references([(0, None)], [(0, None)]))
    assert found.frames.tolist() == [2]
    assert found.variant.tolist() == [1]


def test_a_row_speaks_for_every_entry_that_has_its_hash() -> None:
    found = count(seen([0.0], 1), [picture(1)], references([(0, None), (2, None)]))
    assert sorted(found.entry.tolist()) == [0, 2]


def test_the_frames_of_an_entry_have_a_start_and_an_end() -> None:
    runs = seen([1.0, 2.0, 3.0, 4.0, 5.0], 1, 2, 2, 3, 4)
    found = count(runs, [picture(1), picture(2)], references([(0, None)], [(0, None)]))
    assert (found.start.tolist(), found.end.tolist(), found.frames.tolist()) == ([1.0], [3.0], [3])


def test_a_listed_hash_of_low_quality_is_not_compared() -> None:
    listed = references([(0, None)], quality=49)
    assert not len(count(seen([0.0], 1), [picture(1)], listed).entry)


def test_each_list_has_its_own_distance_and_reach_says_how_many_were_met_beyond() -> None:
    listed = references([(0, None), (1, None)])
    found = count(seen([0.0], 1), [picture(1, 11)], listed, limits=[10, 31], list_of=[0, 1])
    by_entry = dict(zip(found.entry.tolist(), found.frames.tolist(), strict=True))
    assert by_entry == {0: 0, 1: 1}
    assert found.reached.tolist() == [1, 1]


def test_an_entry_that_belongs_to_no_list_is_never_counted() -> None:
    listed = references([(0, None), (1, None)])
    found = count(seen([0.0], 1), [picture(1)], listed, limits=[31, -1], list_of=[0, 1])
    assert found.entry.tolist() == [0]


@pytest.mark.parametrize(
    ("own", "within"), [((30, 31, 32), 2), ((32, 31, 30), 2), ((32, 33, 32), 0), ((29, 30, 31), 3)]
)
def test_frames_searched_as_one_are_each_held_to_the_distance(
    own: tuple[int, ...], within: int
) -> None:
    clip = frames([0.0, 1.0, 2.0], [picture(1, turned) for turned in own])
    runs = Runs.of(clip, np.ones(3, np.bool_))
    assert len(runs.bits) == 1
    found = count(runs, [picture(1)], references([(0, None)]))
    assert found.frames.tolist() == [within]
    if within:
        assert found.distance.tolist() == [min(own)]


def test_thousands_of_frames_on_thousands_of_entries_stay_bounded() -> None:
    entries, size = 5000, 4000
    clip = seen([i / 10 for i in range(size)], *range(size))
    listed = references([(i, None if i % 2 else float(i)) for i in range(entries)])
    rows = HashIndex.build(picture(0).reshape(1, 32)).rows
    limits = np.array([31], np.int16)
    tally = Tally(clip, rows, listed, np.zeros(entries, np.uint16), limits, quality=50)
    every_frame = Hits(
        np.arange(size, dtype=np.int32), np.zeros(size, np.uint32), np.full(size, 7, np.uint8)
    )
    tracemalloc.start()
    tally.add(every_frame)
    found = tally.counts()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.frames.tolist() == [size] * entries
    assert peak < 20e6  # the 20 million pairs themselves would take ten times that
