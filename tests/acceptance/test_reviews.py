"""Reviews, from the scan that opens them to the decision that ends them; real clips, real storage.

Clips match by image entries, in fewer frames than `match.min_frames` asks for: so they wait for a person.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pdqhash
import pytest
from drawn import Picture, moving_picture, write_clip
from installation import Installation
from lists_parts import write_csv
from sites import Site, make_site
from sqlalchemy import select

from hashmatch.db.schema import ClipRow, LeafRow, ReviewRow

FEW, ENOUGH = "1000", "2"
SCENES = {"e-logo": 21, "e-right": 22, "e-sofa": 23, "e-other": 24}


@dataclass
class Desk:
    """A site, and somebody who decides there."""

    site: Site
    drawn: Path

    @property
    def hashmatch(self) -> Installation:
        return self.site.hashmatch

    def draws(self, scene: str, crf: int = 20) -> bytes:
        """One clip of the scene; each crf gives other bytes that show the same."""
        file = self.drawn / f"{scene}-{crf}.mp4"
        if not file.exists():
            seed = SCENES.get(scene, 5)
            options = {"crf": str(crf), "g": "15"}
            write_clip(file, seed=seed, seconds=0.5, width=192, height=144, options=options)
        return file.read_bytes()

    def puts(self, key: str, scene: str, crf: int = 20) -> None:
        self.site.clips.put(key, self.draws(scene, crf))

    def scans(self, *, frames: str = FEW, how: tuple[str, ...] = ("scan",)) -> Any:
        self.hashmatch.environment["HASHMATCH_MATCH__MIN_FRAMES"] = frames
        return self.hashmatch.json(*how, code=(0, 10))

    def asks(self, *command: str) -> Any:
        return json.loads(self.hashmatch.run("review", *command, "--json").stdout)

    def decides(self, *command: str, code: int = 0) -> str:
        return self.hashmatch.run("review", *command, code=code).stdout

    def outcomes(self) -> dict[str, str]:
        return dict(self.site.ask(select(ClipRow.key, ClipRow.outcome)))

    def review_of(self, key: str) -> str:
        query = select(ReviewRow.id).join(ClipRow, ClipRow.id == ReviewRow.clip_id)
        ((review,),) = self.site.ask(query.where(ClipRow.key == key, ReviewRow.state == "open"))
        return review

    def open_reviews(self) -> set[str]:
        query = select(ClipRow.key).join(ReviewRow, ClipRow.id == ReviewRow.clip_id)
        return {key for (key,) in self.site.ask(query.where(ReviewRow.state == "open"))}

    def leaves(self, kind: str) -> list[dict[str, Any]]:
        query = select(LeafRow.body).where(LeafRow.kind == kind).order_by(LeafRow.seq)
        return [json.loads(body)["body"] for (body,) in self.site.ask(query)]


@pytest.fixture(params=["s3-postgresql", pytest.param("folder-sqlite", marks=pytest.mark.slow)])
def desk(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Desk:
    storage, _, database = request.param.partition("-")
    settings = {
        "HASHMATCH_REVIEW__FLAG_AFTER": "1",
        "HASHMATCH_REVIEW__DEMOTE_AFTER": "2",
        "HASHMATCH_CLIPS__RENDITIONS": "{id}/{height}.mp4",
    }
    site = make_site(tmp_path, storage, database, request, **settings)
    desk = Desk(site, tmp_path_factory.getbasetemp())
    imports(desk, at=0.25)
    return desk


def imports(desk: Desk, *, at: float) -> None:
    """Activate a version of the partner's list: of each scene the picture of that second."""
    rows = [
        {
            "entry_id": entry,
            "algorithm": "pdq",
            "hash": reference(moving_picture(at, 192, 144, seed)),
            "media": "image",
            "classification": "A1",
        }
        for entry, seed in SCENES.items()
    ]
    file = write_csv(desk.hashmatch.home / "partner.csv", rows)
    said = desk.hashmatch.run("lists", "import", "partner", str(file)).stderr
    desk.hashmatch.run(*said.rpartition(": hashmatch ")[2].split())


def reference(picture: Picture) -> str:
    bits, _ = pdqhash.compute(picture)
    return np.packbits(np.asarray(bits, np.uint8)).tobytes().hex()


def test_promise_1_a_rendition_that_was_not_decoded_is_what_was_seen_of_the_other(desk):
    keys = {"alice/360.mp4": 20, "alice/720.mp4": 30}
    for key, crf in keys.items():
        desk.puts(key, "e-logo", crf=crf)
    desk.scans()
    for key in keys:
        desk.decides("reject", desk.review_of(key), "--reason", "our own logo")
    (entry,) = desk.asks("entries")
    assert (entry["standing"], entry["rejected"]) == ("flagged", 1)  # it is one clip
    desk.scans(how=("rescan", "--prefix", ""))
    assert [leaf["seen_by"] is None for leaf in desk.leaves("clip-scanned")[-2:]].count(True) == 1
    assert desk.outcomes() == dict.fromkeys(keys, "clean")
    assert desk.open_reviews() == set()


def test_promise_1_a_rejected_match_never_comes_back_and_other_bytes_are_looked_at_anew(desk):
    for key, scene in {"logo.mp4": "e-logo", "right.mp4": "e-right", "none.mp4": "none"}.items():
        desk.puts(key, scene)
    summary = desk.scans()
    assert (summary["outcomes"]["review"], summary["reviews_open"]) == (2, 2)
    assert desk.open_reviews() == {"logo.mp4", "right.mp4"}
    for decision in (("reject", "--reason", "a slip"), ("confirm",)):
        refused = desk.hashmatch.run("review", *decision, "--entry", "partner/e-lgo", code=26)
        assert "No open review has a match on partner/e-lgo" in refused.stderr
    review = desk.review_of("logo.mp4")
    said = desk.decides("reject", review, "--reason", "our own logo")
    assert "the clip is clean" in said
    assert desk.outcomes() == {"logo.mp4": "clean", "right.mp4": "review", "none.mp4": "clean"}

    # The same bytes: the same place, another place, and from what is stored.
    desk.puts("again/logo.mp4", "e-logo")
    desk.scans(how=("rescan", "--prefix", ""))
    assert desk.outcomes()["logo.mp4"] == desk.outcomes()["again/logo.mp4"] == "clean"
    imports(desk, at=0.3)
    compared = desk.scans(how=("rescan", "--stored"))
    assert compared["outcomes"]["review"] == 1
    assert desk.outcomes()["logo.mp4"] == "clean"
    assert desk.open_reviews() == {"right.mp4"}
    named = {"list": "partner", "entry": "e-logo"}
    scanned = desk.leaves("clip-scanned")
    assert sum(leaf["rejected"] == [named] for leaf in scanned) == 2
    assert all(leaf["outcome"] == "clean" for leaf in scanned if leaf["rejected"])

    # Other bytes under the same key.
    desk.puts("logo.mp4", "e-logo", crf=30)
    desk.scans()
    assert desk.outcomes()["logo.mp4"] == "review"
    assert desk.review_of("logo.mp4") != review


def test_promise_2_a_confirmed_clip_is_taken_with_its_renditions_and_its_copies(desk):
    original = desk.draws("e-right")
    desk.puts("alice/360.mp4", "e-right")
    desk.puts("alice/720.mp4", "e-right", crf=30)
    desk.puts("copy.mp4", "e-right")
    desk.puts("logo.mp4", "e-logo")
    desk.scans()
    assert desk.open_reviews() == {"alice/360.mp4", "alice/720.mp4", "copy.mp4", "logo.mp4"}
    said = desk.decides("confirm", desk.review_of("alice/360.mp4"), "--reason", "the same film")
    case = said.strip().rpartition(": ")[2]
    assert desk.outcomes()["alice/360.mp4"] == "matched"
    assert "alice/360.mp4" in desk.site.clips.objects()
    (leaf,) = desk.leaves("review-confirmed")
    assert leaf["case"] == case
    desk.scans()
    assert set(desk.site.clips.objects()) == {"logo.mp4"}
    assert sorted(desk.site.sealed()) == sorted([original, original, desk.draws("e-right", 30)])
    assert desk.open_reviews() == {"logo.mp4"}


@pytest.mark.slow
def test_a_clip_that_changed_or_vanished_is_not_confirmed(desk):
    for key in ("changed.mp4", "vanished.mp4"):
        desk.puts(key, "e-logo" if key == "changed.mp4" else "e-sofa")
    desk.scans()
    changed, vanished = desk.review_of("changed.mp4"), desk.review_of("vanished.mp4")
    desk.puts("changed.mp4", "none")
    remove(desk.site, "vanished.mp4")
    assert "changed" in desk.hashmatch.run("review", "confirm", changed, code=26).stderr
    assert "vanished" in desk.hashmatch.run("review", "confirm", vanished, code=26).stderr
    assert {leaf["why"] for leaf in desk.leaves("review-gone")} == {"changed", "vanished"}
    assert desk.open_reviews() == set()
    assert desk.leaves("review-confirmed") == desk.leaves("case-detected") == []
    assert "gone" in desk.hashmatch.run("review", "confirm", changed, code=26).stderr
    desk.scans()
    assert desk.outcomes()["changed.mp4"] == "clean"


def remove(site: Site, key: str) -> None:
    if hasattr(site.clips, "path"):
        (site.clips.path / key).unlink()
    else:
        site.clips.client.delete_object(Bucket=site.clips.name, Key=key)


def test_promise_5_an_entry_that_is_wrong_too_often_acts_no_longer_by_itself(desk):
    for number in (1, 2):
        desk.puts(f"sofa-{number}.mp4", "e-sofa", crf=20 + number)
    desk.puts("sofa-copy.mp4", "e-sofa", crf=21)
    desk.scans()
    desk.decides("reject", desk.review_of("sofa-1.mp4"), "--reason", "only a sofa")
    (entry,) = desk.asks("entries")
    assert (entry["entry"], entry["standing"], entry["rejected"]) == ("e-sofa", "flagged", 1)
    assert desk.open_reviews() == {"sofa-2.mp4"}  # the copy went with it, and is counted once
    desk.decides("reject", desk.review_of("sofa-2.mp4"), "--reason", "only a sofa")
    (entry,) = desk.asks("entries")
    assert (entry["standing"], entry["rejected"], entry["confirmed"]) == ("demoted", 2, 0)
    assert len(desk.leaves("entry-flagged")) == len(desk.leaves("entry-demoted")) == 1

    # Three frames now make a match: of another entry, and not of this one.
    desk.puts("sofa-3.mp4", "e-sofa", crf=23)
    desk.puts("other.mp4", "e-other")
    summary = desk.scans(frames=ENOUGH)
    assert desk.outcomes()["sofa-3.mp4"] == "review"
    assert "other.mp4" not in desk.site.clips.objects()
    assert any("partner/e-sofa" in alarm for alarm in summary["alarms"])

    said = desk.decides("trust", "partner", "e-sofa", "--reason", "corrected by the partner")
    assert "acts by itself" in said
    assert desk.asks("entries") == []
    desk.puts("sofa-4.mp4", "e-sofa", crf=24)
    summary = desk.scans(frames=ENOUGH)
    assert "sofa-4.mp4" not in desk.site.clips.objects()
    assert set(desk.site.clips.objects()) >= {"sofa-1.mp4", "sofa-2.mp4", "sofa-copy.mp4"}
    assert summary["alarms"] == []
