"""Programs that run on a person's terminal instead of under supervisord, and what that means for the others. Pure."""

from __future__ import annotations

from functools import cached_property

from devstack.errors import ConflictError
from devstack.plan import Up
from devstack.profile import graph
from devstack.profile.model import Profile
from devstack.state import State


class Away:
    """Raises ConflictError where the goal wants a program on this terminal that runs on another one."""

    def __init__(self, profile: Profile, state: State, goal: Up) -> None:
        self._profile = profile
        self._state = state
        self._goal = goal
        if taken := state.foreground.get(goal.foreground):
            raise ConflictError(
                "in-foreground", f"{goal.foreground} runs on another terminal", why=f"as pid {taken.pid}",
                fix=f"kill {taken.pid}",
            )

    @property
    def programs(self) -> frozenset[str]:
        return frozenset({*self._state.foreground, self._goal.foreground} - {""})

    @cached_property
    def stranded(self) -> dict[str, str]:
        """Processes that need one of which no other program is left, and that one: nobody can say when it is ready."""
        away = {
            name for name, process in self._profile.processes.items()
            if (own := {program for program, _ in graph.programs_of(name, process)}) and own <= self.programs
        }
        return {
            name: need
            for name in self._profile.processes if name not in away
            for need in graph.all_needs(self._profile, name) if need in away
        }

    @property
    def warnings(self) -> tuple[str, ...]:
        running = {name for name, now in self._state.supervisor.programs.items() if now.is_running}
        waiting = tuple(
            f"{name} isn't started: it needs {need}, which runs on a terminal"
            for name, need in self.stranded.items()
            if not any(program in running for program, _ in graph.programs_of(name, self._profile.processes[name]))
        )
        elsewhere = tuple(
            f"{name} runs in the foreground of a terminal (pid {now.pid}) and is left alone"
            for name, now in self._state.foreground.items()
        )
        return (*elsewhere, *waiting)
