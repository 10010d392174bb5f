"""Hears every system call by which a command changes something, and kills at one of them.

The calls are those of `launcher.py`: files that are renamed, removed, made, linked, cut or synced, and programs that
are executed. They come one after the other, whichever thread makes them, so that "the seventh" is one moment of a run.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.sweep import launcher

Caller = Literal["own", "spawn", "tool", "daemon"]
#: how many words of a call are paths, and which of its arguments; -1: a descriptor
_PATHS = {
    "rename": (0, 1), "renameat": (1, 3), "renameat2": (1, 3), "unlink": (0,), "unlinkat": (1,), "rmdir": (0,),
    "mkdir": (0,), "mkdirat": (1,), "link": (0, 1), "linkat": (1, 3), "symlink": (0, 1), "symlinkat": (0, 2),
    "truncate": (0,), "execve": (0,),
}  # fmt: skip
_NAMES = {number: name for name, number in launcher.CALLS.items()}
#: struct seccomp_notif and seccomp_notif_resp of linux/seccomp.h, and what ioctl(2) is asked for them
_NOTICE, _ANSWER = struct.Struct("=QIIiIQ6Q"), struct.Struct("=QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_GO_ON = 1


@dataclass(frozen=True)
class Point:
    """A call before it is made. caller: `own`: of the command itself; `spawn`: of what it starts, which isn't another
    program yet; `tool`: of a program that it waits for; `daemon`: of what outlives it."""

    call: str
    paths: tuple[str, ...]
    caller: Caller

    def __str__(self) -> str:
        return f"{self.call} {' '.join(self.paths)} ({self.caller})"


class Tap:
    """Listens to one command and all that it starts, as long as any of them lives.

    strike: called with each point before the call is made; where it returns the number of an error, the call fails with
    that instead.
    """

    def __init__(self, strike: Callable[[Point], int] = lambda point: 0) -> None:
        self.points: list[Point] = []
        self._strike = strike
        self._ours, theirs = socket.socketpair()
        self._theirs = theirs
        self._command = 0
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self.prefix = (sys.executable, "-I", launcher.__file__, str(theirs.fileno()))
        self.pass_fds = (theirs.fileno(),)

    def follow(self, pid: int) -> None:
        """The command has been started with `prefix` and `pass_fds`."""
        self._command = pid
        self._theirs.close()
        self._thread.start()

    def kill(self) -> None:
        """The command, however busy."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._command, signal.SIGKILL)

    def _listen(self) -> None:
        with self._ours:
            _, found, _, _ = socket.recv_fds(self._ours, 1, 1)
        for listener in found:
            poll = select.poll()
            poll.register(listener, select.POLLIN)
            try:
                while not any(event & select.POLLHUP for _, event in poll.poll()):
                    self._hear(listener)
            finally:
                os.close(listener)

    def _hear(self, listener: int) -> None:
        """One call. It is given up where its caller has died meanwhile."""
        notice = bytearray(_NOTICE.size)
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, _RECEIVE, notice)
            number, thread, _, call, _, _, *arguments = _NOTICE.unpack(notice)
            refusal = 0
            try:
                point = self._point(thread, _NAMES[call], arguments)
                if point is not None:
                    self.points.append(point)
                    refusal = self._strike(point)
            finally:
                fcntl.ioctl(listener, _SEND, _ANSWER.pack(number, 0, -refusal, 0 if refusal else _GO_ON))

    def _point(self, thread: int, call: str, arguments: list[int]) -> Point | None:
        pid = int(_status(thread, "Tgid"))
        caller = self._caller(pid)
        # what becomes of the launcher
        if caller == "daemon" or (caller == "own" and call == "execve"):
            return None
        if call in _PATHS:
            paths = tuple(_text(thread, arguments[index]) for index in _PATHS[call])
        else:
            paths = (str(Path(f"/proc/{thread}/fd/{arguments[0]}").readlink()),)
        return None if _is_idle(thread, call, paths) else Point(call, paths, caller)

    def _caller(self, pid: int) -> Caller:
        if pid == self._command:
            return "own"
        own = Path(f"/proc/{self._command}/exe")
        if int(_status(pid, "PPid")) == self._command and _same(Path(f"/proc/{pid}/exe"), own) and _same_words(
            pid, self._command
        ):
            return "spawn"
        while pid not in (0, 1, self._command):
            # not of the caller alone: some servers write their title over their environment
            if b"DEVSTACK_RUN=" in Path(f"/proc/{pid}/environ").read_bytes():
                return "daemon"
            pid = int(_status(pid, "PPid"))
        return "tool"


def _is_idle(thread: int, call: str, paths: tuple[str, ...]) -> bool:
    """Does the call change nothing, because what it makes is there, or what it removes isn't?"""
    if call not in ("mkdir", "mkdirat", "unlink", "rmdir"):
        return False
    place = Path(f"/proc/{thread}/cwd").readlink() / paths[0]
    return place.exists() if call.startswith("mkdir") else not os.path.lexists(place)


def _same(one: Path, other: Path) -> bool:
    return one.readlink() == other.readlink()


def _same_words(one: int, other: int) -> bool:
    return Path(f"/proc/{one}/cmdline").read_bytes() == Path(f"/proc/{other}/cmdline").read_bytes()


def _status(pid: int, key: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split()[1] for line in lines if line.startswith(f"{key}:"))


def _text(thread: int, address: int) -> str:
    """A string of another process."""
    with Path(f"/proc/{thread}/mem").open("rb", buffering=0) as memory:
        memory.seek(address)
        found = b""
        while b"\0" not in found and len(found) < 4096:
            # not beyond the page: what follows may not be there
            piece = memory.read(4096 - (address + len(found)) % 4096)
            if not piece:
                break
            found += piece
    return os.fsdecode(found.partition(b"\0")[0])
