"""Tasks for the sandbox: what a decoder might do once a file has taken it over."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

Messages = Iterator[tuple[dict[str, Any], bytes]]
PIPE = 4


def _outcome(attempt: Any, *arguments: Any) -> str:
    """What came of it, by the name of the error it met."""
    try:
        attempt(*arguments)
    except OSError as error:
        return type(error).__name__
    return "allowed"


def echo(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"request": request, "pid": os.getpid()}, file.read()


def behave(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Run the task that the request names, so that one sandbox sees both good and bad clips."""
    yield from globals()[request["task"]](file, request)


def crash(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"before": True}, b""
    ctypes.string_at(0)


def abort(file: BinaryIO, request: dict[str, Any]) -> Messages:
    os.abort()
    yield {}, b""


def spin(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"before": True}, b""
    while True:
        pass


def spin_on(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Spin through the warning that the processor time is used up."""
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    yield from spin(file, request)


def sleep(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"before": True}, b""
    while True:
        time.sleep(1)


def drip(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Always have something to say, and little."""
    while True:
        yield {}, b""
        time.sleep(0.001)


def pids_and_sleep(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"pids": [os.getpid(), os.getppid()]}, b""
    time.sleep(60)


def eat_memory(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"before": True}, b""
    eaten = []
    while True:
        eaten.append(bytearray(64 * 2**20))


def flood(file: BinaryIO, request: dict[str, Any]) -> Messages:
    while True:
        yield {}, bytes(2**20)


def huge_message(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {}, bytes(64 * 2**20)


def send_raw(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Write the bytes of the request past the protocol."""
    yield {"before": True}, b""
    with contextlib.suppress(OSError):
        os.write(PIPE, bytes.fromhex(request["raw"]))
    time.sleep(60)


def vanish(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """End well, as far as the kernel can tell, without having said so."""
    yield {"before": True}, b""
    os._exit(0)


def linger(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"before": True}, b""
    os.write(PIPE, b"d" + bytes([0, 0, 0, 2, 0, 0, 0, 0]) + b"{}")
    time.sleep(60)


def fail(file: BinaryIO, request: dict[str, Any]) -> Messages:
    yield {"before": True}, b""
    raise ZeroDivisionError("the text of the clip")


def import_late(file: BinaryIO, request: dict[str, Any]) -> Messages:
    import antigravity  # noqa: F401

    yield {}, b""


def chatter(file: BinaryIO, request: dict[str, Any]) -> Messages:
    for stream in (1, 2):
        os.write(stream, b"the text of the clip\n" * 100_000)
    yield {"before": True}, b""


def look_around(file: BinaryIO, request: dict[str, Any]) -> Messages:
    def is_open(descriptor: int) -> bool:
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            return True
        return False

    yield (
        {
            "environment": dict(os.environ),
            "argv": sys.argv,
            "descriptors": [number for number in range(4096) if is_open(number)],
            "user": os.geteuid(),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "memory": resource.getrlimit(resource.RLIMIT_AS),
        },
        b"",
    )


def reach_out(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Try all that a decoder has no business with; say how each attempt ended.

    Signal 0 and limits that are there already: where an attempt succeeds, nobody is hurt.
    """
    path = Path(request["folder"]) / "made-by-the-decoder"
    parent = request["parent"]

    def write_the_clip() -> None:
        os.pwrite(file.fileno(), b"overwritten", 0)

    def truncate_the_clip() -> None:
        os.ftruncate(file.fileno(), 0)

    def raise_a_limit() -> None:
        resource.prlimit(0, resource.RLIMIT_CPU, (10_000, 10_000))

    def limit_the_parent() -> None:
        resource.prlimit(parent, resource.RLIMIT_CORE, (0, 0))

    def signal_a_thread_of_the_parent() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.tgkill(parent, parent, 0) != 0:
            raise OSError(ctypes.get_errno(), "tgkill")

    def signal_by_descriptor() -> None:
        import fcntl

        fcntl.fcntl(PIPE, fcntl.F_SETOWN, parent)

    def trace_the_parent() -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.ptrace(0x4206, parent, 0, 0) != 0:  # PTRACE_SEIZE, which does not stop it
            raise OSError(ctypes.get_errno(), "ptrace")

    attempts = {
        "internet socket": (socket.socket,),
        "local socket": (socket.socket, socket.AF_UNIX),
        "socket pair": (socket.socketpair,),
        "fork": (os.fork,),
        "program": (subprocess.run, ["/bin/true"]),
        "replace itself": (os.execv, "/bin/true", ["/bin/true"]),
        "write a file": (path.write_bytes, b"x"),
        "make a folder": (path.mkdir,),
        "read a file": (Path("/etc/passwd").read_bytes,),
        "list a folder": (os.listdir, "/"),
        "remove a file": (os.unlink, request["victim"]),
        "write the clip": (write_the_clip,),
        "truncate the clip": (truncate_the_clip,),
        "kill the parent": (os.kill, parent, 0),
        "signal the parent": (signal_a_thread_of_the_parent,),
        "signal by descriptor": (signal_by_descriptor,),
        "trace the parent": (trace_the_parent,),
        "raise a limit": (raise_a_limit,),
        "limit the parent": (limit_the_parent,),
        "become root": (os.setuid, 0),
    }
    yield {name: _outcome(*attempt) for name, attempt in attempts.items()}, b""


def start_threads(file: BinaryIO, request: dict[str, Any]) -> Messages:
    answers: list[int] = []
    threads = [threading.Thread(target=answers.append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield {"answers": sorted(answers)}, b""


def ask(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Reads parts of a ranged file."""
    for start, stop in request["parts"]:
        file.seek(start)
        yield {}, file.read(stop - start)


def ask_raw(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Speaks on the channel of a ranged file, `times` times, and waits for no answer."""
    yield {}, b""
    for _ in range(request["times"]):
        os.write(5, bytes.fromhex(request["packet"]))
    time.sleep(60)
    yield {}, b""


def remember(file: BinaryIO, request: dict[str, Any]) -> Messages:
    """Leave a mark in the process and say whether an earlier clip's is there."""
    seen = hasattr(sys, "taken_over")
    sys.taken_over = True  # type: ignore[attr-defined]
    yield {"taken_over": seen}, b""
