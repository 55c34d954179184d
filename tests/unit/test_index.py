"""Exact search: what is within the radius is found, once, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashmatch.matching.index import MAX_REACH, HashIndex, Hits
from hashmatch.matching.multi_index import build_tables, chunk_radii, layout
from hashmatch.matching.small_index import MOST_ROWS, build_neighbours

Packed = NDArray[np.uint8]
CHUNKED_ROWS = 1500


def by_hand(rows: Packed, queries: Packed, radius: int) -> set[tuple[int, int, int]]:
    """Every pair's distance, from the number of ones they have in common."""
    a = np.unpackbits(queries, axis=1).astype(np.float32)
    b = np.unpackbits(rows, axis=1).astype(np.float32)
    distance = (a.sum(1)[:, None] + b.sum(1)[None, :] - 2 * (a @ b.T)).round().astype(int)
    return {(int(q), int(r), int(distance[q, r])) for q, r in np.argwhere(distance <= radius)}


def triples(hits: Hits) -> set[tuple[int, int, int]]:
    found = list(zip(hits.query.tolist(), hits.row.tolist(), hits.distance.tolist(), strict=True))
    assert len(found) == len(set(found)), "a pair was given twice"
    return set(found)


def random_hashes(count: int, size: int = 32, seed: int = 1) -> Packed:
    return np.random.default_rng(seed).integers(0, 256, (count, size), dtype=np.uint8)


def turned(row: Packed, bits: list[int]) -> Packed:
    ones = np.unpackbits(row)
    ones[bits] ^= 1
    return np.packbits(ones)


LISTS, SCAN = 0, -1  # not into chunks, but by lists of neighbours, or row by row


def cut(rows: Packed, chunks: int) -> HashIndex:
    """An index of that many chunks, however many rows there are."""
    words = np.ascontiguousarray(rows).view("<u8")
    if chunks == SCAN:
        return HashIndex(words, None)
    return HashIndex(words, build_tables(words, chunks) if chunks else build_neighbours(words))


@pytest.fixture(scope="module")
def rows() -> Packed:
    return random_hashes(CHUNKED_ROWS)


@pytest.fixture(scope="module", params=[11, 12, 13, 14, LISTS])
def chunked(request: pytest.FixtureRequest, rows: Packed) -> HashIndex:
    return cut(rows, request.param)


@pytest.mark.parametrize("chunks", [11, 12, 13, 14])
@pytest.mark.parametrize("radius", range(32))
def test_the_radii_leave_no_room_for_a_missed_row(chunks: int, radius: int) -> None:
    assert sum(r + 1 for r in chunk_radii(chunks, radius)) == radius + 1


@pytest.mark.parametrize("chunks", [11, 12, 13, 14])
def test_the_chunks_cover_every_bit_once(chunks: int) -> None:
    start, width, _ = layout(chunks)
    covered = [b for s, w in zip(start, width, strict=True) for b in range(s, s + w)]
    assert covered == list(range(256))


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(
    row=st.integers(0, CHUNKED_ROWS - 1),
    bits=st.lists(st.integers(0, 255), unique=True, max_size=34),
    radius=st.integers(0, 31),
)
def test_a_row_is_found_exactly_when_it_is_within_the_radius(
    chunked: HashIndex, rows: Packed, row: int, bits: list[int], radius: int
) -> None:
    query = turned(rows[row], bits)[None, :]
    assert triples(chunked.search(query, radius)) == by_hand(rows, query, radius)
    assert (len(bits) <= radius) == ((0, row, len(bits)) in triples(chunked.search(query, radius)))


@settings(deadline=None, max_examples=50)
@given(
    start=st.integers(0, 255),
    step=st.sampled_from([1, 2, 8, 11, 12, 16, 18, 20, 23, 24, 64]),
    count=st.integers(28, 34),
)
def test_bits_that_are_turned_close_together_or_far_apart_make_no_difference(
    chunked: HashIndex, rows: Packed, start: int, step: int, count: int
) -> None:
    bits = sorted({(start + i * step) % 256 for i in range(count)})
    query = turned(rows[7], bits)[None, :]
    assert triples(chunked.search(query, 31)) == by_hand(rows, query, 31)


@pytest.mark.parametrize("count", [0, 1, 2, 100, 256, 257, 4000, MOST_ROWS, MOST_ROWS + 1])
@pytest.mark.parametrize("radius", [0, 5, 31])
def test_random_sets_of_any_size(count: int, radius: int) -> None:
    listed = random_hashes(count, seed=count)
    queries = random_hashes(20, seed=count + 1)
    if count:
        random = np.random.default_rng(count)
        for i in range(0, 20, 2):
            some = random.choice(256, random.integers(0, 34), replace=False)
            queries[i] = turned(listed[random.integers(count)], list(some))
    found = triples(HashIndex.build(listed).search(queries, radius))
    assert found == by_hand(listed, queries, radius)


def test_the_largest_layout_finds_everything() -> None:
    listed = random_hashes(1_200_001)
    queries = np.array([turned(listed[i * 17], list(range(i, i + 31))) for i in range(12)])
    found = triples(HashIndex.build(listed).search(queries, 31))
    assert found == {(i, i * 17, 31) for i in range(12)} | by_hand(listed[:3000], queries, 31)


@pytest.mark.parametrize("chunks", [11, 14, LISTS, SCAN])
@pytest.mark.parametrize(
    "listed",
    [
        np.repeat(random_hashes(1), 500, axis=0),
        np.tile(random_hashes(5), (100, 1)),
        np.zeros((500, 32), np.uint8),
        np.full((500, 32), 255, np.uint8),
        random_hashes(1),
    ],
    ids=["one repeated", "five repeated", "all zeros", "all ones", "a single row"],
)
def test_repeated_rows_are_each_found(chunks: int, listed: Packed) -> None:
    queries = np.concatenate([listed[:1], random_hashes(3, seed=9), turned(listed[0], [3])[None]])
    assert triples(cut(listed, chunks).search(queries, 31)) == by_hand(listed, queries, 31)


# Beyond the radius.


@settings(deadline=None, max_examples=100)
@given(
    bits=st.lists(st.lists(st.integers(0, 255), unique=True, max_size=70), min_size=1, max_size=4),
    radius=st.integers(0, 31),
    beyond=st.integers(0, 64),
)
def test_with_a_reach_nothing_within_the_radius_is_missed_and_nothing_is_made_up(
    chunked: HashIndex, rows: Packed, bits: list[list[int]], radius: int, beyond: int
) -> None:
    queries = np.array([turned(rows[3], some) for some in bits])
    reach = min(radius + beyond, MAX_REACH)
    found = triples(chunked.search(queries, radius, reach))
    assert found <= by_hand(rows, queries, reach)
    assert {hit for hit in found if hit[2] <= radius} == by_hand(rows, queries, radius)


def test_a_row_that_shares_a_bucket_with_the_query_is_given_up_to_the_reach(
    chunked: HashIndex, rows: Packed
) -> None:
    """All bits that are turned lie in the last of the chunks, which are at most 24 bits wide."""
    queries = np.array([turned(rows[i], list(range(256 - 18, 256 - 18 + i))) for i in range(18)])
    spread = np.array([turned(rows[i], list(range(100, 100 + i))) for i in range(32, 66)])
    found = triples(chunked.search(queries, 0, 64))
    assert {(i, i, i) for i in range(18)} <= found
    far = triples(chunked.search(spread, 31, 64))
    assert {(i - 32, i, i) for i in range(32, 65)} == far


@pytest.mark.parametrize("chunks", [LISTS, 11, 14])
def test_a_query_with_too_many_candidates_is_given_all_within_its_reach(chunks: int) -> None:
    listed = near_identical(30_000)
    queries = np.array([turned(listed[i], list(range(i, i + 40))) for i in range(5)])
    assert triples(cut(listed, chunks).search(queries, 31, 64)) == by_hand(listed, queries, 64)


@pytest.mark.parametrize("count", [1, 100])
def test_in_a_small_set_all_within_the_reach_is_given(count: int) -> None:
    listed = random_hashes(count)
    queries = np.array([turned(listed[0], list(range(i))) for i in range(70)])
    found = triples(HashIndex.build(listed).search(queries, 31, 64))
    assert found == by_hand(listed, queries, 64)


def near_identical(count: int) -> Packed:
    """Rows at most 12 bits from one of three centres, as of still scenes listed frame by frame."""
    random = np.random.default_rng(3)
    centres = np.unpackbits(random_hashes(3), axis=1)
    ones = centres[random.integers(0, 3, count)]
    turns = random.integers(0, 256, (count, 12))
    np.put_along_axis(ones, turns, random.integers(0, 2, (count, 12), dtype=np.uint8), axis=1)
    return np.packbits(ones, axis=1)


def test_near_identical_rows_are_each_found() -> None:
    listed = near_identical(100_000)
    queries = np.concatenate([listed[:5], random_hashes(5)])
    index = HashIndex.build(listed)
    assert triples(index.search(queries, 31)) == by_hand(listed, queries, 31)


def test_a_hundred_thousand_near_identical_rows_come_in_bounded_pieces() -> None:
    listed = near_identical(100_000)
    sizes, queries = [], 0
    for hits in HashIndex.build(listed).batches(listed[:200], 31, room=150_000):
        sizes.append(len(hits.query))
        assert hits.query[0] == queries, "a query was cut in two or left out"
        queries = int(hits.query[-1]) + 1
    assert queries == 200
    assert max(sizes) <= 150_000
    assert sum(sizes) > 200 * 30_000


def test_one_query_with_more_hits_than_room_is_not_cut() -> None:
    listed = np.zeros((300, 32), np.uint8)
    pieces = list(HashIndex.build(listed).batches(listed[:3], 31, room=1))
    assert [len(piece.query) for piece in pieces] == [300, 300, 300]


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(0, 300),
    seed=st.integers(0, 2**32 - 1),
    radius=st.integers(0, 31),
)
def test_64_bit_hashes_are_found_too(count: int, seed: int, radius: int) -> None:
    listed = random_hashes(count, 8, seed)
    queries = np.concatenate([listed[:5], random_hashes(5, 8, seed ^ 1)])
    assert triples(HashIndex.build(listed).search(queries, radius)) == by_hand(
        listed, queries, radius
    )


def test_an_index_of_stored_arrays_answers_the_same(chunked: HashIndex, rows: Packed) -> None:
    stored = {
        n: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape) for n, a in chunked.arrays().items()
    }
    again = HashIndex.from_arrays(stored)
    queries = np.array([turned(rows[i], list(range(i))) for i in range(33)])
    assert triples(again.search(queries, 31)) == triples(chunked.search(queries, 31))


def test_no_queries_have_no_hits(chunked: HashIndex) -> None:
    assert triples(chunked.search(np.empty((0, 32), np.uint8), 31)) == set()


@pytest.mark.parametrize("radius", [-1, 32])
def test_a_radius_it_is_not_exact_for_is_refused(chunked: HashIndex, radius: int) -> None:
    with pytest.raises(ValueError, match="radius"):
        chunked.search(random_hashes(1), radius)


@pytest.mark.parametrize(("radius", "reach"), [(20, 19), (31, 65), (0, -1)])
def test_a_reach_below_the_radius_or_too_far_is_refused(
    chunked: HashIndex, radius: int, reach: int
) -> None:
    with pytest.raises(ValueError, match="reach"):
        chunked.search(random_hashes(1), radius, reach)


@pytest.mark.parametrize("shape", [(1, 8), (1, 31), (32,), (1, 32, 1)])
def test_queries_of_another_length_are_refused(chunked: HashIndex, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"hashes are rows|as long as"):
        chunked.search(np.zeros(shape, np.uint8), 31)


@pytest.mark.parametrize("chunks", [None, SCAN, LISTS, 11, 12, 13, 14])
def test_the_public_needles_are_found_in_the_public_haystack(
    media: Path, chunks: int | None
) -> None:
    def hashes(name: str) -> Packed:
        lines = (media / "index" / name).read_text().split()
        return np.array([list(bytes.fromhex(line)) for line in lines], np.uint8)

    haystack, needles = hashes("haystack.txt"), hashes("needles.txt")
    index = HashIndex.build(haystack) if chunks is None else cut(haystack, chunks)
    found = triples(index.search(needles, 31))
    assert found == by_hand(haystack, needles, 31)
    assert {query for query, _, _ in found} == set(range(len(needles)))
