"""The profile: what a project declares it needs, as frozen typed values.

Nothing here reads files or knows a service kind: a kind's own keys are a subclass of `Service` beside the kind,
handed to the loader. Every key is shown with a comment in `profiles/reference.toml`; a test keeps the two in agreement.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SerializeAsAny,
    Tag,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

#: names become file names, program names, DNS-like labels and Procfile entries
NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
Name = Annotated[str, Field(pattern=rf"^{NAME.pattern}$")]
EnvName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Port = Annotated[int, Field(strict=True, ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Status = Annotated[int, Field(ge=100, le=599)]
RuntimeName = Literal["auto", "docker", "native"]
SignalName = Literal["TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"]


def name_from(text: str) -> str:
    """A `Name` made from any text, such as a folder's: lower case, all else a dash; `stack` where nothing is left."""
    made = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).lstrip("0123456789_-")[:40].rstrip("-_")
    return made or "stack"


def one_or_many(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _fault_of(command: str, *, shell: bool = False) -> str:
    """Why the command can't be run, "" where it can."""
    if not command.strip():
        return "the command is empty"
    if shell:
        return ""
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"the command can't be split into words: {str(error).lower()}"
    if "\n" in command.strip():
        return "a command is one line, unless `shell = true`"
    return "" if words else "the command is empty"


def _ensure_splits(command: str) -> str:
    if fault := _fault_of(command):
        raise ValueError(fault)
    return command


Strings = Annotated[tuple[str, ...], BeforeValidator(one_or_many, json_schema_input_type=str | tuple[str, ...])]


class Model(BaseModel):
    """Frozen; an unknown key is an error; `true` is no number and "10" none either (strict), but a list is a tuple."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _tuples(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}


class Project(Model):
    """Where the project comes from."""

    repo: str | None = None
    """Git URL that `bootstrap` clones."""
    ref: str | None = None
    """Branch, tag or commit to check out."""


class SystemNeeds(Model):
    """Packages of the operating system that the project needs, by family; checked, never installed silently."""

    debian: Strings = ()
    """Debian, Ubuntu and what derives from them: names for `apt-get install`."""
    fedora: Strings = ()
    """Fedora, RHEL and what derives from them: names for `dnf install`."""
    macos: Strings = ()
    """Homebrew formulas."""


class Python(Model):
    """The virtual environment."""

    version: str | None = None
    """Version or PEP 440 specifier (`3.11`, `>=3.12,<3.14`); left out: `.python-version`, `requires-python`, any."""
    install: Strings | None = None
    """Requirements files, in order, or `.` / `.[extra]` for the project itself; left out: detected."""
    extras: Strings = ()
    """Extras of the project to install, where it is installed from pyproject.toml or uv.lock."""
    groups: Strings = ()
    """Dependency groups (PEP 735) to install with uv.lock; uv's default groups come without asking."""
    packages: Strings = ()
    """Requirements to install besides, such as a server that the project's own files leave out."""
    constraints: Strings = ()
    """Constraints files."""
    timeout: Seconds = 1800
    """Seconds that the installation may take."""
    system: SystemNeeds = SystemNeeds()
    """Packages of the operating system."""


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


class Generate(Model):
    """A secret made once per stack, kept across runs."""

    generate: Annotated[int, Field(strict=True, ge=8, le=4096)]
    """Length in characters (letters and digits)."""


class Ask(Model):
    """A value asked from the person who sets the stack up."""

    ask: str
    """The question."""
    secret: bool = False
    """Never shown again."""
    default: str | None = None
    """Used where nobody can be asked; without one the run stops and says how to give the value."""


def _env_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _env_shape(value: Any) -> str | None:
    if isinstance(value, Generate) or (isinstance(value, dict) and "generate" in value):
        return "<generate>"
    if isinstance(value, Ask) or (isinstance(value, dict) and "ask" in value):
        return "<ask>"
    return None if isinstance(value, dict) else "<text>"


# The tags tell a mistake's place in a union; the angle brackets keep them apart from any key of a file.
EnvValue = Annotated[
    Annotated[str, Tag("<text>")] | Annotated[Generate, Tag("<generate>")] | Annotated[Ask, Tag("<ask>")],
    Discriminator(_env_shape, custom_error_type="shape",
                  custom_error_message="wanted a text, { generate = 50 } or { ask = \"question\" }"),
    BeforeValidator(_env_text, json_schema_input_type=str | bool | int | float | Generate | Ask),
]
Env = dict[EnvName, EnvValue]
PlainEnv = dict[EnvName, Annotated[str, BeforeValidator(_env_text, json_schema_input_type=str | bool | int | float)]]


class Command(Model):
    """What a task, a process and a check share: a command, where and how it runs."""

    run: str
    """The command, split like a shell would, run without one. May use `${port}`, `${replica}`, `${project.root}`."""
    shell: bool = False
    """Give the whole text to `/bin/sh -c`."""
    cwd: str = "."
    """Folder to run in, below the project's root."""
    env: PlainEnv = {}
    """Added to the profile's environment for this command."""
    user: str | None = None
    """The system user to run as; needs root."""

    @model_validator(mode="after")
    def _splits(self) -> Command:
        if fault := _fault_of(self.run, shell=self.shell):
            raise PydanticCustomError("misfit", "{text}", {"text": fault, "key": "run"})
        return self

    def argv(self) -> tuple[str, ...]:
        """The words to execute, before `${…}` is filled in."""
        return ("/bin/sh", "-c", self.run) if self.shell else tuple(shlex.split(self.run))


class Task(Command):
    """Something that runs to its end between services and processes: migrate, seed, build."""

    needs: tuple[Name, ...] | None = None
    """Services and tasks that come before; left out: every service and every task declared before."""
    inputs: Strings = ()
    """Globs of files; unchanged files, data and environment: skipped. None given: once per data."""
    snapshot: Name | None = None
    """Name for the data as it is afterwards. Checked, not used yet: snapshots and `reset` are still to come."""
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

    command: Annotated[str, AfterValidator(_ensure_splits)]
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


class Process(Command):
    """Something that keeps running under supervisord."""

    role: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")] = "daemon"
    """What it is: `web`, `worker`, `beat`, `daemon`; `web` gets a port and a URL."""
    needs: tuple[Name, ...] | None = None
    """Services, tasks and processes that come before; left out: every service and task."""
    ready: Ready | None = None
    """How to know that it works; left out: it stays alive for `settle` seconds."""
    settle: Seconds = 1
    """Seconds it must have stayed alive before it counts as running."""
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


class Check(Command):
    """A check of the project that `devstack check` runs."""

    needs: tuple[Name, ...] | None = None
    """Services, tasks and processes that come before; left out: every service and task."""
    timeout: Seconds = 3600
    """Seconds it may take."""


def _short_command(value: Any) -> Any:
    return {"run": value} if isinstance(value, str) else value


class File(Model):
    """Something that must exist in the project before anything runs."""

    directory: bool = False
    """Make a folder of this path."""
    template: str | None = None
    """Make the file from this one, `${…}` filled in; kept as it is once it exists."""
    mode: Annotated[str, Field(pattern=r"^0[0-7]{3}$")] | None = None
    """Permissions in octal, as text; left out: `0600`, folders `0755`."""

    @model_validator(mode="after")
    def _one_shape(self) -> File:
        if self.directory == (self.template is not None):
            raise PydanticCustomError("shape", "wanted exactly one of `directory = true` and `template = \"path\"`")
        return self


class Profile(Model):
    """A whole profile, every default filled in."""

    name: Name
    """The stack's name."""
    extends: str | None = None
    """A shipped profile's name, or a path relative to this file, whose keys this one overrides."""
    runtime: RuntimeName = "auto"
    """Where services run: `auto` takes docker if an engine answers, else native."""
    home: Literal["user", "private"] = "user"
    """`private` gives the project's commands a HOME of their own below `.devstack`."""
    project: Project = Project()
    """Where the project comes from."""
    python: Python = Python()
    """The virtual environment."""
    services: dict[Name, SerializeAsAny[Service]] = {}
    """Servers that the project talks to, by the name of their instance."""
    env: Env = {}
    """Environment of every task, process and check."""
    files: dict[str, File] = {}
    """Files and folders that must exist, by their path in the project."""
    tasks: dict[Name, Task] = {}
    """What runs to its end, in this order: migrate, seed, build."""
    processes: dict[Name, Process] = {}
    """What keeps running."""
    checks: dict[Name, Annotated[Check, BeforeValidator(_short_command, json_schema_input_type=str | Check)]] = {}
    """What `devstack check` runs; a text stands for `{ run = "…" }`."""
