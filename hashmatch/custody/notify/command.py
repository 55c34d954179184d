"""The platform told by a program of the operator's: the same JSON, on its stdin.

    command = open_command(settings.withdraw, settings.home)
    reply = command.ask(message)

The program gets its arguments as they are in the settings, without a shell, and of our environment
only what says who and where it is: no setting and no credential of ours. Exit code 0 is done, 75
(EX_TEMPFAIL of sysexits.h) not yet, anything else refused. What takes too long is killed together
with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path
from typing import IO

from hashmatch.config import Withdraw
from hashmatch.custody.notify.channel import MOST_DETAIL, Message, Reply, Status, bounded
from hashmatch.errors import ConfigError

NOT_YET = 75
_ENVIRONMENT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR")
# What is kept of stderr, in bytes; the rest is read and dropped, so that its writer goes on.
_KEPT = 20 * MOST_DETAIL
_LAST_WORDS_SECONDS = 1.0


class Command:
    """One program. arguments: its absolute path and what follows; timeout: in seconds."""

    how = "command"

    def __init__(self, arguments: tuple[str, ...], home: Path, timeout: float) -> None:
        self._arguments = arguments
        self._home = home
        self._timeout = timeout

    def ask(self, message: Message) -> Reply:
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, no shell
                self._arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                cwd=self._home,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,
            )
        except OSError as error:
            problem = f"the command of [withdraw] cannot be started: {error.strerror}"
            return Reply(Status.REFUSED, problem=problem)
        said = _LastWords(process)
        try:
            _tell(process, message.body.encode())
            code = process.wait(self._timeout)
        except subprocess.TimeoutExpired:
            problem = f"the command of [withdraw] took more than {self._timeout:g} seconds"
            return Reply(Status.NO_ANSWER, problem=problem)
        finally:
            if process.returncode is None:
                _kill_all(process)
        return _reply(code, bounded(said.text()))

    def check(self) -> str:
        return f"told by {self._arguments[0]}, which can be started"


def open_command(withdraw: Withdraw, home: Path) -> Command:
    """The program that the settings name; a path in them starts from home. Raises ConfigError."""
    if not withdraw.command:
        problem = 'it is missing; command = ["program", "argument"] is one'
        raise ConfigError(source="withdraw.command", problem=problem)
    name, *rest = withdraw.command
    found = shutil.which(str(home / name) if "/" in name else name)
    if found is None:
        problem = f"there is no program {name!r} that this account may run"
        raise ConfigError(source="withdraw.command", problem=problem)
    return Command((str(Path(found).absolute()), *rest), home, withdraw.timeout_seconds)


class _LastWords:
    """Reads a process's stderr as long as there is any, and keeps its beginning."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self._kept = b""
        self._reader = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        self._reader.start()

    def _read(self, stderr: IO[bytes]) -> None:
        with stderr:
            while piece := os.read(stderr.fileno(), 65536):
                self._kept += piece[: _KEPT - len(self._kept)]

    def text(self) -> str:
        # Something it left running may keep it open.
        self._reader.join(_LAST_WORDS_SECONDS)
        return self._kept.decode("utf-8", "replace")


def _tell(process: subprocess.Popen[bytes], body: bytes) -> None:
    """A message is far smaller than a pipe, so writing it never waits."""
    assert process.stdin is not None
    # It may answer without reading.
    with contextlib.suppress(BrokenPipeError), process.stdin:
        process.stdin.write(body)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _reply(code: int, detail: str) -> Reply:
    if code == 0:
        return Reply(Status.DONE, code, detail=detail)
    if code == NOT_YET:
        problem = "the command of [withdraw] says that the platform is not done yet"
        return Reply(Status.PENDING, code, problem, detail)
    how = f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
    return Reply(Status.REFUSED, code, f"the command of [withdraw] {how}", detail)
