"""Recipes: one name for each way of hashing, and another when the bits can be others."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

import hashmatch
from hashmatch.hashing import recipes
from hashmatch.hashing.recipes import MAX_LENGTH, recipe
from hashmatch.model import Algorithm

HEAVY = {"numba", "PIL", "imagehash", "scipy", "pywt", "cv2", "av"}


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    recipe.cache_clear()
    yield
    recipe.cache_clear()


def test_every_algorithm_has_a_recipe_of_its_own() -> None:
    assert len({recipe(algorithm) for algorithm in Algorithm}) == len(Algorithm)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_recipe_is_short_plain_text(algorithm: Algorithm) -> None:
    name = recipe(algorithm)
    assert 1 <= len(name) <= MAX_LENGTH == 64
    assert name.isascii()
    assert name.isprintable()


@pytest.mark.parametrize(
    ("algorithm", "libraries"),
    [
        (Algorithm.PHASH, ["imagehash", "pillow", "scipy"]),
        (Algorithm.DHASH, ["imagehash", "pillow"]),
        (Algorithm.WHASH, ["imagehash", "pillow", "pywavelets"]),
    ],
)
def test_a_recipe_changes_with_each_library_behind_its_bits(
    algorithm: Algorithm, libraries: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {recipe(algorithm)}
    for library in libraries:
        recipe.cache_clear()
        monkeypatch.setattr(
            recipes, "version", lambda name, new=library: "99.1" if name == new else version(name)
        )
        names.add(recipe(algorithm))
    assert len(names) == 1 + len(libraries)


def test_a_recipe_stays_short_and_distinct_with_the_versions_of_development_builds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = set()
    for build in ("a", "b"):
        recipe.cache_clear()
        monkeypatch.setattr(
            recipes, "version", lambda _, build=build: f"13.1.0.dev0+g0123456789.{build}"
        )
        names.add(recipe(Algorithm.WHASH))
    assert len(names) == 2
    assert all(len(name) <= MAX_LENGTH and name.startswith("whash/") for name in names)


def test_the_pdq_recipe_names_no_library() -> None:
    assert recipe(Algorithm.PDQ) == "pdq/2"


@pytest.mark.parametrize("module", ["recipes", "packing", "digests"])
def test_modules_that_hash_no_pixels_load_nothing_that_does(module: str) -> None:
    code = (
        f"import sys, hashmatch.hashing.{module} as m\n"
        "from hashmatch.model import Algorithm\n"
        "if hasattr(m, 'recipe'): [m.recipe(a) for a in Algorithm]\n"
        f"print(sorted({HEAVY} & set(sys.modules)))"
    )
    out = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=Path(hashmatch.__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout == "[]\n"
    assert out.stderr == ""
