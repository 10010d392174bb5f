"""Containers as values: what they are told, what makes another one necessary, where `${…}` leads from inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from devstack import contained
from devstack.contained import Bind, Contained
from devstack.plan import Up
from devstack.planner import build
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.programs import all_programs, command
from devstack.render import reveal
from devstack.state import ProgramState, State
from devstack.viewpoint import Viewpoint, lookup

TEXT = """
name = "shop"
inherit = ["TOKEN"]
[services.redis]
[services.search]
kind = "container"
image = "search:1"
ports = { main = 9200, admin = 9300 }
environment = { "a.b" = "${env.KEY}", CACHE = "${services.redis.url}" }
volumes = { data = "/data" }
[env]
KEY = { generate = 20 }
CACHE = "${services.redis.url}"
SEARCH = "${services.search.host}:${services.search.port}:${services.search.ports.admin}"
WEB = "${processes.web.url}"
[processes.web]
role = "web"
image = "node:20"
run = "serve ${port} ${ports.metrics} ${project.root}"
container_port = 5173
ports = { metrics = 9100 }
volumes = [".:/app", "modules:/app/node_modules", "./etc:/etc/x:ro"]
cwd = "/app"
user = "node"
[processes.worker]
build = "worker"
replicas = 2
env = { SITE = "${processes.web.url} ${processes.web.ports.metrics}" }
restart = "on-failure"
[processes.here]
run = "tell ${processes.web.port}"
"""
TEMPLATE = "{% for program in programs %}{{ program.name }}: {{ program.shown_argv | join(' ') }}\n{% endfor %}"


@pytest.fixture
def profile(make_profile: Callable[[str], Profile]) -> Profile:
    return make_profile(TEXT)


@pytest.fixture
def state(profile: Profile, make_state: Callable[..., State]) -> State:
    made = make_state(profile, decided={"KEY": Secret("the key")}, builds={"worker": "devstack-abc:k1"}, volumes="t0")
    services = {
        name: replace(one, runtime="docker", image=f"{name}:1", instance=replace(one.instance, is_contained=True))
        for name, one in made.services.items()
    }
    images = {"redis:1": "sha:r", "search:1": "sha:s", "node:20": "sha:n", "devstack-abc:k1": "sha:w"}
    base = {"PATH": "/usr/bin", "HOME": "/home/ann", "TOKEN": "ann's"}
    return replace(made, services=services, images=images, base=base)


@pytest.fixture
def found(profile: Profile, state: State) -> dict[str, Contained]:
    return {one.name: one for one in contained.containers(profile, state)}


def _env(one: Contained) -> dict[str, str]:
    return {name: reveal(value) for name, value in one.env.items()}


def test_a_process_is_told_what_leads_to_others_from_inside(found: dict[str, Contained], state: State) -> None:
    web = _env(found["web"])
    assert web["CACHE"] == "redis://:redis-Pass@redis:6379/0"
    assert web["SEARCH"] == "search:9200:9300"
    # what it is called by in a browser
    assert web["WEB"] == f"http://127.0.0.1:{state.ports['web']}"
    worker = _env(found["worker-2"])
    assert worker["WEB"] == "http://web:5173"
    assert worker["SITE"] == "http://web:5173 9100"


def test_nothing_of_the_machine_goes_in_but_what_is_inherited(found: dict[str, Contained]) -> None:
    assert set(_env(found["web"])) == {"TOKEN", "PORT", "KEY", "CACHE", "SEARCH", "WEB"}
    assert _env(found["web"])["PORT"] == "5173"


def test_texts_are_read_as_inside(found: dict[str, Contained]) -> None:
    assert found["web"].command == ("serve", "5173", "9100", "/app")
    assert (found["web"].cwd, found["web"].user) == ("/app", "node")
    assert found["worker-1"].command == ()


def test_ports_volumes_and_folders(found: dict[str, Contained], state: State) -> None:
    web = found["web"]
    assert web.ports == {state.ports["web"]: 5173, state.ports["web.metrics"]: 9100}
    assert web.volumes == {"devstack-abc-volume-modules-t0": "/app/node_modules"}
    assert web.binds == (Bind("/srv/shop", "/app", False), Bind("/srv/shop/etc", "/etc/x", True))
    assert found["worker-2"].aliases == ("worker-2", "worker")


def test_a_service_of_any_image_is_told_secrets_in_its_environment_alone(found: dict[str, Contained]) -> None:
    search = found["search"]
    assert _env(search) == {"a.b": "the key", "CACHE": "redis://:redis-Pass@redis:6379/0"}
    assert isinstance(search.env["a.b"], Secret)
    assert "the key" not in repr(search)


def test_from_this_machine_everything_is_on_loopback(profile: Profile, state: State) -> None:
    here = command(profile, state, profile.processes["here"], "here")
    assert here.argv == ("tell", str(state.ports["web"]))
    assert here.env["SEARCH"] == "127.0.0.1:9200:9300"
    assert reveal(here.env["CACHE"]).startswith("redis://:redis-Pass@127.0.0.1:")
    assert [program.name for program in all_programs(profile, state)] == ["here"]


def test_what_runs_natively_keeps_its_address(profile: Profile, state: State) -> None:
    native = replace(state, services={
        **state.services, "redis": replace(state.services["redis"], runtime="native"),
    })  # fmt: skip
    answer = lookup(profile, native, Viewpoint(is_inside=True))
    assert answer("services.redis.host") == "127.0.0.1"


def test_who_talks_to_a_service(profile: Profile, make_profile: Callable[[str], Profile]) -> None:
    assert contained.talks_to(profile, profile.processes["web"]) == {"redis", "search"}
    own = make_profile(TEXT.replace('cwd = "/app"', 'cwd = "/app"\nneeds = []'))
    assert contained.talks_to(own, own.processes["web"]) == set()
    named = make_profile(TEXT.replace('cwd = "/app"', 'cwd = "/app"\nneeds = ["search"]'))
    assert contained.talks_to(named, named.processes["web"]) == {"search"}


@pytest.mark.parametrize("change", [
    {"image": "other:1"}, {"version": "sha:2"}, {"command": ("x",)}, {"env": {"A": "b"}}, {"ports": {1: 2}},
    {"volumes": {"v": "/v"}}, {"cwd": "/x"}, {"user": "root"}, {"binds": ()}, {"restart": "never"}, {"stop_grace": 99},
])  # fmt: skip
def test_the_digest_follows_what_a_container_is_made_from(
    found: dict[str, Contained], change: dict[str, Any]
) -> None:
    assert replace(found["web"], **change).digest != found["web"].digest
    assert replace(found["web"]).digest == found["web"].digest


def test_an_image_is_brought_once_and_before_anything_stops(profile: Profile, state: State) -> None:
    running = {
        name: ProgramState(name, "running", digest="old", container=f"id-{name}")
        for name in ("redis", "search", "web", "worker-1", "worker-2")
    }
    wanted = replace(state, containers=running, images={**state.images, "node:20": "", "devstack-abc:k1": ""})
    steps = {step.id: step for step in build(profile, wanted, Up(), TEMPLATE).steps}
    assert {name for name in steps if name.endswith((":pull", ":build"))} == {"web:pull", "worker:build"}
    for name, brings in (("web", "web:pull"), ("worker-1", "worker:build"), ("worker-2", "worker:build")):
        assert brings in steps[f"{name}:stop"].needs
        assert {brings, f"{name}:stop"} <= set(steps[f"{name}:start"].needs)
        assert f"{name}:start" in steps[f"{name}:await"].needs
    assert not {"supervisor", "python"} & {need.partition(":")[0] for need in steps["web:start"].needs}


def test_what_is_no_part_of_the_stack_any_more_goes(profile: Profile, state: State) -> None:
    left = {"gone": ProgramState("gone", "exited", exit_status=1, container="id")}
    steps = [step.id for step in build(profile, replace(state, containers=left), Up(), TEMPLATE).steps]
    assert "gone:stop" in steps
