"""The platform told by a program, or not at all."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from platform_parts import ETAG, Cases, Slept, cases, sqlite_cases

from hashmatch.config import Settings, Withdraw
from hashmatch.custody.notify.command import open_command
from hashmatch.custody.notify.platform import Answer, Platform, open_platform
from hashmatch.errors import ConfigError

__all__ = ["cases", "sqlite_cases"]


class Host:
    def __init__(self, cases: Cases, home: Path) -> None:
        self.cases = cases
        self.home = home
        self.time = Slept()
        self.message = cases.put(cases.open())

    def deliver(self, script: str, *arguments: str, timeout: float = 10) -> Answer:
        program = self.home / "tell"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o700)
        withdraw = Withdraw(how="command", command=("./tell", *arguments), timeout_seconds=timeout)
        channel = open_command(withdraw, self.home)
        return Platform(self.cases.db, channel, 60, self.time.clock).deliver(self.message)


@pytest.fixture
def host(sqlite_cases: Cases, tmp_path: Path) -> Host:
    return Host(sqlite_cases, tmp_path)


def test_a_program_gets_the_message_on_its_stdin(cases: Cases, tmp_path: Path):
    host = Host(cases, tmp_path)
    answer = host.deliver('cat > said; echo "$1|$2|$PWD" > how', "two words", "$(touch oops)")
    assert answer == Answer(host.message, "command", True, "done", 0, 1, None)
    assert json.loads((tmp_path / "said").read_text())["data"]["clip"]["etag"] == ETAG
    assert (tmp_path / "how").read_text() == f"two words|$(touch oops)|{tmp_path}\n"
    assert not (tmp_path / "oops").exists()
    assert cases.leaves("platform-answered")[0]["how"] == "command"


def test_a_program_that_does_not_read_may_answer(host: Host):
    assert host.deliver("exec <&-; exit 0").done


def test_a_program_that_is_not_done_yet_is_started_again(host: Host):
    answer = host.deliver("echo x >> tries; [ $(wc -l < tries) -ge 3 ] || exit 75")
    assert (answer.done, answer.attempts) == (True, 3)


def test_a_program_that_fails_is_a_problem_with_its_exit_code(host: Host):
    answer = host.deliver("echo somebody is unknown >&2; exit 3")
    assert (answer.done, answer.status, answer.code) == (False, "refused", 3)
    assert answer.problem == "the command of [withdraw] exited with 3"
    assert host.cases.row(host.message).answer["detail"] == "somebody is unknown"
    assert "unknown" not in host.cases.log()


def test_a_program_that_is_killed_is_a_problem(host: Host):
    answer = host.deliver("kill -9 $$")
    assert answer.problem == "the command of [withdraw] was ended by signal 9"


def test_a_program_that_says_a_lot_is_not_held_up_and_its_first_words_are_kept(host: Host):
    answer = host.deliver(
        "printf 'first \\033[1mwords '; (printf 'first \\033[1mwords '; "
        "head -c 3000000 /dev/zero | tr '\\0' 'y ') >&2; head -c 3000000 /dev/zero; exit 4"
    )
    assert answer.code == 4
    assert host.cases.row(host.message).answer["detail"] == "first [1mwords …"


def test_a_program_that_takes_too_long_is_killed_with_all_that_it_started(host: Host):
    answer = host.deliver("sleep 600 & echo $! > child; sleep 600", timeout=0.3)
    assert answer.problem == "the command of [withdraw] took more than 0.3 seconds"
    assert answer.status == "no-answer"
    child = int((host.home / "child").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or _is_zombie(child):
            return
        time.sleep(0.02)
    pytest.fail("what the program started is still there")


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_a_program_leaves_running_does_not_hold_up_its_answer(host: Host):
    began = time.monotonic()
    assert host.deliver("sleep 5 & echo $! > child; exit 0").done
    assert time.monotonic() - began < 3
    os.kill(int((host.home / "child").read_text()), 9)


def test_a_program_gets_no_setting_and_no_credential(host: Host, monkeypatch):
    monkeypatch.setenv("HASHMATCH_WITHDRAW__SECRET", "geheim")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    assert host.deliver("env > environment").done
    environment = (host.home / "environment").read_text()
    assert "PATH=" in environment
    assert "geheim" not in environment


def test_a_program_that_is_gone_since_the_start_is_a_problem(host: Host, tmp_path: Path):
    program = tmp_path / "tell"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)
    channel = open_command(Withdraw(how="command", command=("./tell",)), tmp_path)
    program.unlink()
    answer = Platform(host.cases.db, channel, 60, host.time.clock).deliver(host.message)
    assert "cannot be started: No such file or directory" in answer.problem
    assert (answer.done, answer.attempts) == (False, 1)


@pytest.mark.parametrize(
    "command", [(), ("./tell",), ("no-such-program-anywhere",), ("/etc/passwd",)]
)
def test_a_program_that_cannot_be_run_is_refused_at_the_start(host: Host, command):
    wanted = Settings(withdraw=Withdraw(how="command", command=command))
    with pytest.raises(ConfigError, match=r"withdraw\.command"):
        open_platform(host.cases.db, wanted)


def test_a_program_is_found_where_the_shell_would_find_it(host: Host):
    wanted = Settings(withdraw=Withdraw(how="command", command=("cat",)))
    assert open_platform(host.cases.db, wanted).deliver(host.message).done


def test_a_platform_that_is_not_told_is_on_record_as_that(cases: Cases, tmp_path: Path):
    host = Host(cases, tmp_path)
    answer = open_platform(cases.db, Settings()).deliver(host.message)
    assert answer == Answer(host.message, "nothing", True, "nobody-told", None, 1, None)
    (leaf,) = cases.leaves("platform-not-told")
    assert (leaf["how"], leaf["status"], leaf["code"]) == ("nothing", "nobody-told", None)
    assert list(cases.leaves("platform-answered")) == []
