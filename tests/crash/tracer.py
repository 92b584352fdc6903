"""Kills a server right before its n-th call that changes a file below a folder, counted over all its threads.

`strace -e inject=...:when=N` counts for each thread and each system call alone, so with a thread pool
no N names one point of an upload's way. This counts as one line: python -m tests.crash.tracer PID FOLDER N.
It prints `attached`, then, when the process is dead, the calls that it made as JSON; with N = 0 it
only counts. PTRACE_SEIZE and PTRACE_GET_SYSCALL_INFO are Linux's (ptrace(2), since 5.3).
"""

import contextlib
import ctypes
import json
import os
import signal
import struct
import sys
from pathlib import Path

SEIZE, INTERRUPT, SYSCALL, GET_SYSCALL_INFO = 0x4206, 0x4207, 24, 0x420E
TRACE_SYSGOOD, TRACE_CLONE = 0x1, 0x8
ALL_THREADS = 0x40000000  # __WALL
SYSCALL_STOP = signal.SIGTRAP | 0x80
STOP_EVENT = 128
ENTRY = 1
AT_FDCWD = -100

# What names the place: an open descriptor, a path, or a folder's descriptor and a path. Numbers of x86-64.
BY_FD = {1: "write", 18: "pwrite64", 20: "writev", 296: "pwritev", 74: "fsync", 75: "fdatasync", 77: "ftruncate"}
BY_FD[285] = "fallocate"
BY_PATH = {82: "rename", 83: "mkdir", 84: "rmdir", 86: "link", 87: "unlink", 76: "truncate", 85: "creat"}
BY_FOLDER = {257: "openat", 258: "mkdirat", 263: "unlinkat", 264: "renameat", 265: "linkat", 316: "renameat2"}
OPEN = 2

_ptrace = ctypes.CDLL(None, use_errno=True).ptrace
_ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_ptrace.restype = ctypes.c_long


def ptrace(request: int, thread: int, address: int = 0, data: int = 0) -> int:
    result = int(_ptrace(request, thread, address, data))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


class Tracer:
    """One process, watched until it ends."""

    def __init__(self, pid: int, folder: str, kill_before: int) -> None:
        self.pid = pid
        self.folder = folder
        self.kill_before = kill_before
        self.calls: list[str] = []
        self._memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY)

    def attach(self) -> set[int]:
        """Take hold of every thread; give those that are yet to stop for the first time."""
        held: set[int] = set()
        while fresh := {int(task.name) for task in Path(f"/proc/{self.pid}/task").iterdir()} - held:
            for thread in fresh:
                held.add(thread)
                with contextlib.suppress(ProcessLookupError):
                    ptrace(SEIZE, thread, 0, TRACE_SYSGOOD | TRACE_CLONE)
                    ptrace(INTERRUPT, thread)
        return held

    def run(self) -> None:
        """Watch until the process is dead."""
        missing = self.attach()
        told = False
        while True:
            try:
                thread, status = os.waitpid(-1, ALL_THREADS)
            except ChildProcessError:
                return
            missing.discard(thread)
            if os.WIFSTOPPED(status):
                self._stopped(thread, status)
            if not missing and not told:
                told = True
                print("attached", flush=True)  # noqa: T201 - its answer

    def _stopped(self, thread: int, status: int) -> None:
        number, event = os.WSTOPSIG(status), status >> 16
        passed_on = 0
        if number == SYSCALL_STOP:
            self._at_call(thread)
        elif not event:
            passed_on = number
        with contextlib.suppress(ProcessLookupError):
            ptrace(SYSCALL, thread, 0, passed_on)

    def _at_call(self, thread: int) -> None:
        info = ctypes.create_string_buffer(88)
        try:
            ptrace(GET_SYSCALL_INFO, thread, len(info), ctypes.addressof(info))
        except ProcessLookupError:
            return
        if info.raw[0] != ENTRY:
            return
        number, *arguments = struct.unpack_from("<7Q", info.raw, 24)
        if (call := self._name(number, arguments)) is None:
            return
        self.calls.append(call)
        if len(self.calls) == self.kill_before:
            os.kill(self.pid, signal.SIGKILL)

    def _name(self, number: int, arguments: list[int]) -> str | None:
        """Describe a call that changes something below the folder; None for any other."""
        places: list[str] = []
        if number in BY_FD:
            name, places = BY_FD[number], [self._fd(arguments[0])]
        elif number in BY_PATH:
            name, places = BY_PATH[number], [self._text(arguments[0])]
        elif number in BY_FOLDER:
            name, places = BY_FOLDER[number], [self._text(arguments[1])]
        elif number == OPEN:
            name, places = "open", [self._text(arguments[0])]
        else:
            return None
        flags = arguments[2] if name == "openat" else arguments[1] if name == "open" else None
        if flags is not None and not flags & (os.O_CREAT | os.O_TRUNC):
            return None  # it changes nothing: the disk is the same before the next call
        if not places[0].startswith(self.folder):
            return None
        return f"{name} {Path(places[0]).relative_to(self.folder)}"

    def _fd(self, fd: int) -> str:
        try:
            return str(Path(f"/proc/{self.pid}/fd/{fd}").readlink())
        except OSError:
            return ""

    def _text(self, address: int) -> str:
        try:
            return os.pread(self._memory, 4096, address).split(b"\0", 1)[0].decode(errors="replace")
        except OSError:
            # The page after the text may not be there.
            with contextlib.suppress(OSError):
                return os.pread(self._memory, 4096 - address % 4096, address).split(b"\0", 1)[0].decode()
            return ""


def main() -> None:
    pid, folder, kill_before = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    tracer = Tracer(pid, folder, kill_before)
    tracer.run()
    print(json.dumps(tracer.calls), flush=True)  # noqa: T201 - its answer


if __name__ == "__main__":
    main()
