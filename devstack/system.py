"""The one door to subprocesses, sockets, clock, files and the environment.

No other module imports subprocess or socket. Nothing here knows what a profile or a service is, decides, or prints.
Every call that could wait has a deadline, measured on the monotonic clock, and ends early when the run is cancelled.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
import select
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.errors import InterruptedRunError, PrerequisiteError
from devstack.files import Files, storage_error, storage_errors
from devstack.network import Holder, Network
from devstack.processes import Identity, Processes
from devstack.relays import Relays

__all__ = [
    "Child", "Completed", "Files", "Holder", "Identity", "Processes", "System", "storage_error", "storage_errors",
]

if TYPE_CHECKING:
    pass

Child = subprocess.Popen[bytes]
_TAIL = 200
#: seconds between two looks at whether a command is to be ended
_SLICE = 0.1
#: seconds for the output of a command that has ended
_LAST_WORDS = 1.0


@dataclass(frozen=True)
class Completed:
    """A finished command. `output` holds its last lines (stdout and stderr together unless they were split)."""

    returncode: int
    output: str
    stdout: str = ""
    timed_out: bool = False

    def last_lines(self, count: int = 12) -> tuple[str, ...]:
        return tuple(self.output.splitlines()[-count:])


class System(Files, Network, Processes, Relays):
    """The machine, as this process may see and change it."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.environ: dict[str, str] = dict(os.environ if environ is None else environ)
        self._trusted = {}
        self.cancelled = threading.Event()

    # --- clock -------------------------------------------------------------------------------------------------------

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def pause(self, seconds: float) -> None:
        """Wait, but end at once with InterruptedRunError when the run is cancelled."""
        if self.cancelled.wait(seconds):
            raise InterruptedRunError("interrupted", "stopped on request", fix="devstack up")

    def until(self, check: Callable[[], bool], timeout: float, every: float = 0.05) -> bool:
        """Ask `check` until it says yes (True) or the time is over (False)."""
        deadline = self.monotonic() + timeout
        while not check():
            if self.monotonic() >= deadline:
                return False
            self.pause(every)
        return True

    # --- commands ----------------------------------------------------------------------------------------------------

    def run(  # noqa: PLR0913 - one call with every bound that a command can have, all by keyword
        self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None, log: Path | None = None, stall: float = math.inf,
    ) -> Completed:
        """Run a command to its end: no stdin, own process group, killed whole at the deadline or on cancel.

        env: the whole environment of the child; None: this one's. on_line: called with each line of output, from
        another thread. log: file that the output is appended to (0600). stall: seconds of silence after which it is
        ended as if at its deadline. Raises PrerequisiteError where the program
        can't be executed, InterruptedRunError on cancel. A non-zero status is an answer, not an error.
        """
        with contextlib.ExitStack() as opened:
            file = opened.enter_context(self.open_private(log, os.O_APPEND)) if log else None
            child = self._popen(argv, env, cwd, stderr=subprocess.STDOUT)
            # the reader may outlive this call, and closes the log itself
            kept = opened.pop_all()
        tail: deque[str] = deque(maxlen=_TAIL)
        heard = [self.monotonic()]

        def hear(line: str) -> None:
            heard[0] = self.monotonic()
            tail.append(line)
            if on_line is not None:
                on_line(line)

        def read() -> None:
            with kept:
                self._drain(child, hear, file)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        timed_out = False
        deadline = self.monotonic() + timeout
        while child.poll() is None:
            self._end_if_cancelled(child, argv)
            if self.monotonic() > min(deadline, heard[0] + stall):
                timed_out = True
                self._end(child)
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_SLICE)
        # a grandchild may hold the pipe open for ever: what it says after its parent's end isn't waited for
        reader.join(_LAST_WORDS)
        return Completed(child.returncode, "\n".join(tail), timed_out=timed_out)

    def capture(
        self, argv: Sequence[str], *, timeout: float, env: Mapping[str, str] | None = None, cwd: Path | None = None,
    ) -> Completed:
        """Run a quick command and keep all of stdout apart from stderr (`output`). Raises as `run`."""
        child = self._popen(argv, env, cwd, stderr=subprocess.PIPE)
        deadline = self.monotonic() + timeout
        timed_out = False
        out = err = b""
        with child.stdout or contextlib.nullcontext(), child.stderr or contextlib.nullcontext():
            while True:
                try:
                    out, err = child.communicate(timeout=_SLICE)
                    break
                except subprocess.TimeoutExpired as so_far:
                    out, err = so_far.stdout or b"", so_far.stderr or b""
                now = self.monotonic()
                if timed_out or child.poll() is not None:
                    # as in `run`: a grandchild holds the pipe
                    deadline = min(deadline, now + _LAST_WORDS)
                    if now >= deadline:
                        break
                    continue
                self._end_if_cancelled(child, argv)
                if now > deadline:
                    timed_out = True
                    self._end(child)
                    deadline = self.monotonic() + _LAST_WORDS
        return Completed(child.returncode, err.decode(errors="replace"), out.decode(errors="replace"), timed_out)

    def foreground(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, is_aside: bool = False,
        timeout: float | None = None, on_start: Callable[[int], None] = lambda pid: None,
    ) -> int:
        """Run a command on this terminal, its signals its own; returns its status as a shell would (128 + signal).

        is_aside: its output goes to stderr, where stdout is for a document. timeout: seconds, None: as long as it
        likes. on_start: gets its pid. Raises TimeoutError.
        """
        # the child gets the terminal's Ctrl-C itself; this process only waits for what it makes of it
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            try:
                child = subprocess.Popen(
                    argv, env=dict(env), cwd=cwd, stdout=2 if is_aside else None,
                    # an ignored signal is inherited through exec; the command must feel Ctrl-C
                    preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs
                )
            except OSError as error:
                raise _cannot_execute(argv[0], error) from None
            threading.Thread(target=self._end_with_this, args=(child,), daemon=True).start()
            on_start(child.pid)
            try:
                code = child.wait(timeout)
            except subprocess.TimeoutExpired:
                self._end_one(child)
                raise TimeoutError(f"no end after {timeout:g} s") from None
        finally:
            signal.signal(signal.SIGINT, previous)
        return 128 - code if code < 0 else code

    def beside(self, argv: Sequence[str]) -> Child:
        """Start a command whose streams, environment, folder and process group are this process's own."""
        try:
            return subprocess.Popen(argv)
        except OSError as error:
            raise _cannot_execute(argv[0], error) from None

    def _end_with_this(self, child: subprocess.Popen[bytes]) -> None:
        """Whoever ends this process means the command that it waits for."""
        self.cancelled.wait()
        child.terminate()

    def spawn(
        self, argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, lock: int | None = None
    ) -> int:
        """Start a process that outlives this one (own session, no stdin, output appended to `log`); returns its pid.

        lock: descriptor of a `heritable_lock` that the process holds from now on.
        """
        with self.open_private(log, os.O_APPEND) as output:
            try:
                child = subprocess.Popen(
                    argv, env=dict(env), cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                    start_new_session=True, umask=0o077, pass_fds=() if lock is None else (lock,),
                )
            except OSError as error:
                raise _cannot_execute(argv[0], error) from None
        # reaped in the background, so that its end is seen as an end and not as a zombie
        threading.Thread(target=child.wait, daemon=True).start()
        return child.pid

    def as_user(self, user: str | None, argv: Sequence[str]) -> tuple[str, ...]:
        """The words that run a command as this account. Raises PrerequisiteError where that isn't possible."""
        if user is None or user == self.user_name():
            return tuple(argv)
        if self.user_id() != 0 or not self.has_user(user):
            why = "only root can run as another user" if self.user_id() else "there is no such account"
            raise PrerequisiteError("no-such-user", f"nothing can run as {user!r}", why=why, fix=f"id {user}")
        return ("setpriv", f"--reuid={user}", f"--regid={self.group_id(user)}", "--init-groups", "--", *argv)

    def read_input(self, timeout: float) -> bytes | None:
        """What has come on stdin, as soon as there is any; b"" at its end, None where none came in time.

        timeout: seconds. A terminal that has gone away is an end too.
        """
        try:
            ready, _, _ = select.select([0], [], [], timeout)
            return os.read(0, 65536) if ready else None
        except (OSError, ValueError):
            return b""

    def cancel(self) -> None:
        """End every command under way and every wait; called from a signal handler."""
        self.cancelled.set()

    def _popen(
        self, argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None, *, stderr: int
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                argv, env=dict(self.environ if env is None else env), cwd=cwd, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=stderr, start_new_session=True,
            )
        except OSError as error:
            raise _cannot_execute(argv[0], error) from None

    def _drain(self, child: subprocess.Popen[bytes], hear: Callable[[str], None], log: int | None) -> None:
        """Pass output on line by line; a progress bar's carriage return ends a line too."""
        rest = b""
        ended_by_return = False
        with child.stdout or contextlib.nullcontext():
            while child.stdout and (data := os.read(child.stdout.fileno(), 65536)):
                if log is not None:
                    # a full disk must not stop the command that is being logged
                    with contextlib.suppress(OSError):
                        os.write(log, data)
                if ended_by_return and not rest:
                    data = data.removeprefix(b"\n")
                ended_by_return = data.endswith(b"\r")
                *lines, rest = re.split(rb"\r\n|\n|\r", rest + data)
                for line in lines:
                    hear(line[-2000:].decode(errors="replace"))
                rest = rest[-65536:]
        if rest:
            hear(rest[-2000:].decode(errors="replace"))

    def _end_if_cancelled(self, child: subprocess.Popen[bytes], argv: Sequence[str]) -> None:
        if self.cancelled.is_set():
            self._end(child)
            raise InterruptedRunError("interrupted", f"{argv[0]} was stopped on request", fix="devstack up")

    def _end_one(self, child: subprocess.Popen[bytes]) -> None:
        """Ask a command of this terminal's group to end, then kill it."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            child.send_signal(sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(3.0)

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        """Ask the whole group to end; then kill what is left of it, also of one whose leader has ended."""
        for sign, grace in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(child.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(grace)


def _cannot_execute(program: str, error: OSError) -> PrerequisiteError:
    # a folder that isn't there is named by the error, as the program itself would be
    place = f": {error.filename}" if error.filename not in (None, program) else ""
    limit = {errno.EMFILE: "-n", errno.EAGAIN: "-u"}.get(error.errno or 0)
    if limit:
        return PrerequisiteError(
            "limit-reached", f"{program} can't be started", why=f"{error.strerror}: `ulimit {limit}` is too low here",
            fix=f"ulimit {limit} 4096",
        )
    return PrerequisiteError(
        "cannot-execute", f"{program} can't be executed", why=f"{error.strerror or error}{place}",
        fix=f"command -v {program}",
    )
