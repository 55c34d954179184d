"""docs/security.md: what it says is shown by tests is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text("utf-8")
NAMED = re.findall(r"`(tests/[^`]+)`", TEXT)
ATTACKERS = (
    "An uploader with a hostile file",
    "A thief of the scan host",
    "A thief of the database",
    "A thief of the vault",
    "A rogue operator or custodian",
    "A rogue administrator",
    "A poisoned list",
    "A curious partner",
)


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_it_names_is_there(name):
    file, *inner = name.split("::")
    body = ast.parse((ROOT / file).read_text("utf-8")).body
    assert inner, "a file alone shows nothing"
    for part in inner:
        found = [
            one
            for one in body
            if isinstance(one, ast.FunctionDef | ast.ClassDef) and one.name == part
        ]
        assert len(found) == 1, part
        body = found[0].body


def test_it_opens_with_every_attacker_and_says_three_things_of_each():
    opening = TEXT.partition("\n## ")[0]
    said = re.findall(r"^\*\*([^*]+)\.\*\*\n(.*?)(?=^\*\*|\Z)", opening, re.M | re.S)
    assert tuple(who for who, _ in said) == ATTACKERS
    for who, what in said:
        assert what.count("- *What stops them:*") == 1, who
        assert what.count("- *What does not:*") == 1, who
        assert what.count("- *Shown by*") == 1, who
        assert "`tests/" in what.partition("*Shown by*")[2], who
