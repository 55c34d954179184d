"""What others chose is shown to people as letters, whatever it holds; ids whole, lines unbroken."""

from __future__ import annotations

import ast
import io
import json
import os
import pty
import re
import select
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest import mock

import click
import pytest
from drawn import write_clip
from installation import HASHMATCH, Installation
from test_command_line import COMMANDS_ONLY, SIZE

from hashmatch.cli.layout import table_of, wrapped
from hashmatch.visible import json_text, visible

# Clears the screen, in two ways; turns the line around; and begins a line of its own.
HOSTILE = "a\x1b[2J\x9b2J\u202e\r\nFORGED\tclean"
SHOWN = r"a\x1b[2J\x9b2J\u202e\r\nFORGED\tclean"
# How a progress bar is drawn.
BAR = re.compile(r"\x1b\[[0-9;?]*[mKAhl]|\r")
CASE = "case-7hq2k6w4v3mzdpbe"
REVIEW = "review-7hq2k6w4v3mzdpbe"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """Everything that others choose is hostile in it: keys, metadata, entry ids, reasons."""
    installed = Installation(tmp_path_factory.mktemp("hostile"))
    listed = installed.home / "listed.mp4"
    write_clip(listed, seed=3, seconds=0.5, **SIZE)
    (installed.clips / f"{HOSTILE}.mp4").write_bytes(listed.read_bytes())
    (installed.clips / f"{HOSTILE}.txt").write_text("no video")
    installed.list_videos("partner", {"v1": listed})
    installed.scan(code=10)
    with sqlite3.connect(installed.home / "hashmatch.db") as db:
        (case,) = db.execute('select id from "case"').fetchone()
        clip, etag, run = db.execute('select clip_id, etag, run_id from "case"').fetchone()
        db.execute("update match set entry_id = ?, classification = ?", (HOSTILE, HOSTILE))
        db.execute("update clip set platform_id = ?, channel = ?", (HOSTILE, HOSTILE))
        db.execute('update "case" set problem = ?', (HOSTILE,))
        db.execute("update list_version set source = ?, imported_by = ?", (HOSTILE, HOSTILE))
        db.execute(
            "insert into review (id, clip_id, etag, run_id, opened_at, state, reason) "
            "values (?, ?, ?, ?, '2026-11-22 03:00:00', 'open', ?)",
            (REVIEW, clip, etag, run, HOSTILE),
        )
        summary = json.loads(db.execute("select summary from run").fetchone()[0])
        summary["alarms"] = [HOSTILE]
        db.execute("update run set summary = ?", (json.dumps(summary),))
    installed.case = case
    return installed


def arguments(path: tuple[str, ...], command: click.Command, case: str) -> list[list[str]]:
    """Ways to call a command: with what there is, and with a hostile text wherever one is taken."""
    known = {"case": case, "cases": case, "review": REVIEW, "run": "last", "files": None}
    calls: list[list[str]] = [[], []]
    for one in command.params:
        if isinstance(one, click.Argument):
            there = known.get(one.name)
            calls[0] += [there] if there else ["partner"] if one.name == "name" else [HOSTILE]
            calls[1] += [HOSTILE]
        elif isinstance(one, click.Option) and one.required:
            calls[0] += [one.opts[0], "because"]
            calls[1] += [one.opts[0], HOSTILE]
    return calls


@pytest.mark.parametrize(
    ("path", "command"), COMMANDS_ONLY, ids=[" ".join(path) for path, _ in COMMANDS_ONLY]
)
def test_nothing_that_others_chose_reaches_a_terminal_raw(hostile, tmp_path, path, command):
    """Promise of every command, on a terminal and in a pipe, also where it refuses."""
    twin = hostile.copied(tmp_path / "home")
    there, nowhere = arguments(path, command, hostile.case)
    for stream, given in ((Terminal, there), (io.StringIO, there), (Terminal, nowhere)):
        if stream is not Terminal and nowhere == there:
            continue
        with mock.patch("installation.io.StringIO", stream):
            done = twin.run(*path, *given, code=[*range(50)])
        for said in (done.stdout, BAR.sub("", done.stderr)):
            raw = {one for one in said if not one.isprintable()} - {"\n", "\t"}
            assert not raw, ascii(said)[:2000]
            assert [line for line in said.splitlines() if line.startswith("FORGED")] == []


def test_the_name_of_a_clip_is_one_cell_of_one_row(hostile):
    rows = [
        line.split("\t") for line in hostile.run("runs", "show").stdout.splitlines() if "\t" in line
    ]
    assert sorted(row[:2] for row in rows) == [
        ["matched", f"{SHOWN}.mp4"],
        ["unscannable", f"{SHOWN}.txt"],
    ]


def test_json_has_the_exact_text_and_nothing_that_a_terminal_obeys(hostile):
    said = hostile.run("runs", "show", "--json").stdout
    assert {clip["key"] for clip in json.loads(said)["clips"]} == {
        f"{HOSTILE}.mp4",
        f"{HOSTILE}.txt",
    }
    assert all(one.isprintable() or one == "\n" for one in said)


def test_no_command_writes_past_the_one_place():
    folder = Path(sys.modules["hashmatch.cli"].__file__).parent
    past = re.compile(r"(click\.s?echo|print|sys\.(stdout|stderr)\.write)$")
    found = {
        file.name
        for file in folder.glob("*.py")
        for one in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(one, ast.Call) and past.match(ast.unparse(one.func))
    }
    assert found == {"app.py"}


def test_what_was_shown_may_be_shown_again():
    assert visible(HOSTILE) == SHOWN == visible(SHOWN)
    assert visible("é 新 ñ\udcff") == "é 新 ñ\\udcff"
    assert json.loads(json_text({"a": f"é{HOSTILE}"})) == {"a": f"é{HOSTILE}"}
    assert "é" in json_text("é")


# Ids, words and the bar


def test_ids_are_never_cut_and_words_never_broken():
    columns = ["case", "state", "detected_at", "lists", "problem"]
    problem = "the platform has not answered and nothing was removed from clip storage yet"
    rows = [[CASE, "detected", "2026-11-22T03:10:00+00:00", "partner", problem]]
    words = set(f"{CASE} detected {problem}".split())
    for width in (200, 100, 80, 60, 40):
        lines = list(table_of(columns, rows, width))
        assert words <= set(" ".join(lines).split())
        # Only a word of its own that is longer than the line goes over its edge.
        assert all(len(line) <= width or len(line.split()) <= 2 for line in lines)


def test_a_key_longer_than_a_line_stays_in_one_piece():
    key = "2026/11/" + "x" * 90 + ".mp4"
    assert any(key in line for line in table_of(["", ""], [["clip_key", key]], 80))
    assert any(
        key in line for line in table_of(["outcome", "clip", "why"], [["clean", key, ""]], 80)
    )


def test_a_command_is_not_broken_where_it_is_to_be_copied():
    command = "`hashmatch quarantine lift case-7hq2k6w4v3mzdpbe --hold 3 --reason …`"
    lines = wrapped(f"  {CASE} is under hold 3. It stays so until a custodian runs {command}.", 80)
    assert any(command in line for line in lines)
    assert all(line.startswith("  ") for line in lines)
    assert max(map(len, lines)) <= 80


def on_a_terminal(installed: Installation, *command: str) -> str:
    """What a terminal of eighty columns is sent."""
    master, slave = pty.openpty()
    environment = {**installed.environment, "TERM": "xterm", "COLUMNS": "80"}
    process = subprocess.Popen(
        [*HASHMATCH, *command], cwd=installed.home, env=environment, stdout=slave, stderr=slave
    )
    os.close(slave)
    drawn = b""
    while select.select([master], [], [], 120)[0]:
        try:
            part = os.read(master, 65536)
        except OSError:  # the other end is closed
            break
        drawn += part
    os.close(master)
    process.wait()
    return drawn.decode()


def test_on_a_terminal_log_lines_stand_above_the_bar_and_the_rate_beside_it(hostile, tmp_path):
    twin = hostile.copied(tmp_path / "home")
    for seed in (11, 12, 13):
        write_clip(twin.clips / f"{seed}.mp4", seed=seed, seconds=0.5, **SIZE)
    drawn = on_a_terminal(twin, "scan", "-vv")
    assert re.search(r"[\d.]+ clips/s", drawn)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "\n", drawn)
    told = [line.strip("\r") for line in plain.split("\n")]
    assert len([line for line in told if re.fullmatch(r"clip-\w+: clean", line)]) == 3
    assert any(re.match(r"run \S+ finished: ", line) for line in told)


@pytest.mark.parametrize("form", ["whole", "without the word", "begun", "begun without the word"])
def test_an_id_may_be_given_by_its_beginning(hostile, form):
    case = hostile.case
    given = {
        "whole": case,
        "without the word": case.removeprefix("case-"),
        "begun": case[:10],
        "begun without the word": case[5:9],
    }[form]
    assert json.loads(hostile.run("quarantine", "show", given, "--json").stdout)["case"] == case


def test_a_run_may_be_given_by_its_beginning(hostile):
    run = json.loads(hostile.run("runs", "list", "--json").stdout)[-1]["run"]
    assert json.loads(hostile.run("runs", "show", run[:-2], "--json").stdout)["run"] == run


@pytest.mark.parametrize("given", ["", "case-", "case-7", "c"])
def test_nearly_nothing_is_no_id(hostile, given):
    """An empty variable in a script must not mean the only case there is."""
    assert "There is no case" in hostile.run("quarantine", "show", given, code=22).stderr


def test_a_beginning_that_several_ids_have_is_refused_with_all_of_them(hostile, tmp_path):
    twin = hostile.copied(tmp_path / "home")
    other = hostile.case[:-1] + ("2" if hostile.case[-1] != "2" else "3")
    with sqlite3.connect(twin.home / "hashmatch.db") as db:
        columns = [row[1] for row in db.execute('pragma table_info("case")')]
        kept = [column for column in columns if column not in ("id", "etag")]
        db.execute(
            f'insert into "case" (id, etag, {", ".join(kept)}) '
            f"""select ?, 'other', {", ".join(kept)} from "case" """,
            (other,),
        )
    refused = twin.run("quarantine", "show", hostile.case[:12], code=2).stderr
    assert hostile.case in refused
    assert other in refused
    assert twin.run("quarantine", "show", hostile.case, "--json").stdout


def test_every_command_that_takes_an_id_takes_its_beginning(hostile, tmp_path):
    """Of a case: none calls it unknown. What else stands in the way is said with its whole id."""
    for path, command in COMMANDS_ONLY:
        names = {one.name for one in command.params} & {"case", "cases", "review"}
        if not names or path == ("audit", "export"):
            continue
        whole = REVIEW if "review" in names else hostile.case
        calls = arguments(path, command, whole[:12])[0]
        calls = [whole[:12] if one == REVIEW else one for one in calls]
        twin = hostile.copied(tmp_path / "-".join(path))
        said = twin.run(*path, *calls, code=[*range(50)])
        assert f"There is no {whole.partition('-')[0]}" not in said.stderr, path
