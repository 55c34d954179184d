"""The whole job is the same wherever clips, vault and database are: two nights and a list between them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from drawn import write_clip
from installation import Installation
from s3_server import SECRET
from sites import Site, make_site
from sqlalchemy import select

from hashmatch.db.schema import CaseRow, ClipRow, LeafRow

SIZE = {"width": 192, "height": 144}
COPY, OLD, OTHER = "2026/11/copy.mp4", "2026/11/old.mp4", "2026/11/ä b+c.mp4"
PRIVATE, UPLOAD, EARLIER = "2026/11/private.mp4", "2026/11/new.mp4.part", "2025/12/a.mp4"
LEFT_OUT = {PRIVATE, UPLOAD, EARLIER}

FEED = [
    {"key": COPY, "channel": "c1", "visibility": "public", "created": "2026-11-22T21:04:05+01:00"},
    {"key": OLD, "channel": "c2", "views": 3},
    {"key": PRIVATE, "channel": "c2", "visibility": "Private"},
]
SETTINGS = {
    "HASHMATCH_CLIPS__INCLUDE": '["2026/**"]',
    "HASHMATCH_CLIPS__EXCLUDE": '["**/*.part"]',
    "HASHMATCH_CLIPS__FEED": "feed.ndjson",
    "HASHMATCH_CLIPS__EXCLUDE_PRIVATE": "true",
}


@dataclass
class Nights:
    """What was there, and what each step of the job left."""

    site: Site
    originals: dict[str, bytes]
    first: dict[str, Any]
    first_outcomes: dict[str, Any]
    after_first: dict[str, bytes]
    second: dict[str, Any]
    second_outcomes: dict[str, Any]


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("folder", "postgresql"), id="folder-postgresql"),
        pytest.param(("s3", "sqlite"), id="s3-sqlite"),
        pytest.param(("s3", "postgresql"), id="s3-postgresql", marks=pytest.mark.slow),
        pytest.param(("folder", "sqlite"), id="folder-sqlite", marks=pytest.mark.slow),
    ],
)
def nights(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    """A night with a list that has one clip, then a new version of it that has an old clip too."""
    home = tmp_path_factory.mktemp("site")
    site = make_site(home, *request.param, request, **SETTINGS)
    listed, old = draw(home / "listed.mp4", seed=99), draw(home / "old.mp4", seed=7)
    originals = {
        COPY: draw(home / "copy.mp4", seed=99, options={"crf": "30"}).read_bytes(),
        OLD: old.read_bytes(),
        OTHER: draw(home / "other.mp4", seed=5).read_bytes(),
        **dict.fromkeys(LEFT_OUT, listed.read_bytes()),
    }
    for key, data in originals.items():
        site.clips.put(key, data)
    (home / "feed.ndjson").write_text("".join(json.dumps(line) + "\n" for line in FEED))

    site.hashmatch.list_videos("partner", {"v1": listed})
    first, first_outcomes = site.hashmatch.scan(code=0), site.hashmatch.outcomes()
    after_first = site.clips.objects()
    site.hashmatch.list_videos("partner", {"v1": listed, "v2": old})
    second = site.hashmatch.json("rescan", "--stored")
    return Nights(
        site, originals, first, first_outcomes, after_first, second, site.hashmatch.outcomes()
    )


def draw(path: Path, **drawing: Any) -> Path:
    write_clip(path, **drawing, **SIZE)
    return path


def without(objects: dict[str, bytes], *keys: str) -> dict[str, bytes]:
    return {key: data for key, data in objects.items() if key not in keys}


def test_every_chosen_clip_has_its_outcome_and_the_others_have_none(nights):
    assert nights.first_outcomes == {
        COPY: ("matched", None),
        OLD: ("clean", None),
        OTHER: ("clean", None),
    }
    # The globs begin with 2026/, so what is elsewhere is not even listed.
    assert (nights.first["listed"], nights.first["excluded"]) == (3, len(LEFT_OUT - {EARLIER}))


def test_only_the_matched_clip_has_left_storage(nights):
    assert nights.after_first == without(nights.originals, COPY)


def test_a_new_version_of_the_list_takes_an_old_clip_without_reading_it(nights):
    assert nights.second_outcomes == {OLD: ("matched", None)}  # who keeps it is only counted
    assert nights.second["outcomes"]["clean"] == 1
    assert nights.second["quarantined"] == 1
    assert nights.site.clips.objects() == without(nights.originals, COPY, OLD)


def test_what_was_taken_is_in_the_vault_bit_for_bit(nights):
    taken = [nights.originals[COPY], nights.originals[OLD]]
    assert sorted(nights.site.sealed()) == sorted(taken)
    assert nights.site.ask(select(CaseRow.state)) == [("removed",), ("removed",)]


def test_vault_and_log_are_verified(nights):
    found = nights.site.hashmatch.json("quarantine", "verify")
    assert [finding["condition"] for finding in found] == ["whole", "whole"]
    nights.site.hashmatch.run("audit", "verify")


def test_what_the_feed_says_of_a_clip_is_kept(nights):
    query = select(ClipRow.key, ClipRow.channel, ClipRow.visibility, ClipRow.views)
    assert {key: rest for key, *rest in nights.site.ask(query)} == {
        COPY: ["c1", "public", None],
        OLD: ["c2", None, 3],
        OTHER: [None, None, None],
    }
    (created,) = nights.site.ask(select(ClipRow.created).where(ClipRow.key == COPY))
    assert created[0].isoformat() == "2026-11-22T20:04:05+00:00"


def test_no_credentials_are_in_the_installations_files_or_in_the_log(nights):
    texts = [body for (body,) in nights.site.ask(select(LeafRow.body))]
    home: Installation = nights.site.hashmatch
    texts += [file.read_bytes() for file in home.home.rglob("*.toml")]
    assert texts
    assert not any(SECRET.encode() in text for text in texts)
