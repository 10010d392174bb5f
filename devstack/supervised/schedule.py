"""Runs a command at the times of a cron expression: `python -m devstack.supervised.schedule EXPRESSION -- COMMAND…`.

One run at a time: a time that comes while the last run goes on falls away. Times are local. A signal is passed on to
the command at hand; when that has ended, so does this. Its words are lines of the process's log.
"""

from __future__ import annotations

import contextlib
import datetime
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from devstack.errors import PrerequisiteError
from devstack.system import Child, System

if TYPE_CHECKING:
    from types import FrameType

#: what each line begins with, by which `status` finds the last one
MARK = "[devstack] schedule: "
#: seconds between two looks at the clock: it may be set, and a machine may sleep
_LOOK = 30.0
_SIGNALS = ("TERM", "INT", "QUIT", "HUP", "USR1", "USR2")


@dataclass
class Schedule:
    """clock: local time. wait: so many seconds, True where it is time to end. execute: one run, and how it went."""

    expression: str
    clock: Callable[[], datetime.datetime]
    wait: Callable[[float], bool]
    execute: Callable[[], str]
    say: Callable[[str], None]

    def run(self) -> None:
        """Until `wait` says that it is time to end."""
        said = ""
        while True:
            due = self._next(said)
            last = self.clock()
            while (now := self.clock()) < due:
                if now < last:
                    # the clock was set back, or summer is over
                    due = self._next("the clock was set back; ")
                last = now
                if self.wait(min(_LOOK, (due - now).total_seconds())):
                    return
            self.say("a run begins")
            said = f"the last run {self.execute()}; "
            if self.wait(0):
                self.say(said.removesuffix("; "))
                return

    def _next(self, said: str) -> datetime.datetime:
        from cronsim import CronSim

        due = next(CronSim(self.expression, self.clock()))
        self.say(f"{said}next run at {due:%Y-%m-%d %H:%M:%S}")
        return due


@dataclass
class _Command:
    """The command, and the one run of it that may be under way."""

    system: System
    argv: tuple[str, ...]
    child: Child | None = None
    told: int = 0

    def execute(self) -> str:
        began = self.system.monotonic()
        try:
            self.child = self.system.beside(self.argv)
        except PrerequisiteError as error:
            return f"failed: {error}"
        if self.told:
            # the signal came before there was anybody to pass it on to
            self.child.send_signal(self.told)
        code = self.child.wait()
        how = f"ended with status {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
        return f"{how} after {self.system.monotonic() - began:.1f} s"

    def stop(self, number: int, frame: FrameType | None) -> None:
        self.told = number
        self.system.cancel()
        if self.child is not None:
            self.child.send_signal(number)


def main(words: Sequence[str]) -> None:
    """words: the expression, `--`, the command."""
    expression, _, *argv = words
    system = System()
    command = _Command(system, tuple(argv))
    for name in _SIGNALS:
        signal.signal(getattr(signal, f"SIG{name}"), command.stop)
    Schedule(expression, datetime.datetime.now, system.cancelled.wait, command.execute, say).run()


def say(text: str) -> None:
    """One line to the log, unless its reader has gone."""
    with contextlib.suppress(OSError):
        os.write(1, f"{MARK}{text}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1:])
