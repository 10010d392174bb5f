"""One instance of a kind that a test starts, kills and restarts: as a process, or as a container of this machine's
engine, through the product's own calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from devstack import contained
from devstack.errors import ProcessError
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import Owner
from devstack.services import PASSWORD_REFUSED, Instance, Kind, Probe, Server
from devstack.state import ServiceState, State
from devstack.system import System
from tests.engine_bench import new_stack, this_machines_engine
from tests.scenarios.machine import sockets

#: servers refuse to be root, so a root's tests run them as an identity without rights
UNPRIVILEGED = ("unshare", "-U", "--map-user=65534", "--map-group=65534") if os.geteuid() == 0 else ()
#: marks a test that holds for a process and for a container
BOTH = pytest.mark.parametrize("runtime", ["native", "docker"])


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
            probe = self.kind.probe(self.instance, 5)
            return probe.ok or not self.is_alive()

        self.system.until(is_over, 60, 0.05)
        assert probe.ok, f"{probe.detail}\n{self.printed()[-4000:]}"
        return probe

    def is_alive(self) -> bool:
        assert self.child is not None
        return self.child.poll() is None

    def printed(self) -> str:
        """What the server has printed."""
        return (Path(self.instance.data).parent / "log").read_text(errors="replace")

    def up(self) -> Probe:
        """Start, provision, wait: what the executor does."""
        self.start()
        self.provision()
        return self.ready()

    def provision(self) -> tuple[str, ...]:
        return self.kind.provision(self.instance, 30)

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


@dataclass
class ContainerBench(Bench):
    """The same as a container of this machine's engine, through the product's own calls. A start replaces the container
    that is there; the volumes stay."""

    engine: Engine = field(default_factory=this_machines_engine)
    stack: str = field(default_factory=new_stack)

    @property
    def service(self) -> ServiceState:
        image = self.kind.image(self.instance.declaration)
        return ServiceState(self.instance, self.server, True, True, "t1", runtime="docker", image=image)

    @property
    def name(self) -> str:
        return contained.container_name(self.stack, self.instance.name)

    def start(self) -> None:
        image, owner = self.service.image, Owner(self.stack, "/srv/shop", os.geteuid())
        state = State(
            self.stack, "/srv/shop", "/srv/shop/.devstack", "", "", {}, images={image: self.engine.image(image)}
        )
        wanted = contained.service_container(Profile(name="shop"), state, self.service)
        if not self.engine.look(self.stack).volumes:
            volumes = contained.volume_names(self.stack, self.instance.name, self.kind.container(self.instance), "t1")
            self.engine.make_volumes(owner, self.instance.name, volumes, "t1")
        self.engine.start(owner, wanted)

    def is_alive(self) -> bool:
        now = self.engine.state(self.instance.name, self.stack)
        return now is not None and now.is_running

    def printed(self) -> str:
        return "\n".join(self.engine.last_lines(self.name, 1000))

    def provision(self) -> tuple[str, ...]:
        try:
            return super().provision()
        except ProcessError as error:
            repair = self.kind.container(self.instance).repair
            if error.id != PASSWORD_REFUSED or not repair:
                raise
            assert self.engine.execute(self.name, repair) == (0, "")
            return super().provision()

    def shown(self) -> str:
        """What the engine, and `ps` inside, can show of it."""
        api = self.engine.api
        volumes = [api.inspect_volume(one.name) for one in self.engine.look(self.stack).volumes]
        networks = api.networks(filters={"label": [f"devstack.stack={self.stack}"]})
        processes = api.top(self.name, "axeww")
        return json.dumps([api.inspect_container(self.name), volumes, networks, processes, self.printed()])

    def listening(self) -> set[str]:
        """Addresses on this machine that lead into the container, as the kernel has them and as the engine says."""
        published = self.engine.api.inspect_container(self.name)["NetworkSettings"]["Ports"]
        told = {one["HostIp"] for ends in published.values() for one in ends or ()}
        ports = {int(one["HostPort"]) for ends in published.values() for one in ends or ()}
        assert ports == {self.instance.port}
        return told | {one.ip for one in sockets() if one.is_open and one.port in ports}

    def stop(self) -> int:
        began = time.time()
        container = self.engine.api.inspect_container(self.name)["Id"]
        self.engine.stop(container)
        died = self.engine.api.events(
            since=int(began), until=time.time() + 1, filters={"container": [container], "event": ["die"]}, decode=True
        )
        return int(next(iter(died))["Actor"]["Attributes"]["exitCode"])

    def kill(self) -> None:
        self.engine.api.kill(self.name)
        assert self.system.until(lambda: not self.is_alive(), 10)
