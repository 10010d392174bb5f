"""A person inside of a container: a service's client, a shell of a process, any command."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from devstack import contained
from devstack.errors import ProcessError, UsageError
from devstack.profile import graph
from devstack.render import reveal
from devstack.runtimes import execs
from devstack.runtimes.execs import Inside
from devstack.services import Client, kind_of
from devstack.stack.clients import terminal
from devstack.state import ProgramState, ServiceState, State

if TYPE_CHECKING:
    from devstack.stack import Stack

#: seconds for a look at whether a program is there
_LOOK = 20.0
_SHELLS = ("bash", "sh")


@dataclass(frozen=True)
class Entry:
    """A way in. programs: the first that the container has is run, with these words behind it. is_interactive: it reads
    commands itself; else each one is a run of it."""

    container: str
    programs: tuple[str, ...]
    words: tuple[str, ...] = ()
    env: Mapping[str, str] | None = None
    is_interactive: bool = True


def way_in(stack: Stack, name: str) -> Entry | None:
    """The client of a contained service, or a shell of a contained process; None for what doesn't run in a container.

    Raises UsageError for a name that nothing has, ProcessError for what doesn't run.
    """
    known = _names(stack)
    if name not in known:
        _unknown(stack, name, known)
    state = stack.observe(light=True).state
    service = state.services.get(name)
    if service is not None:
        return _client(state, service) if service.runtime == "docker" else None
    process = stack.profile.processes[known[name]]
    if not process.is_contained:
        return None
    return Entry(_running(state, name).container, _SHELLS)


def any_command(stack: Stack, name: str, argv: tuple[str, ...]) -> Entry:
    """A command of the person's own. Raises UsageError where `name` is in no container, ProcessError."""
    entry = way_in(stack, name)
    if entry is None:
        raise UsageError(
            "not-in-a-container", f"{name} runs on this machine itself", why="there is no inside of it",
            fix="devstack exec -- " + " ".join(argv),
        )
    return Entry(entry.container, argv[:1], argv[1:])


def enter(stack: Stack, entry: Entry, words: tuple[str, ...]) -> int:
    """Run it on this terminal, or these streams, until it ends; returns its exit status."""
    engine, system = stack.containers.engine, stack.system
    program = entry.programs[0]
    if len(entry.programs) > 1:
        program = execs.first_present(engine, entry.container, entry.programs, _LOOK)
    is_terminal = system.is_terminal()
    own = terminal(system.environ) if is_terminal else {}
    env = {name: own[name] for name in ("TERM", "COLORTERM", "NO_COLOR") if name in own} | dict(entry.env or {})
    command = Inside((program, *entry.words, *words), env)
    try:
        with execs.session(engine, entry.container, command, is_terminal=is_terminal) as opened:
            system.relay(opened)
            return opened.close()
    except ProcessError as error:
        if execs.lacks_program(error.why):
            raise ProcessError(
                "program-missing", f"{program} isn't in the container", why="its image doesn't bring it",
                fix="change `image` in the profile",
            ) from None
        raise


def _names(stack: Stack) -> dict[str, str]:
    """Services, and processes and their replicas, by every name they have."""
    found = {name: name for name in stack.profile.services}
    for name, process in stack.profile.processes.items():
        found |= {program: name for program, _ in graph.programs_of(name, process)}
    return found


def _unknown(stack: Stack, name: str, known: Mapping[str, str]) -> None:
    process = stack.profile.processes.get(name)
    if process is not None and (replicas := [program for program, owner in known.items() if owner == name]):
        raise UsageError(
            "several-replicas", f"{name} runs {len(replicas)} times", why=f"there are {', '.join(replicas)}",
            fix=f"devstack shell {replicas[0]}",
        )
    near = difflib.get_close_matches(name, known, 1)
    raise UsageError(
        "unknown-service", f"the profile has no service {name!r}", why=f"it has {', '.join(known) or 'none'}",
        fix=f"devstack shell {near[0]}" if near else "devstack shell",
    )


def _running(state: State, name: str) -> ProgramState:
    now = state.containers.get(name)
    if now is None or not now.is_running:
        raise ProcessError(
            "service-not-running" if name in state.services else "not-running", f"{name} is not running",
            why=state.engine or (now.reason if now else "the stack is down"), fix=f"devstack up {name}",
        )
    return now


def _client(state: State, service: ServiceState) -> Entry:
    instance = service.instance
    now, form = _running(state, instance.name), contained.service_form(service)
    found: Client = kind_of(instance.name, instance.declaration).client(
        replace(instance, ports={**instance.ports, **form.ports}), service.server
    )
    if form.client:
        return Entry(now.container, form.client[:1], form.client[1:], None, found.is_interactive)
    env = {name: reveal(value) for name, value in found.env.items()}
    return Entry(now.container, found.programs, found.argv, env, found.is_interactive)
