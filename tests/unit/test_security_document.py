"""docs/security.md: what it says is shown by tests is."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_security_document_names_is_there():
    named = re.findall(r"`(tests/[^`]+)`", (ROOT / "docs" / "security.md").read_text("utf-8"))
    assert len(named) > 8
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_it_opens_with_every_attacker():
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    for who in (
        "uploader",
        "thief of the scan host",
        "thief of the database",
        "thief of the vault",
        "rogue operator",
        "rogue administrator",
        "poisoned list",
        "curious partner",
    ):
        assert f"**A {who}" in text or f"**An {who}" in text
