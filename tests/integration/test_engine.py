"""The engine, with real processes that die, hang and cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from hashmatch.errors import ConfigError
from hashmatch.model import Clip, Digests, Outcome, Verdict
from hashmatch.runs.local_executor import Done, Engine, Lost
from hashmatch.scanning.scanner import Scanned
from hashmatch.work import Task, Turn


@dataclass
class Looker:
    """Does what a clip's key says; the canary is seen unless it is blind."""

    blind: bool = False

    def scan(self, clips: Sequence[Clip], remembered: Sequence[Digests]) -> tuple[Scanned, ...]:
        for clip in clips:
            match clip.key:
                case "die":
                    os.kill(os.getpid(), signal.SIGKILL)
                case "hang":
                    time.sleep(600)
        verdict = Verdict(Outcome.CLEAN, None, 1.0)
        return tuple(
            Scanned(f"seen by {os.getpid()}", clip.size, verdict, None, 0.0) for clip in clips
        )

    def canary(self) -> str | None:
        return "it sees nothing" if self.blind else None

    def close(self) -> None:
        pass


def refuse() -> Looker:
    raise ConfigError(source="clips.url", problem="there is no such bucket")


def turn(number: int, *keys: str, size: int = 1) -> Turn:
    clips = [Clip(key, "e", size, datetime.now(UTC)) for key in keys]
    return Turn(tuple(Task(number + n, number + n, clip) for n, clip in enumerate(clips)))


def numbers(results: list[Done | Lost]) -> list[int]:
    return sorted(task.work_id for result in results for task in result.turn.tasks)


def work(engine: Engine, turns: list[Turn]) -> list[Done | Lost]:
    queue, results = list(turns), []
    while queue or engine.busy:
        while queue and engine.idle:
            engine.submit(queue.pop(0))
        results += engine.wait()
    return results


def patient(size: int) -> float:
    return 60.0


@pytest.fixture(scope="module")
def engine():
    with Engine(2, Looker, patient) as running:
        assert running.canary() == []
        yield running


def test_every_clip_comes_back_once(engine):
    results = work(engine, [turn(n, f"clip-{n}") for n in range(40)])
    assert numbers(results) == list(range(40))
    assert all(isinstance(result, Done) for result in results)


def test_a_worker_that_dies_costs_its_clip_and_no_other(engine):
    results = work(engine, [turn(n, "die" if n == 3 else "fine") for n in range(10)])
    assert numbers([result for result in results if isinstance(result, Lost)]) == [3]
    assert len(results) == 10
    assert engine.canary() == []


def test_a_worker_that_dies_of_one_rendition_gives_all_of_them_back(engine):
    results = work(engine, [turn(0, "fine", "die", "fine"), turn(3, "fine", "fine")])
    assert numbers([result for result in results if isinstance(result, Lost)]) == [0, 1, 2]
    (done,) = (result for result in results if isinstance(result, Done))
    assert (numbers([done]), len(done.scanned)) == ([3, 4], 2)


def test_a_worker_that_hangs_is_replaced():
    with Engine(1, Looker, lambda size: 60.0 if size else 0.5) as engine:
        results = work(engine, [turn(1, "hang", size=0), turn(2, "fine")])
    assert [type(result) for result in results] == [Lost, Done]


def test_a_blind_worker_fails_the_canary():
    with Engine(1, partial(Looker, blind=True), patient) as engine:
        assert engine.canary() == ["it sees nothing"]


def test_a_worker_that_cannot_start_says_why():
    with Engine(1, refuse, patient) as engine:
        assert engine.canary() == ["clips.url: there is no such bucket"]


def test_workers_end_with_a_killed_coordinator(tmp_path: Path):
    """No worker may go on reading clips when nobody records what it sees."""
    script = tmp_path / "coordinator.py"
    script.write_text(
        "import sys, time; sys.path[:0] = sys.argv[1:]\n"
        "from hashmatch.runs.local_executor import Engine\n"
        "from test_engine import Looker, patient, turn\n"
        "if __name__ == '__main__':\n"
        "    engine = Engine(2, Looker, patient)\n"
        "    engine.canary()\n"
        "    engine.submit(turn(1, 'hang'))\n"
        "    print(*[w.process.pid for w in engine._workers], flush=True)\n"
        "    time.sleep(60)\n"
    )
    here = Path(__file__).parent
    paths = [str(here), str(here.parent), str(here.parent.parent)]
    with subprocess.Popen(
        [sys.executable, str(script), *paths], stdout=subprocess.PIPE, text=True
    ) as coordinator:
        assert coordinator.stdout is not None
        workers = [int(pid) for pid in coordinator.stdout.readline().split()]
        assert len(workers) == 2
        coordinator.kill()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived its coordinator"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_does_not_end_a_worker_that_still_starts(number: int) -> None:
    with Engine(1, Looker, lambda size: 60.0) as engine:
        (worker,) = engine._workers
        pid = worker.process.pid
        assert pid is not None
        os.kill(pid, number)  # it is busy with imports
        assert engine.canary() == []
        assert [each.process.pid for each in engine._workers] == [pid]
        assert not signal.pthread_sigmask(signal.SIG_BLOCK, ())
