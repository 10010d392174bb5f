"""One stack's containers, volumes and network on an engine that speaks Docker's API: Docker itself, or Podman.

Everything of a stack carries its id in a label; nothing without it is ever touched. Every call has a deadline. Images
are got by `runtimes/pulls.py`. Measured behaviour that this relies on: docs/decisions/0020-containers.md.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import tarfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from devstack.contained import Contained, container_name, network
from devstack.errors import ConflictError, DevstackError
from devstack.runtimes.container_config import config
from devstack.runtimes.engine_answers import (
    DIGEST,
    NAME,
    PATIENCE,
    ROLE,
    STACK,
    TOKEN,
    USER,
    Look,
    Owned,
    Owner,
    Sizes,
    api_version,
    names_of,
    out_of_the_way,
    owned,
    refused,
    sizes_of,
    state_of,
    unavailable,
    volume_of,
)
from devstack.runtimes.engines import Address, ensure_open, greeting
from devstack.services import ServerFile
from devstack.state import ProgramState
from devstack.system import System

if TYPE_CHECKING:
    from docker import APIClient

#: seconds for what makes it work: starting on a busy machine, removing a big volume
_WORK = 120.0
_PORT_TAKEN = re.compile(r"port is already allocated|address already in use|ports are not available", re.IGNORECASE)


class Engine:
    """An engine that has answered. Raises PrerequisiteError where none does within PATIENCE, or a too old one."""

    def __init__(self, system: System, address: Address) -> None:
        import docker
        from docker.constants import MINIMUM_DOCKER_API_VERSION
        self.system = system
        self.address = address
        self._making = threading.Lock()
        with self._asking():
            ensure_open(address)
            oldest = MINIMUM_DOCKER_API_VERSION
            with docker.APIClient(base_url=address.url, version=oldest, timeout=PATIENCE) as asker:
                said = greeting(asker) or asker.version(api_version=False)
            self.api: APIClient = docker.APIClient(
                base_url=address.url, version=api_version(address, said), timeout=PATIENCE
            )
        self._connecting = threading.Lock()
        self._long: APIClient | None = None
        names = {str(part.get("Name", "")) for part in said.get("Components") or ()}
        self.is_podman = any(name.lower().startswith(("podman", "libpod")) for name in names)
        self.address = replace(address, is_podman=self.is_podman)
        self.title = f"{'Podman' if self.is_podman else 'Docker'} {said.get('Version', '')}".strip()

    @property
    def program(self) -> str:
        """The command by which a person talks to it."""
        return self.address.program

    @functools.cached_property
    def processor(self) -> str:
        """The kind of processor of its machine, as engines call it; "" where it doesn't say."""
        with self._asking():
            return str(self.api.version(api_version=False).get("Arch", ""))

    # --- looking -----------------------------------------------------------------------------------------------------

    def look(self, stack: str) -> Look:
        """Everything of this stack. Raises PrerequisiteError where the engine has gone away."""
        wanted = {"label": [f"{STACK}={stack}"]}
        with self._asking():
            found = [self._inspected(one["Id"]) for one in self.api.containers(all=True, filters=wanted)]
            volumes = self.api.volumes(filters=wanted).get("Volumes") or ()
            networks = self.api.networks(filters=wanted)
            images = self.api.images()
        states = {}
        services = set()
        names = {name: str(image["Id"]) for image in images for name in names_of(image)}
        for one in filter(None, found):
            labels = one["Config"]["Labels"] or {}
            # an image whose name is gone can't be had again; what runs has it still
            names.setdefault(one["Config"]["Image"], one["Image"])
            states[labels.get(NAME, one["Name"])] = state_of(one)
            if labels.get(ROLE) == "service":
                services.add(labels.get(NAME, ""))
        return Look(
            states, frozenset(services), tuple(map(volume_of, volumes)), bool(networks),
            names,
        )

    def survey(self, user: int, *, sizes: bool = False) -> tuple[Owned, ...]:
        """Everything of all stacks of one user. Containers come first, networks last: the order to remove them in.
        sizes: with what each takes, which an engine may count for many seconds."""
        wanted = {"label": [f"{USER}={user}"]}
        with self._asking():
            containers = self._worker.containers(all=True, size=sizes, filters=wanted)
            volumes = self.api.volumes(filters=wanted).get("Volumes") or ()
            networks = self.api.networks(filters=wanted)
            used = self.sizes().volumes if sizes and volumes else {}
        return (
            *(owned("container", one, one["Names"][0].lstrip("/")) for one in containers),
            *(replace(owned("volume", one, one["Name"]), size=max(0, used.get(one["Name"], 0))) for one in volumes),
            *(owned("network", one, one["Name"]) for one in networks),
        )

    def sizes(self) -> Sizes:
        """What an engine may count for many seconds."""
        with self._asking():
            return sizes_of(self._worker.df())

    def state(self, name: str, stack: str) -> ProgramState | None:
        """One container as it is now, whatever it is called by now."""
        with self._asking():
            found = [self._inspected(one) for one in self._own(stack, name)]
        return next((state_of(one) for one in found if one is not None), None)

    def _own(self, stack: str, name: str) -> list[str]:
        """The ids of the stack's containers that are this service or program; more than one only by a stranger."""
        wanted = {"label": [f"{STACK}={stack}", f"{NAME}={name}"]}
        return [one["Id"] for one in self.api.containers(all=True, filters=wanted)]

    def image(self, name: str) -> str:
        """The digest of an image that is at hand, "" for one that isn't."""
        from docker.errors import ImageNotFound

        with self._asking():
            try:
                return str(self.api.inspect_image(name)["Id"])
            except ImageNotFound:
                return ""

    def info(self) -> dict[str, Any]:
        """What the engine says of itself and of its machine."""
        with self._asking():
            found: dict[str, Any] = self.api.info()
        return found

    def last_lines(self, container: str, count: int) -> tuple[str, ...]:
        """The end of what a container has printed; nothing where that can't be read."""
        with contextlib.suppress(DevstackError), self._asking():
            text: bytes = self.api.logs(container, tail=count)
            return tuple(text.decode(errors="replace").splitlines()[-count:])
        return ()

    def _inspected(self, container: str) -> dict[str, Any] | None:
        from docker.errors import NotFound

        try:
            found: dict[str, Any] = self.api.inspect_container(container)
        except NotFound:
            return None
        return found

    # --- making ------------------------------------------------------------------------------------------------------

    def make_volumes(self, of: Owner, service: str, names: Mapping[str, str], token: str) -> None:
        """Make these volumes, empty: one of that name that is there is nobody's yet, and goes. names: by short name."""
        with self._asking():
            for name in names.values():
                self._remove_volume(name, of.stack)
                self._worker.create_volume(name, labels={**of.labels, NAME: service, TOKEN: token})

    def ensure_volumes(self, of: Owner, owner: str, names: Iterable[str], token: str) -> None:
        """Make those of these volumes that aren't there. owner, token: as they are labelled."""
        from docker.errors import NotFound

        with self._asking(), self._making:
            for name in names:
                try:
                    self.api.inspect_volume(name)
                except NotFound:
                    self._worker.create_volume(name, labels={**of.labels, NAME: owner, TOKEN: token})

    def _remove_volume(self, name: str, stack: str) -> None:
        from docker.errors import NotFound

        try:
            known = self.api.inspect_volume(name)
        except NotFound:
            return
        if (known.get("Labels") or {}).get(STACK) == stack:
            self._worker.remove_volume(name)

    def start(self, of: Owner, wanted: Contained, ensure: Callable[[str], None] = lambda container: None) -> None:
        """Make a container and start it. The one that was it before goes; a stranger's of its name is a ConflictError.
        ensure: gets its id before the start, and raises where there should be none."""
        name = container_name(of.stack, wanted.name)
        with self._asking():
            for one in self._own(of.stack, wanted.name):
                self._worker.remove_container(one, v=True, force=True)
            self.ensure_name(of.stack, wanted.name)
            place = self._ensure_network(of)
            made = self._worker.create_container_from_config(
                config(self._worker, place, wanted, _labels(of, wanted), is_podman=self.is_podman), name=name
            )["Id"]
            try:
                if wanted.files:
                    self._worker.put_archive(made, "/", _archive(wanted.files))
                ensure(made)
                self._worker.start(made)
            except Exception as error:
                # what never ran holds nothing, and would hold the name
                with contextlib.suppress(Exception):
                    self._worker.remove_container(made, v=True, force=True)
                if _PORT_TAKEN.search(str(error)):
                    ports = [port for port in wanted.ports if str(port) in str(error)] or list(wanted.ports)
                    raise PortTakenError(ports[0]) from None
                raise

    def ensure_name(self, stack: str, name: str) -> None:
        """Raises ConflictError where a container that isn't the stack's has the name that this one gets."""
        name = container_name(stack, name)
        with self._asking():
            there = self._inspected(name)
        if there is not None and (there["Config"]["Labels"] or {}).get(STACK) != stack:
            raise ConflictError(
                "name-taken", f"a container that isn't this stack's is named {name}",
                why=f"its image is {there['Config'].get('Image', 'unknown')}", fix=out_of_the_way(self.program, there),
            )

    def _ensure_network(self, of: Owner) -> str:
        """The id of the stack's network. Raises ConflictError where somebody else's has its name: engines that let two
        have the same put no container into either."""
        name = network(of.stack)
        with self._making:
            own, others = list[str](), list[str]()
            for one in self.api.networks(names=[name]):
                if one["Name"] == name:
                    (own if (one.get("Labels") or {}).get(STACK) == of.stack else others).append(str(one["Id"]))
            if others:
                raise ConflictError(
                    "name-taken", f"a network that isn't this stack's is named {name}",
                    why=f"its id is {others[0][:12]}", fix=f"{self.program} network rm {others[0][:12]}",
                )
            for spare in own[1:]:
                self._worker.remove_network(spare)
            return own[0] if own else str(self._worker.create_network(name, labels=of.labels)["Id"])

    # --- ending ------------------------------------------------------------------------------------------------------

    def stop(self, container: str, last: Callable[[], None] = lambda: None) -> None:
        """Ask a container to end, kill it after the seconds it was made with, and remove it; its volumes stay. last:
        called when it has ended and is still there."""
        from docker.errors import NotFound

        with self._asking(), contextlib.suppress(NotFound):
            self._worker.stop(container)
            last()
            self._worker.remove_container(container, v=True, force=True)

    def remove(self, thing: Owned) -> None:
        """Remove what a survey has found; nothing where it is gone by now."""
        from docker.errors import NotFound

        with self._asking(), contextlib.suppress(NotFound):
            match thing.kind:
                case "container":
                    self._worker.remove_container(thing.id, v=True, force=True)
                case "volume":
                    self._worker.remove_volume(thing.id)
                case "network":
                    self._worker.remove_network(thing.id)

    def remove_network(self, stack: str) -> None:
        from docker.errors import NotFound

        with self._asking():
            for one in self.api.networks(filters={"label": [f"{STACK}={stack}"]}):
                with contextlib.suppress(NotFound):
                    self._worker.remove_network(one["Id"])

    def execute(
        self, container: str, argv: tuple[str, ...], *, env: Mapping[str, str] | None = None, timeout: float = _WORK
    ) -> tuple[int, str]:
        """Run a command inside as root; its exit status and what it printed. timeout: seconds without a word of it."""
        import docker

        with self._asking():
            api = docker.APIClient(base_url=self.address.url, version=self.api.api_version, timeout=timeout)
            with contextlib.closing(api):
                made = api.exec_create(container, list(argv), user="0", environment=dict(env or {}))["Id"]
                output: bytes = api.exec_start(made)
                status = api.exec_inspect(made)["ExitCode"]
        return int(status or 0), output.decode(errors="replace")

    def put_file(self, container: str, path: str, content: bytes) -> None:
        """Lay a file that everyone may read into a container."""
        with self._asking():
            self._worker.put_archive(container, "/", _packed([(path, content, 0o444)]))

    def take_file(self, container: str, path: str) -> bytes:
        """The content of a file inside."""
        with self._asking():
            stream, _ = self._worker.get_archive(container, path)
            return _first_of(stream)

    def text_inside(self, container: str, path: str) -> str:
        """The text of a file inside, "" where there is none."""
        from docker.errors import NotFound

        with self._asking():
            try:
                stream, _ = self._worker.get_archive(container, path)
            except NotFound:
                return ""
            return _first_of(stream).decode(errors="replace")

    @property
    def _worker(self) -> APIClient:
        """The client for what may take longer than an answer."""
        import docker

        with self._connecting:
            if self._long is None:
                self._long = docker.APIClient(
                    base_url=self.address.url, version=self.api.api_version, timeout=_WORK
                )
        return self._long

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Raises what a failure of the engine means instead of what its client raises."""
        import requests
        from docker.errors import APIError, DockerException

        try:
            yield
        except APIError as error:
            raise refused(error, self.program) from None
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            raise unavailable(self.address, str(error)) from None


    asking = _asking
    """For what other modules of this folder ask an engine."""


class PortTakenError(Exception):
    """Somebody has a port that was to be published."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.port = port


def _labels(of: Owner, wanted: Contained) -> dict[str, str]:
    role = "service" if wanted.is_service else "process"
    return {**of.labels, NAME: wanted.name, DIGEST: wanted.digest, ROLE: role}


def _archive(files: tuple[ServerFile, ...]) -> bytes:
    return _packed([(file.path, file.text.encode(errors="surrogateescape"), file.mode) for file in files])


def _first_of(stream: Iterable[bytes]) -> bytes:
    """The content of the one file of a tar archive."""
    with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as archive:
        file = archive.extractfile(archive.next() or tarfile.TarInfo())
        return file.read() if file else b""


def _packed(files: list[tuple[str, bytes, int]]) -> bytes:
    """Files as a tar archive, root's. files: path inside, content, mode."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for folder in sorted({path.rpartition("/")[0] for path, _, _ in files if "/devstack/" in path}):
            entry = tarfile.TarInfo(folder.lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for path, content, mode in files:
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
