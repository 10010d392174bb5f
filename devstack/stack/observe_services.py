"""What there is of each declared service, on the machine itself or on an engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from devstack import contained
from devstack.detect import migrations
from devstack.errors import UsageError
from devstack.globs import matching
from devstack.profile.model import Service
from devstack.runtimes.engine_answers import Look
from devstack.runtimes.servers import Choice
from devstack.runtimes.servers.choice import covers
from devstack.services import Instance, Server, kind_of, ports_of
from devstack.stack.containers import UNUSED, Place, Placing, look, token_of, trashed_volumes
from devstack.stack.machinery import Tools
from devstack.stack.observe_contained import contained_processes, ensure_possible, shared_volumes
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
    #: those that run in containers
    processes: tuple[str, ...] = ()
    #: token of the volumes that they share
    shared: str = ""

    @property
    def images(self) -> dict[str, str]:
        """The digest of each image that is wanted, "" where the engine has none."""
        wanted = {service.image for service in self.services.values() if service.image}
        return {image: self.look.images.get(image, "") for image in wanted}

    def recorded(self, record: Record) -> Record:
        """The record with what was decided here. Whoever has a container is kept in it until that has gone."""
        left = record.runtimes if self.silent else dict.fromkeys(self.look.containers, "docker")
        runtimes = {name: runtime for name, runtime in left.items() if runtime == "docker"}
        runtimes |= dict.fromkeys(self.processes, "docker")
        runtimes |= {
            name: record.runtimes.get(name, "") if name in self.moving else place.runtime
            for name, place in self.places.items()
        }
        shared = {contained.VOLUMES: self.shared} if self.shared else {}
        return replace(record, runtimes=runtimes, volumes={**record.volumes, **self.tokens, **shared})


def placing_of(tools: Tools) -> Placing:
    return Placing(tools.profile, tools.project, tools.containers, moving=tools.moving, offline=tools.offline)


def ensure_placed(tools: Tools, record: Record, asked: tuple[str, ...] = ()) -> None:
    """What is asked for, () for everything, can run where it is to. Raises DataError, PrerequisiteError, UsageError."""
    placing = placing_of(tools)
    placing.ensure(record)
    ensure_possible(tools, placing.places(record, light=False), asked)


def _lacking(name: str, choice: Choice, service: Service, wanted: Mapping[str, str]) -> UsageError:
    """wanted: what the build lacks → the migration that asks for it."""
    declared = kind_of(name, service).needs(service)
    extensions = sorted({*declared, *wanted} - {"icu"})
    edits = [f"extensions = {json.dumps(extensions)}"] if set(wanted) - {"icu"} else []
    edits += ["icu = true"] if "icu" in wanted else []
    what = ", ".join(sorted(wanted))
    return UsageError(
        "migrations-want-more", f"the project's migrations want {what}, which {name} would lack",
        why=f"Postgres {choice.server.version} of {choice.source.name} is the nearest to what the profile asks",
        fix=f"{' and '.join(edits)} below [services.{name}]",
        evidence=tuple(f"{need}: {path}" for need, path in sorted(wanted.items())),
    )


class ServiceObserver:
    """light: for what runs only; asks nobody where a service would best be."""

    def __init__(self, tools: Tools, record: Record, *, light: bool) -> None:
        self._tools = tools
        self._profile = tools.profile
        self._record = record
        self._light = light
        self._places = placing_of(tools).places(record, light=light)
        self._processes = contained_processes(tools.profile)

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
        if not self._light:
            self._ensure_migrations_fit(choices, services)
        return Found(
            self._places, choices, services, tokens, seen, silent, frozenset(self._tools.moving), self._processes,
            shared_volumes(self._tools, self._record, seen),
        )

    def _ensure_migrations_fit(self, choices: Mapping[str, Choice], services: Mapping[str, ServiceState]) -> None:
        """A build that lacks what the migrations will want is told before there is data of its version, and before
        they have run for minutes. Raises UsageError."""
        databases = [name for name, service in self._profile.services.items() if (service.kind or name) == "postgres"]
        if len(databases) != 1 or databases[0] not in choices or services[databases[0]].has_data:
            return
        (name,) = databases
        source, root = choices[name].source, self._tools.project.root
        wanted: dict[str, str] = {}
        for path in matching(str(root), ["**/migrations/*.py"]) if self._profile.tasks else ():
            for need in migrations.needs(self._tools.system.read(root / path) or ""):
                if not covers(source, frozenset((need,))):
                    wanted.setdefault(need, path)
        if wanted:
            raise _lacking(name, choices[name], self._profile.services[name], wanted)

    def _choose(self, name: str, service: Service) -> Choice:
        kind = kind_of(name, service)
        version = service.version or kind.default_version
        return self._tools.servers.choose(service.kind or name, kind, version, kind.needs(service))

    def _instance(self, name: str, ports: Mapping[str, int], secrets: SecretStore, folder: str) -> Instance:
        service = self._profile.services[name]
        kind = kind_of(name, service)
        own = {port: ports[name if port == "main" else f"{name}.{port}"] for port in ports_of(name, service)}
        stack = self._profile.name.replace("-", "_")
        return Instance(
            name=name, stack=stack, declaration=service, ports=own, user=kind.account(service, stack),
            password=secrets.password(name), data=str(self._tools.project.folder / "data" / name),
            sockets=f"{folder}/{name}", is_contained=self._places[name].runtime == "docker",
        )

    def _look(self) -> tuple[Look, str]:
        """What the engine has of this stack, where it has or will have anything."""
        runtimes = {*self._record.runtimes.values(), *(place.runtime for place in self._places.values())}
        if "docker" in runtimes or self._processes:
            return look(self._tools.containers, self._record.stack)
        return Look(), ""

    def _tokens(self, seen: Look) -> dict[str, str]:
        """The token of each contained service's data; what keeps none ends, and begins anew, with its container."""
        trashed = trashed_volumes(self._tools.system, self._tools.project)
        found = {}
        for name in (name for name, place in self._places.items() if place.runtime == "docker"):
            known, keeps_none = self._record.volumes.get(name, ""), self._keeps_none(name)
            found[name] = (
                known if keeps_none and known and name in seen.containers
                else token_of(self._record, seen, name, trashed)
            )
        return found

    def _keeps_none(self, name: str) -> bool:
        """It has no volume."""
        return getattr(self._profile.services[name], "volumes", None) == {}

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
