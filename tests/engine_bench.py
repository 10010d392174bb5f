"""A container engine for tests: the one of this machine, what may be asked of it, and the end of whatever was made."""

from __future__ import annotations

import contextlib
import functools
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from docker.errors import NotFound

from devstack.errors import PrerequisiteError
from devstack.runtimes import engines
from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import STACK
from devstack.system import System


@functools.cache
def this_machines_engine() -> Engine:
    """The engine that answers here, for all tests of a worker; without one the test is skipped."""
    try:
        address = engines.find(System())
        if address is not None:
            return Engine(System(), address)
    except PrerequisiteError as error:
        pytest.skip(f"no container engine answers here: {error.why}")
    pytest.skip("there is no container engine here")


def close(engine: Engine) -> None:
    """Give up what connects this process with an engine."""
    for client in (engine.api, engine._long):
        if client is not None:
            client.close()


def ensure_image(engine: Engine, name: str) -> str:
    """The name of an image that is at hand; without it the test is skipped."""
    if not engine.image(name):
        pytest.skip(f"the engine has no image {name}")
    return name


def new_stack() -> str:
    """The id of a stack that nobody else has."""
    return secrets.token_hex(8)


def sweep(engine: Engine, stack: str) -> None:
    """Remove every container, network and volume of a stack."""
    wanted = {"label": [f"{STACK}={stack}"]}
    for one in engine.api.containers(all=True, filters=wanted):
        with contextlib.suppress(NotFound):
            engine.api.remove_container(one["Id"], v=True, force=True)
    for one in engine.api.networks(filters=wanted):
        engine.api.remove_network(one["Id"])
    for one in engine.api.volumes(filters=wanted)["Volumes"] or ():
        engine.api.remove_volume(one["Name"])


@contextlib.contextmanager
def strange_container(engine: Engine, name: str, image: str = "busybox:latest", **host: Any) -> Iterator[str]:
    """Somebody else's container, whose name or port is in the way; its id. It sleeps."""
    config = engine.api.create_host_config(**host)
    ports = list(host.get("port_bindings", {}))
    made = engine.api.create_container(
        ensure_image(engine, image), ["sleep", "600"], name=name, host_config=config, ports=ports, stop_signal="KILL",
    )["Id"]
    try:
        engine.api.start(made)
        yield str(made)
    finally:
        engine.api.remove_container(made, v=True, force=True)


def kill_9(engine: Engine, container: str) -> None:
    """SIGKILL to a container's first process, as the kernel may send it: from outside, and not by the engine, which
    would take it for somebody's wish. Another container that sees all processes can do that, whoever runs the test."""
    pid = str(engine.api.inspect_container(container)["State"]["Pid"])
    config = engine.api.create_host_config(pid_mode="host")
    made = engine.api.create_container(ensure_image(engine, "busybox:latest"), ["kill", "-9", pid], host_config=config)
    try:
        engine.api.start(made["Id"])
        assert engine.api.wait(made["Id"], timeout=60)["StatusCode"] == 0
    finally:
        engine.api.remove_container(made["Id"], v=True, force=True)
