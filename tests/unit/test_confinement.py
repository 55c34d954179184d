"""The system call filter, run as the kernel would run it, for machines that this one is not."""

from __future__ import annotations

import errno
import struct

import pytest

from hashmatch.media.confinement import system_call_filter

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS = 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
PID = 4711

# Linux's own tables: arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h.
NUMBERS = {
    "x86_64": {
        "read": 0, "write": 1, "lseek": 8, "mmap": 9, "futex": 202, "exit_group": 231,
        "getrandom": 318, "clock_nanosleep": 230, "getppid": 110,
        "open": 2, "openat": 257, "socket": 41, "connect": 42, "execve": 59, "execveat": 322,
        "fork": 57, "vfork": 58, "kill": 62, "ptrace": 101, "fcntl": 72, "ioctl": 16,
        "process_vm_readv": 310, "io_uring_setup": 425, "pidfd_open": 434, "openat2": 437,
        "memfd_create": 319, "unlinkat": 263, "setrlimit": 160, "bpf": 321, "prctl": 157,
        "clone": 56, "clone3": 435, "tgkill": 234, "prlimit64": 302,
    },
    "aarch64": {
        "read": 63, "write": 64, "lseek": 62, "mmap": 222, "futex": 98, "exit_group": 94,
        "getrandom": 278, "clock_nanosleep": 115, "getppid": 173,
        "openat": 56, "socket": 198, "connect": 203, "execve": 221, "execveat": 281,
        "kill": 129, "ptrace": 117, "fcntl": 25, "ioctl": 29,
        "process_vm_readv": 270, "io_uring_setup": 425, "pidfd_open": 434, "openat2": 437,
        "memfd_create": 279, "unlinkat": 35, "setrlimit": 164, "bpf": 280, "prctl": 167,
        "clone": 220, "clone3": 435, "tgkill": 131, "prlimit64": 261,
    },
}  # fmt: skip
HARMLESS = [
    *("read", "write", "lseek", "mmap", "futex", "exit_group"),
    *("getrandom", "clock_nanosleep", "getppid"),
]
GUARDED = ["clone", "clone3", "tgkill", "prlimit64"]


def answer(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter says of one call: classic BPF, as far as the filter uses it."""
    given = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("<IIQ6Q", number, AUDIT[machine] if audit is None else audit, 0, *given)
    program = list(struct.iter_unpack("HBBI", system_call_filter(machine, PID)))
    at = accumulator = 0
    while True:
        code, if_true, if_false, k = program[at]
        at += 1
        if code == 0x06:
            return int(k)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
            continue
        held = {
            0x15: accumulator == k,
            0x35: accumulator >= k,
            0x45: accumulator & k != 0,
        }[code]
        at += if_true if held else if_false


@pytest.fixture(params=list(NUMBERS))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_what_decoding_needs_is_allowed(machine: str) -> None:
    assert {name: answer(machine, NUMBERS[machine][name]) for name in HARMLESS} == dict.fromkeys(
        HARMLESS, ALLOW
    )


def test_everything_else_is_refused(machine: str) -> None:
    others = [name for name in NUMBERS[machine] if name not in (*HARMLESS, *GUARDED)]
    assert {name: answer(machine, NUMBERS[machine][name]) for name in others} == dict.fromkeys(
        others, EPERM
    )


def test_threads_may_be_started_and_processes_may_not(machine: str) -> None:
    clone = NUMBERS[machine]["clone"]
    assert answer(machine, clone, 0x3D0F00) == ALLOW  # the C library's flags for a thread
    assert answer(machine, clone, 0x1200011) == EPERM  # its flags for fork()
    assert answer(machine, NUMBERS[machine]["clone3"]) == ENOSYS  # then it takes clone()


def test_only_its_own_threads_may_be_signalled(machine: str) -> None:
    tgkill = NUMBERS[machine]["tgkill"]
    assert answer(machine, tgkill, PID, PID, 6) == ALLOW
    assert answer(machine, tgkill, PID + 1, PID + 1, 9) == EPERM
    assert answer(machine, tgkill, 2**32 - 1, 1, 9) == EPERM


@pytest.mark.parametrize("pointer", [1, 2**31, 2**32, 2**47])
def test_limits_may_be_read_and_not_set(machine: str, pointer: int) -> None:
    prlimit = NUMBERS[machine]["prlimit64"]
    assert answer(machine, prlimit, 0, 0, 0, pointer) == ALLOW
    assert answer(machine, prlimit, 0, 0, pointer, 0) == EPERM


def test_calls_of_another_machine_end_the_process(machine: str) -> None:
    assert answer(machine, NUMBERS[machine]["read"], audit=0x40000003) == KILL  # i386


@pytest.mark.parametrize("number", [500, 2**30, 2**30 + 1, 2**32 - 1])
def test_calls_newer_than_the_list_are_unknown(machine: str, number: int) -> None:
    """The x32 calls of x86-64 begin at 2**30: `read` there is not `read` here."""
    assert answer(machine, number) == ENOSYS


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(KeyError):
        system_call_filter("riscv64", PID)
