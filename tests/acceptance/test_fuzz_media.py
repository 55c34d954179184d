"""The witness against hidden content: that it finds planted faults, and what it finds of the real scanner."""

from __future__ import annotations

import multiprocessing
import os
import queue
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import ebml, flv, joins, pictures, remux, running
from fuzz.damage import unharmed
from fuzz.examining import Result, evidence, examine
from fuzz.kinds import KINDS
from fuzz.looking import Look, Looker
from fuzz.mutants import Mutant, made, of_one
from fuzz.running import numbers
from fuzz.seeds import FPS, Seed, drawn
from fuzz.truth import Truth, told
from fuzz.witness import Input, Shown, Witness

from hashmatch.config import Settings
from hashmatch.model import Outcome, Reason

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "fuzz_media"
SEEDS = ("mp4-index-last", "mkv", "jpeg", "apng")


class Remembering(Witness):
    """Is asked about the same file by several tests."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[tuple[Input, ...], Shown] = {}

    def look(self, inputs: Sequence[Input]) -> Shown:
        if tuple(inputs) not in self._known:
            self._known[tuple(inputs)] = super().look(inputs)
        return self._known[tuple(inputs)]


@pytest.fixture(scope="module")
def witness() -> Iterator[Witness]:
    with Remembering() as one:
        yield one


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Seed]:
    return drawn(tmp_path_factory.mktemp("seeds"), SEEDS)


@pytest.fixture(scope="module")
def truths(seeds: Mapping[str, Seed], witness: Witness) -> Mapping[str, Truth]:
    return told(seeds.values(), witness)


class Double:
    """Sees what the witness sees, at 20 frames a second, but for what `fault` does to it."""

    def __init__(
        self, witness: Witness, mutant: Mutant, fault: Callable[[Look], Look] = lambda look: look
    ) -> None:
        self._bits = evidence(mutant, witness).bits
        self._fault = fault

    def look(self, data: bytes) -> Look:
        t = np.arange(len(self._bits)) / FPS
        return self._fault(Look(Outcome.CLEAN, None, t, self._bits[:, np.newaxis], 0.1))


def picked(look: Look, kept: np.ndarray) -> Look:
    return replace(look, t=look.t[kept], bits=look.bits[kept])


@pytest.fixture
def found(
    witness: Witness, truths: Mapping[str, Truth]
) -> Callable[[Mutant, Callable[[Look], Look]], set[str]]:
    """The rules that find something in what a double with this fault says of a mutant."""

    def ask(mutant: Mutant, fault: Callable[[Look], Look] = lambda look: look) -> set[str]:
        # As the file plays, not what is behind it or hidden by an edit list.
        double = Double(witness, replace(mutant, others=()), fault)
        return {find.rule for find in examine(mutant, double, witness, truths).finds}

    return ask


Found = Callable[..., set[str]]


def whole(seed: Seed) -> Mutant:
    return unharmed(random.Random(1), {seed.name: seed})


@pytest.mark.parametrize("name", SEEDS)
def test_an_honest_look_at_what_is_whole_is_no_find(
    seeds: Mapping[str, Seed], found: Found, name: str
) -> None:
    assert found(whole(seeds[name])) == set()


def test_the_real_scanner_sees_all_of_what_is_whole(
    seeds: Mapping[str, Seed], truths: Mapping[str, Truth], witness: Witness
) -> None:
    with Looker(Settings()) as looker:
        for seed in seeds.values():
            result = examine(whole(seed), looker, witness, truths)
            assert (result.outcome, result.finds) == ("clean", ())


def test_a_second_that_is_shown_and_was_not_seen_is_found(
    seeds: Mapping[str, Seed], found: Found
) -> None:
    def drops_a_second(look: Look) -> Look:
        return picked(look, (look.t < 0.8) | (look.t >= 1.8))

    assert found(whole(seeds["mkv"]), drops_a_second) == {"unseen", "hole"}


def test_what_is_no_freeze_is_no_hole(seeds: Mapping[str, Seed], found: Found) -> None:
    """Damage that is shown, and a long picture in a file that lists all it has."""

    def damages_a_second(look: Look) -> Look:
        bits = look.bits.copy()
        damaged = (look.t >= 0.8) & (look.t < 1.8)
        bits[damaged] = np.random.default_rng(1).integers(0, 256, bits[damaged].shape, np.uint8)
        return replace(look, bits=bits)

    def drops_a_second(look: Look) -> Look:
        return picked(look, (look.t < 0.8) | (look.t >= 1.8))

    assert found(whole(seeds["mkv"]), damages_a_second) == {"unseen"}
    listed = replace(whole(seeds["mkv"]), suffix="mp4")
    assert found(listed, drops_a_second) == {"unseen"}


def test_an_end_that_is_claimed_and_was_not_seen_is_found(
    seeds: Mapping[str, Seed], found: Found
) -> None:
    def stops(at: float) -> Callable[[Look], Look]:
        return lambda look: picked(look, look.t < at)

    mutant = whole(seeds["mkv"])
    assert found(mutant, stops(1.8)) == {"unseen", "tail"}
    assert found(mutant, stops(2.0)) == {"unseen"}  # less than is a find
    assert found(replace(mutant, sound=True), stops(1.8)) == {"unseen"}  # which may be what lasts


@pytest.mark.parametrize(("grown", "rules"), [(63, []), (65, ["growth"])])
def test_a_process_that_grows_from_file_to_file_is_found(
    seeds: Mapping[str, Seed],
    truths: Mapping[str, Truth],
    monkeypatch: pytest.MonkeyPatch,
    grown: int,
    rules: list[str],
) -> None:
    sizes = iter((100 << 20, (100 + grown) << 20))
    monkeypatch.setattr(running, "_WARM", 2)
    monkeypatch.setattr(running, "resident", lambda: next(sizes))
    monkeypatch.setattr(running, "Looker", lambda settings: nullcontext())
    monkeypatch.setattr(
        running,
        "examine",
        lambda mutant, *_: Result(mutant.number, mutant.kind, (), "", "", "clean", ()),
    )
    answers: queue.Queue[tuple[Result, bytes | None] | None] = queue.Queue()
    monkeypatch.setattr(running.signal, "signal", lambda *_: None)
    running._work(running.Run(1, numbers(0, 4, "flip"), 1), 0, seeds, truths, answers)
    said = list(iter(answers.get, None))
    assert len(said) == 4 + len(rules)
    assert [find.rule for result, _ in said for find in result.finds] == rules


def test_a_run_that_is_ended_leaves_no_process(
    seeds: Mapping[str, Seed], truths: Mapping[str, Truth]
) -> None:
    run = running.Run(1, numbers(0, 100_000, "flip"), 2)
    parent = multiprocessing.get_context("fork").Process(
        target=lambda: list(running.results(run, seeds, truths))
    )
    parent.start()
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children")
    workers = _within(20, lambda: (pids := children.read_text().split())[1:] and pids)
    os.kill(parent.pid, signal.SIGTERM)
    parent.join(20)
    assert parent.exitcode == 128 + signal.SIGTERM
    _within(10, lambda: not any(Path("/proc", pid).exists() for pid in workers))


def _within(seconds: float, met: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := met()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def test_a_picture_of_an_animation_that_was_not_seen_is_found(
    seeds: Mapping[str, Seed], found: Found
) -> None:
    def stops_early(look: Look) -> Look:
        return picked(look, np.arange(len(look.t)) < 5)

    assert found(whole(seeds["apng"]), stops_early) == {"unseen"}


def test_what_another_outcome_admits_is_no_find(seeds: Mapping[str, Seed], found: Found) -> None:
    def partial(look: Look) -> Look:
        seen = picked(look, look.t < 0.8)
        return replace(seen, outcome=Outcome.PARTIAL, reason=Reason.TRUNCATED)

    harmed = replace(whole(seeds["mkv"]), unharmed=False)
    assert found(harmed, partial) == set()
    assert found(whole(seeds["mkv"]), partial) == {"refused"}


def test_a_second_without_time_of_its_own_is_found(seeds: Mapping[str, Seed], found: Found) -> None:
    def stands_still(look: Look) -> Look:
        return replace(look, t=np.minimum(look.t, 0.5))

    assert found(whole(seeds["mkv"]), stands_still) == {"squeezed"}
    edited = replace(whole(seeds["mkv"]), keeps_time=False)
    assert found(edited, stands_still) == set()


def test_a_video_behind_a_picture_is_to_be_seen(seeds: Mapping[str, Seed], found: Found) -> None:
    both = {name: seeds[name] for name in ("jpeg", "mkv")}
    mutant = joins.behind_a_picture(random.Random(4), both)
    assert "unseen" in found(mutant)


def test_what_an_edit_list_hides_is_to_be_seen(
    seeds: Mapping[str, Seed], witness: Witness, truths: Mapping[str, Truth], found: Found
) -> None:
    def looks_at_a_frame(look: Look) -> Look:
        return picked(look, np.arange(len(look.t)) < 1)

    seed = seeds["mp4-index-last"]
    at = seed.data.index(b"elst") + 12
    hiding = of_one(seed, seed.data[:at] + (50).to_bytes(4, "big") + seed.data[at + 4 :], "edits")
    assert len(witness.look([Input(hiding.data)]).frames) < seed.frames / 2
    assert "unseen" in found(hiding, looks_at_a_frame)


def test_damage_that_the_witness_complains_of_and_nobody_sees_through_is_found(
    seeds: Mapping[str, Seed], found: Found
) -> None:
    seed = seeds["jpeg"]
    scan = pictures.jpeg_segments(seed.data)[-1].start + 200
    damaged = seed.data[:scan] + b"\xff\xd9" * 400 + seed.data[scan + 800 :]
    assert found(of_one(seed, damaged, "a hole in the scan")) == {"unsaid"}


def test_a_clean_cut_and_a_slow_stream_are_no_finds(
    seeds: Mapping[str, Seed], found: Found
) -> None:
    def begins(place: int, packet: object) -> float | None:
        return 0.0 if packet.dts * packet.time_base < 1.2 else None

    def keyframes(place: int, packet: object) -> float | None:
        return 0.0 if packet.is_keyframe else None

    def spread(look: Look) -> Look:
        return replace(look, t=np.arange(len(look.t)) * 0.6)

    seed = seeds["mkv"]
    assert found(of_one(seed, remux.written([seed], "mp4", begins, {}), "its start")) == set()
    slow = of_one(seed, remux.written([seed], "matroska", keyframes, {}), "its keyframes")
    assert found(slow, spread) == set()


def test_what_is_before_a_files_first_picture_adds_nothing_to_what_is_lost_behind_it(
    seeds: Mapping[str, Seed], found: Found
) -> None:
    """A recording joined in its middle begins with pictures that are predicted from none."""
    seed = seeds["mkv"]
    parts = ebml.elements(seed.data)
    cluster = next(part for part in parts if part.id == ebml.CLUSTER)
    blocks = [part for part in parts if part.id == ebml.SIMPLE_BLOCK]

    def without(one: ebml.Element) -> Mutant:
        data = seed.data[: one.start] + seed.data[one.end :]
        return of_one(seed, data, "removed", begins=ebml.begins(seed.data, [one]))

    assert without(cluster).begins == pytest.approx(0.4)
    assert found(without(cluster)) == set()
    assert found(replace(without(cluster), begins=0.0)) == {"unsaid"}
    assert without(blocks[0]).begins == pytest.approx(0.05)
    assert found(without(blocks[0])) == {"unsaid"}


def test_what_is_within_a_void_element_is_not_written_over_its_size(
    seeds: Mapping[str, Seed],
) -> None:
    for number in numbers(0, 40, "void"):
        data = made({"mkv": seeds["mkv"]}, KINDS, 1, number).data
        for one in ebml.elements(data):
            width = one.body - one.size_at
            size = int.from_bytes(data[one.size_at : one.body], "big") - (1 << 7 * width)
            assert one.end - one.body == size, number


def test_a_witness_that_does_not_know_a_format_tells_nothing_of_it(
    tmp_path: Path, seeds: Mapping[str, Seed], witness: Witness, found: Found
) -> None:
    def keyframes(place: int, packet: Any) -> float | None:
        return 0.0 if packet.is_keyframe else None

    drawn_anew = drawn(tmp_path, ["mp4-vp9"])
    data = remux.written([drawn_anew["mp4-vp9"]], "flv", keyframes, {})
    assert flv.is_enhanced(data)
    mutant = of_one(drawn_anew["mp4-vp9"], data, "VP9 in FLV")
    with Looker(Settings()) as looker:
        result = examine(mutant, looker, witness, told(drawn_anew.values(), witness))
    assert (result.outcome, result.finds) == ("clean", ())
    # H.264 has always been in the format: that it is not understood is a complaint.
    damaged = bytearray(remux.written([seeds["mkv"]], "flv", lambda *_: 0.0, {}))
    for tag in flv.tags(bytes(damaged)):
        if tag.kind == 9:
            damaged[tag.start + 11] &= 0xF0
    assert not flv.is_enhanced(bytes(damaged))
    assert found(of_one(seeds["mkv"], bytes(damaged), "its codec is none")) == {"unsaid"}


def test_an_exception_and_a_crash_are_found(
    seeds: Mapping[str, Seed], truths: Mapping[str, Truth], witness: Witness, found: Found
) -> None:
    def raises(look: Look) -> Look:
        raise ZeroDivisionError("planted")

    def crashes(look: Look) -> Look:
        return replace(look, outcome=Outcome.UNSCANNABLE, reason=Reason.DECODER_CRASHED)

    harmed = replace(whole(seeds["jpeg"]), unharmed=False)
    assert found(harmed, raises) == {"exception"}
    assert found(harmed, crashes) == {"crashed"}
    assert found(harmed, lambda look: replace(look, took=100.0)) == {"slow"}


def test_a_number_makes_the_same_mutant_again_and_another_another(
    seeds: Mapping[str, Seed],
) -> None:
    place = numbers(0, 3, "flip")
    assert [list(KINDS)[number % len(KINDS)] for number in place] == ["flip"] * 3
    first, second = (made(seeds, KINDS, 1, number) for number in place[:2])
    assert made(seeds, KINDS, 1, place[0]) == first
    assert first.data != second.data
    assert made(seeds, KINDS, 2, place[0]).data != first.data


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_promise_1_no_mutant_of_2000_is_clean_and_hides_something(tmp_path: Path) -> None:
    command = [SCRIPT, "--count", "2000", "--work", tmp_path, "--keep", tmp_path]
    done = subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stdout + done.stderr
