"""Service kinds: one file each, found by its name; nothing lists them.

A kind is pure: from a declaration and what was decided for this stack (`Instance`) it answers with values: command
lines, files, URLs. The exceptions are `probe` and `provision`, which talk to the running server; the executor alone
calls them. `provision` uses the kind's client library, imported inside it
(docs/decisions/0002-provision-beside-probe.md), `probe` the few messages in `devstack/wire`
(docs/decisions/0007-a-standing-stack.md).
"""

from __future__ import annotations

import difflib
import functools
import importlib
import pkgutil
import re
from collections.abc import Mapping
from typing import Protocol

from devstack.errors import UsageError
from devstack.profile.model import Service
from devstack.profile.secret import Secret
from devstack.services._values import (
    PASSWORD_REFUSED,
    Client,
    ContainerService,
    Copies,
    Hint,
    Installed,
    Instance,
    Kept,
    NativeService,
    Packages,
    Prepare,
    Runner,
    Server,
    ServerFile,
    Source,
    System,
    Wheel,
)
from devstack.wire import Probe, Question

__all__ = [
    "PASSWORD_REFUSED", "Client", "ContainerService", "Copies", "Hint", "Installed", "Instance", "Kept", "Kind",
    "NativeService", "Packages", "Prepare", "Probe", "Question", "Runner", "Server", "ServerFile", "Source", "System",
    "Wheel", "declarations", "get", "kind_of", "names", "ports_of",
]


class Kind(Protocol):
    """What `devstack/services/<kind>.py` offers as `KIND`."""

    #: the declaration's model: `Service` with the kind's own keys
    declaration: type[Service]
    #: version taken where the profile names none
    default_version: str
    #: standard ports by name; `main` is the one in URLs
    ports: Mapping[str, int]
    #: ways to the server's binaries, in order of preference; none: it runs in a container only
    sources: tuple[Source, ...]
    #: megabytes of memory below which the server is sure not to start
    memory_mb: int
    #: what to tell when a task fails with the server's words
    hints: tuple[Hint, ...]

    @property
    def copies(self) -> Copies | None:
        """How its data is copied; None where nobody knows what it keeps where."""

    def account(self, declaration: Service, stack: str) -> str:
        """The user name that the application logs in with; "" where the server has none."""

    def needs(self, declaration: Service) -> frozenset[str]:
        """Features a build must have (`Source.lacks`/`only`), such as extension names."""

    def patch(self, server: Server, path: str, text: str) -> str | None:
        """A fetched text file as it should be kept, or None to leave it (called for `patch_glob`)."""

    #: glob, relative to the server's tree, of the text files handed to `patch`; "" for none
    patch_glob: str

    def native(self, instance: Instance, server: Server) -> NativeService:
        """The service as a process of this machine."""

    def image(self, declaration: Service) -> str:
        """The declared image, else the kind's official one."""

    def container(self, instance: Instance) -> ContainerService:
        """The service as a container of its official image, or of the declared one."""

    def url(self, instance: Instance) -> Secret:
        """Client URL with credentials."""

    def variables(self, instance: Instance) -> Mapping[str, str | Secret]:
        """What `${services.<name>.…}` offers: `url`, `host`, `port`, `user`, `password` and the kind's own."""

    def question(self, instance: Instance) -> Question | None:
        """What `wire.ask` needs to know for the same answer as `probe`; None where only `probe` can tell."""

    def probe(self, instance: Instance, timeout: float) -> Probe:
        """One authenticated round trip over TCP that proves it is this stack's server. Never raises for a server's
        fault: any failure is a Probe."""

    def provision(self, instance: Instance, timeout: float) -> tuple[str, ...]:
        """Make what is declared and missing; returns what was made, in words. Idempotent. Raises DevstackError."""

    def client(self, instance: Instance, server: Server) -> Client:
        """What a person talks to the server with."""


@functools.cache
def names() -> tuple[str, ...]:
    """Every kind there is: the modules of this folder."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_")))


def get(name: str) -> Kind:
    """The kind of this name. Raises UsageError with the nearest name where there is none."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), 1)
        raise UsageError(
            "unknown-kind", f"no service kind is named {name!r}", why=f"there are {', '.join(names())}",
            fix=f'kind = "{near[0]}"' if near else "see profiles/reference.toml",
        )
    kind: Kind = importlib.import_module(f"{__name__}.{name}").KIND
    return kind


def kind_of(name: str, declaration: Service) -> Kind:
    """The kind of a declared service: its `kind`, else its table's name."""
    return get(declaration.kind or name)


def ports_of(name: str, declaration: Service) -> dict[str, int]:
    """The ports wanted on this machine, by name: the kind's, or those that the declaration itself names. One that only
    root may have is wished for above: 80 as 8080."""
    declared: Mapping[str, int] = getattr(declaration, "ports", {})
    wished = {port: number if number > 1023 else 8000 + number for port, number in declared.items()}
    return {**kind_of(name, declaration).ports, **wished}


def said_by_a_server(declared: Mapping[str, Service], output: str) -> tuple[str, str] | None:
    """Why and fix, where a server's own words in a command's output say more than its exit status; else None."""
    for name, service in declared.items():
        for hint in kind_of(name, service).hints:
            if found := re.search(hint.pattern, output):
                groups = ("", *found.groups())
                return hint.why.format(*groups, name=name), hint.fix.format(*groups, name=name)
    return None


def damage_told(name: str, service: Service, output: str) -> tuple[str, str] | None:
    """Why and fix, where a server's last words say that its data is damaged; else None."""
    hints = (hint for hint in kind_of(name, service).hints if hint.is_damage)
    return next(((one.why, one.fix.format(name=name)) for one in hints if re.search(one.pattern, output)), None)


def declarations() -> dict[str, type[Service]]:
    """Declaration models by kind, for the profile loader."""
    return {name: get(name).declaration for name in names()}
