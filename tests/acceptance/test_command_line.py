"""The command line as people and other programs meet it: help, documentation, start, JSON."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import click
import pytest
from click.testing import CliRunner
from drawn import write_clip
from installation import HASHMATCH, ROOT, Installation, vpdq_lines
from sqlalchemy import select

from hashmatch.audit import log
from hashmatch.cli.main import COMMANDS, cli
from hashmatch.counting import counted
from hashmatch.db.schema import ClipRow, ReviewRow
from hashmatch.db.session import Database
from hashmatch.model import Reason

SIZE = {"width": 192, "height": 144}
OUTCOMES = {"matched", "review", "clean", "partial", "unscannable"}
HEAVY = {"numba", "llvmlite", "cv2", "av", "sqlalchemy", "numpy", "obstore", "boto3", "PIL", "rich"}


def walk(
    command: click.Command = cli, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every group and every command, with the words that call it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from walk(inner, (*path, name))


TREE = list(walk())
COMMANDS_ONLY = [one for one in TREE if not isinstance(one[1], click.Group)]


@pytest.fixture(scope="module")
def hashmatch(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Scanned once: a listed clip was taken, a clean one and a text are there."""
    installed = Installation(tmp_path_factory.mktemp("home"))
    listed = installed.home / "listed.mp4"
    write_clip(listed, seed=3, seconds=0.5, **SIZE)
    (installed.clips / "listed.mp4").write_bytes(listed.read_bytes())
    write_clip(installed.clips / "clean.mp4", seed=4, seconds=0.5, **SIZE)
    (installed.clips / "text.mp4").write_text("no video")
    installed.list_videos("partner", {"v1": listed})
    return installed


@pytest.fixture(scope="module")
def scanned(hashmatch: Installation) -> dict[str, Any]:
    summary: dict[str, Any] = hashmatch.scan(code=10)
    return summary


@pytest.mark.parametrize(("path", "command"), TREE, ids=[" ".join(path) for path, _ in TREE])
def test_every_command_explains_itself(path, command):
    assert command.help, "no help"
    shown = CliRunner().invoke(command, ["--help"], obj=object()).output
    if not isinstance(command, click.Group):
        assert "Example" in shown
        assert " ".join(("hashmatch", *path)) in shown.split("Example")[1]
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert [one.name for one in options if not one.help] == []


def test_every_command_is_in_the_documentation():
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(file.read_text("utf-8") for file in files)
    names = [" ".join(("hashmatch", *path)) for path, _ in COMMANDS_ONLY]
    assert [name for name in names if name not in text] == []


def test_the_overview_names_what_there_is():
    shown = " ".join(CliRunner().invoke(cli, ["--help"]).output.split())
    for name, (_, about) in COMMANDS.items():
        assert name in shown
        assert about in shown


def test_help_loads_nothing_that_hashes_or_stores():
    """Of all commands, one after the other, in a new process."""
    code = "\n".join(
        (
            "import contextlib, io, sys",
            "from hashmatch.cli.main import cli",
            f"for path in {[path for path, _ in TREE]!r}:",
            "    with contextlib.redirect_stdout(io.StringIO()):",
            "        cli.main([*path, '--help'], standalone_mode=False)",
            "print(*sorted({name.partition('.')[0] for name in sys.modules}))",
        )
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "click" in done.stdout.split()
    assert HEAVY & set(done.stdout.split()) == set()


def test_the_installed_command_is_the_one_of_the_module():
    done = subprocess.run(
        [*HASHMATCH, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("Usage: ")
    assert done.stderr == ""


def test_a_command_that_nobody_knows_is_refused_with_exit_code_2(hashmatch):
    for command in (("scna",), ("lists", "improt"), ("scan", "--jsno"), ("check",)):
        refused = hashmatch.run(*command, code=2)
        assert refused.stdout == ""
        assert "Usage: " in refused.stderr
    assert "Did you mean 'scan'?" in hashmatch.run("scna", code=2).stderr


def test_scan_says_in_json_what_the_run_came_to(scanned):
    assert scanned.keys() >= {
        "run",
        "listed",
        "outcomes",
        "skipped_unchanged",
        "quarantined",
        "canary",
        "seconds",
        "checkpoint",
    }
    assert scanned["outcomes"].keys() == OUTCOMES
    assert scanned["listed"] == 3 == sum(scanned["outcomes"].values())
    assert (scanned["skipped_unchanged"], scanned["quarantined"]) == (0, 1)
    assert scanned["canary"] == "seen"
    assert scanned["seconds"] > 0
    origin, size, *_ = scanned["checkpoint"].splitlines()
    assert origin == "hashmatch.example/log"
    assert int(size) > 0


def test_check_says_in_json_what_each_file_is(hashmatch, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    clean = tmp_path / "clean.mp4"
    write_clip(clean, seed=4, seconds=0.5, **SIZE)
    files = [str(hashmatch.home / "listed.mp4"), str(clean), str(text)]
    found = hashmatch.json("check", *files, code=10)
    for one in found:
        assert one.keys() == {"path", "outcome", "reason", "coverage", "lists", "matches"}
        assert one["outcome"] in OUTCOMES
        assert 0 <= one["coverage"] <= 1
        assert one["lists"] == {"partner": 1}
        for match in one["matches"]:
            assert match.keys() == {
                "list", "entry", "kind", "distance", "start", "end", "frames", "variant"
            }  # fmt: skip
    assert [one["path"] for one in found] == files
    assert [(one["outcome"], one["reason"]) for one in found] == [
        ("matched", None),
        ("clean", None),
        ("unscannable", "not-media"),
    ]
    (match,) = found[0]["matches"]
    assert (match["list"], match["entry"], match["kind"]) == ("partner", "v1", "sequence")
    assert 0 <= match["distance"] <= 31
    assert 0 <= match["start"] < match["end"] <= 0.5
    assert match["variant"] == "original"


def test_hash_gives_digests_and_every_frames_hash(hashmatch):
    """Digests as hashlib's; hashes as pdqhash's but for the few bits of another way to luma."""
    clip = hashmatch.home / "listed.mp4"
    found = hashmatch.json("hash", "--every", str(clip))
    assert found.keys() == {"path", "md5", "sha1", "sha256", "recipe", "duration", "frames"}
    for name in ("md5", "sha1", "sha256"):
        assert found[name] == hashlib.new(name, clip.read_bytes()).hexdigest()
    assert found["duration"] == pytest.approx(0.5, abs=0.05)
    reference = [line.strip().split(",") for line in vpdq_lines(clip)]
    assert len(found["frames"]) == len(reference) == 15
    for frame, (_, _, text, time) in zip(found["frames"], reference, strict=True):
        assert frame.keys() == {"t", "quality", "pdq"}
        assert frame["t"] == pytest.approx(float(time), abs=0.001)
        assert 0 <= frame["quality"] <= 100
        assert (int(frame["pdq"], 16) ^ int(text, 16)).bit_count() <= 6


def test_hash_needs_no_installation(hashmatch, tmp_path):
    file = hashmatch.home / "own.mp4"
    write_clip(file, seed=7, seconds=0.5, width=192, height=144)
    elsewhere = copy(hashmatch)
    elsewhere.home = tmp_path
    known = hashmatch.run("hash", "--json", str(file)).stdout
    assert json.loads(elsewhere.run("hash", "--json", str(file)).stdout) == json.loads(known)
    assert list(tmp_path.iterdir()) == []
    elsewhere.run("--config", "mistyped.toml", "hash", str(file), code=14)


def test_check_with_a_list_of_ones_own_needs_no_installation(hashmatch, tmp_path):
    listed, other = hashmatch.home / "own.mp4", hashmatch.home / "other.mp4"
    write_clip(listed, seed=7, seconds=0.5, width=192, height=144)
    write_clip(other, seed=8, seconds=0.5, width=192, height=144)
    ours, digests = hashmatch.home / "Ours 2026.txt", hashmatch.home / "ours-2026.csv"
    ours.write_text("".join(vpdq_lines(listed)))
    digests.write_text(f"algorithm,hash\nmd5,{hashlib.md5(other.read_bytes()).hexdigest()}\n")
    elsewhere = copy(hashmatch)
    elsewhere.home = tmp_path
    given = ("--list", str(ours), "--list", str(digests), str(listed), str(other))
    found = json.loads(elsewhere.run("check", "--json", *given).stdout)
    assert [one["outcome"] for one in found] == ["matched", "matched"]
    assert [{match["list"] for match in one["matches"]} for one in found] == [
        {"ours-2026"},
        {"list-2"},
    ]
    # In an installation, in place of its lists, which are as they were.
    before = hashmatch.run("lists", "list", "--json").stdout
    (alone,) = json.loads(hashmatch.run("check", "--json", *given[2:4], str(listed)).stdout)
    assert (alone["outcome"], alone["lists"]) == ("clean", {"ours-2026": 1})
    assert hashmatch.run("lists", "list", "--json").stdout == before
    digests.write_text("no list\n")
    assert "format cannot be told" in elsewhere.run("check", *given, code=30).stderr
    assert list(tmp_path.iterdir()) == []


def test_with_json_stdout_has_one_document_and_nothing_else(hashmatch, scanned):
    """Of every command that has --json and was not asked above."""
    case = hashmatch.json("quarantine", "list")[0]["case"]
    with Database.connect("sqlite:///hashmatch.db", hashmatch.home).write() as session:
        clip, at = session.scalars(select(ClipRow)).first(), datetime.now(UTC)
        row = {"clip_id": clip.id, "etag": "e", "run_id": scanned["run"], "opened_at": at}
        session.add(ReviewRow(id="review-x", **row))
        log.append(session, "review-opened", {"review": "review-x"}, at)
    asked = {
        ("lists", "list"): (),
        ("lists", "show"): ("partner",),
        ("lists", "diff"): ("partner",),
        ("review", "list"): (),
        ("review", "show"): ("review-x",),
        ("review", "entries"): (),
        ("quarantine", "list"): (),
        ("quarantine", "show"): (case,),
        ("quarantine", "verify"): (),
        ("quarantine", "due"): (),
        ("quarantine", "requests"): (),
        ("audit", "show"): (),
        ("audit", "verify"): (),
        ("audit", "prove"): (case, "--out", "proof.zip"),
        ("audit", "export"): ("--case", case, "--out", "case.zip"),
        ("runs", "list"): (),
        ("runs", "show"): (scanned["run"],),
        ("doctor",): (),
        ("config", "show"): (),
        ("rescan",): ("--stored",),
    }
    above = {("scan",), ("check",), ("hash",)}
    with_json = {path for path, one in COMMANDS_ONLY if "as_json" in {p.name for p in one.params}}
    assert with_json == {*asked, *above}
    law = {"HASHMATCH_CUSTODY__JURISDICTIONS": '["US"]'}  # without one nothing can be due
    with mock.patch.dict(hashmatch.environment, law):
        for path, arguments in asked.items():
            json.loads(hashmatch.run(*path, *arguments, "--json", code=(0, 10)).stdout)


def test_a_dry_run_says_what_would_be_looked_at_and_why_and_writes_nothing(hashmatch, tmp_path):
    twin = hashmatch.copied(tmp_path / "twin")
    twin.run("scan", code=10)
    write_clip(twin.clips / "new.mp4", seed=5, seconds=0.5, **SIZE)
    write_clip(twin.clips / "clean.mp4", seed=6, seconds=0.5, **SIZE)
    write_clip(twin.clips / "again.mp4", seed=7, seconds=0.5, **SIZE)
    (twin.clips / "later.mp4").write_bytes(b"x")
    db = Database.connect("sqlite:///hashmatch.db", twin.home)
    twin.run("scan", code=10)
    (twin.clips / "new.mp4").rename(twin.clips / "newer.mp4")
    (twin.clips / "clean.mp4").write_bytes((twin.clips / "newer.mp4").read_bytes())
    with db.write() as session:
        for key, when in (("again.mp4", timedelta()), ("later.mp4", timedelta(hours=2))):
            row = session.scalars(select(ClipRow).where(ClipRow.key == key)).one()
            row.reason, row.outcome, row.retry_at = (
                "time-limit",
                "partial",
                datetime.now(UTC) + when,
            )

    def everything() -> tuple[list[str], dict[str, bytes]]:
        with sqlite3.connect(twin.home / "hashmatch.db") as connection:
            tables = list(connection.iterdump())
        files = [twin.clips, twin.vault, twin.home / "keys", twin.home / "state"]
        inside = [one for folder in files for one in folder.rglob("*") if one.is_file()]
        return tables, {str(one): one.read_bytes() for one in inside}

    before = everything()
    with db.run_lock():  # it needs no lock either
        found = json.loads(twin.run("scan", "--dry-run", "--json").stdout)
    shown = twin.run("scan", "--dry-run")
    assert everything() == before
    clips = {one["key"]: (one["why"], one["detail"]) for one in found["clips"]}
    assert clips == {
        "newer.mp4": ("new", ""),
        "clean.mp4": ("changed", ""),
        "again.mp4": ("due again", Reason.TIME_LIMIT.text),
    }
    assert (found["listed"], found["unchanged"], found["later"]) == (5, 2, 1)
    assert found["due"]["new"] == 1
    assert "new\tnewer.mp4" in shown.stdout
    assert "Nothing was looked at" in shown.stderr
    summary = json.loads(twin.run("scan", "--json", code=(0, 10)).stdout)
    assert sum(summary["outcomes"].values()) == len(clips), "a scan looks at just those"


def test_a_dry_run_takes_the_renditions_of_a_clip_together(tmp_path, hashmatch):
    twin = hashmatch.copied(tmp_path / "twin")
    pattern = {"HASHMATCH_CLIPS__RENDITIONS": "{id}_{height}p.mp4"}
    twin.environment |= pattern
    write_clip(twin.clips / "a_144p.mp4", seed=8, seconds=0.5, **SIZE)
    twin.run("scan", code=(0, 10))
    write_clip(twin.clips / "a_288p.mp4", seed=8, seconds=0.5, width=384, height=288)
    found = json.loads(twin.run("scan", "--dry-run", "--json").stdout)
    why = {one["key"]: one["why"] for one in found["clips"]}
    assert why == {"a_288p.mp4": "new", "a_144p.mp4": "rendition"}


def recipe(name: str, **paths: str) -> str:
    """A block of commands of the documentation, with other folders in the place of its own."""
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    found = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    commands = found[1].replace(".venv/bin/python", sys.executable)
    for old, new in paths.items():
        commands = commands.replace(f"/{old}/hashmatch", new)
    return "set -e\nhashmatch() { " + " ".join(HASHMATCH) + ' "$@"; }\n' + commands


def test_promise_2_what_was_backed_up_as_documented_can_be_restored(hashmatch, scanned, tmp_path):
    backup, home = str(tmp_path / "backup"), str(tmp_path / "restored")
    paths = {"srv": str(hashmatch.home), "backup": backup}
    subprocess.run(["bash", "-c", recipe("back-up", **paths)], check=True)
    assert not list(tmp_path.rglob("audit.signed"))
    done = subprocess.run(
        ["bash", "-c", recipe("restore", srv=home, backup=backup)],
        env=hashmatch.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "The log is what was written" in done.stdout
    assert "sealed objects are whole" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_as_documented(hashmatch, shell):
    with mock.patch.dict(os.environ, {"_HASHMATCH_COMPLETE": f"{shell}_source"}):
        script = CliRunner().invoke(cli, [], prog_name="hashmatch").output
    assert "_HASHMATCH_COMPLETE" in script
    words = {
        "_HASHMATCH_COMPLETE": "bash_complete",
        "COMP_WORDS": "hashmatch lists re",
        "COMP_CWORD": "2",
    }
    with mock.patch.dict(os.environ, words):
        assert "remove" in CliRunner().invoke(cli, [], prog_name="hashmatch").output


def test_audit_show_has_lines_for_people(hashmatch, scanned):
    lines = hashmatch.run("audit", "show", "--last", "100").stdout.splitlines()
    kinds = {line.split("\t")[2]: line.split("\t")[3] for line in lines}
    assert kinds["list-activate"].startswith("accept_shrink no, accept_trial no, by ")
    assert "trial.clips 0, trial.matched 0" in kinds["list-activate"]
    assert not [line for line in lines if "{" in line or '": ' in line]


def test_a_case_has_one_time_line_for_people(hashmatch, scanned):
    case = hashmatch.json("quarantine", "list")[0]["case"]
    lines = hashmatch.run("quarantine", "show", case).stdout.splitlines()
    times = [line.split("\t")[0] for line in lines if line[:2] == "20"]
    assert times == sorted(times)
    assert times
    events = " ".join(line.split("\t")[1] for line in lines if line[:2] == "20")
    for event in ("detected", "verified", "removed", "seal (case-sealed)"):
        assert event in events, events
    assert not [line for line in lines if line.startswith(("steps", "removed_at"))]
    assert "steps" in hashmatch.json("quarantine", "show", case)


@pytest.mark.parametrize(
    ("count", "words", "said"),
    [
        (0, ("case",), "0 cases"),
        (1, ("case",), "1 case"),
        (2, ("entry",), "2 entries"),
        (1, ("clip waits", "clips wait"), "1 clip waits"),
        (3, ("clip waits", "clips wait"), "3 clips wait"),
    ],
)
def test_one_is_not_several(count, words, said):
    assert counted(count, *words) == said


def test_without_a_terminal_tables_are_tab_separated(hashmatch, scanned):
    shown = hashmatch.run("runs", "show", scanned["run"]).stdout
    rows = [line.split("\t") for line in shown.splitlines()[2:]]
    assert sorted(row[:2] for row in rows) == [
        ["clean", "clean.mp4"],
        ["matched", "listed.mp4"],
        ["unscannable", "text.mp4"],
    ]


def test_a_run_shows_its_counts_first_then_what_is_not_clean_with_its_reason(hashmatch, scanned):
    _, counts, *clips = hashmatch.run("runs", "show", scanned["run"]).stdout.splitlines()
    assert counts == "1 matched, 1 unscannable, 1 clean; 0 unchanged"
    outcomes, _, why = zip(*(line.split("\t") for line in clips), strict=True)
    assert outcomes == ("matched", "unscannable", "clean")
    assert why[0].startswith("matches ")
    assert why[1] == Reason.NOT_MEDIA.text


def test_the_list_of_runs_has_outcomes_and_durations(hashmatch, scanned):
    (run,) = (r for r in hashmatch.json("runs", "list") if r["run"] == scanned["run"])
    assert run["outcomes"] == scanned["outcomes"]
    assert scanned["seconds"] - 1 < run["seconds"] < scanned["seconds"] + 3
    (line,) = (x for x in hashmatch.run("runs", "list").stdout.splitlines() if scanned["run"] in x)
    assert "1 matched, 1 unscannable, 1 clean" in line
    assert f"{run['seconds']:.1f} s" in line


def test_another_settings_file_is_taken_with_config(hashmatch, tmp_path):
    asked = ("--config", str(hashmatch.home / "hashmatch.toml"), "lists", "list", "--json")
    done = subprocess.run(
        [*HASHMATCH, *asked],
        cwd=tmp_path,
        env=hashmatch.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [one["name"] for one in json.loads(done.stdout)] == ["partner"]


def test_without_docstrings_runs_work_and_errors_say_the_same(hashmatch, scanned, monkeypatch):
    wrong = [("lists", "show", "none"), ("quarantine", "show", "case-none")]
    said = [hashmatch.run(*command, code=range(10, 40)).stderr for command in wrong]
    monkeypatch.setitem(hashmatch.environment, "PYTHONOPTIMIZE", "2")
    assert [hashmatch.apart(*command, code=range(10, 40)).stderr for command in wrong] == said
    again = json.loads(hashmatch.apart("rescan", "--prefix", "", "--json", code=10).stdout)
    assert (again["outcomes"]["clean"], again["outcomes"]["unscannable"]) == (1, 1)
    assert again["canary"] == "seen"
    monkeypatch.setitem(hashmatch.environment, "HASHMATCH_CLIPS__URL", "away")
    away = json.loads(hashmatch.apart("scan", code=15).stderr.splitlines()[-1])
    assert "away cannot be used now" in away["event"]
    assert away["remedy"]
