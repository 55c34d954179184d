"""Which seconds of a stream count as seen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.media.timeline import Timeline

FRAME = 0.04


def _line(packets: int, frames: range, losses: tuple[float, ...] = ()) -> Timeline:
    line = Timeline(max_gap=0.25)
    for number in range(packets):
        line.packet(number * FRAME, FRAME)
    for number in frames:
        line.frame(number * FRAME)
    for t in losses:
        line.loss(t)
    return line


def test_a_stream_without_frames_is_not_seen_at_all() -> None:
    assert _line(100, range(0)).seen() == 0


def test_frames_left_out_on_purpose_are_covered_by_the_one_before() -> None:
    assert _line(100, range(0, 100, 4)).seen() == pytest.approx(4.0)


def test_a_loss_uncovers_the_time_up_to_the_next_frame() -> None:
    assert _line(100, range(0, 100, 4), losses=(8 * FRAME,)).seen() == pytest.approx(4 - 4 * FRAME)


def test_what_comes_before_the_first_frame_is_not_seen() -> None:
    assert _line(100, range(50, 100)).seen() == pytest.approx(2.0)


def test_a_decoder_that_refuses_the_second_half_saw_the_first() -> None:
    refused = tuple(number * FRAME for number in range(50, 100))
    assert _line(100, range(50), losses=refused).seen() == pytest.approx(2.0)


def test_a_slow_stream_is_not_sparse() -> None:
    line = Timeline(max_gap=0.25)
    for number in range(10):
        line.packet(number * 0.5, 0.5)
        assert line.sparse(number * 0.5) is None
        line.frame(number * 0.5)
    assert line.sparse() is None


def test_a_long_gap_with_packets_in_it_is_sparse_from_the_first_of_them() -> None:
    line = _line(20, range(1))
    assert line.sparse(8 * FRAME) == pytest.approx(FRAME)
    assert line.sparse(4 * FRAME) is None


def test_a_tail_without_frames_is_sparse() -> None:
    assert _line(20, range(5)).sparse() == pytest.approx(5 * FRAME)


def test_in_a_damaged_container_a_gap_without_packets_is_not_seen() -> None:
    line = Timeline(max_gap=0.25)
    for t in (0.0, 0.1, 2.0, 2.1):
        line.packet(t, 0.1)
        line.frame(t)
    assert line.seen() == pytest.approx(2.2)
    line.distrust_gaps()
    assert line.seen() == pytest.approx(0.3)


@given(
    st.lists(st.floats(0, 100), max_size=40).map(sorted), st.lists(st.floats(0, 100), max_size=40)
)
def test_seen_is_never_more_than_the_stream_nor_grows_by_a_loss(
    frames: list[float], losses: list[float]
) -> None:
    line = Timeline(max_gap=0.25)
    line.packet(0.0, 100.0)
    for t in frames:
        line.frame(t)
    whole = line.seen()
    assert 0 <= whole <= 100 + 1e-9
    for t in losses:
        line.loss(t)
        assert line.seen() <= whole + 1e-9
