"""A person's hands on a managed process: what is typed goes to its stdin, what it prints is shown as it comes.

A debugger's prompt has no line end, so text is passed on as it is printed, not line by line.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from devstack.errors import InterruptedRunError, ProcessError
from devstack.programs import single
from devstack.stack.logs import Tail
from devstack.supervisor_rpc import NO_FILE, NOT_RUNNING, FaultError, Rpc

if TYPE_CHECKING:
    from devstack.stack import Stack

_EVERY = 0.05
#: seconds between two looks at whether the process is still the same
_LOOK = 1.0
#: seconds of silence after the end of input that isn't typed: the answers to it have come by then
_QUIET = 1.0
_LONGEST_ANSWER = 5.0
_SUPERVISED = ("starting", "running", "backoff", "stopping")

End = Literal["detached", "input ended"]


@dataclass(frozen=True)
class Screen:
    """show: text that the process printed. tell: words about the process."""

    show: Callable[[str], None]
    tell: Callable[[str], None]


class Attachment:
    """One program of a stack. Raises UsageError for a name that isn't one of it, ProcessError where it doesn't run."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._system = stack.system
        self.program = single(stack.profile, name, "devstack attach").program
        self._supervisor = stack.supervisor()
        self._rpc = Rpc(stack.system, stack.layout().socket)
        self._tail = Tail(Path(stack.layout().log(self.program)))
        self._pid = self._now()
        self._looked = self._system.monotonic()
        self._typed = b""

    @property
    def pid(self) -> int | None:
        """Of the process that runs now; None while supervisord is about to start another."""
        return self._pid

    def run(self, screen: Screen, last: int, *, is_typed: bool) -> End:
        """Until the input ends or the person interrupts; the process goes on. last: lines of its log shown first.

        Raises ProcessError when it doesn't run any more and nobody will start it again.
        """
        decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        lines = self._tail.end(self._system).splitlines(keepends=True)[-last:] if last > 0 else [self._skip()]
        screen.show(decode(b"".join(lines)))
        try:
            while True:
                data = self._system.read_input(_EVERY)
                if data == b"":
                    break
                if self._system.cancelled.is_set():
                    return "detached"
                self._send(data or b"", screen)
                screen.show(decode(self._tail.more(self._system)))
                self._look(screen)
            self._send_rest(screen)
            if not is_typed:
                self._listen(lambda text: screen.show(decode(text)))
        except InterruptedRunError:
            return "detached"
        return "input ended"

    def _skip(self) -> bytes:
        self._tail.end(self._system)
        return b""

    def _listen(self, show: Callable[[bytes], None]) -> None:
        heard = began = self._system.monotonic()
        while (now := self._system.monotonic()) < min(heard + _QUIET, began + _LONGEST_ANSWER):
            if text := self._tail.more(self._system):
                show(text)
                heard = now
            self._system.pause(_EVERY)

    def _send(self, data: bytes, screen: Screen) -> None:
        """Whole lines, as a terminal hands them out; a debugger reads no half ones."""
        *lines, self._typed = (self._typed + data).split(b"\n")
        for line in lines:
            self._give(line + b"\n", screen)

    def _send_rest(self, screen: Screen) -> None:
        if self._typed:
            self._give(self._typed + b"\n", screen)

    def _give(self, line: bytes, screen: Screen) -> None:
        # binary: XML can't carry every character that a keyboard can
        text = line.decode(errors="replace").encode()
        try:
            self._rpc.call("supervisor.sendProcessStdin", self.program, text)
        except FaultError as fault:
            if fault.code == NOT_RUNNING:
                screen.tell(f"{self.program} isn't running at this moment: that line reached nobody")
            elif fault.code == NO_FILE:
                raise ProcessError(
                    "stdin-closed", f"{self.program} takes no input", why="it has closed its stdin",
                    fix=f"devstack up --foreground {self.program}",
                ) from None
            else:
                raise

    def _look(self, screen: Screen) -> None:
        if self._system.monotonic() < self._looked + _LOOK:
            return
        self._looked = self._system.monotonic()
        before, self._pid = self._pid, self._now()
        if self._pid != before and self._pid is not None:
            screen.tell(f"{self.program} was started anew (pid {self._pid})")

    def _now(self) -> int | None:
        state = self._supervisor.programs(0).get(self.program)
        if state is None or state.phase not in _SUPERVISED:
            raise ProcessError(
                "not-running", f"{self.program} isn't running", why=state.reason if state else "",
                fix=f"devstack up {self.program}",
            )
        return state.pid
