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
_CHUNK = 1 << 20
_LONGEST = 10_000


@dataclass
class _Tail:
    """How far one file has been read. inode: 0 before it exists."""

    path: Path
    inode: int = 0
    offset: int = 0
    rest: bytes = b""


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
        self._tails = {name: _Tail(stack.project.logs / f"{name}.log") for name in dict.fromkeys(wanted)}
        self.width = max((len(name) for name in self._tails), default=0)

    def last(self, count: int) -> Iterator[tuple[str, str]]:
        """The last lines of each file."""
        for name, tail in self._tails.items():
            data = self._system.read_end(tail.path, _CHUNK)
            if data is None:
                continue
            tail.inode, tail.offset = self._system.extent(tail.path)
            for line in data.decode(errors="replace").splitlines()[-count:] if count > 0 else ():
                yield name, line[:_LONGEST]

    def follow(self) -> Iterator[tuple[str, str]]:
        """New lines of all files as they come, until the run is cancelled."""
        while True:
            for name, tail in self._tails.items():
                for line in self._more(tail):
                    yield name, line
            self._system.pause(_EVERY)

    def _more(self, tail: _Tail) -> list[str]:
        inode, size = self._system.extent(tail.path)
        if inode != tail.inode or size < tail.offset:
            # rotated, or begun anew: the new file is read from its start
            tail.inode, tail.offset, tail.rest = inode, 0, b""
        if size <= tail.offset:
            return []
        data = self._system.read_from(tail.path, tail.offset, _CHUNK)
        tail.offset += len(data)
        *lines, tail.rest = (tail.rest + data).split(b"\n")
        tail.rest = tail.rest[-_LONGEST:]
        return [line[:_LONGEST].decode(errors="replace") for line in lines]
