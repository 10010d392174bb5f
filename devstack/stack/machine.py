"""All stacks of this user, without loading their profiles."""

from __future__ import annotations

import sys
from pathlib import Path

from devstack.layout import Layout
from devstack.registry import Entry, Registry
from devstack.stack.paths import Project, places, sockets
from devstack.supervisor import Supervisor
from devstack.system import System


def overview(system: System) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Every stack known and its state: up (all programs run), degraded, down, gone (its folder was deleted)."""
    place = places(system)
    entries = Registry(system, place.state).entries()
    states = []
    for entry in entries:
        project = Project(Path(entry.root))
        if not project.folder.is_dir():
            states.append("gone")
            continue
        layout = Layout(entry.id, entry.root, str(project.folder), str(sockets(place, entry.id)))
        programs = Supervisor(system, layout, sys.executable).observe().programs.values()
        running = [program for program in programs if program.is_running]
        states.append("down" if not running else "up" if len(running) == len(programs) else "degraded")
    return entries, tuple(states)
