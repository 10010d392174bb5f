"""A machine with one user for the scenarios: devstack is run as people run it, against a small project in git.

Everything is real: processes, servers, git. Homes and projects are made for one test; downloaded servers are this
machine's, and port leases are shared by all tests of a run, as they would be by the stacks of one user.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

import devstack
from devstack.stack.inputs import Inputs
from devstack.stack.sources import read_profile
from devstack.stack.trusting import material
from devstack.state import Record, parse
from devstack.system import System
from devstack.trust import TrustStore

CHECKOUT = Path(devstack.__file__).resolve().parent.parent
DEVSTACK = (sys.executable, "-P", "-m", "devstack")
GIT = shutil.which("git") or "git"
MINI = Path(__file__).parent / "mini"
TIMEOUT = 120.0

HOLD = """pathlib.Path("var").mkdir(exist_ok=True)
pathlib.Path("var/holds").touch()
while not pathlib.Path("var/go").exists():
    time.sleep(0.02)"""


_SHIFTED = """
import os, time
_time, _shift = time.time, float(os.environ.get("SHIFT", "0"))
time.time = lambda: _time() + _shift
"""


@dataclass(frozen=True)
class Done:
    """A finished command."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"{self.out}\n{self.err}"

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        assert len(self.out.splitlines()) == 1, self.text
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a `--json` command; its exit code is also the command's."""
        error: dict[str, Any] = self.document["error"]
        assert {"id", "what", "why", "fix", "exit_code"} <= set(error)
        assert error["exit_code"] == self.code
        assert error["what"], error
        assert error["fix"], error
        return error


#: how the commands of the running test have ended, for a report
ENDS: list[Done] = []


@dataclass
class Machine:
    """folder: of this test. environ: what the person's shell exports. prefix: words before every command. command: how
    devstack is called."""

    folder: Path
    environ: dict[str, str]
    prefix: tuple[str, ...] = ()
    command: tuple[str, ...] = DEVSTACK
    projects: list[Project] = field(default_factory=list)

    def popen(
        self, *words: str, cwd: Path, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = (),
        **options: Any,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (*self.prefix, *prefix, *self.command, *words), cwd=cwd, env={**self.environ, **(env or {})}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, **options,
        )

    def run(
        self, *words: str, cwd: Path, code: int = 0, env: Mapping[str, str] | None = None,
        prefix: tuple[str, ...] = (), **options: Any,
    ) -> Done:
        """Run `devstack WORDS` to its end and expect this exit code. Never a traceback."""
        child = self.popen(*words, cwd=cwd, env=env, prefix=prefix, **options)
        return finish(child, words, code)

    def bootstrap(self, repository: str, *words: str, into: Path, code: int = 0) -> Project:
        """`bootstrap` as on day one; the project is taken down at the end of the test."""
        project = self.project(into)
        self.run("bootstrap", repository, "--into", str(into), *words, cwd=self.folder, code=code)
        return project

    def project(self, root: Path) -> Project:
        project = Project(self, root)
        self.projects.append(project)
        return project

    def with_clock(self, shift: float) -> dict[str, str]:
        """The environment of a devstack whose clock is so many seconds ahead."""
        folder = self.folder / "clock"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(_SHIFTED)
        return {"PYTHONPATH": f"{folder}:{self.environ['PYTHONPATH']}", "SHIFT": str(shift)}

    def new_project(self, root: Path | None = None, *, trusted: bool = True) -> Project:
        """The small project as a git repository of its own, cloned by nobody yet."""
        root = root or self.folder / "mini"
        make_repository(root)
        project = self.project(root)
        if trusted:
            project.trust()
        return project


@dataclass
class Project:
    """A project's folder and the commands that a person types in it."""

    machine: Machine
    root: Path

    def run(self, *words: str, code: int = 0, **options: Any) -> Done:
        options.setdefault("cwd", self.root)
        return self.machine.run(*words, code=code, **options)

    def popen(self, *words: str, **options: Any) -> subprocess.Popen[str]:
        options.setdefault("cwd", self.root)
        return self.machine.popen(*words, **options)

    def trust(self) -> None:
        """What `devstack trust` does, without waiting for a command."""
        store = TrustStore(System(), Path(self.machine.environ["XDG_STATE_HOME"]) / "devstack")
        path = self.folder / "state.json"
        record = parse(path.read_text()) if path.exists() else None
        store.trust(material(read_profile(self.root), Inputs(self.root), record or Record("", "")))

    @property
    def folder(self) -> Path:
        return self.root / ".devstack"

    @property
    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "state.json").read_text())
        return found

    @property
    def password(self) -> str:
        return str(json.loads((self.folder / "secrets.json").read_text())["services.redis"])

    def status(self) -> Any:
        return self.run("status", "--json").document

    def pids(self) -> dict[str, int]:
        """By program as people name it: `web`, `worker 2`."""
        return {f"{row['name']} {row['replica']}": row["pid"] for row in self.status()["processes"]}

    def assert_up(self) -> Any:
        status = self.status()
        assert status["stack"]["state"] == "up", status
        assert all(row["ready"] for row in (*status["services"], *status["processes"])), status
        return status

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        text = self.read(name)
        assert old in text
        self.write(name, text.replace(old, new))

    def seeded(self) -> int:
        """How often the task `seed` has run to its end."""
        path = self.root / "var" / "seeded.txt"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def replace(self, old: str, new: str) -> None:
        """Change the profile, and trust what it says now."""
        self.edit("devstack.toml", old, new)
        self.trust()

    def hold(self) -> Path:
        """Make the task `seed` wait for a file, whose path is returned."""
        self.write("seed.py", f"import pathlib, time\n{HOLD}\n{self.read('seed.py')}")
        return self.root / "var" / "go"

    def redis(self, command: str, *words: str | bytes) -> Any:
        """Ask the project's Redis."""
        import redis

        with redis.Redis("127.0.0.1", self.state["ports"]["redis"], password=self.password) as client:
            return client.execute_command(command, *words)

    def journals(self) -> list[Path]:
        return sorted((self.folder / "journal").glob("*.jsonl"), key=lambda path: path.stat().st_mtime_ns)

    def programs(self) -> dict[str, list[psutil.Process]]:
        """Living processes by program, known by the script or the folder that they run; each should be one."""
        found: dict[str, list[psutil.Process]] = {}
        for process in below(self.root):
            with contextlib.suppress(psutil.Error):
                words, name = process.cmdline(), ""
                if f"{self.folder}/supervisord.conf" in words:
                    name = "supervisord"
                elif len(words) > 1 and words[1] in ("web.py", "loop.py"):
                    name = process.environ()["DEVSTACK_PROGRAM"]
                elif Path(process.cwd()).is_relative_to(self.folder / "data"):
                    name = Path(process.cwd()).relative_to(self.folder / "data").parts[0]
                if name:
                    found.setdefault(name, []).append(process)
        return found

    def assert_single(self) -> None:
        """Every program is one living process, and nothing else of the stack lives."""
        count = {name: len(processes) for name, processes in self.programs().items()}
        assert count == dict.fromkeys(("supervisord", "redis", "web", "worker-1", "worker-2", "beat"), 1)

    def assert_gone(self) -> None:
        """Nothing of the stack lives or listens any more."""
        ports = set(self.state["ports"].values()) if (self.folder / "state.json").exists() else set()
        left = until(lambda: not below(self.root), 5)
        assert left, [(process.pid, process.cmdline()) for process in below(self.root)]
        assert not ports & listening(), "a port of the stack is still listened on"


def make_repository(root: Path) -> None:
    shutil.copytree(MINI, root, ignore=shutil.ignore_patterns("__pycache__"))
    git(root, "init", "-q", "-b", "main")
    commit(root, "The project")


def commit(root: Path, message: str) -> None:
    git(root, "add", "-A")
    git(root, "-c", "user.name=one", "-c", "user.email=one@localhost", "commit", "-q", "-m", message)


def git(root: Path, *words: str) -> str:
    environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(root)}
    done = subprocess.run([GIT, *words], cwd=root, env=environ, check=True, capture_output=True, text=True)
    return done.stdout


def finish(child: subprocess.Popen[str], words: tuple[str, ...] = (), code: int | None = None) -> Done:
    try:
        out, err = child.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        out, err = child.communicate()
        raise AssertionError(f"devstack {' '.join(words)} did not end\n{out}\n{err}") from None
    done = Done(child.returncode, out, err)
    ENDS.append(done)
    assert "Traceback" not in done.text, done.text
    assert code is None or done.code == code, f"devstack {' '.join(words)}: {done.code}, not {code}\n{done.text}"
    return done


def until(check: Callable[[], bool], timeout: float = 20.0) -> bool:
    """Ask `check` until it says yes, or the time is over."""
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def lives(process: psutil.Process) -> bool:
    """Is it still this very process? One that has ended and that nobody has asked for yet doesn't live."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def below(folder: Path) -> list[psutil.Process]:
    """Living processes that have to do with a folder: by their words, their folder or their environment."""
    place, found = str(folder), []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            texts = (*process.cmdline(), process.cwd(), *process.environ().values())
            if any(text == place or f"{place}/" in text for text in texts):
                found.append(process)
    return found


@dataclass(frozen=True)
class Socket:
    """One end of the network that a process holds. port: 0 where it has none yet."""

    ip: str
    port: int
    pid: int | None
    is_open: bool


def sockets() -> Iterator[Socket]:
    """What anything on this machine listens on, and its datagram sockets."""
    for found in psutil.net_connections("inet"):
        ip, port = (found.laddr.ip, found.laddr.port) if found.laddr else ("", 0)
        if found.status == psutil.CONN_LISTEN or found.type == socket.SOCK_DGRAM:
            yield Socket(ip, port, found.pid, is_open=found.status == psutil.CONN_LISTEN)


def listening() -> set[int]:
    return {found.port for found in sockets() if found.is_open}


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of what a process on this machine answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@contextlib.contextmanager
def stranger(port: int = 0) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """A process that listens on a port and has nothing to do with any stack."""
    script = (
        "import socket, sys, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
        "print(s.getsockname()[1], flush=True)\ntime.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-I", "-c", script, str(port)], text=True, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), process
            assert process.poll() is None, "the stranger was ended"
        finally:
            process.kill()


def path_without(machine: Machine, *names: str) -> str:
    """A PATH with every program but those whose names begin like this."""
    folder = machine.folder / "bin"
    folder.mkdir()
    for place in machine.environ["PATH"].split(":"):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if not program.name.startswith(names) and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


def give(folder: Path) -> None:
    """Make `nobody` the owner of a folder and all that is in it."""
    for path in (folder, *folder.rglob("*")):
        os.lchown(path, 65534, 65534)
