"""What should run in containers: Profile + State → the containers of a stack, as an engine is told. Pure.

A container has the name of the service or program that it is, on the stack's own network; what it publishes is on
127.0.0.1. Its digest covers all that it is made from, so that a change of any of it makes another one necessary.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from devstack import programs
from devstack.profile import graph
from devstack.profile.interpolation import references, resolve
from devstack.profile.model import Build, Process, Profile, Restart, SignalName
from devstack.profile.secret import Secret
from devstack.render import digest, reveal
from devstack.services import ContainerService, ServerFile, kind_of
from devstack.state import ServiceState, State
from devstack.viewpoint import Viewpoint, lookup

#: whose the named volumes are that processes share
VOLUMES = "devstack-volumes"
#: a first part with one of these is a registry, as engines read names of images
_REGISTRY = re.compile(r"^([^/]*[.:][^/]*|localhost)/")


@dataclass(frozen=True)
class Bind:
    """A folder or a file of the project that a container sees. source: absolute, on this machine."""

    source: str
    target: str
    is_read_only: bool


@dataclass(frozen=True)
class Contained:
    """One container. image: as the engine is asked for it; version: the digest that is at hand. ports: on the host →
    inside. volumes: names of the engine's → folder inside. command: () for the image's own; cwd, user: "" for those.
    stop_grace: seconds. owner: the process that it is a replica of. build: how its image is made."""

    name: str
    image: str
    version: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str | Secret] = field(default_factory=dict)
    files: tuple[ServerFile, ...] = ()
    ports: Mapping[int, int] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    memory: str = ""
    stop_signal: SignalName | None = None
    stop_grace: float = 10.0
    is_service: bool = True
    restart: Restart = "always"
    cwd: str = ""
    user: str = ""
    binds: tuple[Bind, ...] = ()
    owner: str = ""
    build: Build | None = None

    @property
    def aliases(self) -> tuple[str, ...]:
        """Its names on the stack's network."""
        return tuple(dict.fromkeys((self.name, self.owner or self.name)))

    @functools.cached_property
    def digest(self) -> str:
        """Changes whenever a running container would have to be replaced."""
        facts = [
            self.name, self.image, self.version, self.command, self.hostname, self.memory, self.stop_signal,
            sorted((name, reveal(value)) for name, value in self.env.items()), sorted(self.ports.items()),
            sorted(self.volumes.items()), [(file.path, file.text, file.mode) for file in self.files],
            self.cwd, self.user, [(one.source, one.target, one.is_read_only) for one in self.binds], self.restart,
            self.stop_grace,
        ]
        return digest(json.dumps(facts))


def image_name(image: str, registry: str | None) -> str:
    """An image's name as the engine is asked for it: always with a tag, or a digest."""
    if registry and not _REGISTRY.match(image):
        image = f"{registry}/{image}"
    has_version = "@" in image or ":" in image.rpartition("/")[2]
    return image if has_version else f"{image}:latest"


def network(stack: str) -> str:
    """The name of the stack's network."""
    return f"devstack-{stack[:12]}"


def container_name(stack: str, name: str) -> str:
    return f"devstack-{stack[:12]}-{name}"


def volume_names(stack: str, service: str, form: ContainerService, token: str) -> dict[str, str]:
    """The engine's name of each of a service's volumes, by its short name. token: of the data."""
    return {short: f"devstack-{stack[:12]}-{service}-{short}-{token}" for short in form.volumes}


def service_form(service: ServiceState) -> ContainerService:
    return kind_of(service.instance.name, service.instance.declaration).container(service.instance)


def service_container(profile: Profile, state: State, service: ServiceState) -> Contained:
    """A service as a container."""
    form, instance = service_form(service), service.instance
    command: tuple[str, ...] = form.command
    env: Mapping[str, str | Secret] = form.env
    if form.is_text:
        answer = lookup(profile, state, Viewpoint(is_inside=True))
        command = tuple(reveal(resolve(word, answer)) for word in command)
        env = {name: resolve(text, answer) for name, text in form.env.items()}
    token = service.generation.partition("+")[0]
    names = volume_names(state.stack, instance.name, form, token)
    return Contained(
        name=instance.name, image=service.image, version=state.images.get(service.image, ""), command=command,
        env=env, files=form.files, ports={instance.ports[port]: inside for port, inside in form.ports.items()},
        volumes={names[short]: folder for short, folder in form.volumes.items()}, hostname=form.hostname,
        memory=instance.declaration.memory or "", stop_signal=form.stop_signal, stop_grace=form.stop_grace,
    )


def process_container(profile: Profile, state: State, name: str, program: str, replica: int) -> Contained:
    """One replica of a process as a container."""
    process = profile.processes[name]
    resolved = programs.command(profile, state, process, program, replica)
    image = state.builds[name] if process.build else image_name(process.image or "", profile.registry)
    ports = {state.ports[program]: process.inside_port} if graph.has_port(process) else {}
    ports |= {state.ports[f"{program}.{port}"]: inside for port, inside in process.ports.items()}
    folder = PurePosixPath(state.root)
    return Contained(
        name=program, image=image, version=state.images.get(image, ""), command=resolved.argv, env=resolved.env,
        ports=ports, volumes={shared_volume(state, one.source): one.target for one in process.mounts if one.is_volume},
        stop_signal=process.stop.signal, stop_grace=process.stop.grace, is_service=False, restart=process.restart,
        cwd=process.cwd if process.cwd.startswith("/") else "", user=process.user or "",
        binds=tuple(
            Bind(str(folder / one.source), one.target, one.is_read_only)
            for one in process.mounts if not one.is_volume
        ),
        owner=name, build=process.build,
    )


def shared_volume(state: State, name: str) -> str:
    """The engine's name of a volume that processes share."""
    return f"devstack-{state.stack[:12]}-volume-{name}-{state.volumes}"


def built_image(stack: str, key: str) -> str:
    """The name of an image that is made here. key: of all that it is made from."""
    return f"devstack-{stack[:12]}:{key}"


def containers(profile: Profile, state: State) -> Iterator[Contained]:
    """Every container of the stack, services first."""
    for service in state.services.values():
        if service.runtime == "docker":
            yield service_container(profile, state, service)
    for name, process in profile.processes.items():
        for program, replica in graph.programs_of(name, process) if process.is_contained else ():
            yield process_container(profile, state, name, program, replica)


def build_args(profile: Profile, state: State, build: Build) -> dict[str, str]:
    """The values of a Dockerfile's arguments, `${…}` filled in."""
    answer = lookup(profile, state, Viewpoint(is_inside=True))
    return {name: reveal(resolve(text, answer)) for name, text in build.args.items()}


def talks_to(profile: Profile, process: Process) -> frozenset[str]:
    """The services that a process itself says it talks to: by its `needs`, or by what its texts lead to; those of
    `[env]` count where it doesn't say what it needs."""
    shared = () if process.needs is not None else (text for text in profile.env.values() if isinstance(text, str))
    texts = (*process.env.values(), *process.argv(), *shared)
    found = {name for name in process.needs or () if name in profile.services}
    for text in texts:
        found |= {one.split(".")[1] for one in references(text) if one.startswith("services.")}
    return frozenset(found)
