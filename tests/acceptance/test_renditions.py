"""Renditions: one of them is decoded, each has its outcome, and what one matches takes them all.

The heights are those that the keys say; the drawn clips are smaller, to be quick.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from drawn import write_clip
from installation import Installation
from shard_parts import check_shards, committed
from sites import Site, make_site, site_of
from sqlalchemy import select

from hashmatch.db.schema import ClipRow, FingerprintRow, LeafRow, WorkRow

SIZES = {1080: (320, 240), 720: (256, 192), 480: (224, 168), 360: (192, 144), 240: (160, 120)}
LADDER = (1080, 720, 360)
LISTED, CLEAN, OTHER, WHOLE_FILE = 99, 5, 7, 11
PATTERN = {"HASHMATCH_CLIPS__RENDITIONS": "{id}/{height}.mp4"}


@dataclass
class Drawn:
    """Clips drawn once, by scene and height."""

    folder: Path
    bytes: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def __call__(self, seed: int, height: int) -> bytes:
        if (seed, height) not in self.bytes:
            width, lines = SIZES[height]
            path = self.folder / f"{seed}-{height}.mp4"
            write_clip(path, seed=seed, width=width, height=lines, options={"g": "15"})
            self.bytes[seed, height] = path.read_bytes()
        return self.bytes[seed, height]

    def ladder(self, name: str, seed: int, heights: Iterable[int] = LADDER) -> dict[str, bytes]:
        return {f"{name}/{height}.mp4": self(seed, height) for height in heights}


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    return Drawn(tmp_path_factory.mktemp("drawn"))


@dataclass
class Night:
    """A site after its first scan: what was there, what was said, what was left."""

    site: Site
    originals: dict[str, bytes]
    summary: dict[str, Any]
    clips: dict[str, dict[str, Any]]
    left: dict[str, bytes]

    def outcomes(self, name: str) -> dict[int, tuple[str, str | None, int | None]]:
        """Of a clip's renditions: height -> (outcome, reason, height that was decoded in its place)."""
        return {
            height_of(key): (one["outcome"], one["reason"], height_of(one["seen_by"]))
            for key, one in self.clips.items()
            if key in self.names(name)
        }

    def names(self, name: str) -> set[str]:
        return {key for key in self.originals if re.fullmatch(rf"{name}/[0-9]+\.mp4", key)}


def height_of(key: str | None) -> int | None:
    return None if key is None else int(Path(key).stem)


def said(hashmatch: Installation) -> dict[str, dict[str, Any]]:
    return {clip["key"]: clip for clip in asked(hashmatch, "runs", "show")["clips"]}


def asked(hashmatch: Installation, *command: str) -> Any:
    """What a reading command says, without a new process for it."""
    return json.loads(hashmatch.run(*command, "--json").stdout)


def list_both(site: Site, drawn: Drawn) -> None:
    """One list with a video's frames, and one with the digest of one rendition of another video."""
    site.hashmatch.list_videos("frames", {"v1": drawn_file(drawn, LISTED, 720)})
    digest = hashlib.sha256(drawn(WHOLE_FILE, 1080)).hexdigest()
    file = site.hashmatch.home / "files.txt"
    file.write_text(f"sha256 {digest}\n")
    done = site.hashmatch.run("lists", "import", "files", str(file)).stderr
    site.hashmatch.run(*done.rpartition(": hashmatch ")[2].split())


def drawn_file(drawn: Drawn, seed: int, height: int) -> Path:
    drawn(seed, height)
    return drawn.folder / f"{seed}-{height}.mp4"


@pytest.fixture(
    scope="module",
    params=["s3-postgresql", pytest.param("folder-sqlite", marks=pytest.mark.slow)],
)
def night(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, drawn: Drawn
) -> Night:
    storage, _, database = request.param.partition("-")
    home = tmp_path_factory.mktemp("site")
    settings = {**PATTERN, "HASHMATCH_CLIPS__EXCLUDE": '["excluded/1080.mp4"]'}
    site = make_site(home, storage, database, request, **settings)
    list_both(site, drawn)
    originals = {
        **drawn.ladder("clean", CLEAN),
        **drawn.ladder("frames", LISTED),
        **drawn.ladder("digest", WHOLE_FILE),
        **drawn.ladder("low", OTHER, (240,)),
        "low/144.mp4": drawn(OTHER, 240),
        **drawn.ladder("broken", LISTED) | {"broken/360.mp4": b"no video"},
        **drawn.ladder("damaged", CLEAN) | {"damaged/360.mp4": half(drawn(CLEAN, 360))},
        **drawn.ladder("empty", CLEAN) | {"empty/1080.mp4": b""},
        "hidden/360.mp4": drawn(CLEAN, 360),
        "hidden/720.mp4": drawn(CLEAN, 720),
        "hidden/1080.mp4": drawn(LISTED, 1080),
        **drawn.ladder("excluded", LISTED),
        "clean/cover.mp4": drawn(OTHER, 360),
    }
    for key, data in originals.items():
        site.clips.put(key, data)
    summary = site.hashmatch.scan(code=10)
    return Night(site, originals, summary, said(site.hashmatch), site.clips.objects())


def half(data: bytes) -> bytes:
    """The header and half of the frames."""
    return data[: len(data) // 2]


def test_every_rendition_ends_in_one_outcome_and_the_counts_add_up(night):
    assert set(night.clips) == set(night.originals) - {"excluded/1080.mp4"}
    assert night.summary["listed"] == len(night.clips) == sum(night.summary["outcomes"].values())
    inherited = [clip for clip in night.clips.values() if clip["seen_by"]]
    assert night.summary["seen_by_rendition"] == len(inherited) > 0


def test_the_smallest_from_the_wanted_height_is_decoded_for_all(night):
    assert night.outcomes("clean") == {
        360: ("clean", None, None),
        720: ("clean", None, 360),
        1080: ("clean", None, 360),
    }
    assert night.outcomes("low") == {240: ("clean", None, None), 144: ("clean", None, 240)}
    query = select(ClipRow.key).join(FingerprintRow, FingerprintRow.clip_id == ClipRow.id)
    decoded = {key for (key,) in night.site.ask(query.where(FingerprintRow.frames != b""))}
    assert decoded & night.names("clean") == {"clean/360.mp4"}
    assert decoded & night.names("digest") == {"digest/360.mp4"}
    assert decoded & night.names("broken") == {"broken/720.mp4"}


def test_a_key_that_names_no_height_is_a_clip_of_its_own(night):
    assert night.clips["clean/cover.mp4"]["outcome"] == "clean"
    assert night.clips["clean/cover.mp4"]["seen_by"] is None


def test_frames_of_one_rendition_take_all_of_them(night):
    assert {outcome for outcome, _, _ in night.outcomes("frames").values()} == {"matched"}
    assert not night.names("frames") & set(night.left)


def test_the_digest_of_one_rendition_that_was_not_decoded_takes_all_of_them(night):
    assert night.outcomes("digest") == {
        360: ("matched", None, None),
        720: ("matched", None, 360),
        1080: ("matched", None, 360),
    }
    assert not night.names("digest") & set(night.left)


def test_what_a_broken_rendition_does_not_show_another_one_does(night):
    assert {outcome for outcome, _, _ in night.outcomes("broken").values()} == {"matched"}
    assert not night.names("broken") & set(night.left)


def test_a_rendition_of_which_nothing_is_seen_is_never_clean(night):
    assert night.outcomes("empty") == {
        360: ("clean", None, None),
        720: ("clean", None, 360),
        1080: ("unscannable", "empty-file", None),
    }
    damaged = night.outcomes("damaged")
    assert damaged[360][0] in ("unscannable", "partial")
    assert damaged[720] == ("clean", None, None)
    assert damaged[1080] == ("clean", None, 720)


def test_another_video_under_a_renditions_name_is_seen_and_its_siblings_are_reviewed(night):
    assert night.outcomes("hidden") == {
        360: ("review", None, None),
        720: ("review", None, 360),
        1080: ("matched", None, None),
    }
    assert night.names("hidden") & set(night.left) == {"hidden/360.mp4", "hidden/720.mp4"}


def test_what_the_settings_exclude_is_no_rendition(night):
    assert set(night.outcomes("excluded")) == {720, 360}
    assert "excluded/1080.mp4" in night.left


def test_all_that_was_taken_is_in_the_vault_bit_for_bit(night):
    taken = [data for key, data in night.originals.items() if key not in night.left]
    assert sorted(night.site.sealed()) == sorted(taken)
    assert night.summary["quarantined"] == len(taken)


def test_cases_name_the_other_renditions(night):
    shown = {}
    for case in asked(night.site.hashmatch, "quarantine", "list"):
        one = asked(night.site.hashmatch, "quarantine", "show", case["case"])
        shown[one["clip_key"]] = one
    cases = {key: one["case"] for key, one in shown.items()}
    siblings = {cases[key] for key in night.names("digest")}
    for key in night.names("digest"):
        assert set(shown[key]["renditions"]) == siblings - {cases[key]}
        assert [match["list"] for match in shown[key]["matches"]] == ["files"]
    detected = leaves(night.site, "case-detected")
    for body in detected:
        if body["case"] in siblings:
            assert set(body["siblings"]) == siblings - {body["case"]}


def test_the_log_says_which_rendition_was_seen_by_a_commitment_only(night):
    bodies = leaves(night.site, "clip-scanned")
    names = {body["clip"] for body in bodies}
    seen_by = [body["seen_by"] for body in bodies if body["seen_by"] is not None]
    assert len(seen_by) == night.summary["seen_by_rendition"]
    assert set(seen_by) <= names
    assert "360.mp4" not in json.dumps(bodies)
    salts = night.site.ask(select(ClipRow.key, ClipRow.salt).where(ClipRow.salt.is_not(None)))
    keys = {committed("clip", salt, key): key for key, salt in salts}
    turns = night.site.ask(
        select(ClipRow.key, WorkRow.seen_by).join(WorkRow, WorkRow.clip_id == ClipRow.id)
    )
    assert {(keys[body["clip"]], keys.get(body["seen_by"])) for body in bodies} == set(turns)
    assert check_shards(night.site.db)
    night.site.hashmatch.run("audit", "verify")


def leaves(site: Site, kind: str) -> list[dict[str, Any]]:
    rows = site.ask(select(LeafRow.body).where(LeafRow.kind == kind).order_by(LeafRow.seq))
    return [json.loads(body)["body"] for (body,) in rows]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> Installation:
    installed = Installation(tmp_path_factory.mktemp("template"), environment=PATTERN)
    list_both(site_of(installed), drawn)
    return installed


@pytest.fixture
def hashmatch(template: Installation, tmp_path: Path) -> Installation:
    return template.copied(tmp_path)


def put(hashmatch: Installation, objects: dict[str, bytes]) -> None:
    for key, data in objects.items():
        path = hashmatch.clips / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_renditions_come_and_go(hashmatch, drawn):
    put(hashmatch, drawn.ladder("clean", CLEAN) | drawn.ladder("other", OTHER))
    assert hashmatch.scan(code=0)["outcomes"]["clean"] == 6
    put(hashmatch, drawn.ladder("clean", CLEAN, (480,)))
    (hashmatch.clips / "clean/360.mp4").unlink()
    again = hashmatch.scan(code=0)
    assert (again["outcomes"]["clean"], again["skipped_unchanged"]) == (3, 3)
    assert {key: clip["seen_by"] for key, clip in said(hashmatch).items()} == {
        "clean/480.mp4": None,
        "clean/720.mp4": "clean/480.mp4",
        "clean/1080.mp4": "clean/480.mp4",
    }
    assert hashmatch.scan(code=0)["skipped_unchanged"] == 6
    for asked in (["--clip", "clean/720.mp4"], ["--prefix", "clean/7"]):
        assert hashmatch.json("rescan", *asked)["listed"] == 3


def test_a_rendition_that_comes_after_the_others_were_taken_is_taken_too(hashmatch, drawn):
    """What it shows is on no list: only the digest of one that is gone tells."""
    put(hashmatch, drawn.ladder("digest", WHOLE_FILE))
    assert hashmatch.scan(code=0)["quarantined"] == 3
    put(hashmatch, drawn.ladder("digest", WHOLE_FILE, (480,)))
    assert hashmatch.scan(code=0)["quarantined"] == 1
    assert hashmatch.outcomes() == {"digest/480.mp4": ("matched", None)}


def test_a_new_list_finds_one_rendition_in_what_is_stored_and_the_next_scan_the_others(
    hashmatch, drawn
):
    put(hashmatch, drawn.ladder("clean", CLEAN) | drawn.ladder("other", OTHER))
    hashmatch.scan(code=0)
    assert hashmatch.json("rescan", "--stored")["skipped_unchanged"] == 6
    hashmatch.list_videos("more", {"v2": drawn_file(drawn, OTHER, 1080)}, activate=False)
    hashmatch.run("lists", "activate", "more", "1", "--accept-trial")
    stored = hashmatch.json("rescan", "--stored")["outcomes"]
    assert (stored["matched"], stored["clean"]) == (1, 5)
    # Its siblings were seen by it: they follow by the next scan.
    assert hashmatch.scan(code=0)["outcomes"]["matched"] == 2
    assert not any((hashmatch.clips / "other").iterdir())


def test_the_breaker_counts_renditions_as_the_one_clip_they_are(hashmatch, drawn):
    hashmatch.environment["HASHMATCH_MATCH__BREAKER_CLIPS"] = "1"
    put(hashmatch, drawn.ladder("one", LISTED) | drawn.ladder("two", LISTED))
    summary = hashmatch.scan(code=0)
    assert (summary["outcomes"]["matched"], summary["outcomes"]["review"]) == (3, 3)
    assert len(summary["alarms"]) == 1
    outcomes = {(key.split("/")[0], outcome) for key, (outcome, _) in hashmatch.outcomes().items()}
    assert len(outcomes) == 2
    shown = hashmatch.run("runs", "show").stdout.splitlines()
    held = [line for line in shown if line.startswith("review")]
    assert len(held) == 3
    assert all("for review only: the circuit breaker holds frames/v1" in line for line in held)
    waiting = json.loads(hashmatch.run("review", "list", "--json").stdout)[0]
    shown = json.loads(hashmatch.run("review", "show", waiting["review"], "--json").stdout)
    (why,) = shown["why"]
    assert waiting["why"] == [why]
    assert "circuit breaker" in why


def test_a_rendition_that_cannot_be_read_while_the_others_are_taken_is_an_alarm(hashmatch, drawn):
    renditions = drawn.ladder("frames", LISTED)
    put(hashmatch, renditions)
    most = len(renditions["frames/1080.mp4"]) - 1
    hashmatch.environment["HASHMATCH_CLIPS__MAX_BYTES"] = str(most)
    summary = hashmatch.scan(code=10)
    assert summary["quarantined"] == 2
    assert hashmatch.outcomes()["frames/1080.mp4"] == ("unscannable", "too-large")
    (alarm,) = summary["alarms"]
    assert "could not be read" in alarm
    hashmatch.environment["HASHMATCH_CLIPS__MAX_BYTES"] = str(most + 1)
    hashmatch.json("rescan", "--clip", "frames/1080.mp4")
    assert hashmatch.outcomes() == {"frames/1080.mp4": ("matched", None)}


def test_without_a_pattern_every_object_is_a_clip(hashmatch, drawn):
    del hashmatch.environment["HASHMATCH_CLIPS__RENDITIONS"]
    put(hashmatch, drawn.ladder("clean", CLEAN) | drawn.ladder("digest", WHOLE_FILE))
    summary = hashmatch.scan(code=0)
    assert (summary["outcomes"]["matched"], summary["outcomes"]["clean"]) == (1, 5)
    assert summary["seen_by_rendition"] == 0


def test_a_pattern_that_is_none_is_refused_by_every_command(hashmatch):
    hashmatch.environment["HASHMATCH_CLIPS__RENDITIONS"] = "{id}.mp4"
    assert "[clips] renditions" in hashmatch.run("runs", "list", code=14).stderr
