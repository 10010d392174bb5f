"""A project whose services run in containers, and the engine that has them, as a stranger would use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import STACK, Look
from tests.engine_bench import ensure_image, sweep
from tests.scenarios.machine import Project, until


@dataclass
class Boxed:
    project: Project
    engine: Engine

    @property
    def stack(self) -> str:
        return str(self.project.state["stack"])

    @property
    def look(self) -> Look:
        return self.engine.look(self.stack)

    @property
    def container(self) -> str:
        """The id of the one container that is `redis`."""
        [found] = self.containers()
        return str(found["Id"])

    def containers(self) -> list[dict[str, Any]]:
        """Every container of the stack, in whatever state."""
        found: list[dict[str, Any]] = self.engine.api.containers(
            all=True, filters={"label": [f"{STACK}={self.stack}"]}
        )
        return found

    def row(self) -> Any:
        """What `status` says of the service."""
        [row] = self.project.status()["services"]
        return row

    def assert_whole(self) -> None:
        """Everything is up, and the service is one container, one volume, one network."""
        status = self.project.assert_up()
        assert [row["runtime"] for row in status["services"]] == ["docker"]
        assert len(self.containers()) == 1, self.containers()
        assert len(self.look.volumes) == 1, self.look
        assert len(self.engine.api.networks(filters={"label": [f"{STACK}={self.stack}"]})) == 1

    def is_answering(self) -> bool:
        return bool(self.row()["ready"])

    def wait(self) -> None:
        """Until the service answers again by itself."""
        assert until(self.is_answering, 30), self.row()

    def in_volume(self, volume: str, *argv: str) -> None:
        """Run a command of a stranger's on a volume, which is `/data`."""
        api = self.engine.api
        config = api.create_host_config(binds=[f"{volume}:/data"])
        made = api.create_container(ensure_image(self.engine, "busybox:latest"), list(argv), host_config=config)["Id"]
        try:
            api.start(made)
            assert api.wait(made, timeout=60)["StatusCode"] == 0
        finally:
            api.remove_container(made, v=True, force=True)

    def clear(self) -> None:
        if not (self.project.folder / "state.json").exists():
            return
        stack = self.stack
        try:
            self.project.run("down")
            assert self.containers() == []
            assert not self.look.has_network
        finally:
            sweep(self.engine, stack)
