"""Where a container engine may be: as the `docker` command would find it, then where others listen."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from devstack.errors import PrerequisiteError
from devstack.system import System

if TYPE_CHECKING:
    from docker import APIClient

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True)
class Address:
    """url: `unix://…` or `tcp://…`. origin: who says so, "" where it was only looked for. is_podman: what answers there
    has said so."""

    url: str
    origin: str = ""
    is_podman: bool = False

    @property
    def program(self) -> str:
        """The command by which a person talks to the engine there."""
        return "podman" if self.is_podman or "podman" in self.url else "docker"

    @property
    def socket(self) -> Path | None:
        """The path of its Unix socket."""
        return Path(urlsplit(self.url).path) if self.url.startswith("unix://") else None


def find(system: System) -> Address | None:
    """The engine to ask: the one that the person has chosen, else the first that has a socket here; None without any.

    Raises PrerequisiteError for a choice that can't be used: another machine's, whose published ports nobody here
    could reach on 127.0.0.1.
    """
    chosen = _chosen(system)
    if chosen is not None:
        _ensure_here(chosen)
        return chosen
    return next((address for address in _usual(system) if _is_socket(address)), None)


def ensure_open(address: Address) -> None:
    """Raises PermissionError for a socket that this user may not open: docker's library would leave its end open."""
    path = address.url.removeprefix("unix://")
    if path.startswith("/") and os.access(path, os.F_OK) and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)


def greeting(asker: APIClient) -> dict[str, Any]:
    """What an engine says of itself with every answer, as its longer answer has it, for which Podman asks half a dozen
    programs; nothing of one that doesn't."""
    headers = asker.get(f"{asker.base_url}/_ping", timeout=asker.timeout).headers
    name, _, version = headers.get("Server", "").partition("/")
    if "Api-Version" not in headers or not version:
        return {}
    return {
        "ApiVersion": headers["Api-Version"], "Version": version.partition(" ")[0], "Components": [{"Name": name}],
    }


def _chosen(system: System) -> Address | None:
    environ = system.environ
    if host := environ.get("DOCKER_HOST"):
        return Address(host if "://" in host else f"tcp://{host}", "DOCKER_HOST")
    folder = Path(environ.get("DOCKER_CONFIG") or Path(environ.get("HOME", "/")) / ".docker")
    name = environ.get("DOCKER_CONTEXT") or _table(system, folder / "config.json").get("currentContext")
    if not isinstance(name, str) or name in ("", "default"):
        return None
    meta = _table(system, folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json")
    try:
        return Address(str(meta["Endpoints"]["docker"]["Host"]), f"the docker context {name}")
    except (KeyError, TypeError):
        raise PrerequisiteError(
            "engine-unknown", f"the docker context {name} says of no engine where it is",
            why=f"{folder}/contexts has nothing of it", fix="docker context use default",
        ) from None


def _table(system: System, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(system.read(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _usual(system: System) -> Iterator[Address]:
    environ = system.environ
    yield Address("unix:///var/run/docker.sock")
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{system.user_id()}"
    yield Address(f"unix://{runtime}/docker.sock")
    yield Address(f"unix://{environ.get('HOME', '')}/.docker/run/docker.sock")
    yield Address(f"unix://{runtime}/podman/podman.sock")
    yield Address("unix:///run/podman/podman.sock")


def _is_socket(address: Address) -> bool:
    try:
        return address.socket is not None and stat.S_ISSOCK(address.socket.stat().st_mode)
    except OSError:
        return False


def _ensure_here(address: Address) -> None:
    parts = urlsplit(address.url)
    if parts.scheme == "unix" or (parts.scheme == "tcp" and parts.hostname in _LOOPBACK):
        return
    raise PrerequisiteError(
        "engine-remote", f"the engine at {address.url} is on another machine",
        why=f"{address.origin} says so, and what it publishes can't be reached on 127.0.0.1 here",
        fix="devstack up --runtime native",
    )
