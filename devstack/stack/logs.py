"""Reading the log files of a stack, and following them through rotation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import watching
from devstack.errors import UsageError
from devstack.profile import graph
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
        self.width = max((len(name) for name in self._tails), default=0)

    def last(self, count: int) -> Iterator[tuple[str, str]]:
        """The last lines of each file."""
        for name, tail in self._tails.items():
            data = tail.end(self._system)
            for line in data.decode(errors="replace").splitlines()[-count:] if count > 0 else ():
                yield name, line[:_LONGEST]

    def follow(self) -> Iterator[tuple[str, str]]:
        """New lines of all files as they come, until the run is cancelled."""
        while True:
            for name, tail in self._tails.items():
                for line in self._more(tail):
                    yield name, line
            self._system.pause(_EVERY)

    def _more(self, tail: Tail) -> list[str]:
        if not (data := tail.more(self._system)):
            return []
        *lines, tail.rest = (tail.rest + data).split(b"\n")
        tail.rest = tail.rest[-_LONGEST:]
        return [line[:_LONGEST].decode(errors="replace") for line in lines]
