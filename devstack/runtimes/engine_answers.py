"""What an engine's answers and refusals mean, and the labels that everything of a stack carries."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from devstack.errors import DevstackError, PrerequisiteError, ProcessError, StorageError
from devstack.runtimes.engines import Address
from devstack.state import ProgramPhase, ProgramState

STACK, ROOT, USER, NAME, ROLE, DIGEST, TOKEN = (
    f"devstack.{name}" for name in ("stack", "root", "user", "name", "role", "digest", "token")
)
#: of an image that is built here: its containers, also a stranger's, have its labels too
IMAGE_STACK, IMAGE_ROOT, IMAGE_USER = (f"devstack.image.{name}" for name in ("stack", "root", "user"))
#: seconds until an engine must have answered a question
PATIENCE = 5.0
#: by Compose, on what it has made
_COMPOSE_PROJECT = "com.docker.compose.project"
_PHASES: Mapping[str, ProgramPhase] = {
    "created": "stopped", "running": "running", "restarting": "backoff", "paused": "stopped", "removing": "stopping",
    "exited": "exited", "dead": "fatal",
}  # fmt: skip


@dataclass(frozen=True)
class Owner:
    """Whose something on an engine is. root: of the project. user: uid."""

    stack: str
    root: str
    user: int

    @property
    def labels(self) -> dict[str, str]:
        return {STACK: self.stack, ROOT: self.root, USER: str(self.user)}

    @property
    def image_labels(self) -> dict[str, str]:
        return {IMAGE_STACK: self.stack, IMAGE_ROOT: self.root, IMAGE_USER: str(self.user)}


@dataclass(frozen=True)
class Owned:
    """One thing that some stack of this user has on an engine. size: bytes, 0 where it isn't known; of an image those
    that no other has too."""

    kind: Literal["container", "image", "volume", "network"]
    id: str
    name: str
    stack: str
    root: str
    size: int = 0
    is_running: bool = False


@dataclass(frozen=True)
class Sizes:
    """Bytes by volume's name, -1 where the engine doesn't know; by image's digest those that no other image has."""

    volumes: Mapping[str, int]
    images: Mapping[str, int]


@dataclass(frozen=True)
class Volume:
    """One volume of a stack. token: of the data of its service."""

    name: str
    service: str
    token: str
    created: str


@dataclass(frozen=True)
class Look:
    """What the engine has of one stack. services: names of the containers that are services. images: digest by name, of
    all that it has."""

    containers: Mapping[str, ProgramState] = field(default_factory=dict)
    services: frozenset[str] = frozenset()
    volumes: tuple[Volume, ...] = ()
    has_network: bool = False
    images: Mapping[str, str] = field(default_factory=dict)


def state_of(found: Mapping[str, Any]) -> ProgramState:
    state = found["State"]
    phase = _PHASES.get(state.get("Status", ""), "unknown")
    labels = found["Config"]["Labels"] or {}
    ended = phase in ("exited", "fatal", "backoff")
    status = int(state.get("ExitCode") or 0) if ended else None
    reason = ""
    if phase == "running" and not found["NetworkSettings"].get("Networks"):
        # nobody reaches it any more, and nothing mends that but another container
        phase, reason = "stopped", "its network is gone"
    elif state.get("OOMKilled"):
        reason = "it used more memory than its limit and was killed"
    elif state.get("Status") == "paused":
        reason = "its container is paused"
    elif state.get("Error"):
        reason = str(state["Error"])
    elif ended:
        reason = f"its container ended with status {status}"
    return ProgramState(
        labels.get(NAME, found["Name"].lstrip("/")), phase, uptime=_age(state) if phase == "running" else 0.0,
        exit_status=status, digest=labels.get(DIGEST, ""), restarts=int(found.get("RestartCount") or 0), reason=reason,
        container=found["Id"],
    )


def _age(state: Mapping[str, Any]) -> float:
    """Seconds since it was started."""
    began = moment(str(state.get("StartedAt", "")))
    return max(0.0, (datetime.now(began.tzinfo) - began).total_seconds()) if began else 0.0


def moment(text: str) -> datetime | None:
    """A time as engines write it; None for what is none."""
    # nanoseconds are more than Python reads
    text = re.sub(r"(\.\d{6})\d+", r"\1", text.replace("Z", "+00:00"))
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text)
    return None


def volume_of(found: Mapping[str, Any]) -> Volume:
    labels = found.get("Labels") or {}
    return Volume(found["Name"], labels.get(NAME, ""), labels.get(TOKEN, ""), str(found.get("CreatedAt", "")))


def sizes_of(usage: Mapping[str, Any]) -> Sizes:
    """From the engine's own count of what its disk is used for."""
    volumes = {one["Name"]: (one.get("UsageData") or {}).get("Size", -1) for one in usage.get("Volumes") or ()}
    images = {
        one["Id"]: int(one.get("Size") or 0) - max(0, int(one.get("SharedSize") or 0))
        for one in usage.get("Images") or ()
    }
    return Sizes(volumes, images)


def names_of(image: Mapping[str, Any]) -> Iterator[str]:
    for name in (*(image.get("RepoTags") or ()), *(image.get("RepoDigests") or ())):
        yield name
        # as Podman writes names that came without a registry
        for prefix in ("docker.io/library/", "docker.io/", "localhost/"):
            if name.startswith(prefix):
                yield name.removeprefix(prefix)


def owned(kind: Literal["container", "volume", "network"], found: Mapping[str, Any], name: str) -> Owned:
    """From an entry of an engine's list."""
    labels = found.get("Labels") or {}
    return Owned(
        kind, found.get("Id") or name, name, labels.get(STACK, ""), labels.get(ROOT, ""),
        int(found.get("SizeRw") or 0), found.get("State") == "running",
    )


def unavailable(address: Address | None, said: str) -> PrerequisiteError:
    """The error for an engine that can't be asked."""
    said = " ".join(said.split())
    if address is None:
        why, fix = "there is no socket of Docker or Podman here", "devstack up --runtime native"
    elif "Permission denied" in said:
        why = f"{address.url} may not be opened by this user"
        fix = 'sudo usermod -aG docker "$USER"  (then log in anew)'
        if address.program == "podman":
            fix = "systemctl --user enable --now podman.socket"
    elif "timed out" in said.lower():
        why, fix = f"{address.url} accepts and doesn't answer within {PATIENCE:g} s", f"{address.program} info"
    else:
        why, fix = f"{address.url}: {_cause(said)}", f"{address.program} info"
    return PrerequisiteError("engine-unavailable", "no container engine answers", why=why, fix=fix)


def api_version(address: Address, said: object) -> str:
    """The engine's version of the API, from its own words. Raises PrerequisiteError for one that the client library
    can't talk to, and for what is no engine."""
    from docker.constants import MINIMUM_DOCKER_API_VERSION as NEEDED

    version = str(said.get("ApiVersion", "")) if isinstance(said, dict) else ""
    if not re.fullmatch(r"\d+\.\d+", version):
        raise unavailable(address, "what answers there is no container engine")
    if _numbers(version) < _numbers(NEEDED):
        raise PrerequisiteError(
            "engine-old", f"the container engine at {address.url} is too old",
            why=f"its API has version {version}, {NEEDED} is needed", fix="devstack up --runtime native",
        )
    return version


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def refused(error: Exception, program: str) -> DevstackError:
    """The error for something that an engine didn't want to do. program: by which a person talks to it."""
    said = " ".join(str(getattr(error, "explanation", "") or error).split())
    if "no space left on device" in said:
        return StorageError("disk-full", "the engine's disk is full", why=said, fix=f"{program} system df")
    if "container-init binary not found" in said:
        what = "the container engine lacks the program that looks after processes in containers"
        return PrerequisiteError("engine-incomplete", what, why=said, fix="sudo apt-get install catatonit")
    if "no such image" in said.lower():
        return ProcessError("image-gone", "an image is gone that was there", why=said, fix="devstack up")
    return ProcessError("engine-refused", "the container engine refuses", why=said, fix=f"{program} info")


def _cause(said: str) -> str:
    """The last and innermost of nested messages."""
    for known in ("No such file or directory", "Connection refused", "No route to host", "Name or service not known"):
        if known in said:
            return known.lower()
    return said


def out_of_the_way(program: str, found: Mapping[str, Any]) -> str:
    """The command that frees the name of somebody else's container. found: as the engine describes it."""
    project = (found["Config"]["Labels"] or {}).get(_COMPOSE_PROJECT)
    if project:
        return shlex.join((program, "compose", "-p", project, "down"))
    return f"{program} rename {found['Name'].removeprefix('/')} other"
