"""What a container prints, followed by asking its engine again and again: through its end, its successor, and a restart
of the engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from devstack import contained
from devstack.errors import PrerequisiteError
from devstack.runtimes import container_logs
from devstack.stack.containers import Containers
from devstack.system import System

#: seconds between two questions, and after one that the engine didn't answer
_EVERY, _LATER = 0.5, 2.0


@dataclass
class Asking:
    """The engine of a person who follows: connected anew after it has gone away."""

    system: System
    containers: Containers
    #: why it didn't answer last time
    silence: str = ""
    _next: float = field(default=0.0)

    def is_due(self) -> bool:
        """Is it time for the next question to each container?"""
        if self.system.monotonic() < self._next:
            return False
        self._next = self.system.monotonic() + _EVERY
        return True

    def lines(self, container: str, *, tail: int | None = None, since: int = 0) -> tuple[container_logs.Line, ...]:
        """None of an engine that doesn't answer."""
        try:
            found = container_logs.lines(self.containers.engine, container, tail=tail, since=since)
        except PrerequisiteError as error:
            self.silence = error.why or error.what
            self.containers = Containers(self.system)
            self._next = self.system.monotonic() + _LATER
            return ()
        self.silence = ""
        return found


@dataclass
class ContainerTail:
    """How far one container's lines have been read. stamp: of the last one."""

    asking: Asking
    container: str
    stamp: str = ""

    def last(self, count: int) -> list[bytes]:
        """The last lines; reading goes on behind them."""
        # where none is wanted, the last one still says where to go on
        found = self.asking.lines(self.container, tail=max(count, 1))
        self.stamp = found[-1].stamp if found else ""
        return [line.text for line in found[len(found) - count :]] if count else []

    def more(self) -> list[bytes]:
        """The lines since."""
        found = self.asking.lines(self.container, since=container_logs.seconds(self.stamp))
        new = [line for line in found if line.stamp > self.stamp]
        if new:
            self.stamp = new[-1].stamp
        return [line.text for line in new]


def tail_of(asking: Asking, stack: str, name: str) -> ContainerTail:
    return ContainerTail(asking, contained.container_name(stack, name))
