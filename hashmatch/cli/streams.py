"""stdin, stdout and stderr as a command finds them: some closed, not all in UTF-8.

A service or a script may close any of them (`2>&-`). Their numbers must not go to the next file that is
opened, as the database may be, and Python's own are None then.
"""

from __future__ import annotations

import io
import os
import sys


def prepare() -> None:
    """Closed ones lead nowhere from here on; what a stream's encoding has not is escaped."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def let_go() -> None:
    """stdout leads nowhere from here on: what was written for whoever read it is not wanted."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
