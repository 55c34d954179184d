"""A task over an untrusted file, in a process that has nothing and can reach nothing.

    limits = SandboxLimits(memory_bytes=3 * 2**30)
    with Sandbox("hashmatch.scanning.decoder_task:hash_frames", limits) as sandbox:
        for header, payload in sandbox.run(file.fileno(), request, deadline_seconds=60):
            ...

The task is a generator function `task(file, request)` that yields (JSON object, bytes) pairs. It
runs in a process of its own for each clip (`child`), with a clean environment and without network,
file system or other processes (`confinement`); what it says is bounded and checked (`messages`).
However that process ends, this one goes on: `run` raises ChildDied with the reason.

Not guaranteed: that what a task says is true. A clip that takes its decoder over can lie about
itself, but not about another clip.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from hashmatch.errors import HashmatchError, MediaError
from hashmatch.media.child import EXIT_MEMORY
from hashmatch.media.messages import DONE, FAILED, Incoming, Malformed, readable
from hashmatch.media.ranged import GRANTED, REQUEST
from hashmatch.media.zygote import End, SandboxBroken, Zygote, ZygoteGone
from hashmatch.model import Reason

__all__ = ["ChildDied", "Sandbox", "SandboxBroken", "SandboxLimits", "Supply"]

# Sees that bytes start..stop are in the file that the task reads. May raise, which ends the clip.
Supply = Callable[[int, int], None]


class ChildDied(HashmatchError):
    message = "The decoder ended before its clip did: {reason.text} ({detail})."
    exit_code = MediaError.exit_code

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason=reason, detail=detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """What one clip may take. A clip that takes more dies, alone.

    memory_bytes: address space; cpu_seconds: of all threads together, None for twice the deadline;
    message_bytes, output_bytes: of one message, and of all (each counts as 4 KiB at least).
    """

    memory_bytes: int
    cpu_seconds: float | None = None
    message_bytes: int = 4 * 2**20
    output_bytes: int = 256 * 2**20


class Sandbox:
    """Runs one task, for one clip at a time. Not for use by two threads at once.

    Nothing is started before the first `run` or `warm`. A copy in a forked process starts its own.
    """

    def __init__(self, task: str, limits: SandboxLimits) -> None:
        self._task = task
        self._limits = limits
        self._zygote: Zygote | None = None

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def protections(self) -> dict[str, bool]:
        """What shields this host from a decoder, by name; False: this host does not offer it."""
        return dict(self._started().protections)

    def warm(self) -> None:
        """Start the process now. Raises SandboxBroken."""
        self._started()

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.discard()
            self._zygote = None

    def run(
        self,
        fd: int,
        request: dict[str, Any],
        deadline_seconds: float,
        supply: Supply | None = None,
    ) -> Generator[tuple[dict[str, Any], bytes], None, None]:
        """What the task yields over the file `fd`, which it gets read-only and from its start.

        deadline_seconds: wall clock, from the first message asked for to the last, without what
        `supply` takes. supply: the task gets a `RangedFile`, whose bytes are asked for here. To stop
        early, close the iterator: that ends the clip's process. Raises ChildDied, SandboxBroken, and
        what `supply` raises.
        """
        cpu_seconds = self._limits.cpu_seconds or 2 * deadline_seconds
        with ExitStack() as channels:
            asked = None
            if supply is not None:
                asked = channels.enter_context(_Asked(supply, os.fstat(fd).st_size))
            zygote, pipe = self._begin(
                fd, request, math.ceil(cpu_seconds), asked.theirs if asked else None
            )
            done: bool | None = None
            try:
                done = yield from self._listen(pipe, deadline_seconds, asked)
            finally:
                os.close(pipe)
                end = zygote.end_clip(kill=done is None)
                if end is None and self._zygote is zygote:
                    self.close()
        if end is None:
            raise ChildDied(Reason.DECODER_CRASHED, "its parent process ended too")
        if end.code != 0 or not done:
            raise _cause(end, cpu_seconds)

    def _begin(
        self, fd: int, request: dict[str, Any], cpu: int, channel: int | None
    ) -> tuple[Zygote, int]:
        """Start a clip. A process that died while it was idle is replaced once, without a word."""
        try:
            zygote = self._started()
            return zygote, zygote.begin_clip(fd, request, cpu, channel)
        except ZygoteGone:
            self.close()
        zygote = self._started()
        try:
            return zygote, zygote.begin_clip(fd, request, cpu, channel)
        except ZygoteGone:
            self.close()
            raise SandboxBroken(problem="it ends as soon as it has started") from None

    def _started(self) -> Zygote:
        if self._zygote is not None and self._zygote.owner != os.getpid():
            self._zygote.forget()
            self._zygote = None
        if self._zygote is None:
            self._zygote = Zygote(self._task, self._limits.memory_bytes)
        return self._zygote

    def _listen(
        self, pipe: int, seconds: float, asked: _Asked | None
    ) -> Generator[tuple[dict[str, Any], bytes], None, bool]:
        """Messages, then whether the task said that it was done. Raises ChildDied."""
        incoming = Incoming(self._limits.message_bytes, self._limits.output_bytes)
        sources = (pipe,) if asked is None else (pipe, asked.fileno())
        ends_at = time.monotonic() + seconds
        try:
            while (left := ends_at - time.monotonic()) > 0 and (ready := readable(left, *sources)):
                if asked is not None and asked.fileno() in ready:
                    ends_at += asked.answer()
                if pipe not in ready:
                    continue
                data = os.read(pipe, 65536)
                if not data:
                    return False
                incoming.feed(data)
                for kind, header, payload in incoming:
                    if kind == DONE:
                        return True
                    if kind == FAILED:
                        raise ChildDied(Reason.DECODER_CRASHED, _type_name(header))
                    yield header, payload
        except Malformed as problem:
            raise ChildDied(Reason.DECODER_CRASHED, f"it sent {problem}") from None
        raise ChildDied(Reason.DECODER_HUNG, "past its deadline")


class _Asked:
    """Where a task asks for bytes of a file of `size` bytes, and gets them from `supply`."""

    def __init__(self, supply: Supply, size: int) -> None:
        self._supply, self._size = supply, size
        self._ours, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def __enter__(self) -> _Asked:
        return self

    def __exit__(self, *exception: object) -> None:
        self._ours.close()
        self._theirs.close()

    @property
    def theirs(self) -> int:
        return self._theirs.fileno()

    def fileno(self) -> int:
        return self._ours.fileno()

    def answer(self) -> float:
        """Take one request and meet it: the seconds that took. Raises Malformed."""
        started = time.monotonic()
        packet = self._ours.recv(2 * REQUEST.size)
        if len(packet) != REQUEST.size:
            raise Malformed("a request that is none")
        start, stop = REQUEST.unpack(packet)
        if not start < stop <= self._size:
            raise Malformed("a request for bytes that are not there")
        self._supply(start, stop)
        try:
            self._ours.send(GRANTED, socket.MSG_DONTWAIT)
        except BlockingIOError:
            raise Malformed("requests without waiting for the answers") from None
        return time.monotonic() - started


def _type_name(header: dict[str, Any]) -> str:
    """The exception's type; said by a process that may have been taken over."""
    name = header.get("type")
    if isinstance(name, str) and name.isidentifier() and name.isascii() and len(name) <= 64:
        return name
    return "an exception"


def _cause(end: End, cpu_seconds: float) -> ChildDied:
    if end.code == EXIT_MEMORY:
        return ChildDied(Reason.MEMORY_LIMIT, "out of memory")
    if end.code >= 0:
        return ChildDied(Reason.DECODER_CRASHED, f"exit status {end.code} before it was done")
    if end.by_us:
        return ChildDied(Reason.DECODER_HUNG, "it did not end when it was done")
    number = -end.code
    if number == signal.SIGXCPU or (number == signal.SIGKILL and end.cpu >= cpu_seconds):
        return ChildDied(Reason.TIME_LIMIT, f"{end.cpu:.0f} s of processor time")
    if number == signal.SIGKILL:
        return ChildDied(Reason.MEMORY_LIMIT, "killed, as the kernel does when memory runs out")
    return ChildDied(Reason.DECODER_CRASHED, f"signal {number}")
