"""The running demo in the hands of somebody who breaks it: its servers, files and containers, without devstack."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from xmlrpc.client import ServerProxy

import psutil
import psycopg
from docker.errors import NotFound
from supervisor.xmlrpc import SupervisorTransport

from devstack.contained import container_name
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import NAME, STACK
from tests.demo.shop import Shop
from tests.engine_bench import ensure_image
from tests.scenarios.machine import Project, below, lives, until

#: where each service's volume is, seen from a container that has it as `/data`
_IN_VOLUME = {"postgres": "devstack", "redis": "", "rabbitmq": ""}
_IN_FOLDER = {"postgres": "pgdata", "redis": "data", "rabbitmq": ""}


@dataclass
class Scene:
    """engine: where its services run, None for natively. until_end: what ends with the test."""

    shop: Shop
    engine: Engine | None
    until_end: ExitStack

    @property
    def project(self) -> Project:
        return self.shop.project

    @property
    def root(self) -> Path:
        return self.project.root

    @property
    def folder(self) -> Path:
        return self.project.folder

    @property
    def stack(self) -> str:
        return str(self.project.state["stack"])

    @property
    def ports(self) -> dict[str, int]:
        found: dict[str, int] = self.project.state["ports"]
        return found

    @property
    def environment(self) -> Path:
        return Path((self.root / ".venv").resolve())

    @property
    def packages(self) -> Path:
        return next(self.environment.glob("lib/python3*/site-packages"))

    @property
    def sockets(self) -> Path:
        return Path(self.project.machine.environ["XDG_RUNTIME_DIR"]) / "devstack" / self.stack[:12]

    def beside(self, text: str) -> None:
        """What a person writes into the profile that isn't committed."""
        self.project.write("devstack.local.toml", text)

    # --- processes ---------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _supervisor(self) -> Iterator[Any]:
        """supervisord, as its own client talks to it."""
        config = (self.folder / "supervisord.conf").read_text()
        found = re.search(r"^\[unix_http_server\]\s+file\s*=\s*(.+)$", config, re.MULTILINE)
        assert found
        transport = SupervisorTransport(None, None, f"unix://{found[1].strip()}")
        with contextlib.closing(transport):
            yield ServerProxy("http://127.0.0.1", transport).supervisor

    def stop(self, *programs: str) -> None:
        """By hand, and so that nobody starts them again."""
        with self._supervisor() as supervisor:
            for program in programs:
                supervisor.stopProcess(program)

    def of(self, name: str) -> list[psutil.Process]:
        """Living processes of one program or native service, parents first."""
        found = []
        for process in below(self.root):
            with contextlib.suppress(psutil.Error):
                place = process.cwd()
                is_server = place.startswith(f"{self.folder}/data/{name}")
                if is_server or process.environ().get("DEVSTACK_PROGRAM") == name:
                    found.append(process)
        return sorted(found, key=lambda one: one.create_time())

    def hold(self, name: str) -> None:
        held = self.of(name)
        assert held, name
        for process in held:
            process.send_signal(signal.SIGSTOP)

        def let_go() -> None:
            for process in filter(lives, held):
                process.send_signal(signal.SIGCONT)

        self.until_end.callback(let_go)

    def supervisord(self) -> psutil.Process:
        [one] = [one for one in below(self.root) if f"{self.folder}/supervisord.conf" in one.cmdline()]
        return one

    def kill(self, *processes: psutil.Process) -> None:
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        assert until(lambda: not any(map(lives, processes)))

    # --- servers -----------------------------------------------------------------------------------------------------

    def end(self, service: str) -> None:
        """A server, natively or in its container, which stays there."""
        if self.engine is None:
            self.stop(service)
        else:
            self.engine.api.stop(self.container(service), timeout=20)

    def begin(self, service: str) -> None:
        """Start it again, whatever becomes of it."""
        if self.engine is None:
            with self._supervisor() as supervisor:
                supervisor.startProcess(service, False)
        else:
            self.engine.api.start(self.container(service))

    def has_died(self, service: str) -> bool:
        if self.engine is None:
            with self._supervisor() as supervisor:
                return supervisor.getProcessInfo(service)["statename"] in ("BACKOFF", "FATAL", "EXITED")
        found = self.engine.api.inspect_container(self.container(service))
        return bool(found["State"]["Status"] != "running" or found["RestartCount"] > 0)

    def sql(self, statement: LiteralString, database: str = "postgres", *values: int) -> list[Any]:
        secret = json.loads((self.folder / "secrets.json").read_text())["services.postgres"]
        with psycopg.connect(
            host="127.0.0.1", port=self.ports["postgres"], user="shop", password=secret, dbname=database,
            autocommit=True,
        ) as session:
            done = session.execute(statement, values or None)
            return done.fetchall() if done.description else []

    def ctl(self, *words: str) -> None:
        """rabbitmqctl, as whoever may enter the server's machine has it."""
        self.project.run("shell", "rabbitmq", "--", *words)

    # --- data --------------------------------------------------------------------------------------------------------

    def at_data(self, service: str, script: str) -> None:
        """Run a shell script in the folder of a service's data: the cluster, the append-only files, the node's own."""
        if self.engine is None:
            place = self.folder / "data" / service / _IN_FOLDER[service]
            subprocess.run(["/bin/sh", "-ec", script], cwd=place, check=True, timeout=60)
            return
        [volume] = self._volumes(service)
        config = self.engine.api.create_host_config(binds=[f"{volume}:/data"])
        image = ensure_image(self.engine, "busybox:latest")
        made = self.engine.api.create_container(
            image, ["sh", "-ec", f"cd /data/{_IN_VOLUME[service]}; {script}"], host_config=config
        )["Id"]
        try:
            self.engine.api.start(made)
            assert self.engine.api.wait(made, timeout=60)["StatusCode"] == 0, self.engine.api.logs(made)
        finally:
            self.engine.api.remove_container(made, v=True, force=True)

    def lose_data(self, service: str) -> None:
        """As somebody does who means something else: the folder, or the volume with its container."""
        if self.engine is None:
            place = self.folder / "data" / service

            def is_gone() -> bool:
                # its server goes on writing
                shutil.rmtree(place, ignore_errors=True)
                return not place.exists()

            assert until(is_gone)
            return
        names = self._volumes(service)
        self.engine.api.remove_container(self.container(service), force=True)
        for name in names:
            self.engine.api.remove_volume(name)

    def _volumes(self, service: str) -> list[str]:
        """Names of those in use; others may lie in the trash."""
        assert self.engine is not None
        mounts = self.engine.api.inspect_container(self.container(service))["Mounts"]
        return [str(one["Name"]) for one in mounts if str(one.get("Name", "")).startswith("devstack-")]

    # --- containers --------------------------------------------------------------------------------------------------

    def container(self, service: str) -> str:
        """The id of a service's container."""
        assert self.engine is not None
        [found] = self.engine.api.containers(
            all=True, filters={"label": [f"{STACK}={self.stack}", f"{NAME}={service}"]}
        )
        return str(found["Id"])

    def in_its_place(self, service: str) -> None:
        """A container of that name from another image, started by hand."""
        assert self.engine is not None
        engine, name = self.engine, container_name(self.stack, service)
        engine.api.remove_container(self.container(service), force=True)
        made = engine.api.create_container(ensure_image(engine, "busybox:latest"), ["sleep", "900"], name=name)["Id"]

        def clear() -> None:
            with contextlib.suppress(NotFound):
                engine.api.remove_container(made, force=True)

        self.until_end.callback(clear)
        engine.api.start(made)

    def cut_off(self, service: str) -> None:
        """From its network."""
        assert self.engine is not None
        container = self.container(service)
        networks = self.engine.api.inspect_container(container)["NetworkSettings"]["Networks"]
        for name in networks:
            self.engine.api.disconnect_container_from_network(container, name, force=True)


@contextlib.contextmanager
def trial(shop: Shop, engine: Engine | None) -> Iterator[Scene]:
    with ExitStack() as until_end:
        yield Scene(shop, engine, until_end)


def tree(root: Path) -> str:
    """What git says of the project's files."""
    words = ["git", "-C", str(root), "status", "--porcelain=v1", "--untracked-files=all"]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    said = subprocess.run(words, env=environ, check=True, capture_output=True, text=True, timeout=60).stdout
    return "\n".join(line for line in said.splitlines() if not line.endswith("devstack.local.toml"))
