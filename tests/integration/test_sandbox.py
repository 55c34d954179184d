"""The sandbox: real processes that do their worst, and a parent that goes on."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from hashmatch.media.sandbox import ChildDied, Sandbox, SandboxBroken, SandboxLimits
from hashmatch.model import Reason

LIMITS = SandboxLimits(memory_bytes=2**30, message_bytes=2 * 2**20, output_bytes=8 * 2**20)
CLIP = b"the bytes of a clip" * 1000


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox("hostile_tasks:behave", LIMITS) as made:
        yield made


@pytest.fixture
def clip() -> Iterator[IO[bytes]]:
    with tempfile.TemporaryFile() as file:
        file.write(CLIP)
        file.flush()
        yield file


def run(
    sandbox: Sandbox, clip: IO[bytes], task: str, seconds: float = 20, **more: Any
) -> list[tuple[dict[str, Any], bytes]]:
    return list(sandbox.run(clip.fileno(), {"task": task, **more}, seconds))


def death(sandbox: Sandbox, clip: IO[bytes], task: str, seconds: float = 20, **more: Any) -> Reason:
    """The reason its clip's process died for; the next clip must go well."""
    with pytest.raises(ChildDied) as died:
        run(sandbox, clip, task, seconds, **more)
    [(header, content)] = run(sandbox, clip, "echo", mark=task)
    assert header["request"]["mark"] == task
    assert content == CLIP
    return died.value.reason


def kill(pid: int) -> None:
    """SIGKILL to one process. 0, 1 and -1 mean others, up to everyone."""
    assert pid > 1, f"not the pid of a process of this test: {pid}"
    os.kill(pid, signal.SIGKILL)


def gone(pid: int, seconds: float = 10) -> bool:
    """The process has ended; a zombie that nobody collects counts as ended."""
    assert pid > 1, f"not the pid of a process of this test: {pid}"
    ends_at = time.monotonic() + seconds
    while time.monotonic() < ends_at:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.02)
    return False


def test_a_task_gets_the_clip_from_its_start_and_its_request(
    sandbox: Sandbox, clip: IO[bytes]
) -> None:
    clip.seek(7)
    [(header, content)] = run(sandbox, clip, "echo", seconds=20, extra=[1, "two", None])
    assert content == CLIP
    assert header["request"]["extra"] == [1, "two", None]
    assert clip.tell() == 7


def test_a_clip_starts_in_a_process_that_no_other_clip_has_touched(
    sandbox: Sandbox, clip: IO[bytes]
) -> None:
    answers = [run(sandbox, clip, "remember")[0][0]["taken_over"] for _ in range(3)]
    assert answers == [False, False, False]


@pytest.mark.parametrize("task", ["crash", "abort", "vanish", "fail"])
def test_a_crash_is_the_clips_and_not_the_runs(
    sandbox: Sandbox, clip: IO[bytes], task: str
) -> None:
    assert death(sandbox, clip, task) is Reason.DECODER_CRASHED


def test_what_was_seen_before_a_crash_is_kept(sandbox: Sandbox, clip: IO[bytes]) -> None:
    messages = sandbox.run(clip.fileno(), {"task": "crash"}, 20)
    assert next(messages) == ({"before": True}, b"")
    with pytest.raises(ChildDied):
        next(messages)


def test_an_error_tells_its_type_and_no_text_of_the_clip(
    sandbox: Sandbox, clip: IO[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ChildDied) as died:
        run(sandbox, clip, "fail")
    assert died.value.detail == "ZeroDivisionError"
    run(sandbox, clip, "chatter")
    assert "the text of the clip" not in "".join(capfd.readouterr()) + died.value.message


def test_an_import_that_comes_too_late_is_called_what_it_is(
    sandbox: Sandbox, clip: IO[bytes]
) -> None:
    with pytest.raises(ChildDied) as died:
        run(sandbox, clip, "import_late")
    assert died.value.detail == "ModuleNotFoundError"


@pytest.mark.parametrize("task", ["sleep", "spin", "drip"])
def test_a_decoder_that_hangs_is_ended_at_its_deadline(
    sandbox: Sandbox, clip: IO[bytes], task: str
) -> None:
    started = time.monotonic()
    assert death(sandbox, clip, task, seconds=0.5) is Reason.DECODER_HUNG
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("task", ["spin", "spin_on"])
def test_processor_time_has_a_limit_of_its_own(clip: IO[bytes], task: str) -> None:
    limits = SandboxLimits(memory_bytes=2**30, cpu_seconds=1)
    with Sandbox("hostile_tasks:behave", limits) as sandbox:
        assert death(sandbox, clip, task, seconds=30) is Reason.TIME_LIMIT


def test_memory_has_a_limit(sandbox: Sandbox, clip: IO[bytes]) -> None:
    assert death(sandbox, clip, "eat_memory") is Reason.MEMORY_LIMIT


@pytest.mark.parametrize("task", ["flood", "huge_message"])
def test_output_has_a_limit(sandbox: Sandbox, clip: IO[bytes], task: str) -> None:
    assert death(sandbox, clip, task) is Reason.DECODER_CRASHED


@pytest.mark.parametrize(
    "raw",
    [
        b"\x80\x04\x95garbage of any kind, longer than the head of a message",
        b"m\xff\xff\xff\xff\xff\xff\xff\xff",
        b"m\x00\x00\x00\x02\xff\xff\xff\xff{}",
        b"x\x00\x00\x00\x02\x00\x00\x00\x00{}",
        b"m\x00\x00\x00\x02\x00\x00\x00\x00[]",
        b"m\x00\x00\x00\x02\x00\x00\x00\x00{]",
        b'm\x00\x00\x00\x0a\x00\x00\x00\x00{"t": NaN}',
        b"m\x00\x00\x27\x10\x00\x00\x00\x00" + b"[" * 10_000,
        b"m\x00\x00\x00\x02\x00\x00\x00\x00\xff\xfe",
    ],
    ids=lambda raw: raw[:9].hex(),
)
def test_a_process_that_leaves_the_protocol_is_ended_at_once(
    sandbox: Sandbox, clip: IO[bytes], raw: bytes
) -> None:
    started = time.monotonic()
    assert death(sandbox, clip, "send_raw", raw=raw.hex()) is Reason.DECODER_CRASHED
    assert time.monotonic() - started < 5


def test_a_process_that_is_done_and_stays_is_ended(
    sandbox: Sandbox, clip: IO[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashmatch.media.zygote._END_SECONDS", 0.5)
    assert death(sandbox, clip, "linger") is Reason.DECODER_HUNG


def test_stopping_early_ends_the_clips_process_and_nothing_of_it_is_heard_again(
    sandbox: Sandbox, clip: IO[bytes]
) -> None:
    messages = sandbox.run(clip.fileno(), {"task": "pids_and_sleep"}, 60)
    pid = next(messages)[0]["pids"][0]
    messages.close()
    assert gone(pid)
    [(header, _)] = run(sandbox, clip, "echo", mark=1)
    assert header["request"]["mark"] == 1


def test_a_task_may_ask_for_the_parts_it_needs(sandbox: Sandbox, clip: IO[bytes]) -> None:
    asked: list[tuple[int, int]] = []
    request = {"task": "ask", "parts": [[18, 36], [0, 4], [len(CLIP) - 3, len(CLIP) + 50]]}
    messages = sandbox.run(
        clip.fileno(), request, 20, supply=lambda start, stop: asked.append((start, stop))
    )
    assert [content for _, content in messages] == [CLIP[18:36], CLIP[:4], CLIP[-3:]]
    assert asked == [(18, 36), (0, 4), (len(CLIP) - 3, len(CLIP))]


def test_what_a_task_asks_for_is_in_the_file_before_it_reads(sandbox: Sandbox) -> None:
    with tempfile.TemporaryFile() as sparse:
        sparse.truncate(len(CLIP))

        def supply(start: int, stop: int) -> None:
            os.pwrite(sparse.fileno(), CLIP[start:stop], start)

        request = {"task": "ask", "parts": [[100, 200], [0, len(CLIP)]]}
        messages = list(sandbox.run(sparse.fileno(), request, 20, supply))
    assert [content for _, content in messages] == [CLIP[100:200], CLIP]


@pytest.mark.parametrize(
    ("packet", "times"),
    [
        (struct.pack(">QQ", 0, len(CLIP) + 1), 1),
        (struct.pack(">QQ", 5, 5), 1),
        (struct.pack(">QQ", 2**64 - 1, 2), 1),
        (struct.pack(">Qq", 0, -1), 1),
        (b"x", 1),
        (bytes(4096), 1),
        (struct.pack(">QQ", 0, 1), 100_000),
    ],
    ids=["beyond", "nothing", "backwards", "negative", "short", "long", "flood"],
)
def test_a_process_that_asks_for_nonsense_is_ended_at_once(
    sandbox: Sandbox, clip: IO[bytes], packet: bytes, times: int
) -> None:
    request = {"task": "ask_raw", "packet": packet.hex(), "times": times}
    started = time.monotonic()
    with pytest.raises(ChildDied) as died:
        list(sandbox.run(clip.fileno(), request, 50, supply=lambda *_: None))
    assert died.value.reason is Reason.DECODER_CRASHED
    assert time.monotonic() - started < 40
    assert run(sandbox, clip, "echo")[0][1] == CLIP


def test_what_keeps_a_part_from_coming_ends_the_clip_and_is_raised(
    sandbox: Sandbox, clip: IO[bytes]
) -> None:
    def supply(start: int, stop: int) -> None:
        raise ConnectionError("the storage is gone")

    with pytest.raises(ConnectionError):
        list(sandbox.run(clip.fileno(), {"task": "ask", "parts": [[0, 4]]}, 20, supply))
    assert run(sandbox, clip, "echo")[0][1] == CLIP


def test_waiting_for_storage_is_not_the_decoders_time(sandbox: Sandbox, clip: IO[bytes]) -> None:
    def supply(start: int, stop: int) -> None:
        time.sleep(1.5)

    request = {"task": "ask", "parts": [[0, 4], [4, 8]]}
    messages = list(sandbox.run(clip.fileno(), request, 2, supply))
    assert [content for _, content in messages] == [CLIP[:4], CLIP[4:8]]


def test_one_sandbox_refuses_two_clips_at_a_time(sandbox: Sandbox, clip: IO[bytes]) -> None:
    messages = sandbox.run(clip.fileno(), {"task": "sleep"}, 60)
    next(messages)
    with pytest.raises(RuntimeError, match="one clip at a time"):
        run(sandbox, clip, "echo")
    messages.close()


def test_a_sandbox_whose_idle_process_was_killed_starts_another(clip: IO[bytes]) -> None:
    with Sandbox("hostile_tasks:behave", LIMITS) as sandbox:
        messages = sandbox.run(clip.fileno(), {"task": "pids_and_sleep"}, 60)
        _, zygote = next(messages)[0]["pids"]
        messages.close()
        kill(zygote)
        assert gone(zygote)
        assert run(sandbox, clip, "echo")[0][1] == CLIP


def test_a_process_that_is_killed_with_its_clip_is_reported_and_replaced(clip: IO[bytes]) -> None:
    with Sandbox("hostile_tasks:behave", LIMITS) as sandbox:
        messages = sandbox.run(clip.fileno(), {"task": "pids_and_sleep"}, 60)
        child, zygote = next(messages)[0]["pids"]
        kill(zygote)
        with pytest.raises(ChildDied):
            next(messages)
        assert gone(child)
        assert run(sandbox, clip, "echo")[0][1] == CLIP


def test_the_kernel_killing_a_decoder_is_taken_for_want_of_memory(
    sandbox: Sandbox, clip: IO[bytes]
) -> None:
    messages = sandbox.run(clip.fileno(), {"task": "pids_and_sleep"}, 60)
    kill(next(messages)[0]["pids"][0])
    with pytest.raises(ChildDied) as died:
        next(messages)
    assert died.value.reason is Reason.MEMORY_LIMIT


def test_no_credential_and_no_descriptor_reaches_a_decoder(
    clip: IO[bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "HASHMATCH_DATABASE__URL", "PGPASSWORD", "PYTHONPATH"):
        monkeypatch.setenv(name, "a secret")
    inheritable = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inheritable, True)
    try:
        with Sandbox("hostile_tasks:look_around", LIMITS) as sandbox:
            [(seen, _)] = sandbox.run(clip.fileno(), {}, 20)
    finally:
        os.close(inheritable)
    assert "a secret" not in seen["environment"].values()
    assert not [name for name in seen["environment"] if name.startswith(("AWS", "HASHMATCH", "PG"))]
    assert seen["environment"]["OPENBLAS_NUM_THREADS"] == "1"
    assert seen["descriptors"] == [0, 1, 2, 3, 4]  # nothing, the clip, the pipe
    assert seen["core"] == [0, 0]
    assert seen["memory"] == [2**30, 2**30]


def test_a_decoder_cannot_reach_network_files_or_other_processes(
    sandbox: Sandbox, clip: IO[bytes], tmp_path: Path
) -> None:
    if not sandbox.protections["system_calls"]:
        pytest.skip("this host has no system call filter")
    victim = tmp_path / "victim"
    victim.write_bytes(b"kept")
    [(outcomes, _)] = run(
        sandbox, clip, "reach_out", folder=str(tmp_path), victim=str(victim), parent=os.getpid()
    )
    assert [name for name, outcome in outcomes.items() if outcome == "allowed"] == []
    assert [path.name for path in tmp_path.iterdir()] == ["victim"]
    assert os.pread(clip.fileno(), len(CLIP), 0) == CLIP


def test_a_decoder_may_have_threads(sandbox: Sandbox, clip: IO[bytes]) -> None:
    assert run(sandbox, clip, "start_threads")[0][0] == {"answers": list(range(8))}


def test_this_host_holds_every_protection(sandbox: Sandbox) -> None:
    missing = [name for name, held in sandbox.protections.items() if not held]
    if missing:
        pytest.skip(f"not offered here: {', '.join(missing)}")
    assert sandbox.protections["limits"]


def test_many_clips_leave_no_descriptor_and_no_zombie(clip: IO[bytes]) -> None:
    def descriptors() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    open_before, children_before = descriptors(), children()
    with Sandbox("hostile_tasks:behave", LIMITS) as sandbox:
        for task in ["echo", "crash", "fail", "vanish"] * 10:
            with contextlib.suppress(ChildDied):
                run(sandbox, clip, task)
        for _ in sandbox.run(clip.fileno(), {"task": "pids_and_sleep"}, 20):
            break
        assert descriptors() == open_before + 1  # the control socket
    assert descriptors() == open_before
    assert children() == children_before


def test_a_task_that_does_not_exist_is_named_and_blamed_on_no_clip(clip: IO[bytes]) -> None:
    with (
        Sandbox("hashmatch.media.nowhere:look", LIMITS) as sandbox,
        pytest.raises(SandboxBroken, match="nowhere"),
    ):
        run(sandbox, clip, "echo")


def _in_a_worker(answers: Any) -> None:
    with tempfile.TemporaryFile() as clip, Sandbox("hostile_tasks:behave", LIMITS) as sandbox:
        clip.write(CLIP)
        clip.flush()
        with pytest.raises(ChildDied):
            run(sandbox, clip, "crash")
        answers.put(run(sandbox, clip, "echo")[0][1] == CLIP)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_daemon_worker_may_have_a_sandbox(method: Any) -> None:
    context = multiprocessing.get_context(method)
    answers = context.Queue()
    worker = context.Process(target=_in_a_worker, args=(answers,), daemon=True)
    worker.start()
    assert answers.get(timeout=60)
    worker.join(10)


def test_a_forked_copy_of_a_sandbox_starts_its_own(sandbox: Sandbox, clip: IO[bytes]) -> None:
    def ppid(made: Sandbox) -> int:
        messages = made.run(clip.fileno(), {"task": "pids_and_sleep"}, 20)
        try:
            return int(next(messages)[0]["pids"][1])
        finally:
            messages.close()

    ours = ppid(sandbox)
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            os.write(writer, str(ppid(sandbox)).encode())
            sandbox.close()
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(pid, 0)
    theirs = int(os.read(reader, 100))
    os.close(reader)
    assert theirs != ours
    assert gone(theirs)
    assert ppid(sandbox) == ours


KILLED_PARENT = """
import os, sys, tempfile, time
sys.path[:] = {path!r}
from hashmatch.media.sandbox import Sandbox, SandboxLimits
with tempfile.TemporaryFile() as clip:
    sandbox = Sandbox("hostile_tasks:behave", SandboxLimits(memory_bytes=2**30))
    messages = sandbox.run(clip.fileno(), {{"task": "pids_and_sleep"}}, 60)
    pids = next(messages)[0]["pids"]
    sibling = os.fork() if {sibling} else 0
    if sibling or not {sibling}:
        print(*pids, sibling, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("sibling", [False, True], ids=["alone", "with a forked sibling"])
def test_a_parent_that_is_killed_leaves_no_process_behind(sibling: bool) -> None:
    script = KILLED_PARENT.format(
        path=[str(Path(entry).absolute()) for entry in sys.path], sibling=sibling
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child, zygote, forked = (int(pid) for pid in parent.stdout.readline().split())
        parent.send_signal(signal.SIGKILL)
        try:
            assert gone(child)
            assert gone(zygote)
        finally:
            if forked:
                kill(forked)
