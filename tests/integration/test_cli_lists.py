"""`hashmatch lists`, as an operator types it."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import pwd
import shutil
import sqlite3
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from lists_parts import BRIDGE, MD5, images, pdq_hash, write_csv

from hashmatch.access import RoleMissing, account
from hashmatch.audit.keys import create_keys
from hashmatch.cli.lists import lists_command
from hashmatch.cli.main import cli
from hashmatch.lists.removal import StillActs
from hashmatch.lists.trust import DigestDiffers, ListRejected, ListShrank, ListWithoutEntries
from hashmatch.services.lists import NothingToCompare

ROOT = Path(__file__).resolve().parents[2]


class Operator:
    """Somebody at the command line of an installation that has scanned nothing yet."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.config = home / "hashmatch.toml"
        self.config.write_text("[lists]\nmax_rejected = 0.01\n")

    def types(self, *words: str | Path) -> Result:
        return CliRunner().invoke(cli, ["--config", str(self.config), "lists", *map(str, words)])

    def does(self, *words: str | Path) -> Result:
        result = self.types(*words)
        assert result.exception is None, result.output
        return result

    def reads(self, *words: str):
        return json.loads(self.does(*words, "--json").stdout)

    def receives(self, count: int, *options: str) -> Result:
        path = write_csv(self.home / "c3p.csv", images(count))
        return self.does("import", "c3p", path, *options)


@pytest.fixture
def operator(tmp_path, sqlite_template) -> Operator:
    shutil.copy(sqlite_template, tmp_path / "hashmatch.db")
    create_keys(tmp_path / "keys" / "audit.key", tmp_path / "keys" / "id.key")
    return Operator(tmp_path)


def test_a_list_goes_from_file_to_action_and_back(operator):
    imported = operator.receives(10)
    assert "c3p: version 1 imported, 10 entries (10 pdq), 0 of 10 rows rejected." in imported.stdout
    assert "The format is csv." in imported.stderr
    assert "hashmatch lists activate c3p 1" in imported.stderr
    activated = operator.does("activate", "c3p", "1")
    assert "c3p: version 1 is active, 10 entries." in activated.stdout
    assert "matches 0 of 0 clips" in activated.stderr
    assert "hashmatch rescan --stored" in activated.stderr
    operator.receives(12)
    assert "lists rollback c3p" in operator.does("activate", "c3p", "2").stderr
    assert "version 1 is active" in operator.does("rollback", "c3p").stdout
    assert "no version is active" in operator.does("deactivate", "c3p").stdout


def test_what_is_there_can_be_read_by_people_and_programs(operator):
    operator.receives(10, "--source", "mail of 22 November")
    operator.does("activate", "c3p", "1")
    operator.does("disable", "c3p", "img-3", "--reason", "our logo")
    operator.does("set", "c3p", "--action", "review", "--distance", "20")
    (row,) = operator.reads("list")
    assert (row["name"], row["active"], row["entries"]) == ("c3p", 1, 10)
    assert (row["action"], row["distance"], row["disabled"]) == ("review", 20, 1)
    shown = operator.reads("show", "c3p")
    assert shown["disabled_entries"] == {"img-3": "our logo"}
    (version,) = shown["versions"]
    assert (version["by"], version["source"]) == (account(), "mail of 22 November")
    assert version["sha256"] == hashlib.sha256((operator.home / "c3p.csv").read_bytes()).hexdigest()
    assert version["imported"].endswith("Z")
    assert "c3p" in operator.does("list").stdout
    assert "disabled: img-3 (our logo)" in operator.does("show", "c3p").stdout


def test_promise_3_who_did_it_is_the_account_and_nothing_that_was_claimed(operator, monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):  # what getpass believes
        monkeypatch.setenv(variable, "mallory")
    operator.receives(10)
    operator.does("activate", "c3p", "1")
    me = pwd.getpwuid(os.getuid()).pw_name
    assert operator.reads("show", "c3p")["versions"][0]["by"] == me
    assert operator.types("deactivate", "c3p", "--by", "alice").exit_code == 2
    with contextlib.closing(sqlite3.connect(operator.home / "hashmatch.db")) as db:
        people = {
            value for (value,) in db.execute("select value from opening where kind = 'person'")
        }
    assert people == {me}


def test_an_installation_without_lists_says_what_to_do(operator):
    assert "hashmatch lists import NAME FILE" in operator.does("list").stderr
    assert operator.reads("list") == []


def test_rejected_rows_are_shown_by_line_and_reason(operator):
    rows = [*images(150), {"entry_id": "x", "algorithm": "pdq", "hash": "g" * 64}]
    result = operator.does("import", "c3p", write_csv(operator.home / "c3p.csv", rows))
    assert "line 152: not hexadecimal" in result.stderr


def test_too_many_bad_rows_are_an_error_with_its_own_exit_code(operator):
    rows = [*images(20), {"entry_id": "x", "algorithm": "pdq", "hash": "g" * 64}]
    path = write_csv(operator.home / "c3p.csv", rows)
    error = operator.types("import", "c3p", path).exception
    assert isinstance(error, ListRejected)
    assert "line 22: not hexadecimal" in error.remedy
    assert "20 entries" in operator.does("import", "c3p", path, "--max-rejected", "0.1").stdout


def test_the_published_digest_is_checked(operator):
    path = write_csv(operator.home / "c3p.csv", images(3))
    wrong = operator.types("import", "c3p", path, "--sha256", "0" * 64)
    assert isinstance(wrong.exception, DigestDiffers)
    operator.does("import", "c3p", path, "--sha256", hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_list_that_is_there_already_says_so(operator):
    operator.receives(3)
    assert "version 1, the newest, has this content already" in operator.receives(3).stdout


def test_a_partners_headers_are_mapped(operator):
    path = operator.home / "theirs.csv"
    path.write_text(f"Asset,Hash Value\nx,{BRIDGE}\n")
    operator.does("import", "c3p", path, "--map", "Asset=entry_id", "--map", "Hash Value=hash")
    operator.does("disable", "c3p", "x", "--reason", "a test")


def test_what_a_file_has_and_an_import_does_not_use_is_named(operator):
    path = operator.home / "theirs.csv"
    rows = [f"{i},{hashlib.md5(bytes([i])).hexdigest()},{'0' * 40},{pdq_hash(i)}" for i in range(3)]
    path.write_text(f"Ref,MD5,SHA1,{pdq_hash(9)}\n" + "\n".join(rows) + "\n")
    said = operator.does("import", "c3p", path, "--map", "MD5=hash").stderr
    assert "Columns that were not used, only kept with the entries: Ref, SHA1 and 1 more." in said
    assert "The hashes in SHA1 are not compared" in said
    assert "3 entries have no id in the file" in said
    said = operator.does("import", "c3p", path, "--map", "MD5=hash", "--map", "Ref=entry_id").stderr
    assert "not used, only kept with the entries: SHA1 and 1 more." in said
    assert "no id in the file" not in said


def test_ids_that_hold_a_hash_are_counted(operator):
    rows = [{**row, "entry_id": row["hash"]} for row in images(2)]
    rows += [{"entry_id": "short", "algorithm": "pdq", "hash": pdq_hash(7)}]
    said = operator.does("import", "c3p", write_csv(operator.home / "c3p.csv", rows)).stderr
    assert "2 entries have an id that holds a hash" in said
    assert "not used" not in said


def test_kinds_of_hashes_are_counted_and_what_can_be_compared_is_taken(operator):
    rows = images(3)
    rows += [
        {"entry_id": f"img-{i}", "algorithm": "video_md5", "hash": MD5[i:] + MD5[:i]}
        for i in (0, 1)
    ]
    rows += [
        {"entry_id": f"p-{i}", "algorithm": "PhotoDNA", "hash": "a1b2" * 72} for i in range(40)
    ]
    rows += [{"entry_id": "s", "algorithm": "SSVH_PDNA", "hash": ""}]
    result = operator.does("import", "c3p", write_csv(operator.home / "c3p.csv", rows))
    assert "3 entries (2 md5, 3 pdq), 0 of 46 rows rejected." in result.stdout
    assert "40 rows left out: PhotoDNA, which hashmatch cannot compare" in result.stderr
    assert "1 row left out: SSVH, which hashmatch cannot compare" in result.stderr
    path = write_csv(operator.home / "none.csv", rows[-41:])
    error = operator.types("import", "none", path).exception
    assert isinstance(error, ListWithoutEntries)
    assert "40 rows of PhotoDNA, 1 row of SSVH" in error.message


def test_the_recipe_for_vics_documents_makes_a_list(operator):
    """As docs/lists.md has it, of the category that it names."""
    media = [
        {"MediaID": i, "Category": c, "MD5": MD5[i:] + MD5[:i], "SHA1": None}
        for i, c in enumerate([1, 1, 0, 5, 2])
    ]
    (operator.home / "vics.json").write_text(
        json.dumps({"odata.metadata": "#Media", "value": media})
    )
    error = operator.types("import", "vic", operator.home / "vics.json").exception
    assert "docs/lists.md" in error.remedy
    section = (ROOT / "docs" / "lists.md").read_text().partition("## VICS documents")[2]
    subprocess.run(["bash", "-ec", section.split("```")[1]], cwd=operator.home, check=True)
    assert "2 entries (2 md5)" in operator.does("import", "vic", operator.home / "list.csv").stdout


@pytest.mark.parametrize("pair", ["Asset", "Asset=", "=hash", "Asset=key"])
def test_a_mapping_that_maps_to_nothing_is_a_usage_error(operator, pair):
    path = write_csv(operator.home / "c3p.csv", images(3))
    assert operator.types("import", "c3p", path, "--map", pair).exit_code == 2


def test_a_folder_stands_for_the_videos_in_it(operator):
    folder = operator.home / "videos"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.txt").write_text(f"0,100,{pdq_hash(ord(name[0]))},0.000\n")
    assert "2 entries" in operator.does("import", "vids", folder, "--format", "vpdq").stdout
    (folder / "empty").mkdir()
    assert operator.types("import", "vids", folder / "empty").exit_code == 2


def test_a_shrunk_version_needs_a_word(operator):
    operator.receives(10)
    operator.does("activate", "c3p", "1")
    operator.receives(5)
    error = operator.types("activate", "c3p", "2").exception
    assert isinstance(error, ListShrank)
    assert "hashmatch lists diff c3p" in error.remedy
    assert "version 2 is active" in operator.does("activate", "c3p", "2", "--accept-shrink").stdout


def test_a_list_is_removed_with_a_word_where_it_acts(operator):
    operator.receives(10)
    operator.does("activate", "c3p", "1")
    operator.receives(9)
    refused = operator.types("remove", "c3p", "--reason", "the agreement ended")
    assert isinstance(refused.exception, StillActs)
    assert "hashmatch lists deactivate c3p" in refused.exception.remedy
    assert (
        "c3p: version 2 removed, 9 entries."
        in operator.does("remove", "c3p", "2", "--reason", "x y").stdout
    )
    versions = operator.reads("show", "c3p")["versions"]
    assert [one["state"] for one in versions] == ["active", "removed"]
    assert operator.reads("list")[0]["newest"] == 1
    removed = operator.does("remove", "c3p", "--accept-active", "--reason", "the agreement ended")
    assert "c3p: version 1 removed, 10 entries." in removed.stdout
    assert "No version of c3p is active now." in removed.stderr
    assert operator.reads("list") == []
    assert operator.reads("show", "c3p")["newest"] is None


@pytest.mark.parametrize(
    "words",
    [
        ("import", "c3p", "c3p.csv"),
        ("activate", "c3p", "2"),
        ("deactivate", "c3p"),
        ("rollback", "c3p"),
        ("set", "c3p", "--action", "log"),
        ("disable", "c3p", "img-1", "--reason", "our logo"),
        ("enable", "c3p", "img-1"),
        ("remove", "c3p", "--reason", "the agreement ended"),
    ],
    ids=lambda words: words[0],
)
def test_promise_5_who_is_no_operator_changes_no_list(operator, words, monkeypatch):
    operator.receives(10)
    operator.does("activate", "c3p", "1")
    before = operator.reads("show", "c3p")
    operator.config.write_text('[people]\noperators = ["somebody-else"]\n')
    monkeypatch.chdir(operator.home)
    assert isinstance(operator.types(*words).exception, RoleMissing)
    assert operator.reads("show", "c3p") == before


def test_activating_twice_says_so(operator):
    operator.receives(3)
    operator.does("activate", "c3p", "1")
    assert "active already" in operator.does("activate", "c3p", "1").stdout


def test_versions_are_compared_without_hashes(operator):
    operator.receives(10)
    operator.does("activate", "c3p", "1")
    operator.receives(40)
    said = operator.does("diff", "c3p").stdout
    assert "added: 30" in said
    assert "and 10 more (--limit 0 shows all)" in said
    told = operator.reads("diff", "c3p", "2", "1")
    assert told["counts"] == {"added": 0, "removed": 30, "changed": 0}
    assert len(told["entries"]["removed"]) == 20


def test_comparing_needs_an_active_version_or_two_numbers(operator):
    operator.receives(10)
    refused = operator.types("diff", "c3p").exception
    assert isinstance(refused, NothingToCompare)
    assert refused.exit_code == 2
    assert operator.types("diff", "c3p", "1", "1").exit_code == 0


def test_the_distance_goes_back_to_the_configured_one(operator):
    operator.receives(3)
    operator.does("set", "c3p", "--distance", "0")
    assert operator.reads("list")[0]["distance"] == 0
    assert "distance 31" in operator.does("set", "c3p", "--distance", "default").stdout
    for wrong in ("32", "-1", "near", "1.5"):
        assert operator.types("set", "c3p", "--distance", wrong).exit_code == 2
    assert operator.types("set", "c3p").exit_code == 2


def test_an_entry_named_by_a_hash_is_answered_by_its_keyed_name(operator):
    path = operator.home / "c3p.csv"
    path.write_text(f"entry_id,hash\n{MD5},{BRIDGE}\n")
    operator.does("import", "c3p", path)
    said = operator.does("disable", "c3p", MD5, "--reason", "withdrawn").output
    assert MD5 not in said
    assert "entry-" in said
    assert "acts from the next run on" in operator.does("enable", "c3p", MD5).stdout


def test_nothing_that_is_printed_holds_a_listed_hash(operator):
    rows = [*images(20), {"entry_id": pdq_hash(50), "algorithm": "pdq", "hash": pdq_hash(51)}]
    path = write_csv(operator.home / f"{pdq_hash(52)}.csv", rows)
    said = [operator.does("import", "c3p", path).output]
    said += [operator.does("activate", "c3p", "1").output]
    write_csv(path, [*rows[5:], {"entry_id": "y", "algorithm": "pdq", "hash": pdq_hash(53)}])
    said += [operator.does("import", "c3p", path).output]
    for words in (("list",), ("show", "c3p"), ("diff", "c3p"), ("diff", "c3p", "--limit", "0")):
        said += [operator.does(*words).output, operator.does(*words, "--json").output]
    hashes = [pdq_hash(i) for i in range(60)]
    assert not any(digits in text for digits in hashes for text in said)


def test_every_command_has_help_and_an_example():
    for name, command in lists_command.commands.items():
        assert f"\b\nExample:\n  hashmatch lists {name}" in inspect.cleandoc(command.help or "")
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)
