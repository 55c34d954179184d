"""The engine: worker processes that look at clips, and what happens when one of them dies.

    with Engine(count, setup) as engine:
        while engine.idle and (turn := next_turn()):
            engine.submit(turn)
        for result in engine.wait():
            ...

A worker holds one clip, or the renditions of one, at a time, so its death costs at most that turn: it
comes back as `Lost` and a fresh worker takes the place. Workers write nothing to the database. They end
with the coordinator, however it ends.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from types import TracebackType
from typing import Protocol, Self

from hashmatch.errors import HashmatchError
from hashmatch.model import Clip, Digests
from hashmatch.scanning.scanner import Scanned
from hashmatch.work import Turn

logger = logging.getLogger(__name__)

CANARY_ATTEMPTS = 3
END_SECONDS = 10.0

_PR_SET_PDEATHSIG = 1
# Ctrl-C on a terminal and systemd's stop reach every process; how to end is the coordinator's.
_STOPS = (signal.SIGINT, signal.SIGTERM)


class Looker(Protocol):
    """What a worker does with its turns; made once in every worker."""

    def scan(self, clips: Sequence[Clip], remembered: Sequence[Digests]) -> tuple[Scanned, ...]:
        """Look at one clip or all renditions of one; a result for each, in their order."""
        ...

    def canary(self) -> str | None:
        """Look at the canary: None if it was seen, else what went wrong."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker died, or was ended because it hung, while it held this turn."""

    turn: Turn


@dataclass(frozen=True, slots=True, eq=False)
class Done:
    turn: Turn
    scanned: tuple[Scanned, ...]


class _Worker:
    def __init__(self, setup: Callable[[], Looker]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process: BaseProcess = context.Process(
            target=_work, args=(setup, theirs, os.getpid()), name="hashmatch-worker"
        )
        with _stops_held_back():
            self.process.start()
        theirs.close()
        self.turn: Turn | None = None
        self.deadline = 0.0

    def end(self) -> None:
        """Let an idle worker end its decoder and itself; end one that holds a clip at once."""
        self.pipe.close()
        if self.turn is None:
            self.process.join(END_SECONDS)
        self.process.kill()
        self.process.join()


class Engine:
    """Worker processes of this machine.

    setup: called in every worker, so it must be importable there (a module's function or partial).
    patience: seconds a worker may hold a clip before it counts as hung, given the clip's size.
    """

    def __init__(
        self, count: int, setup: Callable[[], Looker], patience: Callable[[int], float]
    ) -> None:
        self._setup = setup
        self._patience = patience
        self._workers = [_Worker(setup) for _ in range(count)]

    @property
    def idle(self) -> bool:
        return any(worker.turn is None for worker in self._workers)

    @property
    def busy(self) -> bool:
        return any(worker.turn is not None for worker in self._workers)

    def canary(self) -> list[str]:
        """Show the canary to every worker. Returns what went wrong, empty if all saw it.

        A worker that dies of something else meanwhile is replaced, and the fresh one is asked.
        """
        problems: list[str] = []
        asked = list(range(len(self._workers)))
        for attempt in range(1, CANARY_ATTEMPTS + 1):
            for number in asked:
                with contextlib.suppress(OSError):
                    self._workers[number].pipe.send("canary")
            dead = []
            for number in asked:
                pipe = self._workers[number].pipe
                try:
                    problem = pipe.recv() if pipe.poll(self._patience(0)) else "no answer"
                except (EOFError, OSError):
                    self._workers[number] = self._replace(self._workers[number])
                    dead.append(number)
                    problem = "the worker dies" if attempt == CANARY_ATTEMPTS else None
                if problem is not None:
                    problems.append(problem)
            asked = dead
        return problems

    def submit(self, turn: Turn) -> None:
        """Hand a turn to an idle worker."""
        worker = next(worker for worker in self._workers if worker.turn is None)
        worker.turn = turn
        patience = sum(self._patience(clip.size) for clip in turn.clips)
        worker.deadline = time.monotonic() + patience
        # A worker that died while idle is found by wait(), which gives the turn back.
        with contextlib.suppress(OSError):
            worker.pipe.send((turn.clips, turn.remembered))

    def wait(self, timeout: float = 1.0) -> list[Done | Lost]:
        """What came back within `timeout` seconds; empty if nothing did."""
        busy = {worker.pipe: worker for worker in self._workers if worker.turn is not None}
        ready = wait(list(busy), timeout)
        results: list[Done | Lost] = []
        for pipe, worker in busy.items():
            turn = worker.turn
            assert turn is not None
            if pipe in ready:
                try:
                    results.append(Done(turn, pipe.recv()))
                    worker.turn = None
                    continue
                except (EOFError, OSError):
                    pass
            elif time.monotonic() < worker.deadline:
                continue
            results.append(Lost(turn))
            self._workers[self._workers.index(worker)] = self._replace(worker)
        return results

    def _replace(self, worker: _Worker) -> _Worker:
        worker.end()
        return _Worker(self._setup)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.end()


@contextlib.contextmanager
def _stops_held_back() -> Iterator[None]:
    """A process that is started inside is deaf to them until it says otherwise.

    A worker imports for seconds before its first own line runs. What comes meanwhile to this process
    is delivered at the end.
    """
    ensure_running()  # the tracker of multiprocessing lets them through when it is started
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(setup: Callable[[], Looker], pipe: Connection, parent: int) -> None:
    """A worker's life: set up, then one request after the other until the pipe closes."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return
    try:
        looker = setup()
    except HashmatchError as error:
        pipe.recv()
        pipe.send(error.message)  # what the canary did not see
        return
    try:
        while True:
            request: tuple[Sequence[Clip], Sequence[Digests]] | str = pipe.recv()
            pipe.send(looker.canary() if isinstance(request, str) else looker.scan(*request))
    except (EOFError, OSError):
        pass  # the coordinator has closed the pipe
    except Exception as error:  # said in the log's own form, not as Python would
        logger.exception("a worker ends of what nobody expected")
        raise SystemExit(1) from error
    finally:
        looker.close()
