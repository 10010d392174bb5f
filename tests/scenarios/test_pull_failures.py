"""An image that doesn't come: what helps depends on whether the stack could run without an engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine_bench import this_machines_engine
from tests.scenarios.machine import Machine, Project, finish, path_without
from tests.stub_registry import StubRegistry, serve

#: by what can't run natively
CONTAINED = {
    "server is a service of the kind `container`": '[services.server]\nkind = "container"\nimage = "{image}"',
    "redis has an image of its own": '[services.redis]\nimage = "{image}"',
    "box is a process in a container": '[processes.box]\nimage = "{image}"\nrun = "x"',
    'redis has runtime = "docker"': '[services.redis]\nruntime = "docker"',
}


@pytest.fixture
def registry() -> Iterator[StubRegistry]:
    """One that is out of order."""
    with serve() as made:
        made.status = 503
        yield made


def project_of(machine: Machine, registry: StubRegistry, declared: str) -> Project:
    """A project all of whose images come from the registry."""
    this_machines_engine()
    machine.environ["DEVSTACK_RUNTIME"] = "docker"
    project = machine.project(machine.folder / "far")
    project.write("devstack.toml", f'name = "far"\nregistry = "{registry.host}"\n[python]\ninstall = []\n{declared}\n')
    project.trust()
    return project


@pytest.mark.parametrize("why", CONTAINED)
def test_the_other_runtime_is_not_offered_where_it_cannot_work(
    machine: Machine, registry: StubRegistry, why: str
) -> None:
    project = project_of(machine, registry, CONTAINED[why].format(image=registry.image))

    done = project.run("up", code=4)

    assert f"it can't run natively: {why}" in done.text
    assert "--runtime native" not in done.text
    assert f"docker pull {registry.host}/" in done.text


def test_the_other_runtime_is_not_offered_where_no_source_has_the_server(
    machine: Machine, registry: StubRegistry
) -> None:
    """Without a package manager only a server that somebody has installed could have such an extension."""
    machine.environ["PATH"] = path_without(machine, "apt", "dpkg", "brew")
    project = project_of(machine, registry, '[services.postgres]\nextensions = ["nowhere"]')

    text = project.run("up", code=4).text

    can_run = finish(project.popen("plan", "--runtime", "native")).code == 0
    assert ("--runtime native" in text) == can_run
    assert ("it can't run natively: there is no postgres" in text) != can_run


def test_the_other_runtime_is_offered_where_it_works(machine: Machine, registry: StubRegistry) -> None:
    project = project_of(machine, registry, "[services.redis]")

    error = project.run("up", "--json", code=4).error

    assert (error["id"], error["fix"]) == ("pull-failed", "devstack up --runtime native")
    project.run("up", "--runtime", "native")
    project.assert_up()


def test_without_an_engine_it_is_not_offered_either(machine: Machine, registry: StubRegistry) -> None:
    machine.environ["DOCKER_HOST"] = "tcp://192.0.2.1:2375"
    project = project_of(machine, registry, '[services.server]\nkind = "container"\nimage = "busybox"')

    error = project.run("up", "--json", code=3).error

    assert (error["id"], error["fix"]) == ("engine-remote", "unset DOCKER_HOST")
