"""What a process gives up before it opens a file that may be out to take it over.

    protections = confine(ConfinementLimits(memory_bytes=3 * 2**30, cpu_seconds=600))

After it the process may compute, read the files it has open, write to its pipe, start threads and
end. Linux only. Each protection that the host does not offer is False in the answer; the limits are
not optional and raise OSError.

Not covered: side channels, and faults of the kernel in the few calls that are left.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from dataclasses import dataclass

_NOBODY = 65534
_OPEN_FILES = 64

# prctl(2)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2


@dataclass(frozen=True, slots=True)
class ConfinementLimits:
    """memory_bytes: address space; cpu_seconds: of all threads, from the process's start."""

    memory_bytes: int
    cpu_seconds: int


def confine(limits: ConfinementLimits, parent: int) -> dict[str, bool]:
    """Give up what decoding does not need, for good. parent: the pid whose death is this one's too.

    Answers which protections took hold. The process must have one thread.
    """
    _set_limits(limits)
    held = {"limits": True, "not_root": _leave_root()}
    # Only now: a change of user resets the death signal and the dumpable flag.
    held["dies_with_parent"] = _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    held["not_dumpable"] = _prctl(_PR_SET_DUMPABLE, 0)
    held["no_new_privileges"] = _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    held["system_calls"] = held["no_new_privileges"] and _filter_system_calls()
    return held


def _set_limits(limits: ConfinementLimits) -> None:
    fixed = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_AS: limits.memory_bytes,
    }
    for which, limit in fixed.items():
        _, hard = resource.getrlimit(which)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(which, (limit, limit))
    # SIGXCPU at the soft limit, SIGKILL at the hard one for a process that ignores it.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 2))


def _leave_root() -> bool:
    """Become nobody if this is root, with no capability left."""
    if os.geteuid() != 0:
        return True
    try:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    except OSError:
        return False
    return True


def _prctl(option: int, value: int, pointer: int = 0) -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = [ctypes.c_ulong(number) for number in (value, pointer, 0, 0)]
    return bool(libc.prctl(option, *arguments) == 0)


# The system calls that are left, by architecture: <asm/unistd_64.h> and <asm-generic/unistd.h>.
# No call that opens, names or changes a file, no socket, no other process, no tracing. `fcntl` is
# not among them: F_SETOWN can make the kernel send signals to others. `getppid` and its kin are:
# callers do not expect them to fail, and take the -1 of a refusal for an answer.
_PLAIN = {
    "x86_64": (
        *(0, 1, 8, 17, 3, 5, 262),  # read write lseek pread64 close fstat newfstatat
        *(9, 10, 11, 12, 25, 28),  # mmap mprotect munmap brk mremap madvise
        *(202, 273, 334, 283, 24, 204, 309),  # futex set_robust_list rseq membarrier sched_* getcpu
        *(13, 14, 15, 131),  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
        *(228, 229, 230, 35, 96, 201, 219),  # clock_* nanosleep gettimeofday time restart_syscall
        *(39, 186, 98, 99, 63, 318),  # getpid gettid getrusage sysinfo uname getrandom
        *(110, 102, 107, 104, 108),  # getppid getuid geteuid getgid getegid
        *(60, 231),  # exit exit_group
    ),
    "aarch64": (
        *(63, 64, 62, 67, 57, 80, 79),
        *(222, 226, 215, 214, 216, 233),
        *(98, 99, 293, 283, 124, 123, 168),
        *(134, 135, 139, 132),
        *(113, 114, 115, 101, 169, 128),
        *(172, 178, 165, 179, 160, 278),
        *(173, 174, 175, 176, 177),
        *(93, 94),
    ),
}


@dataclass(frozen=True, slots=True)
class _Guarded:
    """Calls whose arguments decide. audit: AUDIT_ARCH_* of <linux/audit.h>."""

    audit: int
    clone: int
    tgkill: int
    prlimit64: int
    clone3: int = 435


_GUARDED = {
    "x86_64": _Guarded(0xC000003E, clone=56, tgkill=234, prlimit64=302),
    "aarch64": _Guarded(0xC00000B7, clone=220, tgkill=131, prlimit64=261),
}
_NEWER_THAN_THIS_LIST = 470
_CLONE_THREAD = 0x10000

# Classic BPF over struct seccomp_data: nr at 0, arch at 4, arguments from 16, eight bytes each.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def system_call_filter(machine: str, pid: int) -> bytes:
    """The seccomp program, for `pid` alone. Raises KeyError for a machine it has no numbers of.

    Refused calls fail with EPERM, and with ENOSYS where the C library then takes an older way.
    """
    guarded = _GUARDED[machine]
    allow, refuse = (_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _ERRNO | errno.EPERM)
    unknown = (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)
    program = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, guarded.audit), (_RETURN, 0, 0, _KILL)]
    program.append((_LOAD, 0, 0, 0))
    for number in _PLAIN[machine]:
        program += [(_EQUAL, 0, 1, number), allow]
    # Threads, but no processes.
    program += [(_EQUAL, 0, 4, guarded.clone), (_LOAD, 0, 0, 16)]
    program += [(_ANY_BIT, 0, 1, _CLONE_THREAD), allow, refuse]
    # abort() and raise(), but no signal to anyone else.
    program += [(_EQUAL, 0, 4, guarded.tgkill), (_LOAD, 0, 0, 16)]
    program += [(_EQUAL, 0, 1, pid), allow, refuse]
    # Reading a limit: the pointer to a new one is null.
    program += [(_EQUAL, 0, 6, guarded.prlimit64), (_LOAD, 0, 0, 32), (_EQUAL, 0, 3, 0)]
    program += [(_LOAD, 0, 0, 36), (_EQUAL, 0, 1, 0), allow, refuse]
    program += [(_EQUAL, 0, 1, guarded.clone3), unknown]
    program += [(_AT_LEAST, 0, 1, _NEWER_THAN_THIS_LIST), unknown, refuse]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


def _filter_system_calls() -> bool:
    machine = platform.machine()
    if machine not in _GUARDED or sys.byteorder != "little" or sys.maxsize < 2**32:
        return False
    program = system_call_filter(machine, os.getpid())
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: unsigned short length, padding, pointer.
    header = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code)), 16
    )
    return _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(header))
