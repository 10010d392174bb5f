"""What a person does by hand in a project: a command, a shell, a service's client, a look at the environment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devstack import programs
from devstack.environment import Variable, explain
from devstack.errors import ProcessError, UsageError
from devstack.profile import graph
from devstack.render import reveal
from devstack.stack.clients import Opened, terminal
from devstack.stack.clients import client as logged_in
from devstack.stack.clients import shell as started
from devstack.state import State

if TYPE_CHECKING:
    from devstack.stack import Stack


@dataclass(frozen=True)
class Variables:
    """An environment, each value with its origin. is_new: the stack was never up, what chance decides may still
    change."""

    variables: dict[str, Variable]
    state: State
    is_new: bool


def command(stack: Stack, argv: tuple[str, ...], cwd: Path) -> programs.Resolved:
    """A command of the person's own in the project's environment."""
    return programs.free_command(stack.profile, stack.observe().state, argv, str(cwd))


def variables(stack: Stack, process: str = "") -> Variables:
    """The environment of the project's commands, or of a process or one replica of it. Raises UsageError for an
    unknown one."""
    of, replica = None, 1
    if process:
        name, replica = _replica(stack, process)
        of = ("processes", name)
    is_new = stack.system.read(stack.project.record) is None
    state = stack.observe().state
    return Variables(explain(stack.profile, state, stack.found.loaded.place, of, replica), state, is_new)


def _replica(stack: Stack, process: str) -> tuple[str, int]:
    for name, declared in stack.profile.processes.items():
        for program, number in graph.programs_of(name, declared):
            if process in (program, name):
                return name, number
    known = ", ".join(stack.profile.processes) or "none"
    raise UsageError(
        "unknown-process", f"the profile has no process {process!r} that runs", why=f"it has {known}",
        fix="devstack scale",
    )


def shell(stack: Stack, *, is_interactive: bool) -> Opened:
    """The person's shell in the project's environment; not interactive: it reads commands as any program does."""
    seen = variables(stack)
    program = stack.system.environ.get("SHELL") or "/bin/sh"
    env = {one.name: reveal(one.value) for one in seen.variables.values()} | terminal(stack.system.environ)
    if not is_interactive:
        return Opened((program,), env)
    own = [one.name for one in seen.variables.values() if one.origin != "machine"]
    return started(program, stack.project.folder / "shell", stack.profile.name, env, own)


def client(stack: Stack, name: str) -> Opened:
    """The client of a service of this machine. Raises UsageError for what is none, ProcessError for one that doesn't
    run, PrerequisiteError where this machine has no client for it."""
    if name not in stack.profile.services:
        raise UsageError(
            "not-in-a-container", f"{name} runs on this machine itself", why="there is no inside of it",
            fix="devstack shell",
        )
    state = stack.observe(light=True).state
    now = state.live.get(name)
    if now is None or not now.is_running:
        raise ProcessError(
            "service-not-running", f"{name} is not running", why=now.reason if now else "the stack is down",
            fix=f"devstack up {name}",
        )
    service = state.services[name]
    return logged_in(stack.system, service.instance, service.server)


def check_commands(stack: Stack, names: Iterable[str]) -> dict[str, programs.Resolved]:
    """Checks of the profile, ready to execute. Raises KeyError for an unknown name."""
    wanted = {name: stack.profile.checks[name] for name in names}
    for check in wanted.values():
        stack.inputs.inside(check.cwd)
    state = stack.observe().state
    return {name: programs.command(stack.profile, state, check) for name, check in wanted.items()}
