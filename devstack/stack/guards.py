"""What is asked before the first step of a run, so that what can't end well doesn't begin.

What is needed of memory and disk are lower bounds: below them the steps are sure to fail; above them a failing step
says it itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from devstack import contained, programs
from devstack.actions import FetchServer, InstallPackages, PrepareData, PullImage, StartContainer, StartProgram
from devstack.errors import ConflictError, DevstackError, NetworkError, PrerequisiteError, StorageError
from devstack.plan import Plan, Step
from devstack.services import kind_of
from devstack.stack.commands import port_taken
from devstack.stack.machinery import Tools
from devstack.stack.observe import Seen
from devstack.stack.options import Options
from devstack.state import ProgramState, ServiceState, State
from devstack.system import System

_MB = 1_000_000
#: a server's archive beside what is unpacked of it
_SERVER = 150 * _MB
#: of packages to install; Django alone has 50 MB
_PACKAGES = 30 * _MB
_SHELL = 50 * _MB


def ensure_usable(plan: Plan, tools: Tools, seen: Seen) -> None:
    """Raises DataError for data that a server would be started on, or that would be made, where a person has to decide;
    else it would be told when half of the stack has been stopped."""
    for step in plan.steps:
        match step.action:
            case PrepareData(service=name) | StartProgram(service=name) if name:
                try:
                    _ensure_data(tools, seen.state.services[name])
                except DevstackError as error:
                    error.step = step.id
                    raise


def _ensure_data(tools: Tools, service: ServiceState) -> None:
    if service.runtime == "native":
        tools.native.ensure_usable(service.instance, service.server, programs.native_form(service))


def is_usable(tools: Tools, service: ServiceState) -> bool:
    """Can its server be started on its data, as far as the files say?"""
    try:
        _ensure_data(tools, service)
    except DevstackError:
        return False
    return True


def ensure_possible(plan: Plan, tools: Tools, seen: Seen, *, offline: bool) -> None:
    """Raises NetworkError, ConflictError, PrerequisiteError, StorageError."""
    if offline:
        _ensure_fetched(plan)
    for step in plan.steps:
        # without an engine what is optional fails by itself
        if isinstance(step.action, StartContainer) and not (step.optional and tools.containers.problem):
            tools.containers.engine.ensure_name(seen.state.stack, step.action.name)
    _ensure_ports(plan, tools, seen)
    _ensure_room(plan, tools, seen)


def _ensure_fetched(plan: Plan) -> None:
    """Offline, all that is missing is told at once."""
    fetches = [step for step in plan.steps if isinstance(step.action, FetchServer | PullImage)]
    if fetches:
        raise NetworkError(
            "offline-missing", "this machine lacks what can't be fetched offline",
            why="; ".join(step.cause for step in fetches), fix="devstack up",
        )


def _ensure_ports(plan: Plan, tools: Tools, seen: Seen) -> None:
    """A leased port may be a stranger's by now; what a step frees itself doesn't count."""
    state, system = seen.state, tools.system
    own = {program.pid for program in state.supervisor.programs.values()} | {
        orphan.pid for orphan in state.supervisor.orphans
    }
    for step in plan.steps:
        for name, port in _wanted_ports(step, state).items():
            holder = None if system.is_port_free(port) else system.port_holder(port)
            if holder is not None and system.is_port_forbidden(port):
                raise ConflictError(
                    "port-forbidden", f"port {port} of {name} needs a right that this user lacks",
                    why="ports below 1024 are root's", fix=f"change `port` of {name} in the profile to one above 1023",
                )
            if holder is None or holder.pid in own:
                continue
            # a child of a program, such as a reloader's server, ends with its program
            if holder.pid is None or system.variables(holder.pid).get("DEVSTACK_STACK") != state.stack:
                raise port_taken(name, port, str(holder), fixed=programs.is_fixed(tools.profile, name))


def _wanted_ports(step: Step, state: State) -> dict[str, int]:
    """The ports that the step's start needs and that nothing of the stack's own has now."""
    match step.action:
        case StartProgram(program=name) if name not in state.containers:
            return programs.ports_of(state, name)
        case StartContainer(name=name) if name not in state.containers:
            service = state.services.get(name)
            if service is None:
                return programs.ports_of(state, name)
            own = contained.service_form(service).ports
            return {name if port == "main" else f"{name}.{port}": service.instance.ports[port] for port in own}
    return {}


def _ensure_room(plan: Plan, tools: Tools, seen: Seen) -> None:
    """Raises PrerequisiteError for too little memory, StorageError for too little disk."""
    _ensure_memory(plan, tools)
    fetched = sum(isinstance(step.action, FetchServer) for step in plan.steps)
    _ensure_disk(tools, tools.places.cache, fetched * _SERVER, "servers")
    installs = any(isinstance(step.action, InstallPackages) for step in plan.steps)
    if installs and seen.python is not None and seen.python.plan.steps:
        _ensure_disk(tools, tools.project.root, _PACKAGES, "the environment")


def _ensure_memory(plan: Plan, tools: Tools) -> None:
    services = tools.profile.services
    starts = [
        step.action.service for step in plan.steps if isinstance(step.action, StartProgram) and step.action.service
    ]
    need = sum(kind_of(name, services[name]).memory_mb for name in starts) * _MB
    if not need:
        return
    need += _SHELL
    free = tools.system.available_memory()
    if free is not None and free < need:
        raise PrerequisiteError(
            "memory-low", f"{', '.join(starts)} won't fit into this machine's memory",
            why=f"they need {need // _MB} MB at least, {free // _MB} MB are free",
            fix="free  (and end what isn't needed)",
        )


def _ensure_disk(tools: Tools, folder: Path, need: int, what: str) -> None:
    if not need:
        return
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = tools.system.free_disk(there)
    if free < need:
        raise StorageError(
            "disk-low", f"there is too little room for {what} in {folder}",
            why=f"{need // _MB} MB are needed at least, {free // _MB} MB are free", fix=f"df -h {there}",
        )


def has_consent(seen: Seen, options: Options) -> bool:
    """May servers be installed with the system's package manager? Asked only where there is no other way."""
    commands = [choice.consent for choice in seen.choices.values() if choice.consent and not choice.is_fetched]
    ask = options.ask_consent
    return bool(commands) and (options.yes or bool(ask and all(ask(command) for command in commands)))


def holds_port(system: System, program: ProgramState | None, port: int) -> bool:
    """Is a taken port this program's? One that is started again and again for its port's sake runs now and then."""
    if program is None or not program.is_running:
        return False
    holder, own = system.port_holder(port), system.identity(program.pid or 0)
    if holder is None or holder.pid is None:
        return not program.restarts
    return own is not None and holder.pid in {own.pid, *(child.pid for child in system.descendants(own))}


def taken(system: System, programs: Mapping[str, ProgramState], ports: Mapping[str, int]) -> set[str]:
    """The names of the ports, `OWNER` or `OWNER.NAME`, that somebody else has taken."""
    return {
        name for name, port in ports.items()
        if not system.is_port_free(port) and not holds_port(system, programs.get(name.partition(".")[0]), port)
    }
