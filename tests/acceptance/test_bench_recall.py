"""The recall benchmark's bookkeeping, end to end on two small videos."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.drawn import write_clip

BENCH = Path(__file__).resolve().parents[2] / "scripts" / "bench_recall"
SECONDS = 6
# In place of bits, for a listed frame that is not in the edit.
NOT_THERE = -1
# What stands in for the reference package: drawn frames of quality 100 at whole seconds, hashed by pdqhash.
STAND_IN = '''
"""vPDQ's interface, one frame a second, by OpenCV and pdqhash."""
from types import SimpleNamespace

import cv2
import numpy as np
import pdqhash


def computeHash(path, seconds_per_hash, thread_count):
    video = cv2.VideoCapture(path)
    rate = round(video.get(cv2.CAP_PROP_FPS))
    frames, number = [], 0
    while True:
        read, picture = video.read()
        if not read:
            break
        if number % rate == 0:
            bits, quality = pdqhash.compute(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
            packed = np.packbits(bits).tobytes().hex()
            frames.append(SimpleNamespace(hex=packed, quality=quality, timestamp=number / rate))
        number += 1
    if not frames:
        raise ValueError("no video")
    return frames
'''

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="FFmpeg is not installed"),
]


def bench(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    stand_in = folder / "packages"
    stand_in.mkdir(exist_ok=True)
    (stand_in / "vpdq.py").write_text(STAND_IN)
    command = [sys.executable, BENCH, "--work", folder / "work", *arguments]
    path = os.pathsep.join([str(stand_in), *sys.path])
    environment = os.environ | {"PYTHONPATH": path}
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, env=environment
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("recall")
    media = folder / "media"
    room = folder / "rooms" / "kitchen"
    for path, seed in {
        media / "one.mp4": 1,
        media / "two.mp4": 2,
        room / "morning.mp4": 3,
        room / "evening.mp4": 4,
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_clip(path, seconds=SECONDS, fps=10, width=160, height=120, seed=seed)
    (media / "broken.mp4").write_bytes(b"no video" * 100)
    out = folder / "out.json"
    picture = folder / "out.svg"
    done = bench(
        folder, "--media", media, "--drawn", 0, "--drawn-rooms", 0,
        "--rooms", room.parent, "--edits", "trim,mirror", "--json", out, "--picture", picture,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {"text": done.stdout, "svg": picture.read_text(), **json.loads(out.read_text())}


def rows(results: Mapping[str, Any], **wanted: str) -> list[dict[str, Any]]:
    return [row for row in results["rows"] if all(row[key] == wanted[key] for key in wanted)]


def test_every_edit_of_every_video_is_looked_at_by_every_method(results: Mapping[str, Any]) -> None:
    seen = {(r["source"], r["edit"], r["method"]) for r in rows(results, kind="media")}
    assert len(rows(results, kind="media")) == len(seen) == 2 * 2 * 4


def test_listed_frames_that_an_edit_cut_away_are_not_asked_for(results: Mapping[str, Any]) -> None:
    for row in rows(results, edit="trim"):
        assert (row["listed"], row["of"]) == (SECONDS, SECONDS - 2)
        assert [bits == NOT_THERE for bits in row["at_instants"]] == [True] * 2 + [False] * 4
    for row in rows(results, edit="mirror"):
        assert (row["listed"], row["of"]) == (SECONDS, SECONDS)


def test_a_mirrored_copy_is_found_here_and_not_by_the_reference(results: Mapping[str, Any]) -> None:
    for row in rows(results, edit="mirror", method="every"):
        assert (row["outcome"], row["share"]) == ("matched", 1.0)
    for row in rows(results, edit="mirror", method="vpdq"):
        assert (row["outcome"], row["share"]) == ("clean", 0.0)


def test_all_other_videos_are_compared_and_none_is_found(results: Mapping[str, Any]) -> None:
    for row in results["rows"]:
        room = 1 if row["kind"] == "room" else 0
        none = {"matched": [], "review": []}
        assert row["others"]["unrelated"] == none | {"compared": 3 - room}
        assert row["others"]["same room"] == none | {"compared": room}


def test_a_room_is_looked_at_as_it_is_and_edited(results: Mapping[str, Any]) -> None:
    seen = [(row["source"], row["edit"]) for row in rows(results, kind="room", method="vpdq")]
    expected = [(name, edit) for name in ("evening", "morning") for edit in ("plain", "mirror")]
    assert sorted(seen) == sorted(expected)


def test_the_acceptance_figures_are_those_of_the_rows(results: Mapping[str, Any]) -> None:
    by_method = {one["method"]: one for one in results["everyday"]}
    for method, said in by_method.items():
        of = rows(results, method=method, kind="media")
        assert said["found"]["clips"] == len(of) == 4
        assert said["found"]["share"] == pytest.approx(sum(row["share"] for row in of) / 4)
        assert said["false_alarms"] == 0
        reference = rows(results, method="vpdq", kind="media")
        spent, beside = (sum(row["cpu_seconds"] for row in some) for some in (of, reference))
        assert said["cost_ratio"] == pytest.approx(spent / beside)
    assert by_method["every"]["found"]["found"] == 4


def test_all_pairs_of_unrelated_frames_are_counted(results: Mapping[str, Any]) -> None:
    looked = rows(results, method="reference")
    pairs = sum(row["frames"] * row["others"]["unrelated"]["compared"] for row in looked)
    # Each with its mirror image, beside each listed frame of the other videos.
    assert results["unrelated"]["pairs"] == pairs * 2 * SECONDS


def test_a_video_that_cannot_be_read_is_named_and_the_rest_is_measured(
    results: Mapping[str, Any],
) -> None:
    assert [one["name"] for one in results["left_out"]] == ["broken"]
    assert "Left out:\n  broken" in results["text"]


def test_the_picture_says_what_it_shows(results: Mapping[str, Any]) -> None:
    assert "4 of 4 clips" in results["svg"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--media", "nowhere"], "there is no folder nowhere"),
        (["--edits", "upside-down"], "there is no edit 'upside-down'"),
        (["--videos", "*.none", "--media", "."], "there is no video *.none"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HASHMATCH_MEDIA", str(tmp_path))
    (tmp_path / "videos").mkdir()
    done = bench(tmp_path, *arguments)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr
