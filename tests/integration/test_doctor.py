"""The doctor names what is wrong, with the exit code of the run that would fail, and looks further."""

from __future__ import annotations

import json
from copy import copy

import pytest
from drawn import write_clip
from installation import Installation

PARTS = [
    *("settings", "keys", "database", "clip storage", "vault", "hashing", "decoding", "sandbox"),
    *("custody", "audit log", "lists", "canary"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("home")
    made = Installation(folder)
    write_clip(folder / "listed.mp4", seconds=0.5)
    made.list_videos("partner", {"v1": folder / "listed.mp4"})
    return made


def examined(home: Installation, code: int = 0, **settings: str) -> dict[str, tuple[bool, str]]:
    """What it says of each part, in an installation with some settings changed."""
    there = copy(home)
    there.environment = {
        **home.environment,
        **{f"HASHMATCH_{name.upper()}": value for name, value in settings.items()},
    }
    found = json.loads(there.here("doctor", "--json", code=code).stdout)
    assert [each["what"] for each in found] == PARTS
    return {each["what"]: (each["ok"], each["says"]) for each in found}


def test_each_part_of_a_whole_installation_is_well(home: Installation) -> None:
    assert all(ok for ok, _ in examined(home).values())


@pytest.mark.parametrize(
    ("settings", "part", "code", "says"),
    [
        ({"vault__recipients": "[]"}, "vault", 14, "vault.recipients: 0 distinct"),
        ({"custody__jurisdictions": '["XX"]'}, "custody", 14, "no rule is of 'XX'"),
        ({"withdraw__how": "webhook"}, "custody", 14, "withdraw.url: it is missing"),
        ({"audit__origin": "other.example/log"}, "audit log", 0, "other.example/log continues"),
        ({"clips__url": "nowhere"}, "clip storage", 15, "nowhere"),
    ],
)
def test_what_is_wrong_is_named(
    home: Installation, settings: dict[str, str], part: str, code: int, says: str
) -> None:
    found = examined(home, code, **settings)
    ok, said = found[part]
    assert says in said
    assert ok == (code == 0)
    assert [name for name, (well, _) in found.items() if not well] == [part] * (not ok)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "no jurisdiction: nothing can be destroyed; 0 custodians: nothing can be released"),
        ({"people__custodians": '["alice"]'}, "1 custodians: nothing can be released"),
        ({"custody__jurisdictions": '["US", "UK"]'}, "retention of US, UK"),
        ({"withdraw__how": "command", "withdraw__command": '["false"]'}, "told by command"),
    ],
)
def test_what_custody_can_do_as_it_is_set_up(
    home: Installation, settings: dict[str, str], says: str
) -> None:
    ok, said = examined(home, **settings)["custody"]
    assert ok
    assert says in said
