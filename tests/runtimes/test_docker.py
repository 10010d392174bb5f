"""Containers, volumes and networks on this machine's engine: made as told, replaced, and never anybody else's."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from devstack.contained import Contained, container_name, network
from devstack.errors import ConflictError, DevstackError
from devstack.profile.secret import Secret
from devstack.runtimes.docker import Engine, PortTakenError
from devstack.runtimes.engine_answers import STACK, Owner
from devstack.services import ServerFile
from devstack.state import ProgramState
from devstack.system import System
from tests.engine_bench import ensure_image, new_stack, strange_container, sweep, this_machines_engine
from tests.scenarios.machine import stranger

SLEEP = ("sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done")


@dataclass
class Desk:
    engine: Engine
    of: Owner = field(default_factory=lambda: Owner(new_stack(), "/srv/shop", os.geteuid()))

    @property
    def name(self) -> str:
        return container_name(self.of.stack, "cache")

    def wanted(self, *command: str, **changes: Any) -> Contained:
        made = Contained("cache", "busybox:latest", self.engine.image("busybox:latest"), command or SLEEP)
        return replace(made, **changes)

    def start(self, *command: str, **changes: Any) -> str:
        """The id of a new container."""
        self.engine.start(self.of, self.wanted(*command, **changes))
        [container] = self.containers()
        return container

    def fails(self, kind: type[Exception], *command: str, **changes: Any) -> Any:
        with pytest.raises(kind) as caught:
            self.engine.start(self.of, self.wanted(*command, **changes))
        return caught.value

    def containers(self) -> list[str]:
        found = self.engine.api.containers(all=True, filters={"label": [f"{STACK}={self.of.stack}"]})
        return [str(one["Id"]) for one in found]

    def state(self) -> ProgramState:
        now = self.engine.state("cache", self.of.stack)
        assert now is not None
        return now

    def becomes(self, check: Callable[[ProgramState], bool]) -> ProgramState:
        assert self.engine.system.until(lambda: check(self.state()), 30), self.state()
        return self.state()

    def inside(self, *argv: str) -> str:
        status, output = self.engine.execute(self.name, argv)
        assert status == 0, output
        return output.strip()


@pytest.fixture
def desk() -> Iterator[Desk]:
    engine = this_machines_engine()
    ensure_image(engine, "busybox:latest")
    made = Desk(engine)
    yield made
    sweep(engine, made.of.stack)


def test_a_container_is_made_as_it_is_told(desk: Desk) -> None:
    port = System().free_port()
    desk.engine.make_volumes(desk.of, "cache", {"data": f"devstack-{desk.of.stack}-data"}, "t1")

    container = desk.start(
        env={"PLAIN": "x y", "HIDDEN": Secret("s")}, ports={port: 6379}, hostname="here", memory="32m", stop_grace=7.4,
        volumes={f"devstack-{desk.of.stack}-data": "/data"}, stop_signal="INT",
        files=(ServerFile("/etc/devstack/a.conf", "text é", 0o444), ServerFile("/data/.cookie", "c", 0o600)),
    )

    found = desk.engine.api.inspect_container(container)
    assert found["NetworkSettings"]["Ports"] == {"6379/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(port)}]}
    assert list(found["NetworkSettings"]["Networks"]) == [network(desk.of.stack)]
    assert {"PLAIN=x y", "HIDDEN=s"} <= set(found["Config"]["Env"])
    assert (found["Config"]["StopSignal"], found["Config"]["StopTimeout"]) == ("SIGINT", 7)
    assert found["HostConfig"]["Memory"] == 32 * 2**20
    assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
    assert not found["HostConfig"]["Privileged"]
    assert desk.inside("hostname") == "here"
    assert desk.inside("cat", "/etc/devstack/a.conf", "/data/.cookie") == "text éc"
    assert desk.inside("stat", "-c", "%a %u", "/etc/devstack/a.conf", "/data/.cookie") == "444 0\n600 0"
    now = desk.state()
    assert (now.name, now.is_running, now.container, now.restarts) == ("cache", True, container, 0)
    assert now.digest


def test_a_second_start_replaces_the_container_and_keeps_the_volume(desk: Desk) -> None:
    volume = f"devstack-{desk.of.stack}-data"
    desk.engine.make_volumes(desk.of, "cache", {"data": volume}, "t1")
    first = desk.start(volumes={volume: "/data"})
    desk.inside("touch", "/data/mine")

    second = desk.start(volumes={volume: "/data"})

    assert first != second
    assert desk.inside("ls", "/data") == "mine"
    assert [one.name for one in desk.engine.look(desk.of.stack).volumes] == [volume]


def test_volumes_that_an_image_declares_go_with_the_container(desk: Desk) -> None:
    ensure_image(desk.engine, "postgres:16")
    wanted = desk.wanted("sleep", "600", image="postgres:16", stop_signal="KILL")
    desk.engine.start(desk.of, wanted)
    [container] = desk.containers()
    made = [mount["Name"] for mount in desk.engine.api.inspect_container(container)["Mounts"]]
    assert made, "the image declares none"

    desk.engine.start(desk.of, wanted)
    [other] = desk.containers()
    made += [mount["Name"] for mount in desk.engine.api.inspect_container(other)["Mounts"]]
    desk.engine.stop(other)

    known = {one["Name"] for one in desk.engine.api.volumes()["Volumes"] or ()}
    assert not known.intersection(made)


def test_volumes_are_made_empty_once_more(desk: Desk) -> None:
    names = {"data": f"devstack-{desk.of.stack}-data"}
    desk.engine.make_volumes(desk.of, "cache", names, "t1")
    desk.start(volumes={names["data"]: "/data"})
    desk.inside("touch", "/data/half")
    desk.engine.stop(desk.state().container)

    desk.engine.make_volumes(desk.of, "cache", names, "t1")

    desk.start(volumes={names["data"]: "/data"})
    assert desk.inside("ls", "/data") == ""


@pytest.mark.fault("D8")
def test_a_port_of_another_container_is_named_and_nothing_is_left(desk: Desk) -> None:
    port = System().free_port()
    with strange_container(desk.engine, f"stranger-{desk.of.stack}", port_bindings={6379: ("127.0.0.1", port)}):
        assert desk.fails(PortTakenError, ports={port: 6379}).port == port
    assert desk.containers() == []
    desk.start(ports={port: 6379})


@pytest.mark.fault("D8")
def test_a_port_of_a_process_is_named_and_nothing_is_left(desk: Desk) -> None:
    free = System().free_port()
    with stranger() as (port, _):
        assert desk.fails(PortTakenError, ports={free: 1, port: 2}).port == port
    assert desk.containers() == []


@pytest.mark.fault("H1")
def test_a_strangers_container_of_the_name_is_left_alone_and_told(desk: Desk) -> None:
    with strange_container(desk.engine, desk.name) as container:
        error = desk.fails(ConflictError)
        assert desk.engine.api.inspect_container(container)["State"]["Running"]
        assert desk.engine.state("cache", desk.of.stack) is None
    assert (error.id, error.fix) == ("name-taken", f"docker rename {desk.name} other")
    assert "busybox" in error.why


@pytest.mark.fault("H2")
def test_a_strangers_network_of_the_name_is_left_alone_and_told(desk: Desk) -> None:
    other = desk.engine.api.create_network(network(desk.of.stack))["Id"]
    try:
        error = desk.fails(ConflictError)
        assert (error.id, error.fix) == ("name-taken", f"docker network rm {other[:12]}")
    finally:
        desk.engine.api.remove_network(other)
    desk.start()


@pytest.mark.fault("H2")
def test_a_second_network_of_our_own_goes(desk: Desk) -> None:
    for _ in range(2):
        desk.engine.api.create_network(network(desk.of.stack), labels=desk.of.labels, check_duplicate=False)

    desk.start()

    assert len(desk.engine.api.networks(names=[network(desk.of.stack)])) == 1


def test_a_container_that_was_renamed_is_still_known_and_replaced(desk: Desk) -> None:
    first = desk.start()
    desk.engine.api.rename(first, f"renamed-{desk.of.stack}")

    assert desk.state().container == first
    assert desk.start() != first


def test_a_program_that_the_image_lacks_is_named_in_its_last_words(desk: Desk) -> None:
    desk.start("no-such-program")

    now = desk.becomes(lambda now: now.restarts > 0 or not now.is_running)

    assert now.exit_status in (127, None)
    assert any("no-such-program" in line for line in desk.engine.last_lines(desk.name, 12))


def test_an_image_that_is_gone_by_now_is_got_by_another_up(desk: Desk) -> None:
    error = desk.fails(DevstackError, image="nobody/has:this")
    assert (error.id, error.fix) == ("image-gone", "devstack up")
    assert desk.containers() == []


def test_a_program_that_does_not_end_is_killed_after_its_grace(desk: Desk) -> None:
    container = desk.start("sh", "-c", "trap '' TERM; while :; do sleep 0.1; done", stop_grace=1)

    desk.engine.stop(container)

    assert desk.containers() == []
    desk.engine.stop(container)


def test_a_paused_container_is_told_and_can_be_stopped(desk: Desk) -> None:
    container = desk.start()
    desk.engine.api.pause(container)
    now = desk.state()
    assert (now.is_running, now.reason) == (False, "its container is paused")

    desk.engine.stop(container)

    assert desk.containers() == []


def test_what_ended_by_itself_tells_its_status_and_its_last_words(desk: Desk) -> None:
    desk.start("sh", "-c", "echo one; echo two >&2; exit 7")

    now = desk.becomes(lambda now: now.restarts > 0)

    assert now.exit_status in (7, None)
    assert set(desk.engine.last_lines(desk.name, 12)) == {"one", "two"}


def test_what_used_too_much_memory_tells_so(desk: Desk) -> None:
    desk.start("sh", "-c", "x=aaaaaaaa; while :; do x=$x$x; done", memory="8m")

    # the engine starts it again in between
    now = desk.becomes(lambda now: "memory" in now.reason)

    assert now.reason == "it used more memory than its limit and was killed"


def test_digests_change_with_all_that_a_container_is_made_of(desk: Desk) -> None:
    plain = desk.wanted()
    others = [
        replace(plain, version="sha256:other"), replace(plain, command=("x",)), replace(plain, env={"A": "1"}),
        replace(plain, ports={1: 2}), replace(plain, volumes={"v": "/data"}), replace(plain, hostname="h"),
        replace(plain, memory="1g"), replace(plain, stop_signal="INT"),
        replace(plain, files=(ServerFile("/a", "text"),)), replace(plain, files=(ServerFile("/a", "other"),)),
    ]
    assert len({one.digest for one in (plain, *others)}) == len(others) + 1
    assert replace(plain).digest == plain.digest
