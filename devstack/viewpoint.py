"""What `${…}` stands for: the same reference leads to the same server from this machine and from inside a container,
where it has another address. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from devstack.profile import graph
from devstack.profile.interpolation import resolve
from devstack.profile.model import Process, Profile
from devstack.profile.secret import Secret
from devstack.services import Instance, kind_of
from devstack.state import ServiceState, State

Value = str | Secret


@dataclass(frozen=True)
class Viewpoint:
    """Whose text is read. program: whose port and replica are meant, "" for nobody's. is_inside: on the stack's
    network. contained: the process, where it runs in a container."""

    program: str = ""
    replica: int = 1
    is_inside: bool = False
    contained: Process | None = None

    def port(self, state: State, name: str = "") -> str:
        """The program's own port, or its port of this name, where it listens itself; "" where it has none."""
        if self.contained is not None:
            return str(self.contained.ports[name] if name else self.contained.inside_port)
        return str(state.ports[f"{self.program}.{name}"] if name else state.ports.get(self.program, ""))


#: what is read for no program, on this machine
NOBODY = Viewpoint()


def environment(profile: Profile, state: State, whose: Viewpoint = NOBODY) -> dict[str, Value]:
    """The profile's `[env]` with every value filled in."""
    values: dict[str, Value] = {}

    def value_of(name: str) -> Value:
        if name not in values:
            declared = profile.env[name]
            values[name] = (
                resolve(declared, _lookup(profile, state, value_of, whose)) if isinstance(declared, str)
                else state.decided.get(name, "")
            )
        return values[name]

    for name in profile.env:
        value_of(name)
    return values


def lookup(profile: Profile, state: State, whose: Viewpoint = NOBODY) -> Callable[[str], Value]:
    """What `${…}` stands for in a text of the profile."""
    shared = environment(profile, state, whose)
    return _lookup(profile, state, lambda name: shared[name], whose)


def seen_from_inside(service: ServiceState) -> Instance:
    """A service as a container of its stack reaches it. One that runs natively can't be reached, and stays as it is."""
    instance = service.instance
    if service.runtime != "docker":
        return instance
    ports = kind_of(instance.name, instance.declaration).container(instance).ports
    return replace(instance, host=instance.name, ports=ports)


def _lookup(
    profile: Profile, state: State, env: Callable[[str], Value], whose: Viewpoint
) -> Callable[[str], Value]:
    def answer(reference: str) -> Value:
        own = {
            "port": whose.port(state), "replica": str(whose.replica), "project.root": _root(state, whose),
            "project.name": profile.name,
        }
        if reference in own:
            return own[reference]
        match reference.split("."):
            case ["ports", name]:
                return whose.port(state, name)
            case ["env", name]:
                return env(name)
            case ["services", name, *field]:
                service = state.services[name]
                instance = seen_from_inside(service) if whose.is_inside else service.instance
                return kind_of(name, instance.declaration).variables(instance)[".".join(field)]
            case ["processes", name, *field]:
                return _process_field(profile, state, name, field, whose)
        raise KeyError(reference)

    return answer


def _root(state: State, whose: Viewpoint) -> str:
    """The project's folder; inside, where it is mounted whole."""
    mounts = whose.contained.mounts if whose.contained is not None else ()
    return next((one.target for one in mounts if one.source in (".", "./")), state.root)


def _process_field(profile: Profile, state: State, name: str, field: list[str], whose: Viewpoint) -> str:
    process = profile.processes[name]
    programs = graph.programs_of(name, process)
    if not programs:
        # scaled to nothing: nobody listens anywhere
        return ""
    first = programs[0][0]
    host, target = "127.0.0.1", Viewpoint(first)
    # what a process is told of itself is what others call it by
    if whose.is_inside and process.is_contained and whose.contained is not process:
        host, target = first, Viewpoint(first, contained=process)
    match field:
        case ["port"]:
            return target.port(state)
        case ["url"]:
            return f"http://{host}:{target.port(state)}"
        case ["ports", port]:
            return target.port(state, port)
    raise KeyError(".".join(["processes", name, *field]))
