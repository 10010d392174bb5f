"""The profile: what a project declares it needs, as frozen typed values.

Nothing here reads files or knows a service kind: a kind's own keys are a subclass of `Service` beside the kind,
handed to the loader. Every key is shown with a comment in `profiles/reference.toml`; a test keeps the two in agreement.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, model_validator
from pydantic_core import PydanticCustomError

from devstack.profile.model.commands import (
    Check,
    Command,
    CommandCheck,
    HttpCheck,
    LogCheck,
    Process,
    Ready,
    Restart,
    Stop,
    Task,
    TcpCheck,
    short_command,
)
from devstack.profile.model.containers import Build, InsidePath, Mount
from devstack.profile.model.project import Project
from devstack.profile.model.python import Python, SystemNeeds
from devstack.profile.model.values import (
    ENV_NAME,
    FOREIGN_ENV_NAME,
    NAME,
    Ask,
    Env,
    EnvFile,
    EnvFiles,
    EnvName,
    EnvValue,
    ForeignEnv,
    Generate,
    Image,
    Memory,
    Model,
    Name,
    PlainEnv,
    Port,
    Registry,
    RuntimeName,
    Seconds,
    SecretFormat,
    SignalName,
    Strings,
    ensure_splits,
    name_from,
    one_or_many,
)

__all__ = [
    "ENV_NAME", "FOREIGN_ENV_NAME", "NAME", "Ask", "Build", "Check", "Command", "CommandCheck", "Env", "EnvFile",
    "EnvFiles", "EnvName", "EnvValue", "File", "ForeignEnv", "Generate", "HttpCheck", "Image", "InsidePath",
    "LogCheck", "Memory", "Model", "Mount", "Name", "PlainEnv", "Port", "Process", "Profile", "Project", "Python",
    "Ready", "Restart", "RuntimeName", "Seconds", "SecretFormat", "Service", "SignalName", "Stop", "Strings",
    "SystemNeeds", "Task", "TcpCheck", "ensure_splits", "name_from", "one_or_many",
]


class Service(Model):
    """What every service kind has; a kind adds its own keys in a subclass."""

    kind: Name | None = None
    """Which server; the table's name where it is left out."""
    version: str | None = None
    """Version wanted, as precise as it matters: `16`, `3.13`; left out: the kind's default."""
    runtime: RuntimeName | None = None
    """Fixes the runtime of this one service."""
    port: Port | None = None
    """A fixed port; left out: the standard one where it is free, else leased."""
    image: Image | None = None
    """Image of its container, instead of the kind's official one: `postgis/postgis:16-3.4`."""
    memory: Memory | None = None
    """Most memory that its container may use: `512m`, `2g`."""


_SHAPES = '`directory = true`, `template = "path"`, `content = "text"` and `generate = 64`'


class File(Model):
    """Something that must exist in the project before anything runs."""

    directory: bool = False
    """Make a folder of this path."""
    template: str | None = None
    """Make the file from this one, `${…}` filled in; again when it changes, unless a person has edited the file."""
    content: str | None = None
    """Make the file of this text, `${…}` filled in; again when it changes, unless a person has edited the file."""
    generate: Annotated[int, Field(strict=True, ge=8, le=4096)] | None = None
    """Make a key file, once and for ever: so many characters of a `text`, or random bytes in the other formats."""
    format: SecretFormat | None = None
    """How a generated key is written: `text` (the default), `hex`, `base64` or `base64url`."""
    mode: Annotated[str, Field(pattern=r"^0[0-7]{3}$")] | None = None
    """Permissions in octal, as text; left out: `0600`, folders `0755`."""

    @model_validator(mode="after")
    def _one_shape(self) -> File:
        shapes = (self.directory, self.template is not None, self.content is not None, self.generate is not None)
        if sum(shapes) != 1:
            raise PydanticCustomError("shape", f"wanted exactly one of {_SHAPES}")
        if self.format is not None and self.generate is None:
            raise PydanticCustomError(
                "misfit", "{text}", {"text": "only what is generated has a format", "key": "format"}
            )
        return self


class Profile(Model):
    """A whole profile, every default filled in."""

    name: Name
    """The stack's name."""
    extends: str | None = None
    """A shipped profile's name, or a path relative to this file, whose keys this one overrides."""
    runtime: RuntimeName = "auto"
    """Where services run: `auto` takes docker if an engine answers, else native."""
    registry: Registry | None = None
    """Prefix of every image that names no registry itself: `mirror.example.org/library`."""
    home: Literal["user", "private"] = "user"
    """`private` gives the project's commands a HOME of their own below `.devstack`."""
    notes: Strings = ()
    """What people should know once the stack is up, such as how to log in; `${…}` is filled in. Shown by `up` and
    `urls`; no secrets."""
    project: Project = Project()
    """Where the project comes from."""
    python: Python = Python()
    """The virtual environment."""
    services: dict[Name, SerializeAsAny[Service]] = {}
    """Servers that the project talks to, by the name of their instance."""
    env: Env = {}
    """Environment of every task, process and check."""
    env_file: EnvFiles = ()
    """Files of `NAME=value` lines that every task, process and check gets too; `[env]` wins over them."""
    inherit: tuple[EnvName, ...] = ()
    """Variables of the person's own shell that reach the project's commands; others, but a short list, don't."""
    files: dict[str, File] = {}
    """Files and folders that must exist, by their path in the project."""
    tasks: dict[Name, Task] = {}
    """What runs to its end, in this order: migrate, seed, build."""
    processes: dict[Name, Process] = {}
    """What keeps running."""
    checks: dict[Name, Annotated[Check, BeforeValidator(short_command, json_schema_input_type=str | Check)]] = {}
    """What `devstack check` runs; a text stands for `{ run = "…" }`."""
