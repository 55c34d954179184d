"""Hits to segments: frames are counted once, and only what comes in order is a sequence."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashmatch.matching.index import Hits
from hashmatch.matching.segments import References, Runs, Segments, Tally
from hashmatch.model import Algorithm, FrameHashes


def frames(t: list[float], pictures: list[int], mirrors: list[int] | None = None) -> FrameHashes:
    """A clip whose pictures are numbers; each becomes a hash of its own."""
    columns = [pictures] if mirrors is None else [pictures, mirrors]
    bits = np.zeros((len(t), len(columns), 32), np.uint8)
    for variant, numbers in enumerate(columns):
        bits[:, variant, :2] = np.array(numbers, "<u2").view(np.uint8).reshape(-1, 2)
    quality = np.full(len(t), 100, np.uint8)
    return FrameHashes("recipe", Algorithm.PDQ, np.array(t, np.float64), quality, bits)


def runs_of(clip: FrameHashes) -> Runs:
    return Runs.of(clip, np.ones(len(clip), np.bool_))


def references(*rows: list[tuple[int, float | None]]) -> References:
    """For each row, its (entry, timestamp) pairs."""
    flat = [pair for row in rows for pair in row]
    return References(
        np.cumsum([0, *(len(row) for row in rows)]).astype(np.uint32),
        np.array([entry for entry, _ in flat], np.uint32),
        np.array([np.nan if t is None else t for _, t in flat], np.float64),
        np.full(len(flat), 255, np.uint8),
    )


def hits(*found: tuple[int, int, int]) -> Hits:
    """(query, row, distance) triples."""
    query, row, distance = zip(*found, strict=True)
    return Hits(np.array(query, np.int32), np.array(row, np.uint32), np.array(distance, np.uint8))


def count(
    runs: Runs, listed: References, found: Hits, pairs: int = 3, quality: int = 50
) -> Segments:
    entries = int(listed.entry.max()) + 1
    limits: NDArray[np.uint8] = np.array([31], np.uint8)
    tally = Tally(runs, listed, np.zeros(entries, np.uint16), limits, quality=quality, pairs=pairs)
    tally.add(found)
    return tally.segments()


def diagonal(size: int) -> Hits:
    return hits(*((i, i, 5) for i in range(size)))


def test_frames_that_repeat_the_previous_one_are_searched_once_and_counted() -> None:
    runs = runs_of(frames([0.0, 1.0, 2.0, 3.0, 4.0], [1, 1, 1, 2, 1]))
    assert runs.bits[:, 0].tolist() == [1, 2, 1]
    assert runs.frames.tolist() == [3, 1, 1]
    assert (runs.start.tolist(), runs.end.tolist()) == ([0.0, 3.0, 4.0], [2.0, 3.0, 4.0])


def test_a_frame_whose_mirror_differs_is_not_a_repetition() -> None:
    runs = runs_of(frames([0.0, 1.0], [1, 1], [2, 3]))
    assert runs.bits[:, 0].tolist() == [1, 2, 1, 3]
    assert runs.frames.tolist() == [1, 1]


def test_the_same_picture_at_the_same_time_is_one_frame() -> None:
    assert runs_of(frames([0.0, 0.0, 0.0, 1.0], [1, 1, 1, 1])).frames.tolist() == [2]


def test_frames_are_taken_in_the_order_of_their_times() -> None:
    runs = runs_of(frames([2.0, 0.0, 1.0], [3, 1, 2]))
    assert runs.bits[:, 0].tolist() == [1, 2, 3]


def test_frames_that_are_not_usable_are_left_out() -> None:
    runs = Runs.of(frames([0.0, 1.0, 2.0], [1, 2, 1]), np.array([True, False, True]))
    assert runs.frames.tolist() == [2]


def test_a_clip_without_usable_frames_has_no_runs() -> None:
    assert len(Runs.of(frames([0.0], [1]), np.array([False])).bits) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), max_size=30))
def test_no_frame_is_lost_or_made_up(seen: list[tuple[int, int]]) -> None:
    runs = runs_of(frames([float(t) for t, _ in seen], [picture for _, picture in seen]))
    assert set(runs.bits[:, 0].tolist()) == {picture for _, picture in seen}
    assert len({t for t, _ in seen}) <= int(runs.frames.sum()) <= len(seen)


def test_a_frame_that_hits_many_hashes_of_an_entry_is_one_frame() -> None:
    listed = references([(0, None)], [(0, None)], [(0, None)])
    found = count(runs_of(frames([4.0], [1])), listed, hits((0, 0, 9), (0, 1, 2), (0, 2, 5)))
    assert (found.frames.tolist(), found.distance.tolist()) == ([1], [2])


def test_a_frame_that_hits_in_both_variants_is_one_frame() -> None:
    runs = runs_of(frames([0.0, 1.0], [1, 2], [3, 4]))
    found = count(runs, references([(0, None)]), hits((0, 0, 1), (1, 0, 1), (3, 0, 1)))
    assert found.frames.tolist() == [2]
    assert found.variant.tolist() == [1]


def test_a_row_speaks_for_every_entry_that_has_its_hash() -> None:
    listed = references([(0, None), (2, None)], [(1, None)])
    found = count(runs_of(frames([0.0], [1])), listed, hits((0, 0, 4)))
    assert sorted(found.entry.tolist()) == [0, 2]


def test_a_segment_spans_its_frames() -> None:
    runs = runs_of(frames([1.0, 2.0, 3.0, 4.0, 5.0], [1, 2, 2, 3, 4]))
    found = count(runs, references([(0, None)]), hits((0, 0, 3), (1, 0, 3)))
    assert (found.start.tolist(), found.end.tolist(), found.frames.tolist()) == ([1.0], [3.0], [3])


def test_a_listed_hash_of_low_quality_is_not_compared() -> None:
    listed = references([(0, None)])
    listed.quality[0] = 49
    assert not len(count(runs_of(frames([0.0], [1])), listed, hits((0, 0, 0))).entry)


def test_hits_beyond_their_lists_distance_do_not_count() -> None:
    listed, runs = references([(0, None), (1, None)]), runs_of(frames([0.0], [1]))
    limits = np.array([10, 31], np.uint8)
    tally = Tally(runs, listed, np.array([0, 1], np.uint16), limits, quality=50, pairs=3)
    tally.add(hits((0, 0, 11)))
    assert tally.segments().entry.tolist() == [1]


def test_hits_may_come_in_pieces() -> None:
    runs = runs_of(frames([0.0, 1.0, 2.0, 3.0], [1, 2, 3, 4]))
    listed = references(*([(0, float(i))] for i in range(4)))
    tally = Tally(
        runs, listed, np.zeros(1, np.uint16), np.array([31], np.uint8), quality=50, pairs=4
    )
    for i in range(4):
        tally.add(hits((i, i, i)))
    found = tally.segments()
    assert (found.frames.tolist(), found.sequence.tolist()) == ([4], [True])


def sequence(t: list[float], listed: list[float | None], found: Hits | None = None) -> bool:
    runs = runs_of(frames(t, list(range(len(t)))))
    rows = references(*([(0, timestamp)] for timestamp in listed))
    return bool(count(runs, rows, found or diagonal(len(t))).sequence[0])


def test_frames_at_one_offset_are_a_sequence() -> None:
    assert sequence([0.0, 1.0, 2.0], [60.0, 61.0, 62.0])


@settings(deadline=None)
@given(
    st.floats(-1000, 1000),
    st.lists(st.floats(0, 0.12), min_size=3, max_size=3),
)
def test_frames_at_nearly_one_offset_are_a_sequence(offset: float, jitter: list[float]) -> None:
    t = [1000.0 + i + j for i, j in enumerate(jitter)]
    assert sequence(t, [1000.0 + i + offset for i in range(3)])


def test_images_are_never_a_sequence() -> None:
    assert not sequence([0.0, 1.0, 2.0], [None, None, None])


def test_two_frames_are_not_a_sequence() -> None:
    assert not sequence([0.0, 1.0], [5.0, 6.0])


def test_frames_in_another_order_are_not_a_sequence() -> None:
    assert not sequence([0.0, 1.0, 2.0, 3.0], [3.0, 2.0, 1.0, 0.0])


def test_frames_at_another_speed_are_not_a_sequence() -> None:
    assert not sequence([0.0, 1.0, 2.0, 3.0], [0.0, 2.0, 4.0, 6.0])


def test_a_still_scene_that_resembles_one_listed_frame_is_not_a_sequence() -> None:
    t = [i / 30 for i in range(300)]
    assert not sequence(t, [5.0], hits(*((i, 0, 3) for i in range(300))))


def test_frames_of_two_variants_do_not_make_one_sequence() -> None:
    runs = runs_of(frames([0.0, 1.0, 2.0], [1, 2, 3], [4, 5, 6]))
    listed = references([(0, 0.0)], [(0, 1.0)], [(0, 2.0)])
    found = count(runs, listed, hits((0, 0, 1), (3, 1, 1), (4, 2, 1)))
    assert not found.sequence[0]
    mirrored = count(runs, listed, hits((1, 0, 1), (3, 1, 1), (5, 2, 1)))
    assert mirrored.sequence[0]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_times_that_are_no_numbers_do_no_harm(bad: float) -> None:
    assert not sequence([bad, bad, bad], [0.0, 1.0, 2.0])


def test_thousands_of_frames_on_thousands_of_entries_stay_bounded() -> None:
    entries, size = 5000, 4000
    clip = runs_of(frames([i / 10 for i in range(size)], list(range(size))))
    listed = references([(i, None if i % 2 else float(i)) for i in range(entries)])
    limits = np.array([31], np.uint8)
    tally = Tally(clip, listed, np.zeros(entries, np.uint16), limits, quality=50, pairs=3)
    every_frame = hits(*((query, 0, 7) for query in range(size)))
    tracemalloc.start()
    tally.add(every_frame)
    found = tally.segments()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.frames.tolist() == [size] * entries
    assert peak < 20e6  # the 20 million pairs themselves would take ten times that
