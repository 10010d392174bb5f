"""Real servers for the tests of the kinds: binaries found or fetched once, a private data folder for each test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack import services
from devstack.errors import NetworkError, PrerequisiteError
from devstack.profile.secret import Secret
from devstack.runtimes.servers import Servers
from devstack.services import Instance, Kind, Probe, Server
from devstack.system import System

#: servers refuse to be root, so a root's tests run them as an identity without rights
UNPRIVILEGED = ("unshare", "-U", "--map-user=65534", "--map-group=65534") if os.geteuid() == 0 else ()
#: awkward on purpose: quotes, an escape, what URLs and configuration files give a meaning to
PASSWORD = """s3'cret"Pa/ss@#%\\ word"""


@dataclass
class Bench:
    """One instance of a kind, whose server a test starts, kills and restarts."""

    kind: Kind
    instance: Instance
    server: Server
    system: System = field(default_factory=System)
    child: subprocess.Popen[bytes] | None = None

    def declare(self, **options: Any) -> None:
        """Change the declaration, as an edited profile would."""
        changed = type(self.instance.declaration).model_validate(
            {**self.instance.declaration.model_dump(exclude_unset=True), **options}
        )
        self.instance = replace(self.instance, declaration=changed)

    def set_password(self, password: str) -> None:
        """Change the generated password, as a lost state file would."""
        self.instance = replace(self.instance, password=Secret(password))

    def start(self) -> None:
        native = self.kind.native(self.instance, self.server)
        data = Path(self.instance.data)
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        if native.prepare and not (data / native.prepare.folder).exists():
            argv = [word.replace("{target}", str(data / "filling")) for word in native.prepare.argv]
            done = self.system.run((*UNPRIVILEGED, *argv), timeout=120, env=native.prepare.env, cwd=data)
            assert done.returncode == 0, done.output
            (data / "filling").rename(data / native.prepare.folder)
        for folder in native.folders:
            (data / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in native.files:
            self.system.write(data / file.path, file.text, file.mode)
        for link, target in native.links.items():
            (data / link).parent.mkdir(exist_ok=True)
            if Path(target).exists():
                self.system.link(data / link, target)
        with (data.parent / "log").open("ab") as log:
            self.child = subprocess.Popen(
                (*UNPRIVILEGED, *native.argv), env=dict(native.env), cwd=native.cwd, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, start_new_session=True,
            )

    def ready(self) -> Probe:
        """Wait until the probe is content."""
        probe = Probe(False, "not asked yet")

        def is_over() -> bool:
            nonlocal probe
            assert self.child is not None
            probe = self.kind.probe(self.instance, 5)
            return probe.ok or self.child.poll() is not None

        self.system.until(is_over, 60, 0.05)
        log = Path(self.instance.data).parent / "log"
        assert probe.ok, f"{probe.detail}\n{log.read_text(errors='replace')[-4000:]}"
        return probe

    def up(self) -> Probe:
        """Start, provision, wait: what the executor does."""
        self.start()
        self.kind.provision(self.instance, 30)
        return self.ready()

    def shown(self) -> str:
        """What `ps` can show of the server's processes: command lines and environments."""
        return "\n".join(self._ask(lambda process: (*process.cmdline(), *process.environ().values())))

    def listening(self) -> set[str]:
        """Addresses that the server's processes listen on."""
        return set(self._ask(lambda process: [
            connection.laddr.ip for connection in process.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
        ]))  # fmt: skip

    def _ask(self, question: Callable[[psutil.Process], Iterable[str]]) -> list[str]:
        assert self.child is not None
        main = psutil.Process(self.child.pid)
        answers = [*question(main)]
        for process in main.children(recursive=True):
            # short-lived helpers may end while they are looked at
            with suppress(psutil.NoSuchProcess):
                answers += question(process)
        return answers

    def stop(self) -> int:
        """Ask it to end, as the kind says; returns the status."""
        assert self.child is not None
        wanted = self.kind.native(self.instance, self.server).stop_signal
        self.child.send_signal(getattr(signal, f"SIG{wanted}"))
        return self.child.wait(30)

    def kill(self) -> None:
        """SIGKILL to the main process and whatever it has started."""
        if self.child is None:
            return
        identity = self.system.identity(self.child.pid)
        family = [*self.system.descendants(identity), identity] if identity else []
        for one in family:
            self.system.signal(one, signal.SIGKILL)
        self.child.wait(10)
        # children of a killed server end by themselves; the next start must not meet them
        assert self.system.until(lambda: not any(map(self.system.is_alive, family)), 10)


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder whose path is short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ds-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make_instance(short_folder: Path) -> Callable[..., Instance]:
    """An instance of a kind with free ports, in a folder of the given name; keywords are the kind's own keys."""

    def make(name: str, folder: str = "one", **options: Any) -> Instance:
        kind = services.get(name)
        declaration = kind.declaration.model_validate(options)
        sockets = short_folder / "s"
        sockets.mkdir(mode=0o700, exist_ok=True)
        ports = {port: System().free_port() for port in kind.ports}
        return Instance(
            name, "shop", declaration, ports, kind.account(declaration, "shop"), Secret(PASSWORD),
            str(short_folder / folder / "data"), str(sockets),
        )

    return make


@pytest.fixture
def make_bench(make_instance: Callable[..., Instance]) -> Iterator[Callable[..., Bench]]:
    """A bench for a kind, its server found or fetched; whatever still runs is killed at the end."""
    benches = []

    def make(name: str, folder: str = "one", **options: Any) -> Bench:
        kind = services.get(name)
        instance = make_instance(name, folder, **options)
        benches.append(Bench(kind, instance, _server(name, kind, instance)))
        return benches[-1]

    yield make
    for bench in benches:
        with suppress(ProcessLookupError):
            bench.kill()


def _server(name: str, kind: Kind, instance: Instance) -> Server:
    # fetched servers are kept where devstack keeps them: they are too big to fetch for every run
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devstack" / "servers"
    wanted = instance.declaration.version or kind.default_version
    servers = Servers(System(), cache)
    try:
        choice = servers.choose(name, kind, wanted, kind.needs(instance.declaration))
        return servers.fetch(name, kind, choice, lambda _line: None)
    except (NetworkError, PrerequisiteError) as error:
        pytest.skip(f"no {name} server for this machine: {error}")
