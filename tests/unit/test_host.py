"""The host's id: the same on one machine, another on another, and nothing of the machine's own id."""

from __future__ import annotations

import hashlib
import re
import socket
from pathlib import Path

import pytest

from hashmatch.custody.host import host_id

MACHINE = "0123456789abcdef0123456789abcdef"


def test_it_is_made_from_the_machine_id_and_does_not_show_it(tmp_path: Path) -> None:
    file = tmp_path / "machine-id"
    file.write_text(MACHINE + "\n")
    by_hand = hashlib.sha256(b"hashmatch host v1\0" + MACHINE.encode()).hexdigest()
    assert host_id(file) == by_hand[:32]
    file.write_text(MACHINE[::-1] + "\n")
    assert host_id(file) != by_hand[:32]


@pytest.mark.parametrize("content", [None, b"", b"uninitialized\n", b"\xff", MACHINE[:-1].encode()])
def test_without_a_machine_id_it_is_made_from_the_name(
    tmp_path: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "machine-id"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(socket, "gethostname", lambda: "one")
    one = host_id(file)
    assert re.fullmatch("[0-9a-f]{32}", one)
    monkeypatch.setattr(socket, "gethostname", lambda: "other")
    assert host_id(file) != one
