"""State: one observation of what exists now, and the codec of the state file that remembers what can't be seen.

What chance decides (a stack's id, a port lease, a generated secret) is part of the State, so that planning is a pure
function. Whoever observes fills it in; nothing here looks at the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from devstack.errors import UsageError
from devstack.profile.secret import Secret
from devstack.services import Instance, Probe, Server

VERSION = 1

RuntimeHere = Literal["native", "docker"]
ProgramPhase = Literal["stopped", "starting", "running", "backoff", "stopping", "exited", "fatal", "unknown"]


@dataclass(frozen=True)
class ProgramState:
    """One supervisord program, or one container, as it is now. uptime: seconds. digest: of the program text that the
    process was started with, "" where none lives or has ended by itself. container: the engine's id, "" for a program;
    a container's pid may be another machine's and isn't told. reason: why it isn't running, or how the process before
    this one has ended."""

    name: str
    phase: ProgramPhase
    pid: int | None = None
    uptime: float = 0.0
    exit_status: int | None = None
    digest: str = ""
    restarts: int = 0
    reason: str = ""
    container: str = ""

    @property
    def is_running(self) -> bool:
        return self.phase in ("running", "starting") and (self.pid is not None or bool(self.container))

    def life(self, run: str) -> str:
        """Tells this very process from one before or after it. run: of its supervisord."""
        return f"{self.container}:{self.restarts}" if self.container else f"{self.pid}:{run}"

    @property
    def has_ended_well(self) -> bool:
        """It ended by itself with status 0, and isn't started again."""
        return self.phase == "exited" and self.exit_status == 0


@dataclass(frozen=True)
class Orphan:
    """A living process of this stack that no living supervisord of it owns."""

    pid: int
    start: str
    program: str
    command: str = ""


@dataclass(frozen=True)
class Foreground:
    """A program that `up --foreground` runs on a terminal, by its process."""

    pid: int
    start: str


@dataclass(frozen=True)
class SupervisorState:
    """run: id of the supervisord that lives; "" where none does. config: digest of the file it has loaded."""

    run: str = ""
    pid: int | None = None
    config: str = ""
    programs: Mapping[str, ProgramState] = field(default_factory=dict)
    orphans: tuple[Orphan, ...] = ()

    @property
    def is_running(self) -> bool:
        return bool(self.run)


@dataclass(frozen=True)
class PythonState:
    """The environment: key wanted now, key linked as `.venv`, and whether the wanted one is built and sound.

    foreign: a `.venv` is there that devstack didn't make. problem: why a built environment can't be used. lacks: what
    of `[python.system]` an environment to be made would miss; remedy: the command that brings it.
    """

    wanted: str
    linked: str = ""
    is_built: bool = False
    interpreter: str = ""
    version: str = ""
    foreign: bool = False
    problem: str = ""
    lacks: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class ServiceState:
    """One declared service. server: the binaries chosen; is_fetched: they, or the image, are on this machine and sound.

    has_data: its data folder, or volume, is complete. generation: changes whenever data starts anew.
    warning: a parity warning about the server chosen, "" for none. runtime: where it runs; why: what decided that.
    image: of its container, as the engine is asked for it.
    """

    instance: Instance
    server: Server
    is_fetched: bool
    has_data: bool
    generation: str
    probe: Probe | None = None
    warning: str = ""
    runtime: RuntimeHere = "native"
    why: str = ""
    image: str = ""


@dataclass(frozen=True)
class TaskState:
    """key: as it is now, `DATA.REST`: of the data it works on, and of inputs, command and environment. done: the key of
    the last success. missing: outputs that aren't there. owes: the snapshot that was to be saved after it and wasn't.
    """

    key: str
    done: str = ""
    missing: tuple[str, ...] = ()
    owes: str = ""

    @property
    def has_same_data(self) -> bool:
        return self.done.partition(".")[0] == self.key.partition(".")[0]


@dataclass(frozen=True)
class Seeding:
    """What data kept for stacks like this one can do for it, where nobody has put anything into its own yet.

    keys: what the data that a task leaves depends on, by the task, for those whose data may be kept. task: the one
    whose data is at hand, "" for none; key: of that; covers: tasks that needn't run then; story: what to call it.
    is_unfinished: a run was killed while it put data in: what is there now is nobody's.
    """

    keys: Mapping[str, str] = field(default_factory=dict)
    task: str = ""
    key: str = ""
    covers: tuple[str, ...] = ()
    story: str = ""
    is_unfinished: bool = False


@dataclass(frozen=True)
class ReplicaState:
    """One program of a declared process. ready: what its check says of the process that runs now. is_silent: it took
    the connection and said nothing in time. is_refused: it answers that the question itself is wrong."""

    ready: bool
    reason: str = ""
    is_silent: bool = False
    is_refused: bool = False


@dataclass(frozen=True)
class Written:
    """A file that devstack made in the project. digest: of its content; source: of the text it was made of."""

    digest: str
    source: str

    def __str__(self) -> str:
        return f"{self.digest} {self.source}"


@dataclass(frozen=True)
class Parts:
    """What a checkout lacks. submodules: paths of those that aren't there. moved: of those at another commit than the
    project wants. pointers: files whose content Git LFS holds. warnings: about submodules that are left as they are."""

    submodules: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    pointers: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Branch:
    """now: that is checked out, "" where there is no git. before: whose data it is, as of the record. pending: the
    snapshot that was made before tasks which haven't ended well since. kept: by task that is due, the snapshot of the
    data as it was when the task was done as it would be now."""

    now: str = ""
    before: str = ""
    pending: str = ""
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """Everything the planner may know.

    folder: `.devstack` of the project. sockets: a short private folder. venv: the environment that commands use.
    interpreter: the Python that devstack itself runs on. base: what the project's commands inherit of the machine's
    environment, the same for the life of one supervisord. wrapper: words put before a server's command so that it runs
    unprivileged. ports: leases, by `postgres`, `web`, `rabbitmq.dist`, `web.metrics`. decided: generated and asked
    values of `[env]`. replicas: by program name. files: digest of each generated file on disk, by path.
    """

    stack: str
    root: str
    folder: str
    sockets: str
    venv: str
    base: Mapping[str, str]
    interpreter: str = "python3"
    supervisor: SupervisorState = SupervisorState()
    python: PythonState | None = None
    services: Mapping[str, ServiceState] = field(default_factory=dict)
    tasks: Mapping[str, TaskState] = field(default_factory=dict)
    replicas: Mapping[str, ReplicaState] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    decided: Mapping[str, str | Secret] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    data: tuple[str, ...] = ()
    """Services that have a data folder, declared or not."""
    missing_paths: frozenset[str] = frozenset()
    """Entries of `[files]` that don't exist yet."""
    templates: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Text of the template of each entry of `[files]` that has one, by the entry's path."""
    keys: Mapping[str, Secret] = field(default_factory=dict)
    """Generated content of key files, by their path in `[files]`."""
    on_disk: Mapping[str, str] = field(default_factory=dict)
    """Digest of each file of `[files]` as it is now."""
    written: Mapping[str, Written] = field(default_factory=dict)
    """What devstack wrote last to each file of `[files]`."""
    files_version: str = ""
    """Changes with what devstack has in the files of `[files]`."""
    env_files: Mapping[str, Mapping[str, Secret]] = field(default_factory=dict)
    """Variables of each `env_file` that is there or that this run makes, by its path in the project."""
    foreground: Mapping[str, Foreground] = field(default_factory=dict)
    """Programs that run on a terminal, by name."""
    parts: Parts = Parts()
    warnings: tuple[str, ...] = ()
    containers: Mapping[str, ProgramState] = field(default_factory=dict)
    """The stack's containers, by the name of the service or program that each is."""
    has_network: bool = False
    """The engine has the stack's network."""
    engine: str = ""
    """Why the engine that the stack needs can't be asked, "" where it was or needn't be."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Digest of each image that is wanted, by its name as the engine is asked for it; "" for one that isn't at hand."""
    builds: Mapping[str, str] = field(default_factory=dict)
    """Name of the image that each process with a `build` needs: it changes with all that it is made from."""
    volumes: str = ""
    """Token of the named volumes that processes share."""
    seeding: Seeding = Seeding()
    snapshots: frozenset[str] = frozenset()
    """Names of those that there are, or that a person has removed."""
    branch: Branch = Branch()

    @property
    def live(self) -> dict[str, ProgramState]:
        """Everything that supervisord or the engine knows of, by its name."""
        return {**self.supervisor.programs, **self.containers}

    @property
    def runtime(self) -> str:
        """Where the services run: `native`, `docker`, or `mixed`."""
        found = {service.runtime for service in self.services.values()}
        return "mixed" if len(found) > 1 else next(iter(found), "native")


@dataclass(frozen=True)
class Record:
    """What `.devstack/state.json` remembers between runs.

    profile: what `--profile` named, "" for the project's own. ports: leases by name. generations: by service, changed
    when a database had to be made again. tasks: key of the last success, by task. ready: by program, the `pid:start`
    that was seen ready. base: see `State.base`. files: digests of what was written to each entry of `[files]`, and of
    its source. scale: replicas by process, where `devstack scale` said so. told: lasting warnings that were shown
    already, as its keys. runtimes: where each service was put. volumes: the token in the names of each service's
    volumes; with a `?` behind it nobody was let at them yet. owed: by task, the snapshot that it asks for and that
    isn't saved yet. branch: whose data it is, with a `+` behind it where tasks of another branch have worked on it too.
    pending: see `Branch`.
    """

    stack: str
    root: str
    version: int = VERSION
    runtime: str = ""
    profile: str = ""
    branch: str = ""
    pending: str = ""
    ports: Mapping[str, int] = field(default_factory=dict)
    generations: Mapping[str, str] = field(default_factory=dict)
    tasks: Mapping[str, str] = field(default_factory=dict)
    ready: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    scale: Mapping[str, int] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    runtimes: Mapping[str, str] = field(default_factory=dict)
    volumes: Mapping[str, str] = field(default_factory=dict)
    owed: Mapping[str, str] = field(default_factory=dict)

    @property
    def written(self) -> dict[str, Written]:
        """`files` as values."""
        return {path: Written(*value.split(" ", 1)) for path, value in self.files.items() if " " in value}

    def with_entry(self, table: str, name: str, value: str | int | None) -> Record:
        """A copy in which `table[name]` is `value` (None removes it)."""
        entries = dict(getattr(self, table))
        if value is None:
            entries.pop(name, None)
        else:
            entries[name] = value
        changes: dict[str, Any] = {table: entries}
        return replace(self, **changes)


def dump(record: Record) -> str:
    """The state file's text."""
    return json.dumps(asdict(record), indent=1, sort_keys=True) + "\n"


def parse(text: str) -> Record | None:
    """The record of a state file; None where the text is damaged. Raises UsageError for a newer devstack's file."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or type(raw.get("version")) is not int:
        return None
    if raw["version"] > VERSION:
        raise UsageError(
            "state-newer", "this stack was last used by a newer devstack",
            why=f"its state file has version {raw['version']}, this one knows {VERSION}", fix="update devstack",
        )
    tables = {
        "ports": int, "generations": str, "tasks": str, "ready": str, "base": str, "files": str, "scale": int,
        "told": str, "runtimes": str, "volumes": str, "owed": str,
    }
    values: dict[str, Any] = {}
    for name, kind in tables.items():
        table = raw.get(name, {})
        # a boolean is an integer to isinstance, but no port
        if not isinstance(table, dict) or not all(type(value) is kind for value in table.values()):
            return None
        values[name] = table
    if not all(0 < port < 65536 for port in values["ports"].values()):
        return None
    texts = {name: raw.get(name, "") for name in ("stack", "root", "runtime", "profile", "branch", "pending")}
    if not all(isinstance(text, str) for text in texts.values()) or not texts["stack"]:
        return None
    return Record(**texts, **values)
