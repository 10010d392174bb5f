"""Any image as a service: what it is told, which ports it has, how to know that it works, all of it in the profile.

It runs in a container or not at all. Foreign images take their settings from the environment, so here alone a
container's environment may hold secrets: whoever may ask the engine can read them (docs/decisions/0021-any-image.md).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from devstack.errors import UsageError
from devstack.profile.model import (
    ForeignEnv,
    HttpCheck,
    Image,
    InsidePath,
    Name,
    Port,
    Ready,
    Service,
    TcpCheck,
    ensure_splits,
)
from devstack.profile.secret import Secret
from devstack.services import (
    Client,
    ContainerService,
    Copies,
    Hint,
    Instance,
    Kind,
    NativeService,
    Probe,
    Question,
    Server,
    Source,
)
from devstack.wire import ask


def _words(value: object) -> object:
    return tuple(shlex.split(ensure_splits(value))) if isinstance(value, str) else value


class Container(Service):
    """`[services.NAME]` with `kind = "container"`."""

    image: Image | None = None
    """The image."""
    ports: dict[Name, Port] = {}
    """Ports that it listens on inside, by name; `main` is the one in its URL. On this machine each is leased: the same
    number where it is free."""
    scheme: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*$")] = "http"
    """What its URL begins with: `http`, `memcached`, `amqp`."""
    environment: ForeignEnv = {}
    """Its environment. Secrets may stand here; whoever may use the engine can read them."""
    volumes: dict[Name, InsidePath] = {}
    """What outlives the container: folders inside, by name."""
    command: Annotated[tuple[str, ...], BeforeValidator(_words, json_schema_input_type=str | tuple[str, ...])] = ()
    """Words for its entrypoint, as a text that is split, or as a list; left out: the image's own."""
    ready: Ready | None = None
    """How to know that it works; left out: its port accepts connections, or, without one, it stays alive."""

    @model_validator(mode="after")
    def _whole(self) -> Container:
        if self.image is None:
            raise PydanticCustomError("misfit", "{text}", {"text": "the key `image` is missing", "key": "image"})
        if self.version is not None:
            text = "the image's tag says which version it is"
            raise PydanticCustomError("misfit", "{text}", {"text": text, "key": "version"})
        if self.runtime == "native":
            text = "a service of the kind `container` runs in a container only"
            raise PydanticCustomError("misfit", "{text}", {"text": text, "key": "runtime"})
        if self.ports and "main" not in self.ports:
            text = "one of them must be called `main`: the one in its URL"
            raise PydanticCustomError("misfit", "{text}", {"text": text, "key": "ports"})
        if self.port is not None and not self.ports:
            text = "no port inside is named that could be reached at it"
            raise PydanticCustomError("misfit", "{text}", {"text": text, "key": "port"})
        return self


class ContainerKind:
    """The kind `container`."""

    declaration: type[Service] = Container
    default_version = ""
    ports: Mapping[str, int] = {}
    sources: tuple[Source, ...] = ()
    memory_mb = 0
    hints: tuple[Hint, ...] = ()
    patch_glob = ""
    copies: Copies | None = None

    def account(self, declaration: Service, stack: str) -> str:
        return ""

    def needs(self, declaration: Service) -> frozenset[str]:
        return frozenset()

    def patch(self, server: Server, path: str, text: str) -> str | None:
        return None

    def native(self, instance: Instance, server: Server) -> NativeService:
        """Raises UsageError: there is no such thing."""
        raise _container_only(instance)

    def image(self, declaration: Service) -> str:
        return declaration.image or ""

    def container(self, instance: Instance) -> ContainerService:
        declared = _declared(instance)
        return ContainerService(
            image=self.image(declared), ports=declared.ports, volumes=declared.volumes, command=declared.command,
            env=declared.environment, stop_grace=10.0, is_text=True,
        )

    def url(self, instance: Instance) -> Secret:
        """No secret: what may be one is in the environment. "" where it has no port."""
        return Secret(f"{_declared(instance).scheme}://{instance.host}:{instance.port}" if instance.ports else "")

    def variables(self, instance: Instance) -> Mapping[str, str | Secret]:
        ports = {f"ports.{name}": str(port) for name, port in instance.ports.items()}
        main = {"url": self.url(instance).reveal(), "port": str(instance.port)} if instance.ports else {}
        return {**main, "host": instance.host, **ports}

    def question(self, instance: Instance) -> Question | None:
        """Its port, asked as `ready` says; None where only its engine can tell."""
        match _declared(instance).ready:
            case HttpCheck() as check:
                wanted = check.status if isinstance(check.status, tuple) else (check.status,)
                return {"protocol": "http", "port": instance.port, "path": check.http, "status": list(wanted)}
            case TcpCheck() as check:
                ports = {inside: instance.ports[name] for name, inside in _declared(instance).ports.items()}
                port = instance.port if check.tcp is True else ports.get(check.tcp, check.tcp)
                return {"protocol": "tcp", "port": port}
            case None if instance.ports:
                return {"protocol": "tcp", "port": instance.port}
        return None

    def probe(self, instance: Instance, timeout: float) -> Probe:
        """Whether its port answers; what `ready` says of a command or a log is for its engine to tell."""
        question = self.question(instance)
        return ask(question, timeout) if question is not None else Probe(True, "")

    def provision(self, instance: Instance, timeout: float) -> tuple[str, ...]:
        """Nothing: an image makes what it needs."""
        return ()

    def client(self, instance: Instance, server: Server) -> Client:
        """A shell inside: nobody knows what else an image has."""
        return Client(("sh",), (), (), {})


def _container_only(instance: Instance) -> UsageError:
    return UsageError(
        "container-only", f"{instance.name} runs in a container only", why="it is of the kind `container`",
        fix="devstack up --runtime docker",
    )


def _declared(instance: Instance) -> Container:
    declaration = instance.declaration
    if isinstance(declaration, Container):
        return declaration
    return Container.model_validate(declaration.model_dump(exclude_unset=True))


KIND: Kind = ContainerKind()
