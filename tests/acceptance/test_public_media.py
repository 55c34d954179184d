"""Edited copies of listed public videos are matched, and another scene is clean."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from installation import Installation

LISTED = ("chair-orig-22-sd-bar", "pattern-hd-no-bar")
COPIES = (
    "chair-22-sd-grey-bar",
    "chair-22-sd-sepia-bar",
    "chair-22-with-small-logo-bar",
    "pattern-sd-grey-bar",
    "pattern-sd-with-small-logo-bar",
)
OTHER = "doorknob-hd-no-bar"


@pytest.fixture(scope="module")
def scanned(media: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Listed from the text files that vPDQ itself wrote."""
    hashmatch = Installation(
        tmp_path_factory.mktemp("media"), environment={"HASHMATCH_RUN__WORKERS": "2"}
    )
    files = [str(media / "video-hashes" / f"{name}.txt") for name in LISTED]
    hashmatch.run("lists", "import", "public", *files, "--format", "vpdq")
    hashmatch.run("lists", "activate", "public", "1")
    for name in (*COPIES, OTHER):
        shutil.copy(media / "videos" / f"{name}.mp4", hashmatch.clips)
    hashmatch.scan(code=0)
    return hashmatch


@pytest.fixture(scope="module")
def outcomes(scanned: Installation) -> dict[str, tuple[str, str | None]]:
    return scanned.outcomes()


@pytest.mark.parametrize("name", COPIES)
def test_an_edited_copy_is_matched(outcomes, name: str):
    assert outcomes[f"{name}.mp4"] == ("matched", None)


def test_another_scene_is_clean(outcomes):
    assert outcomes[f"{OTHER}.mp4"] == ("clean", None)


def test_the_copies_are_in_the_vault_bit_for_bit(scanned, media):
    originals = {(media / "videos" / f"{name}.mp4").read_bytes() for name in COPIES}
    assert set(scanned.sealed().values()) == originals
    assert [path.stem for path in scanned.clips.iterdir()] == [OTHER]
