"""Toy servers: a wheel with a shell script in it, served to the real pip from a folder; and a kind that wants it."""

from __future__ import annotations

import base64
import hashlib
import os
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devstack.profile.model import Service
from devstack.profile.secret import Secret
from devstack.runtimes.native import DataState, Native
from devstack.services import (
    Client,
    ContainerService,
    Copies,
    Hint,
    Installed,
    Instance,
    NativeService,
    Prepare,
    Probe,
    Server,
    Source,
)
from devstack.system import Completed, System

INIT = 'mkdir -p "$1/base" && echo 15 > "$1/VERSION" && echo content > "$1/base/1"'
PREPARE = Prepare(("/bin/sh", "-c", INIT, "init", "{target}"), {}, "cluster", "toy 15.3", "VERSION", ("base/1",))
TOY = '#!/bin/sh\necho "toyserver 1.4.2"\n'


class RecordingSystem(System):
    """The real machine, with a list of the commands that were run on it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        super().__init__(environ)
        self.commands: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.commands.append(tuple(argv))
        return super().run(argv, **options)

    def capture(self, argv: Sequence[str], **options: Any) -> Completed:
        self.commands.append(tuple(argv))
        return super().capture(argv, **options)


@dataclass
class ToyKind:
    """A service kind with the sources a test gives it."""

    sources: tuple[Source, ...]
    patch_glob: str = ""
    hints: tuple[Hint, ...] = ()
    memory_mb: int = 1
    declaration: type[Service] = Service
    default_version: str = "1"
    copies: Copies | None = None
    ports: Mapping[str, int] = field(default_factory=lambda: {"main": 4000})

    def account(self, declaration: Service, stack: str) -> str:
        return ""

    def needs(self, declaration: Service) -> frozenset[str]:
        return frozenset()

    def patch(self, server: Server, path: str, text: str) -> str | None:
        return text.replace("slow", f"fast {server.version}")

    def native(self, instance: Instance, server: Server) -> NativeService:
        return NativeService((server.program,), {}, instance.data)

    def image(self, declaration: Service) -> str:
        return "toy:1"

    def container(self, instance: Instance) -> ContainerService:
        return ContainerService("toy:1", {"main": 4000})

    def url(self, instance: Instance) -> Secret:
        return Secret("")

    def variables(self, instance: Instance) -> Mapping[str, str | Secret]:
        return {}

    def question(self, instance: Instance) -> None:
        return None

    def probe(self, instance: Instance, timeout: float) -> Probe:
        return Probe(False, "toy")

    def provision(self, instance: Instance, timeout: float) -> tuple[str, ...]:
        return ()

    def client(self, instance: Instance, server: Server) -> Client:
        return Client(("toycli",), (), (), {})


@dataclass(frozen=True)
class ToyWheel:
    """A wheel in a folder that pip looks into, and the environment that makes it look there and nowhere else."""

    source: Source
    file: Path
    environ: Mapping[str, str]

    def kind(self, *before: Source, patch_glob: str = "") -> ToyKind:
        return ToyKind((*before, self.source, Source("absent", Installed("toyserver", ()))), patch_glob)


MakeWheel = Callable[..., ToyWheel]


@dataclass
class Bench:
    """One toy service in a folder with a space and an accent, on the real machine."""

    system: RecordingSystem
    instance: Instance
    server: Server
    spec: NativeService
    cache: Path

    @property
    def native(self) -> Native:
        return Native(self.system, self.cache)

    @property
    def data(self) -> Path:
        return Path(self.instance.data)

    @property
    def cluster(self) -> Path:
        return self.data / "cluster"

    def prepare(self) -> str:
        return self.native.prepare(self.instance, self.server, self.spec)

    def state(self) -> DataState:
        return self.native.data_state(self.instance, self.server, self.spec)

    def before_start(self) -> tuple[str, ...]:
        return self.native.before_start(self.instance, self.server, self.spec)

    def initialised(self) -> int:
        return sum("init" in command for command in self.system.commands)


def spawn(system: System, argv: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None) -> int:
    """Start a process that goes on; returns its pid."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        return system.spawn(argv, env=env or {}, cwd=cwd, log=Path(system.environ["TMPDIR"], "log"), lock=nothing)
    finally:
        os.close(nothing)


def write_wheel(file: Path, script: str) -> None:
    """A wheel with `toyserver/bin/toyserver` and a text file."""
    with zipfile.ZipFile(file, "w") as wheel:
        program = zipfile.ZipInfo("toyserver/bin/toyserver")
        program.external_attr = 0o100755 << 16
        wheel.writestr(program, script)
        wheel.writestr("toyserver/share/settings.app", "slow")
        info = "toyserver-1.4.2.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: toyserver\nVersion: 1.4.2\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: py3-none-any\n")
        digest = base64.urlsafe_b64encode(hashlib.sha256(script.encode()).digest()).rstrip(b"=").decode()
        wheel.writestr(f"{info}/RECORD", f"toyserver/bin/toyserver,sha256={digest},{len(script)}\n")


def quiet(_line: str) -> None:
    """Progress that nobody looks at."""


_FETCH = """
import os, signal
from pathlib import Path
from devstack.runtimes.servers import Servers
from devstack.services import Client, Installed, Source, Wheel
from devstack.system import System
from tests.runtimes.toys import ToyKind

def told(line):
    if {killed_at!r} and line.startswith({killed_at!r}):
        os.kill(os.getpid(), signal.SIGKILL)

kind = ToyKind(({source!r}, Source("absent", Installed("toyserver", ()))))
servers = Servers(System(), Path({cache!r}))
choice = servers.choose("toy", kind, "1", frozenset())
print(servers.fetch("toy", kind, choice, told).program)
"""

_PREPARE = """
import os, signal
from pathlib import Path
from devstack.errors import StorageError
from devstack.profile.model import Service
from devstack.profile.secret import Secret
from devstack.runtimes.native import Native
from devstack.runtimes.seeds import Seeds
from devstack.services import Instance, NativeService, Prepare, Server
from devstack.system import System

def deadly(owner, name, count, when):
    real, calls = getattr(owner, name), []
    def dying(*arguments):
        calls.append(1)
        if len(calls) == count and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = real(*arguments)
        if len(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    setattr(owner, name, dying)

killed = {killed!r}.split()
if killed:
    owner, name = killed[0].split(".")
    deadly({{"Seeds": Seeds, "Native": Native}}[owner], name, int(killed[1]) if len(killed) == 3 else 1, killed[-1])
native = Native(System(), Path({seeds!r}))
instance = Instance("toy", "stack", Service(), {{"main": 1}}, "", Secret("s"), {data!r}, "/s")
server = Server("toy", "wheel", "15.3", "/toy", "/toy/toyserver")
spec = NativeService((), {{}}, {data!r}, prepare={prepare!r})
try:
    native.prepare(instance, server, spec)
    native.before_start(instance, server, spec)
    print(native.data_state(instance, server, spec).complete, native.wrapper())
except StorageError as error:
    print(error.id, error.fix)
"""


def fetch_script(toy: ToyWheel, cache: Path, killed_at: str = "") -> str:
    """Python text that fetches the toy into `cache` and prints its program. killed_at: start of a progress line."""
    return _FETCH.format(source=toy.source, cache=str(cache), killed_at=killed_at)


def prepare_script(data: Path, seeds: Path, killed: str = "") -> str:
    """Python text that prepares the toy's data. killed: `Class.method [N] before|after`: at this method's Nth call."""
    return _PREPARE.format(data=str(data), seeds=str(seeds), killed=killed, prepare=PREPARE)
