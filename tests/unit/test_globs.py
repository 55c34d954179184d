"""Globs: which keys they take. The oracle tries every split, with Python's own fnmatch."""

from __future__ import annotations

import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hashmatch.clips.globs import Glob, common_prefix


@pytest.mark.parametrize(
    ("pattern", "key", "taken"),
    [
        ("**", "a.mp4", True),
        ("**", "a/b/c.mp4", True),
        ("**", "/odd//key\n", True),
        ("*.mp4", "a.mp4", True),
        ("*.mp4", ".mp4", True),
        ("*.mp4", "a/b.mp4", False),
        ("*.mp4", "a.MP4", False),
        ("**/*.mp4", "a.mp4", True),
        ("**/*.mp4", "a/b/c.mp4", True),
        ("a/**", "a/b", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", False),
        ("a/**", "ab/c", False),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/b/c/zz", False),
        ("a/**/m/**/z", "a/m/m/b/z", True),
        ("?.mp4", "é.mp4", True),
        ("?.mp4", "/.mp4", False),
        ("a?b", "a/b", False),
        ("clip [1].mp4", "clip [1].mp4", True),
        ("clip [1].mp4", "clip 1.mp4", False),
        ("[!a]*", "[!a]b", True),
        ("a**b", "axxb", True),
        ("a**b", "ax/xb", False),
        ("a//b", "a//b", True),
        ("a/*/b", "a//b", True),
        ("*", "two\nlines", True),
        ("a", "a\n", False),
        ("a.b", "axb", False),
        ("", "a", False),
    ],
)
def test_the_documented_meaning(pattern: str, key: str, taken: bool) -> None:
    assert Glob(pattern).matches(key) is taken


parts = st.text("ab.", min_size=1, max_size=3).filter(lambda part: part.strip("."))
pieces = st.lists(st.sampled_from(["a", "b", "*", "?", "."]), min_size=1, max_size=3).map("".join)
patterns = st.lists(
    st.one_of(pieces.filter(lambda part: part.strip(".") and "**" not in part), st.just("**")),
    min_size=1,
    max_size=4,
)


@given(patterns, st.lists(parts, min_size=1, max_size=5))
def test_agrees_with_the_matching_of_segments_by_brute_force(
    pattern: list[str], key: list[str]
) -> None:
    assert Glob("/".join(pattern)).matches("/".join(key)) is _brute(pattern, key)


def _brute(pattern: list[str], key: list[str]) -> bool:
    from fnmatch import fnmatchcase

    if not pattern:
        return not key
    if pattern[0] == "**":
        least = 1 if len(pattern) == 1 else 0
        return any(_brute(pattern[1:], key[skip:]) for skip in range(least, len(key) + 1))
    return bool(key) and fnmatchcase(key[0], pattern[0]) and _brute(pattern[1:], key[1:])


@given(patterns, st.lists(parts, min_size=1, max_size=5))
def test_what_a_glob_takes_starts_with_its_literal_part(pattern: list[str], key: list[str]) -> None:
    glob = Glob("/".join(pattern))
    assume(glob.matches("/".join(key)))
    assert "/".join(key).startswith(glob.literal)


def test_several_globs_share_what_all_of_them_start_with() -> None:
    assert common_prefix([Glob("2026/11/**"), Glob("2026/12/*.mp4")]) == "2026/1"
    assert common_prefix([Glob("**"), Glob("a/**")]) == ""
    assert common_prefix([]) == ""


def test_a_hostile_key_costs_no_time() -> None:
    started = time.monotonic()
    assert not Glob("**/a/**/a/**/a/**/b").matches("/".join(["a"] * 500))
    assert not Glob("*a*a*a*a*a*a*b").matches("a" * 1024)
    assert time.monotonic() - started < 1
