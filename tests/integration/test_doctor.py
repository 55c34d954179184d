"""The doctor names what is wrong, with the exit code of the run that would fail, and looks further."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import copy
from pathlib import Path

import pytest
from drawn import write_clip
from installation import Installation
from s3_server import SECRET, Bucket, S3Server
from tsa_server import TimestampAuthority

from hashmatch.custody.vault.marker import MARKER

PARTS = [
    *("settings", "keys", "database", "clip storage", "vault", "anchors", "hashing", "decoding"),
    *("sandbox", "custody", "platform", "audit log", "lists", "canary"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    folder = tmp_path_factory.mktemp("home")
    made = Installation(folder)
    write_clip(folder / "listed.mp4", seconds=0.5)
    made.list_videos("partner", {"v1": folder / "listed.mp4"})
    return made


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TimestampAuthority]:
    made = TimestampAuthority(tmp_path_factory.mktemp("tsa") / "tsa")
    yield made
    made.stop()


def examined(home: Installation, code: int = 0, **settings: str) -> dict[str, tuple[bool, str]]:
    """What it says of each part, in an installation with some settings changed."""
    there = copy(home)
    there.environment = {
        **home.environment,
        **{f"HASHMATCH_{name.upper()}": value for name, value in settings.items()},
    }
    found = json.loads(there.run("doctor", "--json", code=code).stdout)
    return {each["what"]: (each["ok"], each["says"]) for each in found}


def wrong(found: dict[str, tuple[bool, str]]) -> list[str]:
    return [what for what, (ok, _) in found.items() if not ok]


def test_each_part_of_a_whole_installation_is_well_and_nothing_is_left_there(
    home: Installation,
) -> None:
    before = sorted(home.vault.rglob("*"))
    found = examined(home)
    assert list(found) == PARTS
    assert not wrong(found)
    assert sorted(home.vault.rglob("*")) == before


@pytest.mark.parametrize(
    ("settings", "part", "code", "says"),
    [
        ({"vault__recipients": "[]"}, "vault", 14, "vault.recipients: 0 distinct"),
        ({"custody__jurisdictions": '["XX"]'}, "custody", 14, "no rule is of 'XX'"),
        ({"withdraw__how": "webhook"}, "platform", 14, "withdraw.url: it is missing"),
        (
            {"withdraw__how": "command", "withdraw__command": '["no-such-program"]'},
            *("platform", 14, "there is no program 'no-such-program'"),
        ),
        (
            {
                "withdraw__how": "webhook",
                "withdraw__url": "http://127.0.0.1:9/",
                "withdraw__secret": f"whsec_{'A' * 43}=",
            },
            *("platform", 10, "http://127.0.0.1:9) cannot be reached"),
        ),
        (
            {"withdraw__command": '["true"]'},
            *("platform", 14, 'withdraw.command is given, but withdraw.how is "nothing"'),
        ),
        (
            {"withdraw__url": "https://platform.example/hook"},
            *("platform", 14, 'withdraw.url is given, but withdraw.how is "nothing"'),
        ),
        ({"anchors__folder": "nowhere"}, "anchor: folder", 15, "nowhere cannot be used now"),
        ({"anchors__command": '["no-such-program"]'}, "anchor: command", 15, "no-such-program"),
        (
            {"anchors__timestamp_url": "http://127.0.0.1:9/"},
            *("anchor: timestamp", 15, "The time-stamp authority gave none that holds"),
        ),
        ({"report__metrics": "nowhere/hashmatch.prom"}, "metrics", 15, "No such file"),
        ({"report__metrics": "clips"}, "metrics", 15, "Is a directory"),
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
    assert wrong(found) == [part] * (not ok)


def test_what_a_run_writes_to_is_written_to_and_left_as_it_was(
    home: Installation, s3: Bucket, tmp_path: Path, tsa: TimestampAuthority
) -> None:
    kept, metrics = tmp_path / "checkpoints", tmp_path / "hashmatch.prom"
    kept.mkdir()
    metrics.write_text("hashmatch_last_success_timestamp_seconds 1.0\n")
    found = examined(
        home,
        **vault_in(s3, home),
        anchors__folder=str(kept),
        anchors__command='["cat"]',
        anchors__timestamp_url=tsa.url,
        report__metrics=str(metrics),
    )
    assert wrong(found) == []
    assert {what for what in found if what.startswith("anchor")} == {
        *("anchor: folder", "anchor: command", "anchor: timestamp"),
    }
    assert s3.keys() == [MARKER]
    assert sorted(tmp_path.iterdir()) == [kept, metrics]
    assert list(kept.iterdir()) == []
    assert metrics.read_text() == "hashmatch_last_success_timestamp_seconds 1.0\n"


def test_a_vault_in_a_bucket_that_is_not_there(home: Installation, s3: Bucket) -> None:
    found = examined(home, 15, **{**vault_in(s3, home), "vault__url": "s3://no-such-bucket"})
    assert wrong(found) == ["vault"]
    assert "there is no such bucket" in found["vault"][1]


def test_a_vault_in_a_bucket_without_the_object_lock_that_is_asked_for(
    home: Installation, s3: Bucket
) -> None:
    found = examined(home, 15, **vault_in(s3, home), vault__lock_days="30")
    assert wrong(found) == ["vault"]
    assert "the bucket has no object lock" in found["vault"][1]


def test_what_a_lock_keeps_is_said_and_one_is_kept_a_day(
    home: Installation, s3_server: S3Server
) -> None:
    bucket = s3_server.bucket(lock=True)
    for _ in range(2):
        ok, says = examined(home, **vault_in(bucket, home), vault__lock_days="30")["vault"]
        assert ok
        assert "hashmatch.check stays there, locked for 30 days" in says
    (version,) = bucket.history("hashmatch.check")
    assert version.latest


def vault_in(bucket: Bucket, home: Installation) -> dict[str, str]:
    """The settings of a vault in a bucket, with the marker that this installation's vault has."""
    bucket.put(MARKER, (home.vault / MARKER).read_bytes())
    return {
        "vault__url": f"s3://{bucket.name}",
        "vault__endpoint": bucket.endpoint,
        "vault__region": "us-east-1",
        "vault__access_key_id": "AKIAEXAMPLE",
        "vault__secret_access_key": SECRET,
        "vault__retries": "0",
    }


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "no jurisdiction: nothing can be destroyed; 0 custodians: nothing can be released"),
        ({"people__custodians": '["alice"]'}, "1 custodian: nothing can be released"),
        ({"custody__jurisdictions": '["US", "UK"]'}, "retention of US, UK"),
    ],
)
def test_what_custody_can_do_as_it_is_set_up(
    home: Installation, settings: dict[str, str], says: str
) -> None:
    ok, said = examined(home, **settings)["custody"]
    assert ok
    assert says in said
