"""devstack, and what people would use in its place, behind the same few words; each has a web process and a worker."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import psutil

from tests.scenarios.machine import DEVSTACK, MINI, Machine, below, until

#: seconds for whatever one of them does
PATIENCE = 30.0
#: seconds after which what has been begun is what it will be
_SETTLED = 4.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@dataclass
class Contender(ABC):
    """folder: of its project, empty at first. commands: by process, run in the folder. port: the web process's. needs:
    who waits for whom, where the contender has a way to say so."""

    name: ClassVar[str]
    folder: Path
    port: int = field(default_factory=free_port)
    commands: dict[str, str] = field(default_factory=lambda: {"web": "python web.py", "worker": "python quiet.py"})
    needs: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        shutil.copytree(MINI, self.folder, dirs_exist_ok=True)
        # one that prints may die of it when its reader has gone
        (self.folder / "quiet.py").write_text("import time\nprint('ready', flush=True)\ntime.sleep(600)\n")
        # the words of the commands mean this very Python
        (self.folder / "bin").mkdir()
        (self.folder / "bin" / "python").symlink_to(sys.executable)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": f"{self.folder}/bin:{os.environ['PATH']}", "PORT": str(self.port), "HOME": str(self.folder.parent),
            "PYTHONUNBUFFERED": "1",
        }  # fmt: skip

    def run(self, *argv: str) -> tuple[int, str]:
        """Exit code and all that it said; a command that doesn't end in time is ended."""
        try:
            done = subprocess.run(
                [*self.prefix, *argv], cwd=self.folder, env=self.environ, stdin=subprocess.DEVNULL, timeout=PATIENCE,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True,
            )
        except subprocess.TimeoutExpired:
            return -1, "no end"
        return done.returncode, done.stdout

    @abstractmethod
    def write(self) -> None:
        """Its configuration."""

    @abstractmethod
    def up(self) -> tuple[int, str]:
        """Start everything; exit code (0 for one that goes on running) and what it said."""

    @abstractmethod
    def down(self) -> None: ...

    @abstractmethod
    def manager(self) -> list[psutil.Process]:
        """The processes that look after the others."""

    @abstractmethod
    def says(self) -> str:
        """What it says of its processes."""

    def copies(self, script: str) -> list[psutil.Process]:
        """Living processes that run this file of the project."""
        return [one for one in below(self.folder) if script in _words(one)[:2]]

    def clear(self) -> None:
        """End whatever is left."""
        for one in below(self.folder):
            with contextlib.suppress(psutil.Error):
                one.kill()
        until(lambda: not below(self.folder), 5)


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


class Devstack(Contender):
    name = "devstack"
    machine: Machine

    def write(self) -> None:
        lines = ['name = "one"', "[python]", "install = []"]
        for name, command in self.commands.items():
            lines += [f"[processes.{name}]", f'run = "{command}"', "settle = 1.5"]
            if name in ("web", "db"):
                lines += [f"port = {self.port}", "ready = { tcp = true }"]
            else:
                lines += [f"env = {{ PORT = '{self.port}' }}"]
            lines += [f'needs = ["{self.needs[name]}"]'] if name in self.needs else []
        (self.folder / "devstack.toml").write_text("\n".join(lines) + "\n")

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, **self.machine.environ, "PATH": super().environ["PATH"]}

    def up(self) -> tuple[int, str]:
        return self.run(*DEVSTACK, "up", "--trust")

    def down(self) -> None:
        self.run(*DEVSTACK, "down")

    def manager(self) -> list[psutil.Process]:
        return [one for one in below(self.folder) if f"{self.folder}/.devstack/supervisord.conf" in _words(one)]

    def says(self) -> str:
        return self.run(*DEVSTACK, "status")[1]


class Supervisord(Contender):
    name = "supervisord"

    def write(self) -> None:
        place = self.folder
        lines = [
            "[unix_http_server]", f"file={place}/s.sock", "[supervisord]", f"pidfile={place}/s.pid",
            f"logfile={place}/s.log", "[rpcinterface:supervisor]",
            "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface", "[supervisorctl]",
            f"serverurl=unix://{place}/s.sock",
        ]  # fmt: skip
        for name, command in self.commands.items():
            logs = f"{place}/logs" if (place / "logs").is_dir() else place
            lines += [f"[program:{name}]", f"command={command}", f"directory={place}", f"stdout_logfile={logs}/{name}"]
        (place / "supervisord.conf").write_text("\n".join(lines) + "\n")

    def up(self) -> tuple[int, str]:
        found = self.run(sys.executable, "-m", "supervisor.supervisord", "-c", "supervisord.conf")
        time.sleep(_SETTLED)
        return found

    def down(self) -> None:
        self.run(sys.executable, "-m", "supervisor.supervisorctl", "-c", "supervisord.conf", "shutdown")
        until(lambda: not self.manager(), PATIENCE)

    def manager(self) -> list[psutil.Process]:
        return [one for one in below(self.folder) if "supervisor.supervisord" in _words(one)]

    def says(self) -> str:
        return self.run(sys.executable, "-m", "supervisor.supervisorctl", "-c", "supervisord.conf", "status")[1]


class Honcho(Contender):
    name = "honcho"
    #: all that were started: each is waited for at the end
    started: list[subprocess.Popen[bytes]]

    def __post_init__(self) -> None:
        super().__post_init__()
        self.started = []

    def write(self) -> None:
        lines = [f"{name}: {command}" for name, command in self.commands.items()]
        (self.folder / "Procfile").write_text("\n".join(lines) + "\n")
        (self.folder / ".env").write_text("")

    def up(self) -> tuple[int, str]:
        logs = self.folder / "logs" if (self.folder / "logs").is_dir() else self.folder
        # in its own name space, where that has disks of its own
        words = 'exec "$@" >>"$0" 2>&1'
        child = subprocess.Popen(
            [*self.prefix, "sh", "-c", words, f"{logs}/out", sys.executable, "-m", "honcho", "start"], cwd=self.folder,
            env=self.environ, stdin=subprocess.DEVNULL, start_new_session=True,
        )
        self.started.append(child)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(_SETTLED), (logs / "out").read_text(errors="replace")
        return 0, ""

    def down(self) -> None:
        for one in self.manager():
            one.send_signal(signal.SIGTERM)
        until(lambda: not self.manager(), PATIENCE)

    def clear(self) -> None:
        super().clear()
        for child in self.started:
            child.wait(PATIENCE)

    def manager(self) -> list[psutil.Process]:
        # it makes a process of itself for each of its commands
        found = [one for one in below(self.folder) if "honcho" in _words(one)]
        return [one for one in found if one.ppid() not in {other.pid for other in found}]

    def says(self) -> str:
        return ""


class Compose(Contender):
    """Containers that have this machine's own Python and the project's folder, both as they are here."""

    name = "compose"
    image: ClassVar[str] = "busybox:latest"
    #: what a Python of this machine may need
    _system: ClassVar[tuple[str, ...]] = ("/usr", "/lib", "/lib64", "/bin", sys.prefix, sys.base_prefix)

    @classmethod
    def is_here(cls) -> bool:
        """Is there a Docker Compose, an engine that answers it, and the image?"""
        docker = shutil.which("docker")
        asked = (("compose", "version"), ("image", "inspect", cls.image))
        return docker is not None and all(
            subprocess.run([docker, *words], capture_output=True, check=False).returncode == 0 for words in asked
        )

    def write(self) -> None:
        mounts = [f"{path}:{path}:ro" for path in dict.fromkeys(self._system) if Path(path).exists()]
        mounts.append(f"{self.folder}:{self.folder}")
        lines = ["services:"]
        for name, command in self.commands.items():
            lines += [
                f"  {name}:", f"    image: {self.image}", f"    command: {command}", f"    working_dir: {self.folder}",
                f"    environment: {{PATH: '{self.environ['PATH']}', PORT: '{self.port}', PYTHONUNBUFFERED: '1'}}",
                "    restart: unless-stopped",
                f"    volumes: [{', '.join(mounts)}]",
            ]  # fmt: skip
            if name in ("web", "db"):
                lines.append(f"    ports: ['127.0.0.1:{self.port}:{self.port}']")
            if name == "db":
                probe = f"import socket; socket.create_connection(('127.0.0.1', {self.port}))"
                lines.append(f'    healthcheck: {{test: [CMD, python, -c, "{probe}"], interval: 1s}}')
            if name in self.needs:
                # its own network name space: there the other one has its name
                other = self.needs[name]
                healthy = f"    depends_on: {{{other}: {{condition: service_healthy}}}}"
                lines += [f"    network_mode: service:{other}", healthy]
        (self.folder / "compose.yaml").write_text("\n".join(lines) + "\n")

    @property
    def environ(self) -> dict[str, str]:
        return {**super().environ, "COMPOSE_PROJECT_NAME": f"rival{self.port}"}

    def up(self) -> tuple[int, str]:
        found = self.run("docker", "compose", "up", "--detach")
        time.sleep(_SETTLED)
        return found

    def down(self) -> None:
        if (self.folder / "compose.yaml").exists():
            self.run("docker", "compose", "down", "--timeout", "2")

    def manager(self) -> list[psutil.Process]:
        """The engine is everybody's: nothing here is killed."""
        return []

    def says(self) -> str:
        return self.run("docker", "compose", "ps", "--all")[1]
