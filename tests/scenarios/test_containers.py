"""A stack whose service is a container: as good as the native one, and mended whatever a stranger does to it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from pathlib import Path

import pytest

from devstack.contained import container_name
from tests.engine_bench import kill_9, strange_container
from tests.scenarios.boxed import Boxed
from tests.scenarios.machine import below, sockets, stranger
from tests.scenarios.test_secrecy import command_lines

LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def without_docker(boxed: Boxed) -> str:
    """A PATH with every program but `docker` and its like."""
    folder = boxed.project.machine.folder / "bin"
    folder.mkdir()
    for place in boxed.project.machine.environ["PATH"].split(":"):
        for program in Path(place).glob("*"):
            link = folder / program.name
            if not program.name.startswith(("docker", "podman", "containerd")) and not link.is_symlink():
                link.symlink_to(program)
    return str(folder)


@pytest.mark.fault("A2", "A7", "S11", "S14")
def test_a_stack_comes_up_changes_nothing_twice_and_goes(boxed: Boxed) -> None:
    """Without the `docker` command, which nothing needs; nothing listens elsewhere; no secret is where others look."""
    project = boxed.project
    project.machine.environ["PATH"] = without_docker(boxed)
    before = {one for one in sockets() if one.ip not in LOOPBACK}
    with command_lines() as seen:
        project.run("up")
    boxed.assert_whole()
    project.redis("SET", "mine", "kept")
    container, journals = boxed.container, project.journals()

    plan = project.run("plan", "--json").document
    project.run("up")

    assert plan["steps"] == []
    assert boxed.container == container
    assert project.journals() == journals
    found = {one for one in sockets() if one.ip not in LOOPBACK} - before
    own = {process.pid for process in below(project.root)} | {None, 0}
    assert not [one for one in found if one.pid in own], found
    inspected = boxed.engine.api.inspect_container(container)
    assert all(
        end["HostIp"] == "127.0.0.1" for ends in inspected["NetworkSettings"]["Ports"].values() for end in ends or ()
    )
    told = json.dumps([inspected, [boxed.engine.api.inspect_volume(one.name) for one in boxed.look.volumes]])
    told += "".join(boxed.engine.last_lines(container, 1000))
    told += "".join(path.read_text(errors="replace") for path in project.journals())
    told += (project.folder / "state.json").read_text()
    assert project.password not in told
    assert not [line for line in seen if project.password.encode() in line]

    project.run("down")
    assert boxed.containers() == []
    assert not boxed.look.has_network
    assert len(boxed.look.volumes) == 1
    assert project.status()["stack"]["state"] == "down"
    project.run("up")
    assert project.redis("GET", "mine") == b"kept"
    assert project.seeded() == 1


def _pause(boxed: Boxed) -> None:
    boxed.engine.api.pause(boxed.container)


def _stop(boxed: Boxed) -> None:
    boxed.engine.api.stop(boxed.container, timeout=5)


def _remove(boxed: Boxed) -> None:
    boxed.engine.api.remove_container(boxed.container, force=True)


def _disconnect(boxed: Boxed) -> None:
    """Its network is removed: what it publishes goes with it."""
    [network] = boxed.engine.api.networks(filters={"label": [f"devstack.stack={boxed.stack}"]})
    boxed.engine.api.disconnect_container_from_network(boxed.container, network["Id"], force=True)
    boxed.engine.api.remove_network(network["Id"])


@pytest.mark.fault("H4")
def test_whatever_a_stranger_does_to_it_status_tells_and_up_mends(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    project.redis("SET", "mine", "kept")
    cases: list[tuple[Callable[[Boxed], None], str]] = [
        (_pause, "its container is paused"), (_stop, "its container ended with status 0"), (_remove, "not running"),
        (_disconnect, "its network is gone"),
    ]
    for harm, reason in cases:
        harm(boxed)

        row = boxed.row()
        assert not row["ready"], harm
        assert reason in row["reason"], (harm, row)
        assert project.status()["stack"]["state"] == "degraded"
        project.run("up")
        boxed.assert_whole()
        assert project.redis("GET", "mine") == b"kept", harm


def test_a_renamed_container_is_still_the_stacks_own(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    boxed.engine.api.rename(boxed.container, f"renamed-{boxed.stack}")
    renamed = boxed.container

    assert project.run("plan", "--json").document["steps"] == []
    project.run("restart", "redis")

    assert boxed.container != renamed
    boxed.assert_whole()


def test_a_server_that_is_killed_is_back_with_all_that_it_had(boxed: Boxed) -> None:
    """The engine starts it again, as supervisord would."""
    project = boxed.project
    project.run("up")
    project.redis("SET", "mine", "kept")
    began = boxed.engine.api.inspect_container(boxed.container)["State"]["StartedAt"]

    kill_9(boxed.engine, boxed.container)
    boxed.wait()
    assert boxed.engine.api.inspect_container(boxed.container)["State"]["StartedAt"] != began

    project.run("up")
    boxed.assert_whole()
    assert project.redis("GET", "mine") == b"kept"


@pytest.mark.fault("G10")
def test_a_volume_that_was_removed_is_told_and_its_data_made_again(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    project.redis("SET", "mine", "lost")
    project.run("down")
    [volume] = boxed.look.volumes
    boxed.engine.api.remove_volume(volume.name)

    told = project.run("up").text

    assert "the volume of redis is gone" in told
    boxed.assert_whole()
    assert project.redis("GET", "mine") is None
    assert project.redis("GET", "goods") == b"mug,bowl"
    assert project.seeded() == 2
    assert "is gone" not in project.run("up").text


@pytest.mark.fault("D1", "D8")
def test_a_port_that_a_stranger_has_taken_is_told_and_nothing_is_left(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    project.run("down")
    port = project.state["ports"]["redis"]
    with stranger(port) as (_, process):
        error = project.run("up", "--json", code=6).error
        assert str(process.pid) in error["why"] + error["what"]
        assert boxed.containers() == []
    with strange_container(
        boxed.engine, f"stranger-{boxed.stack}", port_bindings={6379: ("127.0.0.1", port)}
    ):
        assert project.run("up", "--json", code=6).error["id"] == "port-taken"
        assert boxed.containers() == []
        error = project.run("up", "--json", code=6).error
        words = error["fix"].split()
        assert words[0] == "devstack"
        project.run(*words[1:])
    boxed.assert_whole()
    assert project.state["ports"]["redis"] != port


@pytest.mark.fault("H1")
def test_a_name_that_a_strangers_container_has_is_told(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    project.run("down")
    with strange_container(boxed.engine, container_name(boxed.stack, "redis")) as container:
        error = project.run("up", "--json", code=6).error
        assert error["id"] == "name-taken"
        assert error["fix"].split()[:2] == ["docker", "rename"]
        assert project.run("status", "--json").document["services"][0]["ready"] is False
        project.run("down")
        boxed.engine.api.rename(container, f"stranger-{boxed.stack}")
        project.run("up")
    boxed.assert_whole()


@pytest.mark.fault("S31")
def test_an_image_that_is_another_one_by_now_is_taken_with_the_same_data(boxed: Boxed) -> None:
    project, api = boxed.project, boxed.engine.api
    name = f"devstack-test-{secrets.token_hex(4)}"
    api.tag("redis:7", name, "1")
    try:
        project.replace("[services.redis]", f'[services.redis]\nimage = "{name}:1"')
        project.run("up")
        project.redis("SET", "mine", "kept")
        first = boxed.container
        changed = api.create_container("redis:7", ["true"])["Id"]
        other = api.commit(changed, name, "1", changes="LABEL other=1")["Id"]
        api.remove_container(changed, v=True)

        steps = project.run("plan", "--json").document["steps"]
        assert [step["id"] for step in steps if step["target"] == "redis"][:2] == ["redis:stop", "redis:start"]
        # an `up` of a stack that stands asks no engine
        project.run("restart", "redis")

        assert boxed.container != first
        assert boxed.engine.api.inspect_container(boxed.container)["Image"] == other
        assert project.redis("GET", "mine") == b"kept"
    finally:
        project.run("down")
        for image in api.images(name=name):
            api.remove_image(image["Id"], force=True)


def test_a_service_that_moves_in_or_out_takes_its_word(boxed: Boxed) -> None:
    """Data stays where it is until a person says otherwise."""
    project = boxed.project
    project.run("up")
    project.redis("SET", "mine", "kept")

    error = project.run("up", "--json", code=7, env={"DEVSTACK_RUNTIME": "native"}).error
    project.run("up", env={"DEVSTACK_RUNTIME": "auto"})

    assert (error["id"], error["fix"]) == ("data-elsewhere", "devstack up --runtime native --move-data")
    boxed.assert_whole()
    assert project.redis("GET", "mine") == b"kept"


@pytest.mark.fault("H5")
def test_a_service_that_has_another_name_by_now_leaves_no_container_behind(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    old = boxed.container
    project.edit("devstack.toml", "[services.redis]", '[services.cache]\nkind = "redis"')
    project.replace("${services.redis.url}", "${services.cache.url}")

    project.run("up")

    project.assert_up()
    assert boxed.container != old
    assert {one.service for one in boxed.look.volumes} == {"redis", "cache"}, "nobody asked to remove data"


@pytest.mark.fault("H7")
def test_an_engine_whose_clock_is_another_one_is_told_by_doctor(boxed: Boxed) -> None:
    project = boxed.project
    project.run("up")
    assert project.run("doctor", "--json").document == {"findings": []}
    for shift, said in ((30, "30 s behind this machine's"), (-3600, "3600 s ahead of this machine's")):
        [found] = project.run("doctor", "--json", env=project.machine.with_clock(shift)).document["findings"]

        assert (found["id"], found["severity"]) == ("clock-skew", "warning")
        assert found["what"] == f"the clock of the container engine is {said}"
        assert found["fix"]
    assert project.run("doctor", "--json", env=project.machine.with_clock(4)).document == {"findings": []}
    project.run("down")
    assert project.run("doctor", "--json").document == {"findings": []}
