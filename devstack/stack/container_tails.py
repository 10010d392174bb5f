"""What a container prints, followed by asking its engine again and again: through its end, its successor, and a restart
of the engine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from devstack import contained
from devstack.errors import DevstackError
from devstack.runtimes import container_logs
from devstack.runtimes.container_logs import Line
from devstack.stack.containers import Containers
from devstack.system import System

#: seconds between two questions, and after one that the engine didn't answer
_EVERY, _LATER = 0.5, 2.0
#: seconds that a line may come later than one that was printed after it: an engine reads two streams at once
_LATE = 1


@dataclass
class Asking:
    """The engine of a person who follows: connected anew after it has gone away."""

    system: System
    containers: Containers
    #: why it didn't answer last time
    silence: str = ""
    _next: float = field(default=0.0)
    #: until then it isn't asked again
    _rests: float = field(default=0.0)

    def is_due(self) -> bool:
        """Is it time for the next question to each container?"""
        now = self.system.monotonic()
        if now < max(self._next, self._rests):
            return False
        self._next = now + _EVERY
        return True

    def lines(self, container: str, *, tail: int | None = None, since: int = 0) -> tuple[Line, ...] | None:
        """None of an engine that doesn't answer."""
        if self.system.monotonic() < self._rests:
            return None
        try:
            found = container_logs.lines(self.containers.engine, container, tail=tail, since=since)
        except DevstackError as error:
            self.silence = error.why or error.what
            self.containers = Containers(self.system)
            self._rests = self.system.monotonic() + _LATER
            return None
        self.silence = ""
        return found


@dataclass
class ContainerTail:
    """How far one container's lines have been read. wanted: of those that were printed before, so many; None once they
    have been read."""

    asking: Asking
    container: str
    wanted: int | None = 0
    #: stamp of the last of them
    _begun: str = ""
    _newest: str = ""
    #: those that the next answer will have once more
    _told: Counter[Line] = field(default_factory=Counter)

    def last(self, count: int) -> list[bytes]:
        """The last lines; reading goes on behind them."""
        self.wanted = count
        # where none is wanted, the last one still says where to go on
        found = self.asking.lines(self.container, tail=max(count, 1))
        if found is None:
            return []
        self.wanted = None
        self._begun = self._newest = found[-1].stamp if found else ""
        return [line.text for line in found[len(found) - count :]] if count else []

    def more(self) -> list[bytes]:
        """The lines since. Where the engine has never answered yet, as `last`."""
        if self.wanted is not None:
            return self.last(self.wanted)
        found = self.asking.lines(self.container, since=max(0, container_logs.seconds(self._newest) - _LATE))
        if found is None:
            return []
        since, again = [line for line in found if line.stamp > self._begun], self._told.copy()
        new = []
        for line in since:
            if again[line]:
                again[line] -= 1
            else:
                new.append(line.text)
        self._newest = max((self._newest, *(line.stamp for line in since)))
        edge = container_logs.stamp(container_logs.seconds(self._newest) - _LATE)
        self._told = Counter(line for line in since if line.stamp >= edge)
        return new


def tail_of(asking: Asking, stack: str, name: str) -> ContainerTail:
    return ContainerTail(asking, contained.container_name(stack, name))
