"""What there is of each declared service, on the machine itself or on an engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from devstack import contained
from devstack.profile.model import Service
from devstack.runtimes.engine_answers import Look
from devstack.runtimes.servers import Choice
from devstack.services import Instance, Server, kind_of
from devstack.stack.containers import UNUSED, Place, Placing, look, token_of, trashed_volumes
from devstack.stack.machinery import Tools
from devstack.stack.store import SecretStore
from devstack.state import Record, ServiceState


@dataclass(frozen=True)
class Found:
    """choices: of the native ones. silent: why the engine can't be asked, "" where it can or needn't be."""

    places: Mapping[str, Place]
    choices: Mapping[str, Choice]
    services: Mapping[str, ServiceState]
    tokens: Mapping[str, str]
    look: Look
    silent: str
    #: those whose data hasn't arrived yet
    moving: frozenset[str] = frozenset()

    @property
    def images(self) -> dict[str, str]:
        """The digest of each image that is wanted, "" where the engine has none."""
        wanted = {service.image for service in self.services.values() if service.image}
        return {image: self.look.images.get(image, "") for image in wanted}

    def recorded(self, record: Record) -> Record:
        """The record with what was decided here."""
        runtimes = {
            name: record.runtimes.get(name, "") if name in self.moving else place.runtime
            for name, place in self.places.items()
        }
        return replace(record, runtimes=runtimes, volumes={**record.volumes, **self.tokens})


class ServiceObserver:
    """light: for what runs only; asks nobody where a service would best be. Raises PrerequisiteError, DataError."""

    def __init__(self, tools: Tools, record: Record, *, light: bool) -> None:
        self._tools = tools
        self._profile = tools.profile
        self._record = record
        placing = Placing(
            tools.profile, tools.project, tools.containers, moving=tools.moving, offline=tools.offline
        )
        self._places = placing.places(record, light=light)

    def observe(self, ports: Mapping[str, int], secrets: SecretStore, folder: str) -> Found:
        """folder: of the stack's sockets."""
        seen, silent = self._look()
        instances = {name: self._instance(name, ports, secrets, folder) for name in self._places}
        choices = {
            name: self._choose(name, instance.declaration) for name, instance in instances.items()
            if not instance.is_contained
        }
        tokens = self._tokens(seen)
        services = {
            name: self._native(instance, choices[name]) if name in choices
            else self._contained(instance, seen, tokens[name])
            for name, instance in instances.items()
        }
        return Found(self._places, choices, services, tokens, seen, silent, frozenset(self._tools.moving))

    def _choose(self, name: str, service: Service) -> Choice:
        kind = kind_of(name, service)
        version = service.version or kind.default_version
        return self._tools.servers.choose(service.kind or name, kind, version, kind.needs(service))

    def _instance(self, name: str, ports: Mapping[str, int], secrets: SecretStore, folder: str) -> Instance:
        service = self._profile.services[name]
        kind = kind_of(name, service)
        own = {port: ports[name if port == "main" else f"{name}.{port}"] for port in kind.ports}
        stack = self._profile.name.replace("-", "_")
        return Instance(
            name=name, stack=stack, declaration=service, ports=own, user=kind.account(service, stack),
            password=secrets.password(name), data=str(self._tools.project.folder / "data" / name),
            sockets=f"{folder}/{name}", is_contained=self._places[name].runtime == "docker",
        )

    def _look(self) -> tuple[Look, str]:
        """What the engine has of this stack, where it has or will have anything."""
        if "docker" in {*self._record.runtimes.values(), *(place.runtime for place in self._places.values())}:
            return look(self._tools.containers, self._record.stack)
        return Look(), ""

    def _tokens(self, seen: Look) -> dict[str, str]:
        """The token of each contained service's data."""
        trashed = trashed_volumes(self._tools.system, self._tools.project)
        return {
            name: token_of(self._record, seen, name, trashed)
            for name, place in self._places.items() if place.runtime == "docker"
        }

    def _contained(self, instance: Instance, seen: Look, token: str) -> ServiceState:
        form = kind_of(instance.name, instance.declaration).container(instance)
        image = contained.image_name(form.image, self._profile.registry)
        names = contained.volume_names(self._record.stack, instance.name, form, token.removesuffix(UNUSED))
        is_there = {one.name for one in seen.volumes}.issuperset(names.values())
        version = image.rpartition("/")[2].partition(":")[2] or image
        remade = self._record.generations.get(instance.name, "")
        known = self._record.volumes.get(instance.name, token)
        is_lost = known != token and not known.endswith(UNUSED)
        return ServiceState(
            instance=instance, server=Server(instance.declaration.kind or instance.name, "image", version, "", ""),
            is_fetched=bool(seen.images.get(image)), has_data=is_there and not token.endswith(UNUSED),
            generation=f"{token.removesuffix(UNUSED)}{remade}", runtime="docker", image=image,
            why=self._places[instance.name].why,
            warning=f"the volume of {instance.name} is gone: its data begins anew" if is_lost else "",
        )

    def _native(self, instance: Instance, choice: Choice) -> ServiceState:
        kind = kind_of(instance.name, instance.declaration)
        form = kind.native(instance, choice.server)
        data = self._tools.native.data_state(instance, choice.server, form)
        remade = self._record.generations.get(instance.name, "")
        generation = data.generation or self._tools.moving.get(instance.name, "")
        return ServiceState(
            instance=instance, server=choice.server, is_fetched=choice.is_fetched, has_data=data.complete,
            generation=f"{generation}{remade}", warning=choice.warning, why=self._places[instance.name].why,
        )
