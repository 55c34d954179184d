"""`hashmatch audit`: what an operator sees of the log, and what a script can rely on."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from audit_parts import ORIGIN, OTHER_KEY, Night, verify_elsewhere
from sqlalchemy import text

from hashmatch.audit.anchors import object_name
from hashmatch.audit.checkpoint import Checkpoint, split, verifier_key
from hashmatch.audit.commitments import commit, commit_person, forget
from hashmatch.audit.keys import create_keys, load_signer
from hashmatch.audit.log import append, make_checkpoint
from hashmatch.audit.signing import Signer
from hashmatch.cli.main import main
from hashmatch.db.session import Database

ROOT = Path(__file__).resolve().parents[2]
AT = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@pytest.fixture
def home(sqlite_db: Database, tmp_path: Path) -> Path:
    """An installation with three leaves and a checkpoint after two."""
    create_keys(tmp_path / "keys" / "audit.key", tmp_path / "keys" / "id.key")
    (tmp_path / "hashmatch.toml").write_text('[database]\nurl = "sqlite:///hashmatch.db"\n')
    with sqlite_db.write() as session:
        append(session, "look-begun", {"run": "r-1"}, AT)
        append(session, "look-shown", {"case": "case-abc"}, AT)
        signer = load_signer(tmp_path / "keys" / "audit.key")
        make_checkpoint(session, signer, "hashmatch.example/log", AT)
        append(session, "look-ended", {"run": "r-1"}, AT)
    sqlite_db.close()
    return tmp_path


@dataclass
class Done:
    exit_code: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(home)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["hashmatch", "audit", *arguments])
        code: object = 0
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
        assert isinstance(code, int)
        return Done(code, *capsys.readouterr())

    return run


def forge(home: Path) -> None:
    db = Database.connect("sqlite:///hashmatch.db", home)
    with db.write() as session:
        session.execute(text("DROP TRIGGER leaf_keeps_update"))
        session.execute(text("UPDATE leaf SET body = replace(body, 'abc', 'xyz') WHERE seq = 1"))
    db.close()


def test_show_lists_the_newest_leaves_oldest_first(run: Run) -> None:
    done = run("show", "--last", "2")
    assert done.exit_code == 0, done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["1", "2"]
    assert "case case-abc" in done.stdout


def test_show_of_one_kind_as_json_is_what_was_recorded(run: Run) -> None:
    done = run("show", "--kind", "look-shown", "--json")
    assert json.loads(done.stdout) == [
        {
            "v": 1,
            "seq": 1,
            "at": "2026-11-22T03:00:00.000000Z",
            "kind": "look-shown",
            "body": {"case": "case-abc"},
            "opened": {},
        }
    ]


def test_show_says_what_commitments_stand_for_as_long_as_it_is_kept(run: Run, home: Path) -> None:
    db = Database.connect("sqlite:///hashmatch.db", home)
    with db.write() as session:
        who = commit_person(session, 'al"ice')
        why = commit(session, "reason", "our logo", subject="case-abc")
        append(session, "entry-disable", {"by": who, "reason": why}, AT)
    (leaf,) = json.loads(run("show", "--last", "1", "--json").stdout)
    assert leaf["body"] == {"by": who, "reason": why}
    assert leaf["opened"] == {who: 'al"ice', why: "our logo"}
    shown = run("show", "--last", "1").stdout
    assert 'al"ice' in shown
    assert "our logo" in shown
    with db.write() as session:
        forget(session, subject="case-abc")
    shown = run("show", "--last", "1").stdout
    assert 'al"ice' in shown
    assert "our logo" not in shown
    db.close()


def test_verify_says_how_much_it_checked(run: Run) -> None:
    done = run("verify")
    assert done.exit_code == 0, done.stderr
    assert "3 leaves" in done.stdout
    assert "1 checkpoint." in done.stdout


def test_verify_as_json_gives_the_whole_root(run: Run) -> None:
    said = json.loads(run("verify", "--json").stdout)
    assert (said["leaves"], said["checkpoints"], len(said["root"])) == (3, 1, 64)


def test_verify_of_a_broken_log_exits_20_and_names_the_leaf(run: Run, home: Path) -> None:
    forge(home)
    done = run("verify")
    assert done.exit_code == 20
    assert done.stdout == ""
    assert "first at leaf 1" in done.stderr
    assert "Keep the database as it is" in done.stderr
    assert run("verify", "--json").exit_code == 20


def test_a_checkpoint_that_was_kept_is_compared(run: Run, home: Path) -> None:
    kept = run("checkpoint")
    (home / "kept").write_text(kept.stdout)
    assert "2 checkpoints" in run("verify", "--against", "kept").stdout
    lines = kept.stdout.split("\n")
    (home / "kept").write_text("\n".join([lines[0], "3", *lines[2:]]))
    done = run("verify", "--against", "kept")
    assert done.exit_code == 20
    assert "its signature does not hold" in done.stderr


@pytest.fixture
def rolled_back(run: Run, home: Path) -> Path:
    """A database from before the last leaf, on the host that signed it, with an anchor's folder."""
    origin = f"{ORIGIN}/2"
    with (home / "hashmatch.toml").open("a") as settings:
        settings.write(f'[audit]\norigin = "{origin}"\n')
    memory = home / "keys/audit.signed"
    signer = Signer(load_signer(home / "keys/audit.key"), origin, memory)
    db = Database.connect("sqlite:///hashmatch.db", home)
    signer.checkpoint(db, AT)
    db.close()
    before = (home / "hashmatch.db").read_bytes()
    with db.write() as session:
        append(session, "look-begun", {"run": "r-2"}, AT)
    note = signer.checkpoint(db, AT)
    db.close()
    assert json.loads(run("verify", "--json").stdout)["against"] == [str(memory)]
    (home / "anchor").mkdir()
    (home / "anchor" / object_name(Checkpoint.parse(split(note)[0]))).write_text(note)
    (home / "hashmatch.db").write_bytes(before)
    return home


def test_promise_3_a_database_that_was_rolled_back_is_not_what_was_signed_here(
    run: Run, rolled_back: Path
) -> None:
    done = run("verify")
    assert (done.exit_code, done.stdout) == (20, "")
    assert "older than the last checkpoint" in done.stderr
    (rolled_back / "keys/audit.signed").unlink()
    done = run("verify")
    assert done.exit_code == 0, "nothing outside the database is at hand"
    assert "Give --against" in done.stderr
    with (rolled_back / "hashmatch.toml").open("a") as settings:
        settings.write('[anchors]\nfolder = "anchor"\n')
    done = run("verify")
    assert done.exit_code == 20
    assert "a checkpoint speaks of 5 leaves, there are 4" in done.stderr


def test_without_the_key_nothing_is_called_verified(run: Run, home: Path) -> None:
    (home / "keys" / "audit.key").unlink()
    done = run("verify")
    assert done.exit_code == 14
    assert "no such key file" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["show", "verify", "checkpoint", "key", "prove", "export"])
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert done.exit_code == 0
    assert f"hashmatch audit {command}" in done.stdout


def test_on_a_terminal_progress_is_drawn_beside_the_result(home: Path) -> None:
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", "from hashmatch.cli.main import main; main()", "audit", "verify"],
        cwd=home,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
        check=False,
    )
    os.close(slave)
    drawn = os.read(master, 10_000).decode()
    os.close(master)
    assert done.returncode == 0
    assert "leaves" in drawn
    assert done.stdout.startswith("The log is what was written: 3 leaves")


# Bundles


@pytest.fixture
def night(home: Path) -> str:
    """A scanned clip with a case, signed with the installation's key. Returns the case."""
    db = Database.connect("sqlite:///hashmatch.db", home)
    night = Night(db, load_signer(home / "keys" / "audit.key"))
    night.scan("run-1", {"a.mp4": "matched", "b.mp4": "clean"})
    case = night.case("a.mp4")
    night.sign()
    db.close()
    return case


def key_of(home: Path) -> str:
    return verifier_key(ORIGIN, load_signer(home / "keys" / "audit.key").public_key())


def test_an_auditor_verifies_and_proves_with_the_public_key_alone(
    run: Run, home: Path, night: str
) -> None:
    printed = run("key").stdout
    assert printed == key_of(home) + "\n"
    shutil.rmtree(home / "keys")
    (home / "audit.pub").write_text(printed)
    with (home / "hashmatch.toml").open("a") as settings:
        settings.write('[audit]\nkey = "audit.pub"\n')
    assert run("verify").exit_code == 0
    assert run("prove", night, "--out", "a.zip").exit_code == 0
    verify_elsewhere(home / "a.zip", "--key", str(home / "audit.pub"))
    assert run("key").stdout == printed
    (home / "audit.pub").write_text(verifier_key(ORIGIN, OTHER_KEY.public_key()))
    assert run("verify").exit_code == 20


def test_a_case_is_proved_into_a_file_of_its_own(run: Run, home: Path, night: str) -> None:
    done = run("prove", night)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.startswith(f"{night}-proof.zip: 4 leaves")
    verify_elsewhere(home / f"{night}-proof.zip", "--key", key_of(home))
    shown = json.loads(run("show", "--kind", "audit-exported", "--json").stdout)
    assert [leaf["body"]["case"] for leaf in shown] == [night]
    again = run("prove", night)
    assert again.exit_code == 15
    assert "it exists" in again.stderr


def test_a_case_and_a_period_are_exported(run: Run, home: Path, night: str) -> None:
    said = json.loads(run("export", "--case", night, "--out", "case.zip", "--json").stdout)
    assert (said["leaves"], said["left_out"], said["file"]) == (4, 0, "case.zip")
    assert "is the clip a.mp4" in verify_elsewhere(home / "case.zip", "--key", key_of(home)).stdout
    done = run("export", "--from", "2026-11-22", "--to", "2026-11-22")
    assert done.exit_code == 0, done.stderr
    verify_elsewhere(home / "audit-2026-11-22-2026-11-22.zip", "--key", key_of(home))


def test_coverage_is_proved_of_one_clip(run: Run, home: Path, night: str) -> None:
    done = run("prove", "--coverage", "b.mp4", "2026-11-22", "--out", "b.zip")
    assert done.exit_code == 0, done.stderr
    said = verify_elsewhere(home / "b.zip", "--key", key_of(home)).stdout
    assert "is the clip b.mp4" in said
    assert "a.mp4" not in said


@pytest.mark.parametrize(
    ("arguments", "code", "problem"),
    [
        (("prove",), 2, "name one CASE"),
        (("prove", "case-x", "--coverage", "a.mp4", "2026-11-22"), 2, "name one CASE"),
        (("prove", "--coverage", "a.mp4", "yesterday"), 2, "not a day"),
        (("prove", "--coverage", "a.mp4", "2026-11-21"), 27, "it was on 2026-11-22"),
        (("prove", "--coverage", "never.mp4", "2026-11-22"), 27, "knows no clip"),
        (("prove", "case-x"), 22, "no case case-x"),
        (("export",), 2, "name one --case"),
        (("export", "--case", "case-x"), 22, "no case case-x"),
        (("export", "--case", "case-x", "--from", "2026-11-22"), 2, "name one --case"),
        (("export", "--from", "2026-11-22"), 2, "name one --case"),
        (("export", "--from", "2026-11-22", "--to", "2026-11-21"), 2, "before it begins"),
        (("export", "--from", "2026-10-01", "--to", "2026-10-02"), 27, "no leaf of that period"),
        (
            ("export", "--from", "2026-11-22", "--to", "2026-11-22", "--out", "no/a.zip"),
            15,
            "cannot be written: No such file",
        ),
    ],
    ids=str,
)
def test_what_cannot_be_proved_is_a_clear_error(
    run: Run, home: Path, night: str, arguments: tuple[str, ...], code: int, problem: str
) -> None:
    before = set(home.iterdir())
    done = run(*arguments)
    assert done.exit_code == code, done.stderr
    assert problem in done.stderr
    assert done.stdout == ""
    assert {file for file in home.iterdir() if "zip" in file.name} <= before


@pytest.mark.parametrize("command", ["show", "verify", "checkpoint", "key", "prove", "export"])
def test_each_command_takes_its_role(run: Run, home: Path, night: str, command: str) -> None:
    with (home / "hashmatch.toml").open("a") as settings:
        settings.write('[people]\nreviewers = ["somebody-else"]\n')
    arguments = {"prove": [night], "export": ["--case", night]}.get(command, [])
    done = run(command, *arguments)
    assert done.exit_code == 25
    assert "auditor" in done.stderr
    assert not list(home.glob("*.zip"))


def test_verify_compares_the_database_with_the_log(run: Run, home: Path, night: str) -> None:
    assert "The database says what it says" in run("verify").stdout
    db = Database.connect("sqlite:///hashmatch.db", home)
    with db.write() as session:
        session.execute(text("UPDATE \"case\" SET state = 'released'"))
    db.close()
    done = run("verify")
    assert done.exit_code == 20
    assert done.stdout == ""
    assert f"{night} is released by its row, and" in done.stderr
