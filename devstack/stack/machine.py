"""All stacks of this user, without loading their profiles."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from devstack.errors import DevstackError
from devstack.layout import Layout
from devstack.registry import Entry, Registry
from devstack.stack.containers import Containers
from devstack.stack.paths import Project, places, sockets
from devstack.supervisor import Supervisor
from devstack.system import System


def overview(system: System) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Every stack known and its state: up (all programs run), degraded, down, gone (its folder was deleted)."""
    place = places(system)
    entries = Registry(system, place.state).entries()
    contained = _containers(system) if any(entry.runtime in ("docker", "mixed") for entry in entries) else {}
    states = []
    for entry in entries:
        project = Project(Path(entry.root))
        if not project.folder.is_dir():
            states.append("gone")
            continue
        layout = Layout(entry.id, entry.root, str(project.folder), str(sockets(place, entry.id)))
        programs = Supervisor(system, layout, sys.executable).observe().programs.values()
        running = [*(program.is_running for program in programs), *contained.get(entry.id, ())]
        states.append("down" if not any(running) else "up" if all(running) else "degraded")
    return entries, tuple(states)


def _containers(system: System) -> dict[str, list[bool]]:
    """Whether each of a stack's containers runs, by the stack's id; nothing where no engine answers."""
    found: dict[str, list[bool]] = {}
    with contextlib.suppress(DevstackError):
        for one in Containers(system).engine.survey(system.user_id()):
            if one.kind == "container":
                found.setdefault(one.stack, []).append(one.is_running)
    return found
