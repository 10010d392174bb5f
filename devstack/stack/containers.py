"""The engine as one run uses it, asked once and only if it is needed; and where each service runs, and why."""

from __future__ import annotations

import functools
import json
import secrets as random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from devstack import contained
from devstack.errors import DataError, DevstackError, PrerequisiteError, UsageError
from devstack.profile.model import Profile, Service
from devstack.runtimes import engines, pulls
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import Look, unavailable
from devstack.runtimes.native import is_in_use
from devstack.services import kind_of
from devstack.stack.paths import Project
from devstack.state import Record, RuntimeHere
from devstack.system import System

#: in a folder of the trash: names of the volumes that went there
TRASHED = "volumes.json"
#: behind a token: nobody was let at the data yet
UNUSED = "?"


class Containers:
    """The engine of this machine, connected at the first question."""

    def __init__(self, system: System) -> None:
        self._system = system

    @functools.cached_property
    def _found(self) -> Engine | PrerequisiteError:
        try:
            address = engines.find(self._system)
            return Engine(self._system, address) if address else unavailable(None, "")
        except PrerequisiteError as error:
            return error

    @property
    def engine(self) -> Engine:
        """Raises PrerequisiteError where none answers."""
        if isinstance(self._found, PrerequisiteError):
            raise self._found
        return self._found

    @property
    def silence(self) -> PrerequisiteError:
        """Why nobody of the stack's containers could be asked."""
        found = self._found
        return found if isinstance(found, PrerequisiteError) else unavailable(found.address, "it has gone away")

    @property
    def program(self) -> str:
        """The command by which a person talks to it, also where none answers."""
        return "docker" if isinstance(self._found, PrerequisiteError) else self._found.program

    @property
    def problem(self) -> str:
        """Why no engine can be used, "" where one answers."""
        found = self._found
        return (found.why or found.what) if isinstance(found, PrerequisiteError) else ""

    def running(self, record: Record) -> frozenset[str]:
        """Names of a stack's containers that run; none where its engine can't be asked."""
        if "docker" not in record.runtimes.values():
            return frozenset()
        found, _ = look(self, record.stack)
        return frozenset(name for name, now in found.containers.items() if now.is_running)

    @functools.cache  # noqa: B019 - lives as long as a command does
    def trouble_with(self, image: str) -> str:
        """Why the engine has no such image and can't get it, "" where it can."""
        return "" if self.engine.image(image) else pulls.reachable(self.engine, image)


@dataclass(frozen=True)
class Place:
    """Where a service runs. why: what decided that."""

    runtime: RuntimeHere
    why: str


class Placing:
    """Decides for each service, from what is asked for, where its data is, and what can be had."""

    def __init__(
        self, profile: Profile, project: Project, containers: Containers, *, moving: Iterable[str] = (),
        offline: bool = False,
    ) -> None:
        self._profile = profile
        self._moving = frozenset(moving)
        self._project = project
        self._containers = containers
        self._offline = offline

    def places(self, record: Record, *, light: bool) -> dict[str, Place]:
        """light: as it was decided at the last `up`, as far as that is still what is asked for; asks no engine."""
        return {
            name: self._place(name, service, record, light=light) for name, service in self._profile.services.items()
        }

    def _place(self, name: str, service: Service, record: Record, *, light: bool) -> Place:
        if not kind_of(name, service).sources:
            return Place("docker", f"a service of the kind {service.kind or name} runs in a container only")
        wanted = service.runtime or self._profile.runtime
        said = f"runtime = {wanted!r} of {name}" if service.runtime else f"the runtime asked for is {wanted}"
        known = record.runtimes.get(name, "")
        if light:
            fallback = "docker" if known == "docker" else "native"
            return Place(wanted if wanted != "auto" else fallback, said)  # type: ignore[arg-type]
        there = self._data(name, record)
        if wanted == "auto":
            return Place(there, "its data is there") if there else self._best(name, service)
        if there and there != wanted and name not in self._moving:
            return Place(there, "its data is there")
        return Place(wanted, said)

    def ensure(self, record: Record) -> None:
        """What is asked for can be done: nobody's data is left behind, and an engine answers where one is needed.

        Raises DataError, PrerequisiteError, UsageError.
        """
        for name, service in self._profile.services.items():
            wanted = service.runtime or self._profile.runtime
            if wanted == "native" and not kind_of(name, service).sources:
                kind = service.kind or name
                raise UsageError(
                    "container-only", f"{name} can't run natively",
                    why=f"a service of the kind `{kind}` runs in a container only, and the runtime asked for is native",
                    fix=f'runtime = "docker" below [services.{name}]',
                )
        for name, (there, wanted) in self.misplaced(record).items():
            if name not in self._moving:
                raise _elsewhere(name, there, wanted)
        if any(place.runtime == "docker" for place in self.places(record, light=False).values()):
            _ = self._containers.engine

    def misplaced(self, record: Record) -> dict[str, tuple[RuntimeHere, RuntimeHere]]:
        """Services whose data isn't where they are to run: where it is, and where they are to."""
        found: dict[str, tuple[RuntimeHere, RuntimeHere]] = {}
        for name, service in self._profile.services.items():
            wanted = service.runtime or self._profile.runtime
            there = self._data(name, record)
            if wanted != "auto" and there is not None and there != wanted:
                found[name] = (there, wanted)
        return found

    def _data(self, name: str, record: Record) -> RuntimeHere | None:
        """Where the service's data is; None where nobody was let at any yet."""
        if record.runtimes.get(name) == "docker" and not record.volumes.get(name, UNUSED).endswith(UNUSED):
            return "docker"
        return "native" if is_in_use(self._project.folder / "data" / name) else None

    def _best(self, name: str, service: Service) -> Place:
        if problem := self._containers.problem:
            return Place("native", problem)
        form = kind_of(name, service).image(service)
        image = contained.image_name(form, self._profile.registry)
        engine = self._containers.engine
        if engine.image(image):
            return Place("docker", f"{engine.title} answers")
        trouble = "offline" if self._offline else self._containers.trouble_with(image)
        if trouble:
            return Place("native", f"{engine.title} has no {image}: {trouble}")
        return Place("docker", f"{engine.title} answers")


def _elsewhere(name: str, there: str, wanted: str) -> DataError:
    return DataError(
        "data-elsewhere", f"the data of {name} is where it ran before: {there}",
        why=f"{wanted} is asked for now, and nothing is left behind without a word",
        fix=f"devstack up --runtime {wanted} --move-data",
        evidence=(f"to go on as before: devstack up --runtime {there}",),
    )


def token_of(record: Record, look: Look, name: str, trashed: frozenset[str]) -> str:
    """The token of a service's data: as recorded where its volumes are there, else of the newest that are; a new one
    with UNUSED behind it where there are none."""
    known = record.volumes.get(name, "")
    present = [one for one in look.volumes if one.service == name and one.name not in trashed]
    if known.endswith(UNUSED) or any(one.token == known for one in present):
        return known
    if present and not known:
        return max(present, key=lambda one: one.created).token
    return random.token_hex(4) + UNUSED


def trashed_volumes(system: System, project: Project) -> frozenset[str]:
    """Names of the volumes that lie in the trash."""
    return frozenset(_trashed(system, project))


def _trashed(system: System, project: Project) -> Iterator[str]:
    for path in sorted(project.trash.glob(f"*/{TRASHED}")):
        try:
            found = json.loads(system.read(path) or "{}")
        except ValueError:
            continue
        if isinstance(found, dict):
            for names in found.values():
                yield from names.values()


def trash_volumes(system: System, folder: Path, names: Mapping[str, Mapping[str, str]]) -> None:
    """Note in a folder of the trash that these volumes lie in it. names: by service, by short name."""
    if names:
        system.write(folder / TRASHED, json.dumps(names, indent=1) + "\n")


def look(containers: Containers, stack: str) -> tuple[Look, str]:
    """What the engine has of a stack, and why it can't be asked, "" where it can."""
    try:
        return containers.engine.look(stack), ""
    except DevstackError as error:
        return Look(), error.why or error.what
