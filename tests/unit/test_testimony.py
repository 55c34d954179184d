"""What a decoder says: what does not fit a clip is refused, and what was heard before stands."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.hashing.packing import pack
from hashmatch.hashing.recipes import recipe
from hashmatch.model import (
    Algorithm,
    Digests,
    Fingerprint,
    FrameHashes,
    Orientations,
    Reason,
    Sampling,
    Variant,
)
from hashmatch.scanning import decoder_output as told_by
from hashmatch.scanning.decoder_output import Implausible

DIGESTS = Digests("0" * 32, "0" * 40, "0" * 64)
ORIENTATIONS = Orientations.MIRRORED
PROGRESS = {"duration": 2.0, "seen": 1.0, "sampling": "every", "trouble": None}


def hashes(t: list[float], algorithm: Algorithm = Algorithm.PDQ, **other: Any) -> FrameHashes:
    pdq = algorithm is Algorithm.PDQ
    variants = other.pop("variants", ORIENTATIONS.variants if pdq else (Variant.ORIGINAL,))
    given = {
        "recipe": recipe(algorithm),
        "algorithm": algorithm,
        "t": np.array(t, np.float64),
        "quality": np.full(len(t), 80, np.uint8),
        "bits": np.arange(len(t) * len(variants) * algorithm.bits // 8)
        .astype(np.uint8)
        .reshape(len(t), len(variants), algorithm.bits // 8),
        "variants": variants,
    }
    return FrameHashes(**(given | other))


def batch(frames: FrameHashes, **progress: Any) -> tuple[dict[str, Any], bytes]:
    return {"kind": "batch", "progress": PROGRESS | progress}, pack(frames)


def cut(t: list[float], first: Any, **other: Any) -> tuple[dict[str, Any], bytes]:
    """The inner variants of frames that were told before."""
    frames = hashes(t, **({"variants": ORIENTATIONS.inner} | other))
    return {"kind": "cut", "first": first}, pack(frames)


def end(hashed: Any, **progress: Any) -> tuple[dict[str, Any], bytes]:
    return {"kind": "end", "progress": PROGRESS | progress, "hashed": hashed}, b""


def tell(
    *messages: tuple[dict[str, Any], bytes],
    asked: Any = (Algorithm.PDQ,),
    orientations: Orientations = ORIENTATIONS,
) -> Fingerprint:
    testimony = told_by.Testimony(asked, orientations)
    for header, payload in messages:
        testimony.hear(header, payload)
    testimony.conclude()
    return testimony.fingerprint(DIGESTS, 1)


def test_batches_become_one_fingerprint_in_order_of_time() -> None:
    told = tell(batch(hashes([1.0, 1.5])), batch(hashes([0.0, 0.5])), end(4))
    [frames] = told.frames
    assert list(frames.t) == [0.0, 0.5, 1.0, 1.5]
    assert frames.bits[0, 0, 0] == hashes([0.0]).bits[0, 0, 0]
    assert (told.duration, told.seen, told.sampling) == (2.0, 1.0, Sampling.EVERY)
    assert told.trouble is None


def test_what_was_heard_before_a_death_stands() -> None:
    testimony = told_by.Testimony([Algorithm.PDQ], ORIENTATIONS)
    testimony.hear(*batch(hashes([0.0])))
    testimony.break_off(Reason.DECODER_CRASHED)
    told = testimony.fingerprint(DIGESTS, 1)
    assert len(told.frames[0]) == 1
    assert told.trouble is Reason.DECODER_CRASHED
    assert told.coverage == 0.5


def test_a_clip_that_nothing_was_heard_of_has_no_frames() -> None:
    testimony = told_by.Testimony([Algorithm.PDQ], ORIENTATIONS)
    testimony.break_off(Reason.DECODER_HUNG)
    told = testimony.fingerprint(DIGESTS, 1)
    assert (told.frames, told.seen, told.coverage) == ((), 0.0, 0.0)


def test_what_is_inside_the_bars_is_told_again_when_they_are_known() -> None:
    told = tell(
        batch(hashes([1.0, 1.5])), batch(hashes([0.0, 0.5])), cut([1.5, 0.0], 1), end(4)
    ).frames[0]
    before = tell(batch(hashes([1.0, 1.5])), batch(hashes([0.0, 0.5])), end(4)).frames[0]
    again = hashes([1.5, 0.0], variants=ORIENTATIONS.inner)
    outer = len(ORIENTATIONS.outer)
    assert told.variants == ORIENTATIONS.variants
    assert np.array_equal(told.bits[:, :outer], before.bits[:, :outer])
    assert np.array_equal(told.bits[[3, 0], outer:], again.bits)
    assert np.array_equal(told.bits[[1, 2], outer:], before.bits[[1, 2], outer:])


@pytest.mark.parametrize("orientations", Orientations)
def test_a_clip_without_bars_has_the_whole_pictures_only(orientations: Orientations) -> None:
    frames = hashes([0.0, 0.5], variants=orientations.variants)
    outer = len(orientations.outer)
    frames.bits[:, outer:] = frames.bits[:, :outer]
    (told,) = tell(batch(frames), end(2), orientations=orientations).frames
    assert told.variants == orientations.outer
    assert np.array_equal(told.bits, frames.bits[:, :outer])


def test_bars_that_are_known_later_bring_back_what_is_inside() -> None:
    frames = hashes([0.0])
    frames.bits[:, 2:] = frames.bits[:, :2]
    other = np.full((1, 2, 32), 7, np.uint8)
    (told,) = tell(batch(frames), cut([0.0], 0, bits=other), end(1)).frames
    assert np.array_equal(told.bits[:, 2:], other)
    assert told.variants == ORIENTATIONS.variants


GOOD = batch(hashes([0.0]))
IMPLAUSIBLE = {
    "an unknown kind": [({"kind": "verdict"}, b"")],
    "no kind": [({}, b"")],
    "a kind that is a list": [({"kind": ["end"]}, b"")],
    "no progress": [({"kind": "batch"}, GOOD[1])],
    "a recipe of its own": [batch(hashes([0.0], recipe="pdq/none"))],
    "an algorithm nobody asked for": [batch(hashes([0.0], Algorithm.PHASH))],
    "a variant too few": [batch(hashes([0.0], variants=ORIENTATIONS.variants[:3]))],
    "variants nobody asked for": [batch(hashes([0.0], variants=Orientations.ALL.variants))],
    "other variants, as many": [batch(hashes([0.0], variants=Orientations.ALL.outer[:4]))],
    "a cut of frames that were not told": [GOOD, cut([0.0, 0.5], 0), end(1)],
    "a cut before all frames": [cut([0.0], 0), GOOD, end(1)],
    "a cut of a frame beyond": [GOOD, cut([0.0], 1), end(1)],
    "a cut of a frame before all": [GOOD, cut([0.0], -1), end(1)],
    "a cut at another time": [GOOD, cut([0.5], 0), end(1)],
    "a cut of the whole picture": [GOOD, cut([0.0], 0, variants=ORIENTATIONS.variants), end(1)],
    "a cut of nothing": [GOOD, cut([], 0), end(1)],
    "a cut by another recipe": [GOOD, cut([0.0], 0, recipe="pdq/none"), end(1)],
    "a cut from a truth on": [batch(hashes([0.0, 0.5])), cut([0.5], True), end(2)],
    "a cut from nowhere": [GOOD, cut([0.0], None), end(1)],
    "frames after a cut": [GOOD, cut([0.0], 0), batch(hashes([1.0])), end(2)],
    "no frames in a batch": [batch(hashes([]))],
    "a time beyond any clip": [batch(hashes([1e9]))],
    "damaged hashes": [(GOOD[0], GOOD[1][:-1] + b"\0")],
    "negative seconds": [batch(hashes([0.0]), seen=-1.0)],
    "endless seconds": [batch(hashes([0.0]), duration=10**400)],
    "seconds that are a truth": [batch(hashes([0.0]), seen=True)],
    "seconds that are text": [batch(hashes([0.0]), seen="1")],
    "a sampling there is not": [batch(hashes([0.0]), sampling="most")],
    "a sampling that is a list": [batch(hashes([0.0]), sampling=["every"])],
    "a trouble it cannot know": [GOOD, end(1, trouble="vanished")],
    "a trouble there is not": [GOOD, end(1, trouble="boredom")],
    "a wrong count": [GOOD, end(2)],
    "a count that is a list": [GOOD, end([1])],
    "more after its end": [GOOD, end(1), GOOD],
    "two ends": [end(0), end(0)],
    "no end": [GOOD],
    "nothing": [],
    "frames of a clip that cannot be seen": [
        GOOD,
        ({"kind": "unseeable", "reason": "damaged"}, b""),
    ],
    "no reason": [({"kind": "unseeable"}, b"")],
    "a reason of somebody else": [({"kind": "unseeable", "reason": "storage-denied"}, b"")],
}


@pytest.mark.parametrize("messages", IMPLAUSIBLE.values(), ids=IMPLAUSIBLE.keys())
def test_what_no_decoder_would_say_is_refused(messages: list[Any]) -> None:
    with pytest.raises(Implausible):
        tell(*messages)


def test_every_algorithm_must_have_as_many_frames_as_were_hashed() -> None:
    both = (Algorithm.PDQ, Algorithm.PHASH)
    assert tell(GOOD, batch(hashes([0.0], Algorithm.PHASH)), end(1), asked=both).trouble is None
    with pytest.raises(Implausible):
        tell(GOOD, end(1), asked=both)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(["batch", "cut", "end", "unseeable", "every", "damaged", "truncated"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["kind", "progress", "hashed", "duration", "seen", "sampling", "trouble"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
keys = st.sampled_from(["kind", "progress", "hashed", "first", "reason"])


@given(
    st.lists(
        st.tuples(
            st.dictionaries(keys, anything, max_size=4)
            | st.just(GOOD[0])
            | st.just(cut([0.0], 0)[0])
            | st.just(end(1)[0])
            | st.just(end(0)[0]),
            st.just(GOOD[1]) | st.just(cut([0.0], 0)[1]) | st.binary(max_size=60),
        ),
        max_size=4,
    )
)
def test_nothing_a_decoder_says_gives_more_than_a_fingerprint_or_a_refusal(
    messages: list[tuple[dict[str, Any], bytes]],
) -> None:
    with contextlib.suppress(Implausible):
        told = tell(*messages)
        assert 0.0 <= told.coverage <= 1.0
        assert told.trouble is None or not told.trouble.name.startswith("STORAGE")
        for frames in told.frames:
            assert (np.diff(frames.t) >= 0).all()
