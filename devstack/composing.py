"""A stack's containers as a compose file: Profile + State → what `docker compose` would start, with the same images,
names, ports and volumes (decision 0025). Pure.

What is secret, and every file that a container gets, is in a file of its own, private to the person, which the compose
file names by its absolute path.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from devstack.contained import (
    Contained,
    build_args,
    container_name,
    containers,
    image_name,
    service_form,
)
from devstack.profile import needs
from devstack.profile.model import CommandCheck, Process, Profile
from devstack.profile.secret import Secret
from devstack.render import RenderedFile
from devstack.services import ServerFile, kind_of
from devstack.state import ServiceState, State

_RESTART = {"always": "unless-stopped", "on-failure": "on-failure", "never": "no"}


@dataclass(frozen=True)
class Composed:
    """document: of the compose file, texts with `$` doubled. files: that it names. notes: what it doesn't do."""

    document: Mapping[str, Any]
    files: tuple[RenderedFile, ...]
    notes: tuple[str, ...]


def compose(profile: Profile, state: State, volumes: frozenset[str]) -> Composed:
    """Every service as a container, wherever it runs now, and the processes that run in containers. volumes: names of
    those that the engine has."""
    return _Composing(profile, state, volumes).result()


class _Composing:
    def __init__(self, profile: Profile, state: State, present: frozenset[str]) -> None:
        self._profile = profile
        self._present = present
        self._before = state
        services = {name: _contained(one, profile.registry) for name, one in state.services.items()}
        self._state = replace(state, services=services)
        self._containers = tuple(containers(profile, self._state))
        self._folder = f"{state.folder}/compose"
        self._files: list[RenderedFile] = []
        self._volumes: dict[str, Any] = {}

    def result(self) -> Composed:
        services = {one.name: self._service(one) for one in self._containers}
        # another checkout's file is another project of compose's
        name = f"{self._profile.name}-{self._state.stack[:12]}"
        document: dict[str, Any] = {"name": name, "services": services}
        if self._volumes:
            document["volumes"] = self._volumes
        return Composed(document, tuple(self._files), tuple(self._notes()))

    def _service(self, one: Contained) -> dict[str, Any]:
        plain = {name: _text(value) for name, value in one.env.items() if not isinstance(value, Secret)}
        found = {
            "image": _text(one.image),
            "build": self._build(one),
            # one of devstack's own has the same name: they never run on the same data at once
            "container_name": container_name(self._state.stack, one.name),
            "hostname": one.hostname,
            "command": [_text(word) for word in one.command],
            "working_dir": one.cwd,
            "user": one.user,
            "environment": plain,
            "env_file": self._env_file(one),
            "ports": [f"127.0.0.1:{outside}:{inside}" for outside, inside in one.ports.items()],
            "volumes": [*self._mounts(one), *(self._file(one.name, file) for file in self._laid(one))],
            "networks": {"default": {"aliases": list(one.aliases[1:])}} if len(one.aliases) > 1 else None,
            "depends_on": self._depends(one),
            "healthcheck": self._health(one.name),
            "mem_limit": one.memory,
            "stop_signal": f"SIG{one.stop_signal}" if one.stop_signal else None,
            "stop_grace_period": f"{max(1, round(one.stop_grace))}s",
            "security_opt": ["no-new-privileges"],
            "restart": "unless-stopped" if one.is_service else _RESTART[one.restart],
        }
        return {key: value for key, value in found.items() if value not in (None, "", [], {})}

    # --- parts of a service ------------------------------------------------------------------------------------------

    def _build(self, one: Contained) -> dict[str, Any] | None:
        if one.build is None:
            return None
        args = build_args(self._profile, self._state, one.build)
        found = {
            "context": _text(f"{self._state.root}/{one.build.context}"), "dockerfile": _text(one.build.dockerfile),
            "target": one.build.target, "args": {name: _text(value) for name, value in args.items()} or None,
        }  # fmt: skip
        return {key: value for key, value in found.items() if value is not None}

    def _env_file(self, one: Contained) -> list[str]:
        secret = {name: value.reveal() for name, value in one.env.items() if isinstance(value, Secret)}
        if not secret:
            return []
        text = "".join(f"{name}={_quoted(value)}\n" for name, value in secret.items())
        file = RenderedFile(f"{self._folder}/{one.name}.env", text)
        self._files.append(file)
        return [_text(file.path)]

    def _mounts(self, one: Contained) -> Iterator[dict[str, Any]]:
        for name, target in one.volumes.items():
            short = re.sub(rf"^devstack-{self._state.stack[:12]}-|-[^-]*$", "", name)
            self._volumes[short] = {"name": name, "external": True} if self._has_data(one) else None
            yield {"type": "volume", "source": short, "target": _text(target)}
        for bind in one.binds:
            yield {"type": "bind", "source": _text(bind.source), "target": _text(bind.target),
                   "read_only": bind.is_read_only}  # fmt: skip

    def _has_data(self, one: Contained) -> bool:
        """Are its volumes devstack's own, and in use?"""
        service = self._before.services.get(one.name)
        is_used = service is None or (service.runtime == "docker" and service.has_data)
        return is_used and self._present.issuperset(one.volumes)

    def _laid(self, one: Contained) -> Iterator[ServerFile]:
        # what lies in a volume is there already, or the image makes its own: a mount could not change hands
        inside = tuple(f"{target}/" for target in one.volumes.values())
        yield from (file for file in one.files if not file.path.startswith(inside))
        if one.is_service and not self._has_data(one):
            yield from service_form(self._state.services[one.name]).initial

    def _file(self, service: str, file: ServerFile) -> dict[str, Any]:
        made = RenderedFile(f"{self._folder}/{service}{file.path}", file.text, file.mode)
        self._files.append(made)
        return {"type": "bind", "source": _text(made.path), "target": _text(file.path), "read_only": True}

    def _health(self, name: str) -> dict[str, Any] | None:
        if name in self._state.services:
            words = service_form(self._state.services[name]).health
            check = getattr(self._profile.services[name], "ready", None)
        else:
            words, check = (), self._process(name).ready
        if isinstance(check, CommandCheck):
            words = tuple(shlex.split(check.command))
        if not words:
            return None
        grace = round(check.grace) if check is not None else 120
        return {"test": ["CMD", *map(_text, words)], "interval": "5s", "timeout": "10s", "retries": 3,
                "start_period": f"{grace}s"}  # fmt: skip

    def _depends(self, one: Contained) -> dict[str, Any]:
        if one.is_service:
            return {}
        known = {other.owner or other.name: other.name for other in self._containers}
        wanted = [known[name] for name in needs.process_needs(self._profile, one.owner) if name in known]
        states = {name: "service_healthy" if self._health(name) else "service_started" for name in wanted}
        return {name: {"condition": state} for name, state in states.items()}

    def _process(self, program: str) -> Process:
        (owner,) = [one.owner for one in self._containers if one.name == program]
        return self._profile.processes[owner]

    # --- what is left out --------------------------------------------------------------------------------------------

    def _notes(self) -> Iterator[str]:
        native = [name for name, process in self._profile.processes.items() if not process.is_contained]
        if native:
            yield f"left out, since they run on this machine: {', '.join(native)} (devstack export procfile)"
        if self._profile.tasks:
            yield f"no task is run: {', '.join(self._profile.tasks)} (devstack run TASK)"
        for name, service in self._before.services.items():
            if service.runtime == "native" and service.has_data:
                yield f"{name} runs natively: in the compose file it starts empty"
        http = [one.name for one in self._containers if not self._health(one.name)]
        if http:
            yield f"whether these are ready isn't checked: {', '.join(http)}"


def _contained(service: ServiceState, registry: str | None) -> ServiceState:
    """The service as it would be in a container."""
    instance = replace(service.instance, is_contained=True)
    image = image_name(kind_of(instance.name, instance.declaration).image(instance.declaration), registry)
    return replace(service, instance=instance, runtime="docker", image=service.image or image)


def _text(text: str) -> str:
    """A text that compose doesn't fill in."""
    return text.replace("$", "$$")


def _quoted(value: str) -> str:
    """As compose reads a value of an env file: nothing is filled in between apostrophes."""
    if "'" not in value and "\n" not in value and "\\" not in value:
        return f"'{value}'"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("\n", "\\n")
    return f'"{escaped}"'
