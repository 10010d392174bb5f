"""What comes before what, and which programs a process becomes. Declared `needs` are taken as they are; left out:

- a task needs every service and every task declared before it;
- a process or a check needs every service and every task;
- `needs = []` is nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from devstack.profile.model import Process, Profile


def task_needs(profile: Profile, name: str) -> tuple[str, ...]:
    """Names of the services and tasks that come before the task. Raises KeyError for an unknown name."""
    task = profile.tasks[name]
    if task.needs is not None:
        return task.needs
    order = tuple(profile.tasks)
    before = order.index(name)
    return (*profile.services, *order[:before])


def process_needs(profile: Profile, name: str) -> tuple[str, ...]:
    """Names of the services, tasks and processes that come before the process. Raises KeyError for an unknown name."""
    needs = profile.processes[name].needs
    return (*profile.services, *profile.tasks) if needs is None else needs


def check_needs(profile: Profile, name: str) -> tuple[str, ...]:
    """Names of the services, tasks and processes that come before the check. Raises KeyError for an unknown name."""
    needs = profile.checks[name].needs
    return (*profile.services, *profile.tasks) if needs is None else needs


def has_port(process: Process) -> bool:
    """Whether the process gets a port of its own, `${port}`: a web process, and one that names `port` or
    `container_port`."""
    return process.role == "web" or process.port is not None or process.container_port is not None


def programs_of(name: str, process: Process) -> tuple[tuple[str, int], ...]:
    """The programs of a process with their replica numbers from 1: its own name for one, `name-1` … `name-n` for n.

    `devstack scale` renames nothing that runs: the profile's number says what the first one is called. Scaled from one
    to three they are `name`, `name-2`, `name-3`; from two to one, `name-1`.
    """
    first = name if process.declared_replicas == 1 else f"{name}-1"
    return tuple((f"{name}-{number}" if number > 1 else first, number) for number in range(1, process.replicas + 1))


def first_cycle(graph: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """A cycle as `(a, b, a)`, or () where there is none. Names that are no key of the graph need nothing."""
    done: set[str] = set()
    for start in graph:
        trail = {start: iter(graph[start])} if start not in done else {}
        while trail:
            name, needs = next(reversed(trail.items()))
            following = next(needs, None)
            if following is None:
                del trail[name]
                done.add(name)
            elif following in trail:
                names = list(trail)
                return (*names[names.index(following) :], following)
            elif following in graph and following not in done:
                trail[following] = iter(graph[following])
    return ()
