"""A project that runs in containers, made of nothing but its profile, and the end of all that it has on an engine."""

from __future__ import annotations

import contextlib
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from devstack.contained import container_name
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import IMAGE_STACK, STACK
from tests.engine_bench import ensure_image, sweep, this_machines_engine
from tests.scenarios.machine import Machine, Project

HEAD = """
name = "crate"
[python]
install = []
"""


@dataclass(frozen=True)
class Crate:
    """The project and the engine that its containers run on."""

    project: Project
    engine: Engine

    @property
    def stack(self) -> str:
        return str(self.project.state["stack"])

    def inspect(self, name: str) -> dict[str, Any]:
        """The container of a service or of a replica."""
        found: dict[str, Any] = self.engine.api.inspect_container(container_name(self.stack, name))
        return found

    def execute(self, name: str, *argv: str) -> str:
        """What a command inside prints."""
        status, output = self.engine.execute(container_name(self.stack, name), argv)
        assert status == 0, output
        return output

    def images(self) -> list[str]:
        """Names of what was built for the stack."""
        found = self.engine.api.images(filters={"label": [f"{IMAGE_STACK}={self.stack}"]})
        return [name for one in found for name in one["RepoTags"] or ()]

    def containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.engine.api.containers(
            all=True, filters={"label": [f"{STACK}={self.stack}"]}
        )
        return found

    def row(self, name: str) -> Any:
        """The one row of `status` that has this name."""
        status = self.project.status()
        [row] = [row for row in (*status["services"], *status["processes"]) if row["name"] == name]
        return row


@contextlib.contextmanager
def crate(
    machine: Machine, profile: str, files: Mapping[str, str] | None = None,
    images: tuple[str, ...] = ("busybox:latest",),
) -> Iterator[Crate]:
    """A trusted project that has never been up; without an engine that has these images the test is skipped."""
    engine = this_machines_engine()
    for image in images:
        ensure_image(engine, image)
    machine.environ["DEVSTACK_RUNTIME"] = "docker"
    project = machine.project(machine.folder / "crate")
    for name, text in {"devstack.toml": HEAD + textwrap.dedent(profile), **(files or {})}.items():
        project.write(name, text)
    project.trust()
    made = Crate(project, engine)
    try:
        yield made
    finally:
        if (project.folder / "state.json").exists():
            _clear(made)


def _clear(made: Crate) -> None:
    stack = made.stack
    try:
        made.project.run("down")
        assert made.containers() == []
        assert not made.engine.look(stack).has_network
    finally:
        sweep(made.engine, stack)
        for one in made.engine.api.images(filters={"label": [f"{IMAGE_STACK}={stack}"]}):
            made.engine.api.remove_image(one["Id"], force=True)
