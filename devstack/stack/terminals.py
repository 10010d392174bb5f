"""Programs that `up --foreground` runs on a terminal: a mark per program says which process it is while it lives."""

from __future__ import annotations

from collections.abc import Mapping

from devstack.stack.paths import Project
from devstack.state import Foreground
from devstack.system import Identity, System


def on_terminals(system: System, project: Project) -> Mapping[str, Foreground]:
    """The programs that live on a terminal now, by name."""
    found = {}
    for mark in sorted(project.foreground.iterdir()) if project.foreground.is_dir() else ():
        pid, _, start = (system.read(mark) or "").strip().partition(" ")
        if pid.isdecimal() and system.is_alive(Identity(int(pid), start)):
            found[mark.name] = Foreground(int(pid), start)
    return found
