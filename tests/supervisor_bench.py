"""A stack of its own for the tests of supervision: real daemons, real processes, real kills."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from devstack.layout import Layout
from devstack.processes import Identity
from devstack.render import Program, RenderedFile, render
from devstack.state import ProgramState
from devstack.supervisor import Supervisor
from devstack.system import System

TEMPLATE = (Path(__file__).parent.parent / "Procfile.template").read_text()


@dataclass
class Bench:
    """One stack on a folder of its own."""

    system: System
    layout: Layout
    supervisor: Supervisor

    def write(self, *programs: Program) -> None:
        for file in render(programs, self.layout, TEMPLATE):
            write(file)

    def up(self, *programs: Program) -> None:
        self.write(*programs)
        self.supervisor.start(base())
        for program in programs:
            self.supervisor.start_program(program.name)

    def program(self, name: str, *argv: str, **options: object) -> Program:
        return Program(name, argv, {"PATH": os.environ["PATH"]}, self.layout.root, **options)  # type: ignore[arg-type]

    def shell(self, name: str, script: str, **options: object) -> Program:
        return self.program(name, "/bin/sh", "-c", script, **options)

    def python(self, name: str, script: str, **options: object) -> Program:
        return self.program(name, sys.executable, "-I", "-c", script, **options)

    def state(self, name: str) -> ProgramState:
        return self.supervisor.programs(0)[name]

    def until(self, check: Callable[[], bool], timeout: float = 20.0) -> None:
        assert self.system.until(check, timeout, 0.02), self.log()

    def log(self) -> str:
        return (self.system.read(Path(self.layout.supervisor_log)) or "")[-3000:]

    def identity(self, pid: int | None) -> Identity:
        identity = self.system.identity(pid or 0)
        assert identity
        return identity

    def daemon(self) -> Identity:
        return self.identity(self.supervisor.observe().pid)

    def kill(self, identity: Identity) -> None:
        self.system.signal(identity, signal.SIGKILL)
        self.until(lambda: not self.system.is_alive(identity))

    def said(self, name: str, text: str) -> Path:
        """Waits until a program's log holds the text; returns the log's path."""
        self.until(lambda: text in "\n".join(self.supervisor.last_lines(name, 50)))
        return self.supervisor.log_path(name)

    def child(self, name: str, label: str) -> Identity:
        """The process that a program has announced as `LABEL PID`."""
        self.said(name, f"{label} ")
        words = "\n".join(self.supervisor.last_lines(name, 50)).partition(f"{label} ")[2].split()
        return self.identity(int(words[0]))


def base() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def write(file: RenderedFile) -> None:
    path = Path(file.path)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(file.content)
    path.chmod(file.mode)


def make_bench(root: Path, sockets: Path, stack: str) -> Bench:
    root.mkdir(parents=True, exist_ok=True)
    layout = Layout(stack, str(root), str(root / ".devstack"), str(sockets))
    system = System(base())
    return Bench(system, layout, Supervisor(system, layout, sys.executable))


@contextlib.contextmanager
def private_sockets() -> Iterator[Path]:
    """A folder for sockets: pytest's own are too deep for a Unix socket's address."""
    with tempfile.TemporaryDirectory(prefix="ds-") as folder:
        yield Path(folder, "s")


@contextlib.contextmanager
def running_bench(folder: Path) -> Iterator[Bench]:
    """A stack in a folder of this test's own; nothing of it is left afterwards."""
    with private_sockets() as sockets:
        name = re.sub(r"[^a-z0-9_]", "-", folder.name)
        bench = make_bench(folder / "project", sockets, f"test-{os.getpid()}-{name}")
        try:
            yield bench
        finally:
            bench.supervisor.shutdown({}, 10)
        assert bench.supervisor.observe().orphans == ()
