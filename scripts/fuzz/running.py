"""Many mutants by several processes, each with a decoder and a witness of its own.

for result, data in results(run, seeds, truths):
    result.finds                                  # data: of the mutant, where there are any
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from fuzz.examining import Result, examine
from fuzz.kinds import KINDS
from fuzz.looking import Looker
from fuzz.mutants import Seeds, Unfit, made
from fuzz.rules import Find
from fuzz.truth import Truth
from fuzz.witness import Witness
from hashmatch.config import Settings

# A process has all it needs after so many files; what it gains in memory from then on is growth.
_WARM = 300
_GROWTH_BYTES = 64 * 2**20


class WorkerDied(Exception):
    """A process that looks at mutants ended by itself."""


@dataclass(frozen=True)
class Run:
    """numbers: of the mutants, each of which its seed and number make."""

    seed: int
    numbers: Sequence[int]
    jobs: int


def numbers(first: int, count: int, only: str | None) -> list[int]:
    """The numbers of `count` mutants from `first` on: of all kinds in turn, or only of one."""
    if only is None:
        return list(range(first, first + count))
    place = list(KINDS).index(only)
    begin = first + (place - first) % len(KINDS)
    return list(range(begin, begin + count * len(KINDS), len(KINDS)))


def results(
    run: Run, seeds: Seeds, truths: Mapping[str, Truth]
) -> Iterator[tuple[Result, bytes | None]]:
    """In no order. Raises WorkerDied. Ends its processes however it ends, by SIGTERM too."""
    # Forked, so that no process draws or hashes the seeds again.
    context = multiprocessing.get_context("fork")
    answers: Any = context.Queue(maxsize=1000)
    workers = [
        context.Process(target=_work, args=(run, job, seeds, truths, answers), daemon=False)
        for job in range(run.jobs)
    ]
    before = signal.signal(signal.SIGTERM, _leave)
    working = run.jobs
    try:
        for worker in workers:
            worker.start()
        while working:
            try:
                answer = answers.get(timeout=5)
            except queue.Empty:
                if any(worker.exitcode not in (None, 0) for worker in workers):
                    raise WorkerDied("a process ended before its files did") from None
                continue
            if answer is None:
                working -= 1
            else:
                yield answer
    finally:
        for worker in workers:
            if worker.pid is not None:
                worker.terminate()
                worker.join()
        signal.signal(signal.SIGTERM, before)


def _leave(*_: object) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)


def _work(run: Run, job: int, seeds: Seeds, truths: Mapping[str, Truth], answers: Any) -> None:
    # At once, wherever it is: its decoder ends when it finds itself alone.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    with Witness() as witness, Looker(Settings()) as looker:
        settled = 0
        done = 0
        for number in run.numbers[job :: run.jobs]:
            try:
                mutant = made(seeds, KINDS, run.seed, number)
            except Unfit:
                continue
            result = examine(mutant, looker, witness, truths)
            answers.put((result, mutant.data if result.finds else None))
            done += 1
            if done == _WARM:
                settled = resident()
        if settled and (grown := resident() - settled) > _GROWTH_BYTES:
            find = Find("growth", f"{grown >> 20} MiB over {done - _WARM} files")
            answers.put((Result(-1, "growth", (), "", "", "growth", (find,)), None))
    answers.put(None)


def resident() -> int:
    """Bytes of memory that this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
