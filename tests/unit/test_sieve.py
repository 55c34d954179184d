"""The sieve lets through exactly the clips that the lists match."""

from __future__ import annotations

import numpy as np
from archive_parts import drawn, near
from hypothesis import given, settings
from hypothesis import strategies as st

from hashmatch.matching.list_input import ActiveList
from hashmatch.matching.listset import ListSet
from hashmatch.matching.sieve import Sieve
from hashmatch.model import (
    Action,
    Algorithm,
    Digests,
    Entry,
    EntryHash,
    Fingerprint,
    FrameHashes,
    Media,
    Variant,
)

SEEDS = range(4)
NONE = Digests("0" * 32, "0" * 40, "0" * 64)


def listed(seed: int, algorithm: Algorithm, quality: int | None) -> Entry:
    hashed = EntryHash(algorithm, drawn(seed, algorithm), quality=quality)
    return Entry(f"{algorithm}-{seed}", Media.IMAGE, (hashed,))


entries = st.builds(
    listed,
    st.sampled_from(SEEDS),
    st.sampled_from([Algorithm.PDQ, Algorithm.PHASH]),
    st.sampled_from([None, 49, 50]),
)
frame = st.tuples(
    st.sampled_from(SEEDS), st.sampled_from([0, 7, 8, 9, 20, 31, 32]), st.sampled_from([49, 50])
)


def clip(frames: list[tuple[int, int, int]], algorithm: Algorithm) -> FrameHashes:
    bits = [near(drawn(seed, algorithm), far, seed=1) for seed, far, _ in frames]
    width = algorithm.bits // 8
    return FrameHashes(
        "test",
        algorithm,
        np.arange(len(frames), dtype=np.float64),
        np.array([quality for *_, quality in frames], np.uint8),
        np.frombuffer(b"".join(bits), np.uint8).reshape(len(frames), 1, width),
        (Variant.ORIGINAL,),
    )


@settings(deadline=None)
@given(
    one=st.lists(entries, max_size=6, unique_by=lambda entry: entry.id),
    two=st.lists(entries, max_size=6, unique_by=lambda entry: entry.id),
    distances=st.tuples(st.sampled_from([None, 0, 20]), st.sampled_from([None, 8])),
    clips=st.lists(st.lists(frame, max_size=5), max_size=5),
)
def test_what_matches_is_let_through_and_little_else(one, two, distances, clips):
    lists = ListSet.build(
        [
            ActiveList("one", 1, Action.QUARANTINE, one, distance=distances[0]),
            ActiveList("two", 1, Action.LOG, two, distance=distances[1]),
        ]
    )
    sieve = Sieve(lists, distance=31, quality=50)
    prints = [
        Fingerprint(NONE, 1, frames=(clip(frames, Algorithm.PDQ), clip(frames, Algorithm.PHASH)))
        for frames in clips
    ]
    expected = {
        number
        for number, stored in enumerate(prints)
        if lists.match(stored, distance=31, quality=50, review_score=1)
    }
    for _ in range(2):  # a sieve is used for page after page
        for number, stored in enumerate(prints):
            sieve.add_digests(number, stored.digests)
            for frames in stored.frames:
                sieve.add_frames(number, frames)
        found = sieve.sift()
        assert expected <= found
        # Frames that are further away count together, and only a full look tells for what.
        assert all(len(clips[number]) >= 2 for number in found - expected)


def test_digests_are_found_by_each_algorithm_and_nothing_else_is():
    files = {
        Algorithm.MD5: bytes(range(16)),
        Algorithm.SHA1: bytes(range(20)),
        Algorithm.SHA256: bytes(range(32)),
    }
    listed = [
        Entry(name.value, Media.FILE, (EntryHash(name, bits),)) for name, bits in files.items()
    ]
    sieve = Sieve(
        ListSet.build([ActiveList("files", 1, Action.QUARANTINE, listed)]), distance=31, quality=50
    )
    for number, name in enumerate(files):
        sieve.add_digests(number, Digests(**{**_of(NONE), name.value: files[name].hex()}))
    sieve.add_digests(3, NONE)
    sieve.add_digests(4, Digests("f" * 32, "f" * 40, "f" * 64))
    assert sieve.sift() == {0, 1, 2}
    assert sieve.sift() == set()


def _of(digests: Digests) -> dict[str, str]:
    return {name: getattr(digests, name) for name in ("md5", "sha1", "sha256")}


def test_frames_that_repeat_are_counted_and_looked_up_once():
    sieve = Sieve(
        ListSet.build([ActiveList("one", 1, Action.LOG, [listed(0, Algorithm.PDQ, None)])]),
        distance=31,
        quality=50,
    )
    still = clip([(0, 20, 50)] * 100 + [(1, 0, 50)] + [(0, 20, 50)] + [(2, 0, 49)], Algorithm.PDQ)
    assert sieve.add_frames(7, still) == 102
    assert sieve._queries[Algorithm.PDQ].used == 3
    assert sieve.sift() == {7}


def video(seed: int, length: int) -> Entry:
    hashes = tuple(
        EntryHash(Algorithm.PDQ, drawn(100 * seed + n), timestamp=float(n)) for n in range(length)
    )
    return Entry(f"video-{seed}", Media.VIDEO, hashes)


def copied(*frames: tuple[int, int, int]) -> FrameHashes:
    """Frames of the videos (seed, number), so many bits away."""
    bits = [near(drawn(100 * seed + number), far, seed=2) for seed, number, far in frames]
    return FrameHashes(
        "test",
        Algorithm.PDQ,
        np.arange(len(frames), dtype=np.float64),
        np.full(len(frames), 100, np.uint8),
        np.frombuffer(b"".join(bits), np.uint8).reshape(len(frames), 1, 32),
        (Variant.ORIGINAL,),
    )


def test_frames_beyond_the_distance_count_together_if_they_are_of_one_entry():
    entries = [video(seed, 10) for seed in range(3)]
    sieve = Sieve(
        ListSet.build([ActiveList("videos", 1, Action.QUARANTINE, entries)]),
        distance=31,
        quality=50,
    )
    sieve.add_frames(1, copied((0, 1, 40), (0, 2, 50)))
    sieve.add_frames(2, copied((0, 1, 40), (1, 2, 50), (2, 3, 60)))  # three entries
    sieve.add_frames(3, copied((0, 1, 40)))
    sieve.add_frames(4, copied((0, 3, 60)))  # not the second frame of clip 3
    sieve.add_frames(5, copied((0, 1, 40), (0, 1, 40), (0, 1, 40)))  # one frame that stands
    sieve.add_frames(6, copied((2, 4, 64), (2, 5, 65), (2, 6, 64)))
    assert sieve.sift() == {1, 6}
