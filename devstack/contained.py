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

from devstack.profile.model import Profile, Restart, SignalName
from devstack.profile.secret import Secret
from devstack.render import digest, reveal
from devstack.services import ContainerService, ServerFile, kind_of
from devstack.state import ServiceState, State

#: a first part with one of these is a registry, as engines read names of images
_REGISTRY = re.compile(r"^([^/]*[.:][^/]*|localhost)/")


@dataclass(frozen=True)
class Contained:
    """One container. image: as the engine is asked for it; version: the digest that is at hand. ports: on the host →
    inside. volumes: names of the engine's → folder inside. command: () for the image's own. stop_grace: seconds."""

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

    @functools.cached_property
    def digest(self) -> str:
        """Changes whenever a running container would have to be replaced."""
        facts = [
            self.name, self.image, self.version, self.command, self.hostname, self.memory, self.stop_signal,
            sorted((name, reveal(value)) for name, value in self.env.items()), sorted(self.ports.items()),
            sorted(self.volumes.items()), [(file.path, file.text, file.mode) for file in self.files],
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


def service_container(state: State, service: ServiceState) -> Contained:
    """A service as a container."""
    form, instance = service_form(service), service.instance
    token = service.generation.partition("+")[0]
    names = volume_names(state.stack, instance.name, form, token)
    return Contained(
        name=instance.name, image=service.image, version=state.images.get(service.image, ""), command=form.command,
        env=form.env, files=form.files, ports={instance.ports[port]: inside for port, inside in form.ports.items()},
        volumes={names[short]: folder for short, folder in form.volumes.items()}, hostname=form.hostname,
        memory=instance.declaration.memory or "", stop_signal=form.stop_signal, stop_grace=form.stop_grace,
    )


def containers(profile: Profile, state: State) -> Iterator[Contained]:
    """Every container of the stack."""
    for service in state.services.values():
        if service.runtime == "docker":
            yield service_container(state, service)
