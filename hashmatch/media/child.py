"""The decoder's side of the sandbox: a process that stays pristine and forks once for every clip.

`sandbox.Sandbox` starts it. It imports the task and everything the task needs, and from then on
only waits: it never reads a byte of a clip. Each clip is decoded in a fork of it that confines
itself first and ends with its clip, so that a file that takes a decoder over, or only corrupts its
memory, has no way to what is said of the next one. A fork takes milliseconds, the imports seconds.

Control socket (packets): parent -> here {"request", "cpu_seconds"} with two descriptors (the clip,
the pipe for messages) or three (and the channel of `ranged`), or KILL; here -> parent
{"protections"} once, then {"status", "cpu"} for each clip.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from importlib.machinery import BuiltinImporter, FrozenImporter
from typing import Any, BinaryIO, NoReturn

from hashmatch.media.confinement import ConfinementLimits, confine
from hashmatch.media.messages import DONE, FAILED, MESSAGE, encode, readable
from hashmatch.media.ranged import RangedFile

KILL = b"kill"
MAX_PACKET = 65536
EXIT_FAILED = 1
EXIT_MEMORY = 3
_FILE, _PIPE, _CHANNEL = 3, 4, 5

Task = Callable[[BinaryIO, dict[str, Any]], Iterator[tuple[dict[str, Any], bytes]]]


def main(control: int, task_name: str, memory_bytes: int) -> None:
    """Serve until the parent is gone. stderr is the parent's until the first packet."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The parent decides when a clip ends, also while it is itself being stopped.
        signal.signal(ignored, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123
        score.write("1000")  # when memory runs out, the decoder goes first
    zygote = _Zygote(socket.socket(fileno=control), _load(task_name), memory_bytes)
    zygote.serve()


def _load(name: str) -> Task:
    """The task `module:function`. The module's `warm()`, if it has one, is called once."""
    module_name, _, function = name.partition(":")
    module = importlib.import_module(module_name)
    if hasattr(module, "warm"):
        module.warm()
    task: Task = getattr(module, function)
    return task


class _Zygote:
    def __init__(self, control: socket.socket, task: Task, memory_bytes: int) -> None:
        self._control = control
        self._task = task
        self._memory_bytes = memory_bytes
        self._parent = os.getppid()
        self._pid = os.getpid()
        self._clip: int | None = None  # the pid of its process
        self._wake, wake = os.pipe()
        os.set_blocking(self._wake, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> NoReturn:
        gc.collect()
        gc.freeze()  # or the collector would touch, and so copy, every page in every fork
        self._say({"protections": self._probe()})
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 2)
        os.close(null)
        while True:
            self._wait(self._control.fileno())
            packet, descriptors, _, _ = socket.recv_fds(self._control, MAX_PACKET, 3)
            if not packet:
                self._leave()
            if packet == KILL:
                continue  # it crossed the news of that clip's end
            start = json.loads(packet)
            pid = os.fork()
            if pid == 0:
                self._look(descriptors, start["request"], start["cpu_seconds"])
            self._clip = pid
            for descriptor in descriptors:
                os.close(descriptor)
            status, cpu = self._watch(pid)
            self._clip = None
            self._say({"status": status, "cpu": cpu})

    def _watch(self, pid: int) -> tuple[int, float]:
        """Wait for a clip's process, killed when the parent says so: exit code, seconds."""
        while True:
            done, status, usage = os.wait4(pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
            ready = self._wait(self._control.fileno(), self._wake)
            if self._wake in ready:
                os.read(self._wake, 4096)
            if self._control.fileno() in ready:
                if not self._control.recv(MAX_PACKET):
                    self._leave()
                os.kill(pid, signal.SIGKILL)

    def _wait(self, *descriptors: int) -> set[int]:
        """Those that have something to read. Ends this process when its parent has ended.

        The socket alone does not tell: a sibling that the parent forked may hold its other end.
        """
        while True:
            if ready := readable(1.0, *descriptors):
                return ready
            if os.getppid() != self._parent:
                self._leave()

    def _say(self, packet: dict[str, Any]) -> None:
        try:
            self._control.send(json.dumps(packet).encode())
        except OSError:
            self._leave()

    def _leave(self) -> NoReturn:
        """The parent is gone: so is everything here."""
        if self._clip is not None:
            os.kill(self._clip, signal.SIGKILL)
        os._exit(0)

    def _probe(self) -> dict[str, bool]:
        """Which protections this host offers, tried in a fork."""
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                held = confine(ConfinementLimits(self._memory_bytes, 10), self._pid)
                os.write(writer, json.dumps(held).encode())
            finally:
                os._exit(0)
        os.close(writer)
        answer = os.read(reader, MAX_PACKET)
        os.close(reader)
        os.waitpid(pid, 0)
        held = json.loads(answer or "{}")
        return {str(name): bool(value) for name, value in held.items()}

    def _look(self, descriptors: list[int], request: dict[str, Any], cpu: int) -> NoReturn:
        """In the fork: confine, run the task over the clip, send what it gives. Never returns."""
        try:
            signal.set_wakeup_fd(-1)
            null = os.open(os.devnull, os.O_RDWR)
            kept = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, 10) for descriptor in descriptors]
            sources = (null, null, null, *kept)
            for target, source in enumerate(sources):
                os.dup2(source, target)
            os.closerange(len(sources), os.sysconf("SC_OPEN_MAX"))
            ranged = len(sources) > _CHANNEL
            file: BinaryIO = RangedFile(_FILE, _CHANNEL) if ranged else os.fdopen(_FILE, "rb")
            confine(ConfinementLimits(self._memory_bytes, cpu), self._pid)
            # An import from a file would now fail as if the clip were at fault: fail by its name.
            sys.meta_path[:] = [BuiltinImporter, FrozenImporter]
            for header, payload in self._task(file, request):
                _send(encode(MESSAGE, header, payload))
            _send(encode(DONE, {}))
        except MemoryError:
            os._exit(EXIT_MEMORY)
        except BaseException as error:  # noqa: BLE001 - the message below is the report
            # The type only: the text of an error may quote the clip.
            with contextlib.suppress(OSError):
                _send(encode(FAILED, {"type": type(error).__name__}))
            os._exit(EXIT_FAILED)
        os._exit(0)


def _send(message: bytes) -> None:
    view = memoryview(message)
    while view:
        view = view[os.write(_PIPE, view) :]
