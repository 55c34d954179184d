"""The parent's side of `child`: starts the process that every clip's own is forked from.

    zygote = Zygote("hashmatch.scanning.decoder_task:hash_frames", memory_bytes=3 * 2**30)
    pipe = zygote.begin_clip(file.fileno(), request, cpu=600)
    zygote.end_clip(kill=False)          # End(code=0, cpu=1.7, by_us=False)

The process gets a clean environment and no descriptor but its socket. What it says of clips is the
word of code that never reads one.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashmatch.errors import HashmatchError, MediaError
from hashmatch.media.child import KILL, MAX_PACKET
from hashmatch.media.messages import readable

# Numba compiles the kernels when there is no cache yet.
_START_SECONDS = 180.0
_END_SECONDS = 5.0
_MAX_COMPLAINT = 8192

_BOOT = (
    "import sys; sys.path[:] = sys.argv[4:]; from hashmatch.media.child import main; "
    "main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]))"
)
# What a decoder needs of the environment; no credential is among it.
_ENVIRONMENT = ("PATH", "HOME", "XDG_CACHE_HOME", "LD_LIBRARY_PATH", "NUMBA_CACHE_DIR")
_FIXED_ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    # Each further arena takes 64 MiB of address space for every thread of the decoder.
    "MALLOC_ARENA_MAX": "2",
}


class SandboxBroken(HashmatchError):
    message = "The decoder process cannot start: {problem}"
    remedy = "No clip can be looked at until it does. Run `hashmatch doctor`."
    exit_code = MediaError.exit_code


@dataclass(frozen=True, slots=True)
class End:
    """How a clip's process ended. code: as of os.waitstatus_to_exitcode; cpu: seconds."""

    code: int
    cpu: float
    by_us: bool


class ZygoteGone(Exception):
    """The process that forks the decoders has ended."""


class Zygote:
    """One such process. Raises SandboxBroken if it does not start; owner: pid of who started it."""

    def __init__(self, task: str, memory_bytes: int) -> None:
        self.owner = os.getpid()
        self._busy = False
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        paths = [str(Path(entry).absolute()) for entry in sys.path]
        arguments = [str(theirs.fileno()), task, str(memory_bytes), *paths]
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, this package
                # Isolated: no environment, user folder or current folder decides what is imported.
                [sys.executable, "-I", "-c", _BOOT, *arguments],
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
                | _FIXED_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        try:
            self.protections: dict[str, bool] = self._first_packet()["protections"]
        except BaseException:
            self._process.kill()
            self.discard()
            raise

    def _first_packet(self) -> dict[str, Any]:
        """Wait for the imports; on failure say the last line of what the process said."""
        complaint = b""
        ends_at = time.monotonic() + _START_SECONDS
        assert self._process.stderr is not None
        with self._process.stderr as stderr:
            control, errors = self._control.fileno(), stderr.fileno()
            waiting = {control, errors}
            while waiting and (ready := readable(ends_at - time.monotonic(), *waiting)):
                if errors in ready:
                    text = os.read(errors, 65536)
                    complaint = (complaint + text)[-_MAX_COMPLAINT:]
                    waiting -= set() if text else {errors}
                if control in ready:
                    packet = self._control.recv(MAX_PACKET)
                    if packet:
                        started: dict[str, Any] = json.loads(packet)
                        return started
                    waiting -= {control}
        lines = complaint.decode(errors="replace").strip().splitlines()
        raise SandboxBroken(problem=lines[-1] if lines else "it does not answer")

    def begin_clip(
        self, fd: int, request: dict[str, Any], cpu: int, channel: int | None = None
    ) -> int:
        """Have a clip's process forked; the pipe to read its messages from. Raises ZygoteGone.

        channel: the child's end, where it is to ask for the bytes of the file (`ranged`).
        """
        if self._busy:
            raise RuntimeError("one clip at a time: the iterator over the last one is still open")
        # A fresh opening: the spooled file's own may be writable, and would share its position.
        file = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
        reader, writer = os.pipe()
        packet = json.dumps({"request": request, "cpu_seconds": cpu}).encode()
        try:
            ours = [file, writer] if channel is None else [file, writer, channel]
            socket.send_fds(self._control, [packet], ours)
        except OSError:
            os.close(reader)
            raise ZygoteGone from None
        finally:
            os.close(file)
            os.close(writer)
        self._busy = True
        return reader

    def end_clip(self, *, kill: bool) -> End | None:
        """How the clip's process ended, which it must soon or be killed. None: no answer."""
        control = self._control.fileno()
        kill = kill or not readable(_END_SECONDS, control)
        if kill:
            with contextlib.suppress(OSError):
                self._control.send(KILL)
            if not readable(_END_SECONDS, control):
                return None
        try:
            packet = json.loads(self._control.recv(MAX_PACKET))
        except (OSError, ValueError):
            return None
        self._busy = False
        return End(packet["status"], packet["cpu"], by_us=kill)

    def discard(self) -> None:
        """End the process, and with it the clip's; leaves no zombie."""
        self._control.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """In a fork of the owner: let go without ending what is not ours."""
        self._control.close()
        self._process.returncode = 0
