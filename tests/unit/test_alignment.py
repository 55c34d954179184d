"""Which stretches of a clip are stretches of a listed video: drawn hashes with a known truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashmatch.matching.alignment import (
    LEAST_PAIRS,
    MOST_SEGMENTS,
    REACH,
    Segment,
    align,
    distances,
)

Bits = NDArray[np.uint8]
Film = Callable[[float], Bits]


def film(seed: int, pace: float = 40.0, noise: int = 0) -> Film:
    """A video: its hash at any time. pace: bits that turn in a second; noise: of every frame.

    Bits turn in a fixed order and stay turned, so near moments resemble each other, and moments
    further apart than 128 / pace seconds do not.
    """
    random = np.random.default_rng(seed)
    first = random.integers(0, 2, 256).astype(np.uint8)
    order = np.concatenate([random.permutation(256) for _ in range(200)])

    def at(t: float) -> Bits:
        bits = first.copy()
        turned = order[: int(pace * t)]
        bits ^= (np.bincount(turned, minlength=256) % 2).astype(np.uint8)
        if noise:
            bits[random.choice(256, noise, replace=False)] ^= 1
        return np.packbits(bits)

    return at


def room(seed: int, moves: int) -> Film:
    """A room, and somebody who is elsewhere in it at every moment: `moves` bits from its mean."""
    base = np.unpackbits(np.random.default_rng(seed).integers(0, 256, 32, np.uint8))

    def at(t: float) -> Bits:
        bits = base.copy()
        elsewhere = np.random.default_rng([seed, int(t * 1000)])
        bits[elsewhere.choice(256, moves, replace=False)] ^= 1
        return np.packbits(bits)

    return at


def words(hashes: Sequence[Bits]) -> NDArray[np.uint64]:
    return np.array(hashes, np.uint8).reshape(-1, 32).view("<u8")


def seen(
    listed: Film, seconds: float, clip: Sequence[tuple[float, Bits]], rate: float = 1.0
) -> list[tuple[Segment, NDArray[np.bool_]]]:
    times = np.arange(0, seconds, 1 / rate)
    bits = words([listed(t) for t in times])
    shown = np.array([t for t, _ in clip])
    table = distances(bits, words([hashed for _, hashed in clip]), 1)[0]
    return align(table, distances(bits, bits, 1)[0], times, shown, shown)


def played(
    video: Film, first: float, last: float, *, at: float = 0.0, speed: float = 1.0, fps: float = 15
) -> list[tuple[float, Bits]]:
    """A stretch of a video as frames of a clip, from `at` on. speed: clip seconds a video second."""
    times = np.arange(first, last, 1 / fps / speed)
    return [(at + speed * (t - first), video(t)) for t in times]


def test_distances_are_what_numpy_counts() -> None:
    random = np.random.default_rng(1)
    listed, clip = (random.integers(0, 256, (n, 32), np.uint8) for n in (5, 8))
    expected = np.bitwise_count(listed[:, None] ^ clip[None]).sum(axis=2)
    table = distances(words(list(listed)), words(list(clip)), 2)
    assert table.shape == (2, 5, 4)
    assert (table[0] == expected[:, 0::2]).all()
    assert (table[1] == expected[:, 1::2]).all()


def test_opposite_hashes_are_as_far_as_a_byte_can_say() -> None:
    none, all_ = np.zeros(32, np.uint8), np.full(32, 255, np.uint8)
    assert distances(words([none]), words([all_]), 1)[0, 0, 0] == 255


def test_a_whole_copy_is_one_segment_of_all_frames() -> None:
    video = film(1)
    ((segment, found),) = seen(video, 20, played(video, 0, 20))
    assert (segment.pairs, segment.first, segment.last) == (20, 0, 19)
    assert found.all()
    assert segment.speed == pytest.approx(1, abs=0.01)
    assert segment.copy > 10


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 12), st.sampled_from([0.85, 0.95, 1.0, 1.1, 1.2]), st.integers(0, 1000))
def test_a_copy_is_found_wherever_it_begins_and_at_any_speed(
    cut: float, speed: float, seed: int
) -> None:
    video = film(seed)
    clip = played(film(seed + 5000), 0, 10) + played(video, cut, cut + 12, at=10, speed=speed)
    segment, _ = seen(video, 30, clip)[0]
    assert segment.copy > 6
    assert segment.speed == pytest.approx(speed, abs=0.03)
    assert segment.start == pytest.approx(10, abs=2)
    assert segment.end == pytest.approx(10 + 12 * speed, abs=2)


def test_an_excerpt_within_other_video_is_found_where_it_is() -> None:
    video, other = film(2), film(3)
    clip = [
        *played(other, 0, 30),
        *played(video, 11.4, 16.4, at=30),
        *played(other, 30, 55, at=35),
    ]
    (segment, found), *more = seen(video, 30, clip)
    assert not more
    assert {12, 13, 14, 15, 16} <= set(np.flatnonzero(found)) <= set(range(11, 18))
    assert segment.start == pytest.approx(30.3, abs=0.4)
    assert segment.copy > 6


def test_two_excerpts_out_of_order_are_two_segments() -> None:
    video, other = film(4), film(5)
    clip = [
        *played(video, 20, 27),
        *played(other, 0, 20, at=7),
        *played(video, 3, 10, at=27),
    ]
    found = seen(video, 30, clip)
    assert sorted(segment.first for segment, _ in found) == [3, 20]
    assert all(segment.copy > 6 for segment, _ in found)


def test_frames_that_are_all_further_than_the_frame_rule_allows_are_a_copy_together() -> None:
    video, edited = film(6), film(6, noise=45)
    (segment, _), *_ = seen(video, 20, played(edited, 0, 20))
    assert 32 < segment.distance <= REACH
    assert segment.pairs >= 18
    assert segment.copy > 6


def test_another_moment_of_the_same_room_is_no_copy_however_many_frames_are_near() -> None:
    there = room(7, moves=14)
    clip = [(t / 15, there(1000 + t / 15)) for t in range(600)]
    found = seen(there, 40, clip)
    assert found, "the frames are near, so something agrees"
    assert found[0][0].distance <= 31
    assert all(segment.copy < 1 for segment, _ in found)


def test_the_same_recording_of_that_room_is_a_copy() -> None:
    there = room(7, moves=14)
    # At 15 frames a second some instant is the listed one, as the copy was made of it.
    clip = [(t / 10, there(t / 10)) for t in range(400)]
    segment, _ = seen(there, 40, clip)[0]
    assert segment.copy > 6


def test_a_video_in_which_nothing_moves_cannot_tell_by_itself() -> None:
    still = film(8, pace=0)
    (segment, found), *_ = seen(still, 20, played(still, 0, 20))
    assert found.sum() >= 19
    assert segment.pictures == 1
    assert segment.copy < 1


def test_unrelated_videos_have_no_segment() -> None:
    assert not seen(film(9), 30, played(film(10), 0, 30))


def test_one_frame_agrees_with_any_line_so_it_is_no_segment() -> None:
    video = film(11, pace=120)
    clip = [*played(video, 4.95, 5.05), *played(film(12), 0, 10, at=2)]
    assert LEAST_PAIRS == 2
    assert not seen(video, 30, clip)


def test_a_loop_has_a_segment_for_every_turn_up_to_a_limit() -> None:
    video = film(13)
    turns = [frame for n in range(12) for frame in played(video, 2, 9, at=7.0 * n)]
    found = seen(video, 20, turns)
    assert len(found) == MOST_SEGMENTS
    assert all(segment.pairs >= 6 for segment, _ in found)


def test_a_still_clip_shown_as_one_run_is_paired_for_all_its_time() -> None:
    still = film(14, pace=0)
    times = np.arange(0.0, 10.0)
    bits = words([still(0) for _ in times])
    table = distances(bits, words([still(0)]), 1)[0]
    own = distances(bits, bits, 1)[0]
    ((segment, found),) = align(table, own, times, np.array([0.0]), np.array([10.0]))
    assert found.all()
    assert (segment.start, segment.end) == (0.0, 10.0)


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_whatever_the_distances_what_is_said_is_in_range(data: st.DataObject) -> None:
    m, n = data.draw(st.integers(2, 12)), data.draw(st.integers(1, 30))
    random = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    table = random.integers(0, data.draw(st.sampled_from([2, 66, 256])), (m, n)).astype(np.uint8)
    own = random.integers(0, 256, (m, m)).astype(np.uint8)
    listed = np.sort(random.uniform(0, data.draw(st.sampled_from([1e-6, 10.0, 1e4])), m))
    start = np.sort(random.uniform(0, data.draw(st.sampled_from([1e-6, 10.0, 1e4])), n))
    end = start + random.uniform(0, 1, n) * np.append(np.diff(start), 1)
    for segment, found in align(table, own, listed, start, end):
        assert LEAST_PAIRS <= segment.pairs == found.sum() <= m
        assert 1 <= segment.pictures <= segment.pairs
        assert start[0] <= segment.start <= segment.end <= end.max()
        assert 0.8 <= segment.speed <= 1.25
        assert segment.distance <= REACH
        assert np.isfinite(segment.copy)
        assert segment.chance >= 0
        assert found[segment.first]
        assert found[segment.last]
