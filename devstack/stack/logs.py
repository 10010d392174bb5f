"""Reading what a stack has printed, and following it: log files through rotation, containers through their engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import watching
from devstack.errors import UsageError
from devstack.profile import graph
from devstack.stack.container_tails import Asking, tail_of
from devstack.system import System

if TYPE_CHECKING:
    from devstack.stack import Stack

_EVERY = 0.2
CHUNK = 1 << 20
_LONGEST = 10_000


@dataclass
class Tail:
    """How far one file has been read. inode: 0 before it exists. rest: a line that hasn't ended yet."""

    path: Path
    inode: int = 0
    offset: int = 0
    rest: bytes = b""

    def end(self, system: System) -> bytes:
        """The end of the file, as far as it is worth a look; reading goes on behind it."""
        data = system.read_end(self.path, CHUNK)
        if data is not None:
            self.inode, self.offset = system.extent(self.path)
        return data or b""

    def more(self, system: System) -> bytes:
        """What was added since."""
        inode, size = system.extent(self.path)
        if inode != self.inode or size < self.offset:
            # rotated, or begun anew: the new file is read from its start
            self.inode, self.offset, self.rest = inode, 0, b""
        data = system.read_from(self.path, self.offset, CHUNK) if size > self.offset else b""
        self.offset += len(data)
        return data


class Logs:
    """names: services, processes, replicas, tasks; all where none is given. Raises UsageError for unknown ones."""

    def __init__(self, system: System, stack: Stack, names: tuple[str, ...]) -> None:
        self._system = system
        profile = stack.profile
        programs = {
            name: [program for program, _ in graph.programs_of(name, process)]
            for name, process in profile.processes.items()
        }
        own = [watching.NAME] if watching.process(profile) else []
        single = {program: [program] for own in programs.values() for program in own}
        known = {name: [name] for name in (*profile.services, *profile.tasks, "supervisord", *own)} | single | programs
        for name in names:
            if name not in known:
                raise UsageError(
                    "unknown-name", f"nothing is named {name!r}", why=f"there are {', '.join(known)}",
                    fix="devstack logs",
                )
        wanted = [file for name in names for file in known[name]] or [f for name in known for f in known[name]]
        if not names:
            wanted = [name for name in wanted if name not in ("supervisord", *own)]
        self._tails = {name: Tail(stack.project.logs / f"{name}.log") for name in dict.fromkeys(wanted)}
        self._asking = Asking(system, stack.containers)
        record = stack.record
        contained = {name for name, runtime in record.runtimes.items() if runtime == "docker"}
        contained |= {program for name in contained & programs.keys() for program in programs[name]}
        self._containers = {
            name: tail_of(self._asking, record.stack, name) for name in self._tails if name in contained
        }
        self.width = max((len(name) for name in self._tails), default=0)

    def last(self, count: int) -> Iterator[tuple[str, str]]:
        """The last lines of each; of a container those of its predecessors too, which are kept in a file."""
        for name, tail in self._tails.items():
            lines = tail.end(self._system).splitlines()
            if name in self._containers:
                lines += self._containers[name].last(max(count, 0))
            for line in lines[-count:] if count > 0 else ():
                yield name, line[:_LONGEST].decode(errors="replace")

    @property
    def silence(self) -> str:
        """Why the lines of containers can't be had, "" where they can."""
        return self._asking.silence

    def follow(self, tell: Callable[[str], None]) -> Iterator[tuple[str, str]]:
        """New lines of all files as they come, until the run is cancelled. tell: that those of containers don't come
        any more; they go on when their engine answers again."""
        was_silent = bool(self.silence)
        while True:
            for name, tail in self._tails.items():
                for line in self._more(tail) if name not in self._containers else ():
                    yield name, line
            for name, container in self._containers.items() if self._asking.is_due() else ():
                for text in container.more():
                    yield name, text[:_LONGEST].decode(errors="replace")
            if self.silence and not was_silent:
                tell(f"nothing of containers until their engine answers again: {self.silence}")
            was_silent = bool(self.silence)
            self._system.pause(_EVERY)

    def _more(self, tail: Tail) -> list[str]:
        if not (data := tail.more(self._system)):
            return []
        *lines, tail.rest = (tail.rest + data).split(b"\n")
        tail.rest = tail.rest[-_LONGEST:]
        return [line[:_LONGEST].decode(errors="replace") for line in lines]
