"""Commands as services and scripts start them: other locales, closed streams, rights to little."""

from __future__ import annotations

import json
import os
import pwd
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from drawn import write_clip
from installation import HASHMATCH, ROOT, Installation

SIZE = {"width": 192, "height": 144}
KEY = "é – 新.mp4"
SERVICE = pwd.getpwnam("nobody").pw_uid


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    installed = Installation(tmp_path_factory.mktemp("home"))
    listed = installed.home / "listed.mp4"
    write_clip(listed, seed=3, seconds=0.5, **SIZE)
    installed.list_videos("partner", {"v1": listed})
    (installed.clips / KEY).write_text("no video")
    installed.scan(code=10)
    return installed


@pytest.fixture(scope="module")
def locales(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a locale that is not UTF-8, which few machines still have."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    if shutil.which("localedef") is None or subprocess.run(command, check=False).returncode:
        pytest.skip("localedef cannot make en_US.ISO-8859-1 (Debian package `locales`)")
    return folder


@pytest.mark.parametrize("lang", ["en_US.ISO-8859-1", "POSIX", "ascii"])
def test_output_is_utf_8_or_escapes_whatever_the_locale(scanned, locales, lang):
    environment = {
        k: v for k, v in scanned.environment.items() if not k.startswith(("LC_", "LANG"))
    }
    if lang == "ascii":
        environment["PYTHONIOENCODING"] = f"{lang}:strict"
    else:
        environment |= {"LANG": lang, "LOCPATH": str(locales)}
    for command in (
        ["runs", "show"],
        ["runs", "show", "--json"],
        ["audit", "verify"],
        ["check", KEY],
    ):
        done = subprocess.run(
            [*HASHMATCH, *command],
            cwd=scanned.clips if command[0] == "check" else scanned.home,
            env=environment | {"HASHMATCH_CONFIG": str(scanned.home / "hashmatch.toml")},
            capture_output=True,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        assert done.returncode in (0, 10)
        if "--json" in command:
            assert [one["key"] for one in json.loads(done.stdout)["clips"]] == [KEY]
        if "runs" in command and lang in ("ascii", "en_US.ISO-8859-1"):
            assert rb"\u65b0" in done.stdout


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_a_run_is_whole_whatever_streams_are_closed(scanned, closed):
    command = f"{shlex.join([*HASHMATCH, 'rescan', '--stored'])} {closed}"
    before = len(json.loads(scanned.run("runs", "list", "--json").stdout))
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=scanned.home, env=scanned.environment, capture_output=True
    )
    assert done.returncode in (0, 10), done.stderr
    assert b"Traceback" not in done.stderr
    runs = json.loads(scanned.run("runs", "list", "--json").stdout)
    assert len(runs) == before + 1
    assert runs[0]["status"] == "finished"


def test_who_has_read_enough_gets_no_traceback(scanned):
    command = f"{shlex.join([*HASHMATCH, 'runs', 'show'])} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=scanned.home, env=scanned.environment, capture_output=True
    )
    assert done.stderr == b""
    assert int(done.stdout) in (0, 141)


def test_output_that_cannot_be_written_is_said(scanned):
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*HASHMATCH, "runs", "show"],
            cwd=scanned.home,
            env=scanned.environment,
            stdout=full,
            stderr=subprocess.PIPE,
        )
    assert done.returncode == 15
    assert b"No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr


# One event stream


def events(done: subprocess.CompletedProcess[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stderr.splitlines()]


def test_a_run_that_ends_says_counts_exit_code_and_seconds_in_its_log(scanned):
    first, *_, last = events(
        scanned.run("rescan", "--prefix", "", "--since", "2000-01-01", code=10)
    )
    assert (first["level"], last["level"]) == ("notice", "notice")
    assert last["outcomes"]["unscannable"] == 1 == last["listed"]
    assert (last["exit_code"], last["status"], last["quarantined"]) == (10, "finished", 0)
    assert last["seconds"] > 0


def test_a_log_in_json_stays_json_when_a_run_fails(scanned):
    """Of what the settings, the lists, the storage or the caller are refused for."""
    wrong = {
        14: {"HASHMATCH_CLIPS__URLS": "x"},
        15: {"HASHMATCH_CLIPS__URL": "/nowhere"},
        25: {"HASHMATCH_PEOPLE__OPERATORS": '["nobody-here"]'},
    }
    for code, environment in wrong.items():
        before = scanned.environment
        scanned.environment = {**before, **environment}
        try:
            done = scanned.run("scan", code=code)
        finally:
            scanned.environment = before
        last = events(done)[-1]
        assert (last["level"], last["exit_code"]) == ("error", code)
        assert last["error"]
        assert last["event"]


@pytest.mark.parametrize(
    ("options", "levels"),
    [
        ((), {"notice", "info"}),
        (("-q",), {"notice"}),
        (("-qq",), set()),
        (("-qq", "-v"), {"notice"}),
    ],
)
def test_the_level_of_the_log_can_be_said(scanned, options, levels):
    done = scanned.run("rescan", "--since", "2000-01-01", *options, code=10)
    assert {event["level"] for event in events(done)} == levels


def test_the_level_of_the_log_can_be_set(scanned):
    scanned.environment["HASHMATCH_REPORT__LOG_LEVEL"] = "notice"
    try:
        done = scanned.run("-v", "rescan", "--since", "2000-01-01", code=10)
        assert {event["level"] for event in events(done)} == {"notice", "info"}
        done = scanned.run("rescan", "--since", "2000-01-01", code=10)
        assert {event["level"] for event in events(done)} == {"notice"}
    finally:
        del scanned.environment["HASHMATCH_REPORT__LOG_LEVEL"]


# The unit of the documentation


def unit() -> dict[str, str]:
    text = (ROOT / "docs" / "operations.md").read_text("utf-8")
    block = text.partition("```ini\n")[2].partition("```")[0]
    return dict(re.findall(r"^(\w+)=(.*)$", block, re.M))


def can_unshare() -> bool:
    command = ["unshare", "--mount", "--propagation", "private", "true"]
    return os.geteuid() == 0 and subprocess.run(command, check=False).returncode == 0


def _reachable(prefix: Path) -> list[str]:
    """Commands that let every account reach an interpreter in somebody's home folder."""
    top = Path("/", prefix.parts[1])
    if top.stat().st_mode & 0o005 == 0o005:
        return []
    return _hidden_but_for(prefix, top, "755")


def _hidden_but_for(place: Path, top: Path, mode: str) -> list[str]:
    """Commands that put an empty folder over `top`, in which there is nothing but `place`."""
    return [
        f"mount --bind {place} /mnt",
        f"mount -t tmpfs -o mode={mode} none {top} && mkdir -p {place}",
        f"mount --bind /mnt {place} && umount /mnt",
    ]


def _private_tmp() -> list[str]:
    """As PrivateTmp does, but for the sources, which somebody may have there."""
    if Path("/tmp") not in ROOT.parents:
        return ["mount -t tmpfs -o mode=1777 none /tmp"]
    return _hidden_but_for(ROOT, Path("/tmp"), "1777")


@pytest.mark.skipif(not can_unshare(), reason="takes root and mount namespaces, as systemd has")
def test_the_unit_in_the_documentation_runs_as_it_is_written(scanned, tmp_path):
    """Its restrictions by the same means: all read-only but for what it names, another account,
    no new privileges, no home. The environment is the service manager's.
    """
    said = unit()
    home = scanned.copied(tmp_path / "home").home
    shutil.rmtree(home / "state", ignore_errors=True)
    shutil.copy(home / "listed.mp4", home / "clips" / "listed.mp4")
    bin_folder = home / ".venv" / "bin"
    bin_folder.mkdir(parents=True)
    command = bin_folder / "hashmatch"
    # The installation: its owner is root, and the service cannot write to it.
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {shlex.join(HASHMATCH)} "$@"\n')
    command.chmod(0o755)
    for path in (home, *home.rglob("*")):
        if ".venv" not in path.parts:
            os.chown(path, SERVICE, SERVICE)
    assert (said["ProtectSystem"], said["User"], said["NoNewPrivileges"]) == (
        "strict",
        "hashmatch",
        "yes",
    )
    script = "\n".join(
        (
            "set -e",
            'mount --bind "$1" /mnt && mkdir -p /mnt',
            "mount -t tmpfs none /srv && mkdir -p " + said["WorkingDirectory"],
            f"mount --bind /mnt {said['WorkingDirectory']} && umount /mnt",
            *_reachable(Path(sys.base_prefix)),
            *_private_tmp(),
            f"mount --bind {said['ReadWritePaths']} {said['ReadWritePaths']}",
            # Read-only, each mount by itself, as ProtectSystem=strict does.
            "awk '{print $5}' /proc/self/mountinfo | grep -v -e '^/proc' -e '^/dev' -e '^/sys' "
            f"-e '^{said['ReadWritePaths']}' -e '^/tmp$' | while read -r place; do "
            'mount -o remount,bind,ro "$place" 2>/dev/null || true; done',
            f"cd {said['WorkingDirectory']}",
            f"exec setpriv --reuid {SERVICE} --regid {SERVICE} --clear-groups --no-new-privs "
            "env -i HOME=/nonexistent PATH=/usr/bin:/bin HASHMATCH_RUN__WORKERS=1 "
            + said["ExecStart"],
        )
    )
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", script, "-", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 10), done.stderr[-3000:]
    assert "1 matched" in done.stdout
    kept = list((home / "state" / "kernels").rglob("*.nbc"))
    assert len(kept) > 5
    assert {file.stat().st_uid for file in kept} == {SERVICE}


@pytest.mark.skipif(not can_unshare(), reason="takes root, to become another account")
def test_an_auditor_on_a_single_server_works_on_a_copy_without_hashes(scanned, tmp_path):
    site = scanned.copied(tmp_path / "site")
    shutil.copy(site.home / "listed.mp4", site.clips / "listed.mp4")
    site.run("scan", code=10)
    text = (ROOT / "docs" / "custody.md").read_text("utf-8")
    found = re.search(r"<!-- auditor -->\n```sh\n(.*?)```", text, re.DOTALL)
    assert found is not None
    folder = tmp_path / "audit"
    commands = found[1].replace("/srv/hashmatch", str(site.home)).replace("/srv/audit", str(folder))
    commands = commands.replace(".venv/bin/python", sys.executable)
    commands = re.sub(r"\bauditor\b", "nobody", commands)
    ours = f'hashmatch() {{ {shlex.join(HASHMATCH)} "$@"; }}\nset -e\n'
    subprocess.run(["bash", "-c", ours + commands], env=site.environment, check=True)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.owner() == "root" and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)

    def does(*words: str) -> subprocess.CompletedProcess[str]:
        become = ["setpriv", "--reuid", str(SERVICE), "--regid", str(SERVICE), "--clear-groups"]
        script = "\n".join(
            (
                "set -e",
                *_reachable(Path(sys.base_prefix)),
                shlex.join([*become, *HASHMATCH, *words]),
            )
        )
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
            cwd=folder,
            env=site.environment | {"HOME": "/nonexistent"},
            capture_output=True,
            text=True,
            check=False,
        )

    case = json.loads(site.run("quarantine", "list", "--json").stdout)[0]["case"]
    for words in (
        ("audit", "verify"),
        ("audit", "show"),
        ("audit", "checkpoint"),
        ("audit", "export", "--case", case, "--out", "case.zip"),
        ("audit", "verify-bundle", "case.zip", "--key", "audit.pub"),
        ("quarantine", "show", case),
    ):
        done = does(*words)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    assert does("scan").returncode != 0
    with sqlite3.connect(folder / "hashmatch.db") as copy:
        assert {row[0] for row in copy.execute("SELECT bits FROM entry_hash")} == {b""}
    bits = (
        sqlite3.connect(site.home / "hashmatch.db")
        .execute("SELECT bits FROM entry_hash")
        .fetchone()[0]
    )
    assert bits not in (folder / "hashmatch.db").read_bytes()
