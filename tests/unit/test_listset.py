"""Compiled lists: complete, the same on every host, refused when damaged; and what clips match."""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.matching.array_file import ListSetDamaged
from hashmatch.matching.comparison import MAX_COMPARED, MAX_MATCHES, scaled
from hashmatch.matching.list_input import (
    UNKNOWN_QUALITY,
    ActiveList,
    EntryBlock,
    HashColumn,
    LeftOut,
)
from hashmatch.matching.listset import Base, ListSet, warm
from hashmatch.matching.policy import Rules, decide
from hashmatch.model import (
    Action,
    Algorithm,
    Digests,
    Entry,
    EntryHash,
    Fingerprint,
    FrameHashes,
    Match,
    MatchKind,
    Media,
    Orientations,
    Outcome,
    Stretch,
    Variant,
)

NO_DIGESTS = Digests("0" * 32, "0" * 40, "0" * 64)


def picture(seed: int, turned: int = 0, size: int = 32) -> bytes:
    """A random hash, with that many of its bits turned."""
    bits = np.unpackbits(np.frombuffer(np.random.default_rng(seed).bytes(size), np.uint8))
    bits[:turned] ^= 1
    return np.packbits(bits).tobytes()


def image(name: str, *seeds: int, quality: int | None = None) -> Entry:
    hashes = tuple(EntryHash(Algorithm.PDQ, picture(s), None, quality) for s in seeds)
    return Entry(name, Media.IMAGE, hashes, "A1")


def video(name: str, seeds: Iterable[int], start: float = 0.0) -> Entry:
    hashes = (EntryHash(Algorithm.PDQ, picture(s), start + i) for i, s in enumerate(seeds))
    return Entry(name, Media.VIDEO, tuple(hashes), "B2")


def active(
    *entries: Entry,
    name: str = "partner",
    version: int = 1,
    action: Action = Action.QUARANTINE,
    distance: int | None = None,
    disabled: frozenset[str] = frozenset(),
    orientations: Orientations = Orientations.MIRRORED,
    origin: str = "",
) -> ActiveList:
    return ActiveList(
        name,
        version,
        action,
        entries,
        distance,
        disabled=disabled,
        orientations=orientations,
        origin=origin,
    )


def clip(
    *frames: bytes,
    algorithm: Algorithm = Algorithm.PDQ,
    quality: int = 100,
    mirrors: Iterable[bytes] = (),
    digests: Digests = NO_DIGESTS,
) -> Fingerprint:
    """A clip of those frames, one a second."""
    columns = [frames, tuple(mirrors)] if mirrors else [frames]
    bits = np.array([[list(h) for h in column] for column in columns], np.uint8)
    bits = bits.reshape(len(columns), len(frames), algorithm.bits // 8)
    hashes = FrameHashes(
        "recipe",
        algorithm,
        np.arange(len(frames), dtype=np.float64),
        np.full(len(frames), quality, np.uint8),
        bits.transpose(1, 0, 2),
        tuple(Variant)[: len(columns)],
    )
    return Fingerprint(digests, 1, 10.0, 10.0, None, (hashes,))


def match(
    lists: ListSet, seen: Fingerprint, distance: int = 31, quality: int = 50
) -> tuple[Match, ...]:
    return lists.match(seen, distance=distance, quality=quality, review_score=1)


def stored(lists: ListSet) -> bytes:
    file = io.BytesIO()
    lists.save(file)
    return file.getvalue()


def sample() -> ListSet:
    """Lists with every kind of entry."""
    file = Entry("file", Media.FILE, (EntryHash(Algorithm.MD5, bytes(range(16))),))
    small = Entry("small", Media.IMAGE, (EntryHash(Algorithm.PHASH, picture(50, size=8)),))
    return ListSet.build(
        [
            active(image("image", 1, 2), video("video", range(10, 15)), file, small),
            active(image("image", 2), name="another", version=7, action=Action.REVIEW),
        ]
    )


# What a clip matches.


def test_a_listed_frame_is_found_with_what_a_reviewer_needs() -> None:
    (found,) = match(sample(), clip(picture(99), picture(1, 3), picture(1, 4)))
    assert found == Match(
        list="partner",
        version=1,
        entry="image",
        kind=MatchKind.FRAMES,
        action=Action.QUARANTINE,
        distance=3,
        start=1.0,
        end=2.0,
        frames=2,
        variant=Variant.ORIGINAL,
        algorithm=Algorithm.PDQ,
        classification="A1",
    )


@pytest.mark.parametrize(("turned", "found"), [(0, 1), (31, 1), (32, 0)])
def test_frames_match_up_to_the_distance_and_not_beyond(turned: int, found: int) -> None:
    lists = ListSet.build([active(image("image", 1))])
    assert len(match(lists, clip(picture(1, turned)))) == found


@pytest.mark.parametrize(("own", "turned", "found"), [(10, 10, 1), (10, 11, 0), (31, 31, 1)])
def test_a_list_may_set_its_own_distance(own: int, turned: int, found: int) -> None:
    lists = ListSet.build([active(image("image", 1), distance=own)])
    assert len(match(lists, clip(picture(1, turned)), distance=20)) == found


def test_each_list_keeps_its_own_distance() -> None:
    strict = active(image("image", 1), name="strict", distance=5)
    lists = ListSet.build([strict, active(image("image", 1), name="usual")])
    assert [found.list for found in match(lists, clip(picture(1, 20)))] == ["usual"]


def test_a_picture_on_two_lists_is_found_on_both_the_one_that_quarantines_first() -> None:
    found = match(sample(), clip(picture(2)))
    assert [(m.list, m.version, m.action) for m in found] == [
        ("partner", 1, Action.QUARANTINE),
        ("another", 7, Action.REVIEW),
    ]


def test_a_frame_of_low_quality_is_not_compared() -> None:
    assert not match(sample(), clip(picture(1), quality=49))
    assert match(sample(), clip(picture(1), quality=50))


@pytest.mark.parametrize(("listed", "found"), [(None, 1), (50, 1), (49, 0), (0, 0)])
def test_a_listed_hash_of_low_quality_is_not_compared_one_without_is(
    listed: int | None, found: int
) -> None:
    lists = ListSet.build([active(image("image", 1, quality=listed))])
    assert len(match(lists, clip(picture(1)))) == found


def test_a_mirrored_copy_is_found() -> None:
    mirrored = clip(picture(80), picture(81), mirrors=[picture(1), picture(2)])
    (found, *_) = match(sample(), mirrored)
    assert (found.entry, found.variant, found.frames) == ("image", Variant.MIRROR, 2)


def turned_clip(*shown: tuple[Variant, bytes]) -> Fingerprint:
    """A frame for each, hashed in all orientations, of which only the one given is the picture."""
    variants = Orientations.ALL.variants
    noise = np.random.default_rng(7).integers(0, 256, (len(shown), len(variants), 32), np.uint8)
    for row, (variant, bits) in zip(noise, shown, strict=True):
        row[variants.index(variant)] = list(bits)
    frames = FrameHashes(
        "recipe",
        Algorithm.PDQ,
        np.arange(len(shown), dtype=np.float64),
        np.full(len(shown), 100, np.uint8),
        noise,
        variants,
    )
    return Fingerprint(NO_DIGESTS, 1, 10.0, 10.0, None, (frames,))


@pytest.mark.parametrize("variant", Variant)
def test_turned_copies_are_found_for_lists_that_ask_and_mirrored_ones_for_all(
    variant: Variant,
) -> None:
    lists = ListSet.build(
        [
            active(image("a", 1), name="asks", orientations=Orientations.ALL),
            active(image("b", 1), name="does-not"),
        ]
    )
    seen = turned_clip((variant, picture(1)), (variant, picture(1, 5)))
    found = match(lists, seen)
    names = {"asks"} if variant.turned else {"asks", "does-not"}
    assert {m.list for m in found} == names
    assert {(m.variant, m.frames, m.distance) for m in found} == {(variant, 2, 0)}
    once = lists.match(seen, distance=31, quality=50, review_score=1, orientations=Orientations.ALL)
    assert {m.list for m in once} == {"asks", "does-not"}
    assert {m.variant for m in once} == {variant}


def test_a_compiled_list_keeps_what_it_asks_for() -> None:
    asks = ListSet.build([active(image("a", 1), orientations=Orientations.ALL)])
    does_not = ListSet.build([active(image("a", 1))])
    assert asks.id != does_not.id
    again = ListSet.open(stored(asks))
    assert again.orientations is Orientations.ALL
    assert [one.orientations for one in again.lists] == [Orientations.ALL]
    assert does_not.orientations is Orientations.MIRRORED


def test_a_disabled_entry_never_matches() -> None:
    lists = ListSet.build([active(image("a", 1), image("b", 1), disabled=frozenset(["a", "x"]))])
    assert [found.entry for found in match(lists, clip(picture(1)))] == ["b"]
    assert len(lists) == 1


def test_a_copy_of_a_listed_video_is_a_sequence() -> None:
    copy = clip(picture(99), *(picture(s, 5) for s in range(11, 15)))
    (found,) = match(sample(), copy)
    assert (found.entry, found.kind, found.frames) == ("video", MatchKind.SEQUENCE, 4)
    assert (found.start, found.end, found.distance) == (1.0, 4.0, 5)
    assert (found.listed, found.found, found.pictures) == (5, 4, 4)
    assert found.covered == pytest.approx(0.8)
    assert found.typical == 5
    assert found.stretches == (Stretch(1.0, 4.0, 1.0, 4.0, pytest.approx(1.0, abs=0.05)),)


def test_frames_beyond_the_distance_match_together_where_they_are_a_copy() -> None:
    lists = ListSet.build([active(video("video", range(10, 40)))])
    edited = clip(*(picture(99 + s) for s in range(20)), *(picture(s, 50) for s in range(14, 24)))
    (found,) = match(lists, edited)
    assert (found.kind, found.frames, found.covered, found.found) == (MatchKind.SEQUENCE, 0, 0, 10)
    assert found.copy is not None
    assert found.copy > 4
    assert not match(lists, clip(*(picture(s, 65) for s in range(10, 40))))


def test_two_frames_beyond_the_distance_are_for_review_if_they_come_in_their_order() -> None:
    lists = ListSet.build([active(video("video", range(10, 40)))])
    others = [picture(seed) for seed in range(90, 99)]
    assert not match(lists, clip(picture(14, 40), *others))
    assert not match(lists, clip(picture(14, 40), *others, picture(13, 40)))
    (found,) = match(lists, clip(picture(14, 40), picture(15, 40), *others))
    assert found.copy is not None
    assert 1 <= found.copy < 4


def test_many_frames_of_one_room_are_found_and_are_no_evidence_of_a_copy() -> None:
    moments = [picture(7, turned) for turned in np.random.default_rng(1).permutation(20)]
    hashes = tuple(EntryHash(Algorithm.PDQ, bits, float(i)) for i, bits in enumerate(moments))
    later = [picture(7, turned) for turned in np.random.default_rng(2).permutation(20)[:5]]
    others = [picture(s) for s in range(100, 110)]
    (found,) = match(
        ListSet.build([active(Entry("room", Media.VIDEO, hashes))]), clip(*later, *others)
    )
    assert found.frames == 5
    assert found.copy is None or found.copy < 1


def test_a_pose_that_comes_again_and_again_covers_no_more_than_it_shows_once() -> None:
    """A video of somebody who mostly sits: frames of the same pose on another day are one picture."""
    sits, stands = picture(7, 3), [picture(200 + s) for s in range(12)]
    hashes = [sits if i % 3 else stands[i // 3] for i in range(36)]
    entry = Entry(
        "room",
        Media.VIDEO,
        tuple(EntryHash(Algorithm.PDQ, bits, float(i)) for i, bits in enumerate(hashes)),
    )
    (found,) = match(ListSet.build([active(entry)]), clip(*[picture(7)] * 9, *[picture(99)] * 9))
    assert (found.listed, found.found, found.shows) == (36, 24, 13)
    assert found.covered == pytest.approx(1 / 13)


@pytest.mark.parametrize(
    ("pictures", "seconds", "moves", "brief"),
    [(8, 8.0, True, False), (8, 3.9, True, True), (4, 8.0, False, False), (5, 4.1, True, False)],
)
def test_a_listed_video_tells_a_copy_from_its_room_if_it_is_long_enough_and_moves(
    pictures: int, seconds: float, moves: bool, brief: bool
) -> None:
    hashes = tuple(
        EntryHash(Algorithm.PDQ, picture(10 + i % pictures), i * seconds / 7) for i in range(8)
    )
    (found, *_) = match(
        ListSet.build([active(Entry("v", Media.VIDEO, hashes))]), clip(picture(10), picture(99))
    )
    assert (found.moves, found.brief) == (moves, brief)


def test_beyond_the_most_videos_compared_in_full_frames_are_for_review_only() -> None:
    same = [video(f"v{i:04}", [1, 2, 3, 4, 5, 6]) for i in range(MAX_COMPARED + 5)]
    found = match(ListSet.build([active(*same)]), clip(*(picture(s) for s in range(1, 7))))
    assert len(found) == len(same)
    assert sum(m.copy is not None for m in found) == MAX_COMPARED
    assert all(m.listed == 6 for m in found)


@pytest.mark.parametrize("bad", [1e7, -1e7])
def test_times_that_no_video_has_are_compared_frame_by_frame(bad: float) -> None:
    hashes = [EntryHash(Algorithm.PDQ, picture(s), float(s)) for s in range(10, 20)]
    hashes.append(EntryHash(Algorithm.PDQ, picture(20), bad))
    lists = ListSet.build([active(Entry("long", Media.VIDEO, tuple(hashes)))])
    (found,) = match(lists, clip(*(picture(s) for s in range(10, 21))))
    assert (found.kind, found.frames, found.covered) == (MatchKind.FRAMES, 11, 1)


def test_images_have_no_sequence_even_if_their_list_gives_times() -> None:
    timed = replace(video("image", range(10, 15)), media=Media.IMAGE)
    copy = clip(*(picture(s) for s in range(10, 15)))
    (found,) = match(ListSet.build([active(timed)]), copy)
    assert found.kind is MatchKind.FRAMES


@pytest.mark.parametrize("algorithm", [Algorithm.MD5, Algorithm.SHA1, Algorithm.SHA256])
def test_a_whole_file_is_found_by_its_digest(algorithm: Algorithm) -> None:
    digests = Digests("11" * 16, "22" * 20, "33" * 32)
    value = bytes.fromhex(getattr(digests, algorithm.value))
    others = [
        Entry(f"other{i}", Media.FILE, (EntryHash(algorithm, bytes([i]) * len(value)),))
        for i in (1, 0x10, 0x32, 0x40, 0xFF)
    ]
    listed = Entry("file", Media.FILE, (EntryHash(algorithm, value),))
    lists = ListSet.build([active(*others[:3], listed, *others[3:])])
    (found,) = match(lists, clip(picture(1), digests=digests))
    assert (found.entry, found.kind, found.algorithm) == ("file", MatchKind.FILE, algorithm)
    assert (found.start, found.end, found.distance) == (0.0, 10.0, 0)
    assert not match(lists, clip(picture(1)))


def test_lists_that_hold_digests_are_told_from_those_that_do_not() -> None:
    md5 = Entry("f", Media.FILE, (EntryHash(Algorithm.MD5, bytes(16)),))
    sha256 = Entry("g", Media.FILE, (EntryHash(Algorithm.SHA256, bytes(32)),))
    frames = Entry("v", Media.VIDEO, (EntryHash(Algorithm.PDQ, picture(1), 0.0, 100),))
    lists = ListSet.build(
        [active(md5, name="a"), active(frames, name="b"), active(frames, sha256, name="c")]
    )
    assert lists.with_digests() == {"a", "c"}
    assert ListSet.build([active(frames)]).with_digests() == frozenset()


def test_a_clip_without_digests_is_compared_by_its_frames() -> None:
    lists = sample()
    assert not match(lists, Fingerprint(None, 1))
    assert match(lists, replace(clip(picture(1)), digests=None)) == match(lists, clip(picture(1)))


def test_a_clip_without_frames_is_still_compared_by_its_digest() -> None:
    digests = replace(NO_DIGESTS, md5=bytes(range(16)).hex())
    assert match(sample(), Fingerprint(digests, 1))[0].kind is MatchKind.FILE


def test_an_entry_that_matches_in_many_ways_is_one_match() -> None:
    digest = EntryHash(Algorithm.MD5, bytes(range(16)))
    both = replace(image("both", 1, 2, 3), hashes=(*image("both", 1, 2, 3).hashes, digest))
    seen = clip(picture(1), picture(2), digests=replace(NO_DIGESTS, md5=digest.bits.hex()))
    (found,) = match(ListSet.build([active(both)]), seen)
    assert found.kind is MatchKind.FILE


@pytest.mark.parametrize("algorithm", [Algorithm.PHASH, Algorithm.DHASH, Algorithm.WHASH])
@pytest.mark.parametrize(("turned", "found"), [(0, 1), (8, 1), (9, 0)])
def test_64_bit_hashes_match_within_their_own_distance(
    algorithm: Algorithm, turned: int, found: int
) -> None:
    entry = Entry("e", Media.IMAGE, (EntryHash(algorithm, picture(1, size=8)),))
    lists = ListSet.build([active(entry, distance=31)])
    assert len(match(lists, clip(picture(1, turned, 8), algorithm=algorithm))) == found


@pytest.mark.parametrize("distance", range(32))
def test_the_distance_for_64_bits_is_the_same_share(distance: int) -> None:
    assert distance / 256 <= scaled(distance) / 64 < (distance + 4) / 256


def test_hashes_of_different_algorithms_are_never_compared() -> None:
    entry = Entry("e", Media.IMAGE, (EntryHash(Algorithm.PHASH, picture(1, size=8)),))
    lists = ListSet.build([active(entry)])
    assert not match(lists, clip(picture(1, size=8), algorithm=Algorithm.DHASH))


def test_a_black_frame_does_not_match_by_a_hash_that_knows_no_quality() -> None:
    flat = bytes(8)
    lists = ListSet.build(
        [active(Entry("e", Media.IMAGE, (EntryHash(Algorithm.PHASH, flat),)), image("i", 1))]
    )
    black = clip(picture(9), quality=0)
    hashes = clip(flat, algorithm=Algorithm.PHASH).frames
    assert not match(lists, replace(black, frames=(*black.frames, *hashes)))
    bright = clip(picture(9), quality=100)
    assert match(lists, replace(bright, frames=(*bright.frames, *hashes)))


def test_a_match_carries_no_hash() -> None:
    for found in match(sample(), clip(picture(1), picture(2))):
        assert picture(1).hex() not in repr(found)
        assert picture(2).hex() not in repr(found)


def test_a_black_clip_matches_nothing_and_does_no_harm() -> None:
    assert match(sample(), clip(picture(1), quality=0)) == ()
    assert match(sample(), clip()) == ()


def test_a_list_full_of_one_picture_gives_a_bounded_number_of_matches() -> None:
    same = [image(f"e{i}", 1) for i in range(MAX_MATCHES + 500)]
    best = image("best", 1, 2)
    found = match(ListSet.build([active(*same, best)]), clip(picture(1), picture(2)))
    assert len(found) == MAX_MATCHES
    assert found[0].entry == "best"


def test_warming_up_needs_nothing_and_leaves_nothing() -> None:
    warm()


# What a set is.


def test_no_lists_and_empty_lists_match_nothing() -> None:
    for lists in (ListSet.build([]), ListSet.build([active()])):
        again = ListSet.open(stored(lists))
        assert match(again, clip(picture(1))) == ()
        assert again.algorithms == frozenset()
        assert again.id == lists.id


def test_a_set_says_what_it_holds() -> None:
    lists = sample()
    assert lists.versions == {"partner": 1, "another": 7}
    assert lists.algorithms == {Algorithm.PDQ, Algorithm.PHASH, Algorithm.MD5}
    assert len(lists) == 5
    assert [(one.name, one.entries) for one in lists.lists] == [("another", 1), ("partner", 4)]


def test_the_order_in_which_lists_arrive_makes_no_difference() -> None:
    first = [image("a", 1, 2), video("ünï", range(5)), image("c", 1)]
    one = ListSet.build([active(*first), active(image("z", 9), name="other")])
    turned = [replace(entry, hashes=entry.hashes[::-1]) for entry in first[::-1]]
    two = ListSet.build([active(image("z", 9), name="other"), active(*turned)])
    assert one.id == two.id
    assert stored(one) == stored(two)


def test_the_time_of_import_is_kept_and_is_no_part_of_the_id() -> None:
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    dated = ListSet.build([replace(active(image("a", 1)), imported_at=at)])
    assert ListSet.open(stored(dated)).lists[0].imported_at == at
    assert dated.id == ListSet.build([active(image("a", 1))]).id


@pytest.mark.parametrize(
    "other",
    [
        lambda: active(image("a", 1), image("b", 2), version=2),
        lambda: active(image("a", 1), image("b", 2), name="x"),
        lambda: active(image("a", 1), image("b", 2), action=Action.LOG),
        lambda: active(image("a", 1), image("b", 2), distance=20),
        lambda: active(image("a", 1), image("b", 2), disabled=frozenset("b")),
        lambda: active(image("a", 1), image("b", 2), origin="another file"),
        lambda: active(image("a", 1), image("b", 2), image("c")),
        lambda: active(image("a", 1), image("b", 2, quality=101)),
    ],
)
def test_the_id_changes_with_whatever_can_change_a_match(other: Callable[[], ActiveList]) -> None:
    usual = active(image("a", 1), image("b", 2))
    assert ListSet.build([usual]).id != ListSet.build([other()]).id


def test_entries_in_blocks_of_arrays_give_the_same_set() -> None:
    entries = [image("a", 1, 2), image("b", 1), video("v", range(4))]
    column = HashColumn(
        Algorithm.PDQ,
        np.array([0, 0, 1, 2, 2, 2, 2]),
        np.array([list(picture(s)) for s in (1, 2, 1, 0, 1, 2, 3)], np.uint8),
        np.array([np.nan, np.nan, np.nan, 0.0, 1.0, 2.0, 3.0]),
        np.full(7, UNKNOWN_QUALITY, np.uint8),
    )
    block = EntryBlock(
        ["a", "b", "v"], [Media.IMAGE, Media.IMAGE, Media.VIDEO], ["A1", "A1", "B2"], [column]
    )
    in_blocks = ListSet.build([ActiveList("partner", 1, Action.QUARANTINE, [block])])
    assert stored(in_blocks) == stored(ListSet.build([active(*entries)]))


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), min_size=1, max_size=30, unique=True),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 40)), max_size=10),
)
def test_exactly_the_entries_with_a_near_hash_match(
    listed: list[tuple[int, int]], seen: list[tuple[int, int]]
) -> None:
    """Entries and pictures are numbers; a frame is a picture with some bits turned."""
    by_entry: dict[int, list[int]] = {}
    for entry, number in listed:
        by_entry.setdefault(entry, []).append(number)
    lists = ListSet.build([active(*(image(str(e), *seeds) for e, seeds in by_entry.items()))])
    found = match(lists, clip(*(picture(number, turned) for number, turned in seen)))
    near = {number: turned for number, turned in sorted(seen, reverse=True) if turned <= 31}
    expected = {
        str(entry): min(near[number] for number in numbers if number in near)
        for entry, numbers in by_entry.items()
        if any(number in near for number in numbers)
    }
    assert {m.entry: m.distance for m in found} == expected


def test_a_list_is_streamed_block_by_block() -> None:
    """Not even two blocks are asked for before the first was taken in."""
    taken: list[str] = []

    def some() -> Iterator[Entry | EntryBlock]:
        for name in ("a", "b", "c"):
            asked.append(name)
            yield EntryBlock([name], [Media.IMAGE], [None], [])

    asked: list[str] = []
    for block in ActiveList("partner", 1, Action.LOG, some()).blocks():
        taken.extend(block.ids)
        assert asked == taken
    assert taken == ["a", "b", "c"]


# An entry that imports should have refused.


@pytest.mark.parametrize(
    "bad",
    [
        EntryHash(Algorithm.PDQ, bytes(31)),
        EntryHash(Algorithm.MD5, bytes(20)),
        EntryHash(Algorithm.PDQ, b""),
        EntryHash(Algorithm.PDQ, bytes(32), quality=101),
        EntryHash(Algorithm.PDQ, bytes(32), quality=-1),
        EntryHash(Algorithm.PDQ, bytes(32), timestamp=float("inf")),
        EntryHash(Algorithm.PDQ, bytes(32), timestamp=1e9),
    ],
)
def test_a_hash_that_cannot_be_compared_is_left_out_and_named_the_rest_acts(
    bad: EntryHash,
) -> None:
    bad_one = replace(image("bad one", 7), hashes=(bad, *image("bad one", 7).hashes))
    lists = ListSet.build([active(image("good", 1), bad_one, image("last", 2))])
    seen = clip(picture(1), picture(2), picture(7))
    assert {found.entry for found in match(lists, seen)} == {"good", "bad one", "last"}
    ((name, entry, problem),) = ListSet.open(stored(lists)).left_out
    assert (name, entry) == ("partner", "bad one")
    assert not bad.bits or bad.bits.hex() not in problem


def test_a_set_that_lacks_a_damaged_hash_does_not_pass_for_the_sound_one() -> None:
    damaged = Entry("a", Media.IMAGE, (EntryHash(Algorithm.PDQ, bytes(31)),))
    assert ListSet.build([active(damaged)]).id != ListSet.build([active(image("a", 1))]).id


def test_the_damaged_hash_of_a_disabled_entry_is_no_matter() -> None:
    damaged = Entry("a", Media.IMAGE, (EntryHash(Algorithm.PDQ, bytes(31)),))
    lists = ListSet.build([active(damaged, image("b", 1), disabled=frozenset("a"))])
    assert lists.left_out == ()


def test_an_entry_that_is_there_twice_acts_once_and_is_named() -> None:
    lists = ListSet.build([active(image("twin", 1), image("twin", 2), image("other", 3))])
    assert len(lists) == 2
    assert lists.left_out == (LeftOut("partner", "twin", "it is there twice"),)
    assert [m.entry for m in match(lists, clip(picture(3)))] == ["other"]


def test_a_list_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="one active version"):
        ListSet.build([active(image("a", 1)), active(image("b", 1), version=2)])


# The file.


def test_a_stored_set_answers_the_same_from_a_memory_map(tmp_path: Path) -> None:
    lists = sample()
    path = tmp_path / "set"
    with path.open("wb") as file:
        lists.save(file)
        os.fsync(file.fileno())
    with path.open("rb") as file:
        mapped = ListSet.open(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    seen = clip(picture(1), picture(2), *(picture(s) for s in range(10, 15)))
    assert match(mapped, seen) == match(lists, seen)
    assert mapped.id == lists.id


def test_a_large_set_answers_the_same_when_it_is_opened_again() -> None:
    count = 6000
    bits = np.random.default_rng(5).integers(0, 256, (count, 32), np.uint8)
    column = HashColumn(
        Algorithm.PDQ,
        np.arange(count),
        bits,
        np.full(count, np.nan),
        np.full(count, 100, np.uint8),
    )
    ids = [f"{i:05}" for i in range(count)]
    block = EntryBlock(ids, [Media.IMAGE] * count, [None] * count, [column])
    lists = ListSet.build([ActiveList("partner", 1, Action.QUARANTINE, [block])])
    again = ListSet.open(stored(lists))
    seen = clip(*(bits[i].tobytes() for i in (0, 17, 5999)))
    assert [m.entry for m in match(again, seen)] == ["00000", "00017", "05999"]


def test_opening_copies_nothing() -> None:
    data = stored(sample())
    assert not any(a.flags.owndata for a in ListSet.open(data)._arrays.values())


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_a_truncated_or_lengthened_file_is_refused(data: st.DataObject) -> None:
    whole = stored(sample())
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    for damaged in (cut, whole + b"\0"):
        with pytest.raises(ListSetDamaged):
            ListSet.open(damaged)


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_a_file_with_one_bit_turned_is_refused(data: st.DataObject) -> None:
    damaged = bytearray(stored(sample()))
    damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ListSetDamaged):
        ListSet.open(bytes(damaged))


def test_a_file_that_was_checked_is_known_by_its_checksum() -> None:
    file = io.BytesIO()
    checksum = sample().save(file)
    assert ListSet.open(file.getvalue(), checksum=checksum).id == sample().id
    other = "0" * len(checksum)
    with pytest.raises(ListSetDamaged, match="checksum"):
        ListSet.open(file.getvalue(), checksum=other)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_turned_bit_in_header_or_table_is_seen_without_reading_it_all(
    data: st.DataObject,
) -> None:
    file = io.BytesIO()
    checksum = sample().save(file)
    damaged = bytearray(file.getvalue())
    damaged[data.draw(st.integers(0, 1000))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(ListSetDamaged):
        ListSet.open(bytes(damaged), checksum=checksum)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda whole: whole[:20], "truncated"),
        (lambda whole: whole[:-1], "bytes where it should have"),
        (lambda whole: b"SQLite format 3\0" + whole[16:], "something else"),
        (lambda whole: whole[:8] + b"\x63" + whole[9:], "format is version 99"),
        (lambda whole: whole[:-1] + bytes([whole[-1] ^ 1]), "checksum"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(damage: Callable[[bytes], bytes], says: str) -> None:
    with pytest.raises(ListSetDamaged, match=says) as caught:
        ListSet.open(damage(stored(sample())), "lists/ab12.lists")
    assert "lists/ab12.lists" in caught.value.message
    assert "compiled again" in caught.value.remedy


# A set on top of another.


def layered(
    before: Iterable[ActiveList],
    after: Iterable[ActiveList],
    without: Mapping[str, Iterable[str]],
) -> ListSet:
    """A set of `after`, stored and opened, whose other entries are those of `before`."""
    file = io.BytesIO()
    base = ListSet.build(before)
    checksum = base.save(file)
    known = {name: frozenset(ids) for name, ids in without.items()}
    lists = ListSet.build(after, Base(base, "base", checksum, known))
    opened = {("base", checksum): ListSet.open(file.getvalue())}
    return ListSet.open(stored(lists), open_base=lambda *which: opened[which])


SEEN = clip(
    picture(1), picture(2), picture(3), picture(4), digests=replace(NO_DIGESTS, md5="00" * 16)
)
FILE = Entry("file", Media.FILE, (EntryHash(Algorithm.MD5, bytes(16)),))


def same(one: ListSet, two: ListSet) -> None:
    assert one.id == two.id
    assert one.lists == two.lists
    assert one.algorithms == two.algorithms
    assert len(one) == len(two)
    assert one.left_out == two.left_out
    assert set(match(one, SEEN)) == set(match(two, SEEN))
    assert match(two, SEEN), "nothing was compared"


def test_entries_that_are_added_changed_or_removed_act_as_if_all_was_compiled_anew() -> None:
    before = active(image("a", 1), image("b", 2), image("c", 3), FILE)
    after = active(image("d", 4), image("b", 8), version=2, action=Action.REVIEW, distance=9)
    whole = active(
        image("a", 1),
        image("b", 8),
        image("d", 4),
        FILE,
        version=2,
        action=Action.REVIEW,
        distance=9,
    )
    both = layered([before], [after], {"partner": ["b", "c"]})
    same(both, ListSet.build([whole]))
    assert {m.entry for m in match(both, SEEN)} == {"a", "d", "file"}


def test_lists_come_and_go_without_a_new_base() -> None:
    partner, gone = active(image("a", 1), FILE), active(image("a", 2), name="gone")
    new = active(image("z", 3), name="a new one", action=Action.LOG)
    both = layered([partner, gone], [active(), new], {"partner": []})
    same(both, ListSet.build([partner, new]))


def test_an_entry_that_no_longer_acts_does_not_hide_its_twin() -> None:
    lists = [active(image("a", 1), image("b", 1)), active(image("a", 1), name="another")]
    disabled = active(disabled=frozenset("a"))
    both = layered(lists, [disabled, active(name="another")], {"partner": "a", "another": ()})
    assert {(m.list, m.entry) for m in match(both, SEEN)} == {("partner", "b"), ("another", "a")}


def test_a_file_that_no_longer_acts_does_not_match() -> None:
    both = layered([active(FILE, image("a", 1))], [active()], {"partner": ["file"]})
    assert [m.entry for m in match(both, SEEN)] == ["a"]
    assert both.algorithms == {Algorithm.PDQ}


def test_a_damaged_hash_of_the_base_is_named_as_long_as_its_entry_acts() -> None:
    damaged = Entry("bad", Media.IMAGE, (EntryHash(Algorithm.PDQ, bytes(31)),))
    before = active(damaged, image("a", 1))
    same(layered([before], [active()], {"partner": []}), ListSet.build([before]))
    assert layered([before], [active()], {"partner": ["bad"]}).left_out == ()


def test_a_set_whose_base_is_missing_is_refused() -> None:
    base = ListSet.build([active(image("a", 1))])
    lists = ListSet.build([active()], Base(base, "base", "00", {"partner": ()}))
    with pytest.raises(ListSetDamaged, match="built on"):
        ListSet.open(stored(lists))


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_a_set_on_top_of_another_matches_what_a_new_one_does(data: st.DataObject) -> None:
    """Entries are numbers, their hashes pictures."""
    listed = st.dictionaries(st.integers(0, 9), st.integers(0, 12), max_size=8)
    old, new = data.draw(listed), data.draw(listed)
    added = {e: n for e, n in new.items() if old.get(e) != n}
    gone = {str(e) for e, n in old.items() if new.get(e) != n}
    seen = clip(*(picture(number, 9) for number in range(13)))
    entries = {e: image(str(e), n) for e, n in added.items()}
    both = layered(
        [active(*(image(str(e), n) for e, n in old.items()))],
        [active(*entries.values())],
        {"partner": gone},
    )
    whole = ListSet.build([active(*(image(str(e), n) for e, n in new.items()))])
    assert set(match(both, seen)) == set(match(whole, seen))
    assert both.id == whole.id
    assert both.algorithms == whole.algorithms


# Public videos, by the reference implementation's hashes of every frame.


@pytest.fixture(scope="module")
def videos(media: Path) -> Callable[[str], list[EntryHash]]:
    def load(name: str) -> list[EntryHash]:
        lines = (media / "video-hashes" / f"{name}.txt").read_text().split()
        rows = [line.split(",") for line in lines]
        return [
            EntryHash(Algorithm.PDQ, bytes.fromhex(pdq), float(t), int(quality))
            for _, quality, pdq, t in rows
        ]

    return load


@pytest.fixture(scope="module")
def listed_videos(videos: Callable[[str], list[EntryHash]]) -> ListSet:
    names = ("chair-orig-22-sd-bar", "pattern-hd-no-bar")
    entries = [Entry(name, Media.VIDEO, tuple(videos(name))) for name in names]
    return ListSet.open(stored(ListSet.build([active(*entries)])))


def as_clip(hashes: list[EntryHash]) -> Fingerprint:
    t = np.array([h.timestamp for h in hashes], np.float64)
    frames = FrameHashes(
        "recipe",
        Algorithm.PDQ,
        t,
        np.array([h.quality for h in hashes], np.uint8),
        np.array([[list(h.bits)] for h in hashes], np.uint8),
        (Variant.ORIGINAL,),
    )
    return Fingerprint(NO_DIGESTS, 1, float(t[-1]), float(t[-1]), None, (frames,))


@pytest.mark.parametrize(
    ("name", "entry"),
    [
        ("chair-22-sd-grey-bar", "chair-orig-22-sd-bar"),
        ("chair-22-sd-sepia-bar", "chair-orig-22-sd-bar"),
        ("chair-22-with-small-logo-bar", "chair-orig-22-sd-bar"),
        ("chair-22-with-large-logo-bar", "chair-orig-22-sd-bar"),
        ("pattern-longer-no-bar", "pattern-hd-no-bar"),
    ],
)
def test_edited_copies_of_public_videos_are_matched(
    videos: Callable[[str], list[EntryHash]], listed_videos: ListSet, name: str, entry: str
) -> None:
    seen = as_clip(videos(name))
    found = match(listed_videos, seen)
    verdict = decide(seen, found, Rules(2, 4), min_coverage=0.95, quality=50)
    assert verdict.outcome is Outcome.MATCHED
    assert [(m.entry, m.kind) for m in found] == [(entry, MatchKind.SEQUENCE)]


def test_a_public_video_of_something_else_has_no_hit(
    videos: Callable[[str], list[EntryHash]], listed_videos: ListSet
) -> None:
    seen = as_clip(videos("doorknob-hd-no-bar"))
    assert match(listed_videos, seen) == ()
    assert decide(seen, (), Rules(2, 4), min_coverage=0.95, quality=50).outcome is Outcome.CLEAN
