"""Which keys are renditions of one clip, and what a pattern may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashmatch.config import Clips
from hashmatch.errors import ConfigError
from hashmatch.model import Algorithm, Digests, Fingerprint, FrameHashes, Rendition, Variant
from hashmatch.renditions import HIGHEST, LOWEST, Pattern
from hashmatch.scanning.renditions import resemble

PATTERNS = [
    "{id}/{height}.mp4",
    "{id}_{height}p.{ext}",
    "{id}.{height}.{ext}",
    "vod/{id}/h264-{height}p/clip.mp4",
    "{height}/{id}.mp4",
    "r{height}-{id}.{ext}",
    "clips/{id}-AT-{height}",
]


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("{id}/{height}.mp4", "abc/1080.mp4", Rendition("abc", 1080)),
        ("{id}/{height}.mp4", "2026/11/abc/360.mp4", Rendition("2026/11/abc", 360)),
        ("{id}/{height}.mp4", "a/360.mp4/720.mp4", Rendition("a/360.mp4", 720)),
        ("{id}/{height}.mp4", "a\nb/360.mp4", Rendition("a\nb", 360)),
        ("{id}_{height}p.{ext}", "a_720_1080p.webm", Rendition("a_720", 1080)),
        ("{height}/{id}.mp4", "720/x/y.mp4", Rendition("x/y", 720)),
        ("{id}/{height}.mp4", "abc/cover.mp4", None),
        ("{id}/{height}.mp4", "abc/0.mp4", None),
        ("{id}/{height}.mp4", "abc/63.mp4", None),
        ("{id}/{height}.mp4", "abc/0360.mp4", None),
        ("{id}/{height}.mp4", "abc/8193.mp4", None),
        ("{id}/{height}.mp4", "abc/1080000000000000000000.mp4", None),
        ("{id}/{height}.mp4", "abc/-360.mp4", None),
        ("{id}/{height}.mp4", "abc/٣٦٠.mp4", None),
        ("{id}/{height}.mp4", "abc/360.MP4", None),
        ("{id}/{height}.mp4", "abc/360.mp4.part", None),
        ("{id}/{height}.mp4", "/360.mp4", None),
        ("{id}/{height}.mp4", "360.mp4", None),
        ("{id}_{height}p.{ext}", "a_360p.tar.gz", None),
        ("{id}_{height}p.{ext}", "a_360p.", None),
        ("{id}.x[{height}]", "a.x[360]", Rendition("a", 360)),
        ("{id}.+{height}", "aaaa360", None),
    ],
)
def test_a_key_says_of_which_clip_it_is_a_rendition(pattern, key, expected):
    assert Pattern(pattern).of(key) == expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("{id}.mp4", "once each"),
        ("{height}.mp4", "once each"),
        ("{id}/{height}/{height}.mp4", "once each"),
        ("{id}/{id}/{height}.mp4", "once each"),
        ("{id}/{height}.{codec}", "once each"),
        ("{ext}/{id}/{height}.mp4", "once each"),
        ("{id}/{height}_{ext}", "once each"),
        ("{id}/{height:d}.mp4", "once each"),
        ("{id}/{}{height}.mp4", "once each"),
        ("**/{id}/{height}.mp4", "cannot be part"),
        ("{id}/{height}.mp?", "cannot be part"),
        ("{id}/{{height}}.mp4", "cannot be part"),
        ("{id}{height}.mp4", "something must stand between"),
        ("{height}{id}.mp4", "something must stand between"),
        ("{id}/1{height}.mp4", "a digit beside"),
        ("{id}/{height}0.mp4", "a digit beside"),
    ],
)
def test_what_is_no_pattern_is_refused_with_the_reason(pattern, why):
    with pytest.raises(ConfigError, match=why) as refused:
        Clips(renditions=pattern)
    assert pattern in refused.value.message
    assert refused.value.exit_code == 14


ids = st.text(min_size=1, max_size=12).filter(lambda text: "\0" not in text)
heights = st.integers(LOWEST, HIGHEST)


def key_of(pattern: str, name: str, height: int, ext: str) -> str:
    parts = {"{id}": name, "{height}": str(height), "{ext}": ext}
    key = pattern
    for placeholder in sorted(parts, key=pattern.find, reverse=True):
        before, found, after = key.rpartition(placeholder)
        if found:
            key = before + parts[placeholder] + after
    return key


@settings(deadline=None)
@given(st.sampled_from(PATTERNS), ids, heights, st.sampled_from(["mp4", "webm", "3gp"]))
def test_every_rendition_of_every_name_is_told(pattern, name, height, ext):
    assert Pattern(pattern).of(key_of(pattern, name, height, ext)) == Rendition(name, height)


@settings(deadline=None)
@given(st.sampled_from(PATTERNS), st.text(max_size=30), st.text(max_size=30), ids, heights)
def test_two_names_are_never_taken_for_one(pattern, one, other, name, height):
    assume(one != other)
    first, second = (Pattern(pattern).of(key_of(pattern, n, height, "mp4")) for n in (one, other))
    assert first is None or second is None or first.of != second.of


@settings(deadline=None)
@given(st.sampled_from(PATTERNS), ids, heights, heights, st.data())
def test_a_prefix_of_one_rendition_is_widened_to_one_of_all(pattern, name, one, other, data):
    key, sibling = (key_of(pattern, name, height, "mp4") for height in (one, other))
    prefix = key[: data.draw(st.integers(0, len(key)))]
    widened = Pattern(pattern).widened(prefix)
    assert prefix.startswith(widened)
    assert sibling.startswith(widened)


@settings(deadline=None)
@given(st.sampled_from(PATTERNS), st.text(max_size=40))
def test_any_text_is_a_key_or_a_prefix(pattern, text):
    found = Pattern(pattern).of(text)
    assert found is None or LOWEST <= found.height <= HIGHEST
    assert text.startswith(Pattern(pattern).widened(text))


def test_a_prefix_that_parts_no_renditions_stays_as_it_is():
    pattern = Pattern("{id}/{height}.mp4")
    assert pattern.widened("2026/11/") == "2026/11/"
    assert pattern.widened("2026/11/abc/") == "2026/11/abc/"
    assert pattern.widened("2026/11/abc/36") == "2026/11/abc/"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_long_hostile_key_does_not_hold_the_listing_up(pattern):
    """A thousand of them, as long as S3 allows: an exponential search would not end."""
    for filling in ("a", "/", "_", "1", "_1", ".1", "-AT-1", "/360.mp4", "/h264-1p/clip.mp4"):
        key = (filling * 1024)[:1024]
        for _ in range(20):
            found = Pattern(pattern).of(key)
            assert found is None or found.of in key
            assert key.startswith(Pattern(pattern).widened(key))


def seen(duration: float | None, *rows: NDArray[np.uint8], quality: int = 100) -> Fingerprint:
    bits = np.array(rows, np.uint8).reshape(len(rows), 1, 32)
    t, q = np.arange(len(rows), dtype=np.float64), np.full(len(rows), quality, np.uint8)
    frames = FrameHashes("r", Algorithm.PDQ, t, q, bits, (Variant.ORIGINAL,))
    return Fingerprint(Digests("", "", ""), 1, duration, frames=(frames,))


RANDOM = np.random.default_rng(0).integers(0, 256, (8, 32), np.uint8)


def differing(row: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    changed = np.unpackbits(row)
    changed[:bits] ^= 1
    return np.packbits(changed)


def test_a_glance_believes_what_is_as_long_and_shows_the_same():
    decoded = seen(30.0, *RANDOM)
    assert resemble(seen(30.9, RANDOM[3], differing(RANDOM[5], 64)), decoded, 50)
    assert resemble(seen(None, RANDOM[0]), seen(None, *RANDOM), 50)


@pytest.mark.parametrize(
    "glance",
    [
        seen(31.1, RANDOM[3]),
        seen(28.9, RANDOM[3]),
        seen(None, RANDOM[3]),
        seen(30.0, RANDOM[3], differing(RANDOM[3], 65)),
    ],
)
def test_a_glance_believes_nothing_else(glance):
    assert not resemble(glance, seen(30.0, *RANDOM), 50)


def test_black_frames_prove_nothing_either_way():
    decoded = seen(30.0, *RANDOM)
    assert resemble(seen(30.0, differing(RANDOM[0], 128), quality=0), decoded, 50)
    assert not resemble(seen(30.0, RANDOM[0]), seen(30.0, *RANDOM, quality=0), 50)
