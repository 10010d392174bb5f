"""Tasks whose devstack was killed: found by the mark of their run, so that none goes on beside its next run.

A task has no supervisor. While it runs, a file says whose child it is; what carries its mark after that devstack was
killed is left over. What a task leaves behind when it ends as it should, such as a build server, isn't touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from devstack.stack.paths import Project
from devstack.state import Orphan
from devstack.system import Identity, System

VARIABLE = "DEVSTACK_TASK"


@contextlib.contextmanager
def marked(system: System, project: Project, name: str) -> Iterator[dict[str, str]]:
    """For the time of a task's run; yields what its environment must hold."""
    own = system.identity(system.process_id())
    mark = f"{name}:{own.pid}:{own.start}" if own else f"{name}:0:0"
    path = system.private_folder(project.tasks) / name
    system.write(path, mark)
    try:
        yield {VARIABLE: mark}
    finally:
        path.unlink(missing_ok=True)


def left_over(system: System, project: Project) -> tuple[Orphan, ...]:
    """Processes of tasks whose devstack was killed."""
    found: list[Orphan] = []
    for path in sorted(project.tasks.iterdir()) if project.tasks.is_dir() else ():
        mark = system.read(path) or ""
        if _is_over(system, mark):
            found += (
                Orphan(one.pid, one.start, path.name, system.command_line(one.pid))
                for one in system.marked(VARIABLE, mark)
            )
    return tuple(found)


def _is_over(system: System, mark: str) -> bool:
    _, _, identity = mark.partition(":")
    pid, _, start = identity.partition(":")
    return pid.isdecimal() and not system.is_alive(Identity(int(pid), start))

