"""Processes of a stack that no living supervisord owns: found by two proofs, ended with care.

A process is this stack's if its environment says so (`DEVSTACK_STACK`), or if it is the very process (pid and start
time) that a starting program noted in `.devstack/pids` and its environment says nothing else: some servers overwrite
theirs with a title. Anything else is a stranger and isn't touched. Nothing here talks to supervisord.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import supervisor_logs
from devstack.errors import ProcessError
from devstack.processes import Identity
from devstack.state import Orphan

if TYPE_CHECKING:
    from devstack.layout import Layout
    from devstack.profile.model import SignalName
    from devstack.system import System

#: what an orphaned supervisord is called
SUPERVISORD = "supervisord"
#: the run of programs whose supervisord was started by hand
BY_HAND = "-"
_STOP: tuple[SignalName, float] = ("TERM", 5.0)
_KILL_SECONDS = 5.0
_EVERY = 0.02

#: by program: the signal that asks it to end, and seconds until it is killed
Stops = Mapping[str, "tuple[SignalName, float]"]


@dataclass(frozen=True)
class StartRecord:
    """What a program's environment script noted. restarts: starts before this one under the same supervisord.

    start: "-" on systems where a shell can't know it.
    """

    pid: int
    start: str
    run: str
    digest: str
    restarts: int

    def names(self, identity: Identity | None) -> bool:
        """Is this the process that the record was made by?"""
        return identity is not None and (self.pid, self.start) == (identity.pid, identity.start)


def parse_record(text: str | None) -> StartRecord | None:
    """The record in a file of `.devstack/pids`; None for anything else."""
    words = (text or "").split()
    if len(words) != 5 or not words[0].isdecimal() or not words[4].isdecimal():
        return None
    return StartRecord(int(words[0]), words[1], words[2], words[3], int(words[4]))


def find(system: System, layout: Layout, run: str | None) -> tuple[Orphan, ...]:
    """All orphans. run: the living supervisord's (BY_HAND for one without), None where none lives."""
    programs = {identity: program for identity, program, of in _marked(system, layout) if of != run}
    programs.update(_recorded(system, layout, run))
    for identity, program in tuple(programs.items()):
        for child in system.descendants(identity):
            programs.setdefault(child, program)
    own = system.ancestry() if programs else set()
    return _orphans(system, ((identity, program) for identity, program in programs.items() if identity.pid not in own))


def by_program(system: System, layout: Layout) -> dict[str, tuple[Identity, ...]]:
    """Everything that was started as a program of this stack, whichever run started it. Right after a program has
    ended, what is found of it is what it left behind."""
    found: dict[str, tuple[Identity, ...]] = {}
    for identity, program, _ in _marked(system, layout):
        found[program] = (*found.get(program, ()), identity)
    return found


def of_program(system: System, name: str, found: Iterable[Identity]) -> tuple[Orphan, ...]:
    """What a program left behind."""
    return _orphans(system, ((identity, name) for identity in found))


def in_background(system: System, layout: Layout, name: str, pid: int | None) -> tuple[Orphan, ...]:
    """What a program left running when it ended with status 0. pid: its present process, if it was started again."""
    status, _ = supervisor_logs.ending(system, layout, name, "")
    identity = system.identity(pid) if pid else None
    own = {identity, *system.descendants(identity)} if identity else set()
    found = by_program(system, layout).get(name, ()) if status == 0 else ()
    return of_program(system, name, (one for one in found if one not in own))


def of_identity(system: System, identity: Identity, program: str) -> tuple[Orphan, ...]:
    """One process that is known to be this stack's, and its descendants."""
    return _orphans(system, ((one, program) for one in (identity, *system.descendants(identity))))


def _orphans(system: System, found: Iterable[tuple[Identity, str]]) -> tuple[Orphan, ...]:
    return tuple(
        Orphan(identity.pid, identity.start, program, system.command_line(identity.pid)) for identity, program in found
    )


def _marked(system: System, layout: Layout) -> Iterator[tuple[Identity, str, str]]:
    """Process, program and run of everything that supervisord started, and supervisord."""
    for identity, variables in system.marked_variables("DEVSTACK_STACK", layout.stack):
        program, run = variables.get("DEVSTACK_PROGRAM"), variables.get("DEVSTACK_RUN")
        # a task or a shell of the stack has neither: it belongs to the devstack that runs it
        if program or run:
            yield identity, program or SUPERVISORD, run or BY_HAND


def _recorded(system: System, layout: Layout, run: str | None) -> Iterator[tuple[Identity, str]]:
    folder = Path(layout.record(""))
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        record = parse_record(system.read(file))
        if record is None or record.run == run:
            continue
        identity = system.identity(record.pid)
        if identity and record.names(identity):
            variables = system.variables(record.pid)
            if variables.get("DEVSTACK_STACK", layout.stack if not variables else "") == layout.stack:
                yield identity, file.name


def reap(system: System, orphans: Iterable[Orphan], stops: Stops) -> tuple[Orphan, ...]:
    """End these processes, parents before children; returns those that had to be killed.

    Each gets its program's stop signal once its parent has gone (a supervisord stops its own), and SIGKILL when its
    grace is over. Raises ProcessError where one survives that.
    """
    waiting = {Identity(orphan.pid, orphan.start): orphan for orphan in orphans}
    deadlines: dict[Identity, float] = {}
    killed: dict[Identity, float] = {}
    longest = max((grace for _, grace in stops.values()), default=_STOP[1])
    while alive := {identity: orphan for identity, orphan in waiting.items() if system.is_alive(identity)}:
        now = system.monotonic()
        pids = {identity.pid for identity in alive}
        for identity, orphan in alive.items():
            name, grace = ("TERM", longest + 5) if orphan.program == SUPERVISORD else stops.get(orphan.program, _STOP)
            if identity in killed:
                if now > killed[identity] + _KILL_SECONDS:
                    raise _unkillable(orphan)
            elif identity in deadlines:
                if now > deadlines[identity]:
                    system.signal_group(identity, signal.SIGKILL)
                    killed[identity] = now
            elif system.parent(identity) not in pids:
                # not its group: a worker finishes its task only if its children aren't told to end as well
                system.signal(identity, signal.Signals[f"SIG{name}"])
                deadlines[identity] = now + grace
        system.pause(_EVERY)
    return tuple(waiting[identity] for identity in killed)


def _unkillable(orphan: Orphan) -> ProcessError:
    return ProcessError(
        "process-unkillable", f"process {orphan.pid} of {orphan.program} doesn't end",
        why=f"it survived SIGKILL for {_KILL_SECONDS:g} s: {orphan.command[:200]}",
        fix=f"ps -o pid,stat,wchan {orphan.pid}",
    )
