"""Golden plans of services that run in containers: beside processes, after a move, and from what is left of a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from devstack.contained import containers
from devstack.plan import Down, Goal, Up
from devstack.planner import build
from devstack.profile.model import Profile
from devstack.resources import shared
from devstack.services import Probe
from devstack.state import ProgramState, PythonState, State, SupervisorState

TEMPLATE = shared("Procfile.template").read_text()
SHOP = 'name = "shop"\n[services.postgres]\n[services.redis]\nruntime = "native"\n'
IMAGE = "postgres:16"


@pytest.fixture(scope="module")
def profile(make_profile: Callable[[str], Profile]) -> Profile:
    return make_profile(SHOP)


@pytest.fixture(scope="module")
def fresh(profile: Profile, make_state: Callable[..., State]) -> State:
    """PostgreSQL is to be a container; the engine has nothing of it. Redis and Python are no part of this."""
    state = make_state(profile)
    instance = replace(state.services["postgres"].instance, is_contained=True)
    service = replace(state.services["postgres"], instance=instance, runtime="docker", image=IMAGE, generation="t1")
    python = PythonState(wanted="k1", linked="k1", is_built=True, version="3.11.7")
    return replace(state, services={"postgres": service}, images={IMAGE: ""}, python=python)


@pytest.fixture(scope="module")
def settled(profile: Profile, fresh: State) -> State:
    service = replace(fresh.services["postgres"], is_fetched=True, has_data=True, probe=Probe(True, "logged in"))
    state = replace(fresh, services={"postgres": service}, images={IMAGE: "sha256:1"}, has_network=True)
    [wanted] = containers(profile, state)
    running = ProgramState("postgres", "running", uptime=60.0, digest=wanted.digest, container="c1")
    return replace(state, containers={"postgres": running}, data=("postgres",))


def text(profile: Profile, state: State, goal: Goal | None = None) -> str:
    """The steps of the plan but for the generated files, which are as ever."""
    lines = build(profile, state, goal or Up(("postgres",)), TEMPLATE).text().splitlines()
    return "\n" + "\n".join(" ".join(line.split()) for line in lines if not line.startswith("files:")) + "\n"


def changed(state: State, **fields: object) -> State:
    """With another state of the container."""
    now = replace(state.containers["postgres"], **fields)  # type: ignore[arg-type]
    return replace(state, containers={"postgres": now})


def test_a_first_up_pulls_prepares_and_starts(profile: Profile, fresh: State) -> None:
    assert text(profile, fresh) == """
postgres:pull the engine has no postgres:16 yet
postgres:prepare it has no data yet
postgres:start not running (after postgres:pull, postgres:prepare)
postgres:provision after its start (after postgres:start)
postgres:await others need it to answer (after postgres:provision)
stack:verify all must still be running at the end (after postgres:await)
"""


def test_a_container_that_runs_as_declared_needs_nothing(profile: Profile, settled: State) -> None:
    assert text(profile, settled).strip() == ""


def test_one_that_has_ended_goes_before_the_next(profile: Profile, settled: State) -> None:
    state = changed(settled, phase="exited", exit_status=137, reason="it used more memory than its limit")
    assert text(profile, state) == """
postgres:stop not running: it used more memory than its limit
postgres:start not running: it used more memory than its limit (after postgres:stop)
postgres:provision after its start (after postgres:start)
postgres:await others need it to answer (after postgres:provision)
stack:verify all must still be running at the end (after postgres:await)
"""


def test_another_image_of_the_name_makes_another_container(profile: Profile, settled: State) -> None:
    plan = text(profile, replace(settled, images={IMAGE: "sha256:2"}))
    assert plan.startswith("\npostgres:stop its declaration or environment changed\npostgres:start ")
    assert "prepare" not in plan


def test_nothing_is_stopped_before_its_new_image_is_here(profile: Profile, settled: State) -> None:
    service = replace(settled.services["postgres"], is_fetched=False)
    plan = text(profile, replace(settled, services={"postgres": service}, images={IMAGE: ""}))
    assert "postgres:pull the engine has no postgres:16 yet\n" in plan
    assert "postgres:stop its declaration or environment changed (after postgres:pull)\n" in plan


def test_a_first_start_that_was_cut_short_begins_anew(profile: Profile, settled: State) -> None:
    service = replace(settled.services["postgres"], has_data=False)
    assert text(profile, replace(settled, services={"postgres": service})) == """
postgres:stop its first start was cut short
postgres:prepare it has no data yet (after postgres:stop)
postgres:start its first start was cut short (after postgres:stop, postgres:prepare)
postgres:provision after its start (after postgres:start)
postgres:await others need it to answer (after postgres:provision)
stack:verify all must still be running at the end (after postgres:await)
"""


def test_a_service_that_ran_natively_is_stopped_there(profile: Profile, settled: State) -> None:
    native = SupervisorState("run1", 100, "c", {"postgres": ProgramState("postgres", "running", 7, digest="x")})
    plan = text(profile, replace(settled, supervisor=native))
    assert "postgres:stop it runs in a container now\n" in plan


def test_down_ends_containers_then_their_network(profile: Profile, settled: State) -> None:
    assert text(profile, settled, Down(volumes=True)) == """
postgres:stop the stack goes down
network:remove the stack goes down (after postgres:stop)
data:discard --volumes: the data of postgres goes to the trash (after postgres:stop, network:remove)
"""


def test_down_removes_what_has_ended_and_what_no_profile_knows(profile: Profile, settled: State) -> None:
    state = changed(settled, phase="exited", exit_status=0)
    left = replace(state, containers={**state.containers, "old": ProgramState("old", "running", container="c2")})
    plan = text(profile, left, Down())
    assert "old:stop the stack goes down\n" in plan
    assert "postgres:stop the stack goes down (after old:stop)\n" in plan
