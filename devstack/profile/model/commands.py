"""Commands of a profile: tasks, processes and checks, and how a process is known to be ready."""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PrivateAttr,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from devstack.profile.model.containers import BuildText, Mount, MountText, mount
from devstack.profile.model.schedule import ensure_fires
from devstack.profile.model.values import (
    EnvFiles,
    ForeignEnv,
    Image,
    Model,
    Name,
    Port,
    Seconds,
    SignalName,
    Status,
    Strings,
    ensure_splits,
    fault_of,
    one_or_many,
)


class Command(Model):
    """What a task, a process and a check share: a command, where and how it runs."""

    run: str
    """The command, split like a shell would, run without one. May use `${port}`, `${replica}`, `${project.root}`."""
    shell: bool = False
    """Give the whole text to `/bin/sh -c`."""
    cwd: str = "."
    """Folder to run in, below the project's root."""
    env: ForeignEnv = {}
    """Added to the profile's environment for this command. In a container, names may be of any program's:
    `discovery.type`."""
    env_file: EnvFiles = ()
    """Files of `NAME=value` lines for this command; they win over `[env]`, and `env` over them."""
    user: str | None = None
    """The system user to run as; needs root."""

    @model_validator(mode="after")
    def _splits(self) -> Command:
        if not self._lacks_run() and (fault := fault_of(self.run, shell=self.shell)):
            raise PydanticCustomError("misfit", "{text}", {"text": fault, "key": "run"})
        return self

    def _lacks_run(self) -> bool:
        """There is nothing to split, and whether there may be nothing is for others to say."""
        return False

    def argv(self) -> tuple[str, ...]:
        """The words to execute, before `${…}` is filled in; none where an image says what runs."""
        if not self.run:
            return ()
        return ("/bin/sh", "-c", self.run) if self.shell else tuple(shlex.split(self.run))


class Task(Command):
    """Something that runs to its end between services and processes: migrate, seed, build."""

    needs: tuple[Name, ...] | None = None
    """Services and tasks that come before; left out: every service and every task declared before."""
    inputs: Strings = ()
    """Globs of files; unchanged files, data and environment: skipped. None given: until its command changes."""
    outputs: Strings = ()
    """Paths or globs of what it makes; one that is missing makes it run again."""
    once: bool = False
    """Done a single time per data: a changed command or environment does not run it again."""
    unless: Annotated[str, AfterValidator(ensure_splits)] | None = None
    """A command asked right before: status 0 means that the task is done already. Split, run without a shell."""
    snapshot: Name | None = None
    """Name for the data as it is afterwards: a snapshot of it is kept, and `devstack reset` goes back to the last."""
    optional: bool = False
    """A failure is told and does not stop the rest."""
    timeout: Seconds = 1800
    """Seconds it may take."""


class HttpCheck(Model):
    """`ready = { http = "/health/" }`."""

    http: Annotated[str, Field(pattern=r"^/")]
    """Path asked on the process's port."""
    status: Annotated[
        Annotated[tuple[Status, ...], Tag("<many>")] | Annotated[Status, Tag("<one>")],
        Discriminator(lambda value: "<many>" if isinstance(value, tuple) else "<one>"),
    ] = 200
    """Status, or statuses, that mean ready."""
    grace: Seconds = 120
    """Seconds until it must be ready."""


class TcpCheck(Model):
    """`ready = { tcp = true }` or `{ tcp = 2525 }`."""

    tcp: Annotated[
        Annotated[Literal[True], Tag("<own>")] | Annotated[Port, Tag("<port>")],
        Discriminator(lambda value: "<own>" if isinstance(value, bool) else "<port>"),
    ]
    """True: the process's own port."""
    grace: Seconds = 120
    """Seconds until it must be ready."""


class CommandCheck(Model):
    """`ready = { command = "celery -A shop inspect ping" }`: exit status 0 means ready."""

    command: Annotated[str, AfterValidator(ensure_splits)]
    """The command, split like a shell would, run without one, in the process's folder and environment."""
    timeout: Seconds = 10
    """Seconds that one try may take."""
    grace: Seconds = 120
    """Seconds until it must be ready."""


class LogCheck(Model):
    r"""`ready = { log = "ready\\." }`: a line of this run's log matches."""

    log: str
    """Regular expression searched in each line."""
    grace: Seconds = 120
    """Seconds until it must be ready."""

    @field_validator("log")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern


def _ready_shape(value: Any) -> str | None:
    ways = ("http", "tcp", "command", "log")
    if isinstance(value, Model):
        return next((f"<{way}>" for way in ways if way in type(value).model_fields), None)
    found = [way for way in ways if way in value] if isinstance(value, dict) else []
    return f"<{found[0]}>" if len(found) == 1 else None


Ready = Annotated[
    Annotated[HttpCheck, Tag("<http>")] | Annotated[TcpCheck, Tag("<tcp>")]
    | Annotated[CommandCheck, Tag("<command>")] | Annotated[LogCheck, Tag("<log>")],
    Discriminator(_ready_shape, custom_error_type="shape",
                  custom_error_message="wanted a table with exactly one of `http`, `tcp`, `command` and `log`"),
]


class Stop(Model):
    """How a process is asked to end."""

    signal: SignalName = "TERM"
    """The signal sent first."""
    grace: Seconds = 10
    """Seconds before it is killed."""


Restart = Literal["always", "on-failure", "never"]


class Process(Command):
    """Something that keeps running: under supervisord, or in a container where it has an `image` or a `build`."""

    run: str = ""
    """The command, split like a shell would, run without one. May use `${port}`, `${replica}`, `${project.root}`. In a
    container it may be left out: the image says what runs."""
    image: Image | None = None
    """Image of the container that it runs in, instead of on this machine."""
    build: BuildText | None = None
    """How the image of its container is made: a folder of the project with a Dockerfile."""
    volumes: Annotated[
        tuple[MountText, ...], BeforeValidator(one_or_many, json_schema_input_type=str | tuple[str, ...])
    ] = ()
    """What of the project its container sees, `.:/app`, and named volumes of the stack, `cache:/root/.cache`; `:ro`
    behind it: read only."""
    container_port: Port | None = None
    """Port that it listens on in its container; left out: `port`, or 8000 for a web process."""
    role: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = "daemon"
    """What it is: `web`, `worker`, `beat`, `daemon`; `web` gets a port and a URL."""
    needs: tuple[Name, ...] | None = None
    """Services, tasks and processes that come before; left out: every service and task."""
    ready: Ready | None = None
    """How to know that it works; left out: it stays alive for `settle` seconds."""
    settle: Seconds | None = None
    """Seconds it must have stayed alive before it counts as running, whatever `ready` says before; left out: 1 where
    there is no `ready`."""
    restart: Restart = "always"
    """When it is started again after it ended by itself. Unless `always`, an end with status 0 is no failure."""
    schedule: Annotated[str, AfterValidator(ensure_fires)] | None = None
    """Run the command at these times instead, `minute hour day month weekday` in local time, while the stack is up."""
    watch: Strings = ()
    """Globs of files; a change restarts all its replicas."""
    replicas: Annotated[int, Field(strict=True, ge=0, le=200)] = 1
    """How many run at the same time."""
    port: Port | None = None
    """A fixed port; left out: a web process is leased one (8000 where it is free)."""
    ports: dict[Name, Port] = {}
    """More ports by name, `${ports.NAME}`; each is the wish, leased elsewhere where it is taken."""
    stop: Stop = Stop()
    """How it is asked to end."""
    optional: bool = False
    """A failure is told and does not make the stack fail."""
    _declared: int | None = PrivateAttr(None)

    def scaled_from(self, declared: int) -> Process:
        """This process, its `replicas` being what `devstack scale` says and `declared` what the profile's files say."""
        copy = self.model_copy()
        copy._declared = declared  # noqa: SLF001 - of the same class
        return copy

    def _lacks_run(self) -> bool:
        return not self.run and (self.is_contained or "run" not in self.model_fields_set)

    @property
    def is_contained(self) -> bool:
        """Does it run in a container?"""
        return self.image is not None or self.build is not None

    @property
    def mounts(self) -> tuple[Mount, ...]:
        """`volumes`, each in its parts."""
        return tuple(map(mount, self.volumes))

    @property
    def inside_port(self) -> int:
        """The port that it listens on in its container, where it has one."""
        return self.container_port or self.port or 8000

    @property
    def must_live(self) -> float:
        """Seconds that it must have lived: a check that answers says more than a clock."""
        if self.settle is not None:
            return self.settle
        return 1.0 if self.ready is None else 0.0

    @property
    def declared_replicas(self) -> int:
        """How many the profile's files want."""
        return self.replicas if self._declared is None else self._declared


class Check(Command):
    """A check of the project that `devstack check` runs."""

    needs: tuple[Name, ...] | None = None
    """Services, tasks and processes that come before; left out: every service and task."""
    timeout: Seconds = 3600
    """Seconds it may take."""


def short_command(value: Any) -> Any:
    return {"run": value} if isinstance(value, str) else value
