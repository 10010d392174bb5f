"""Data goes along from one runtime to the other, or stays where it is; it is never left behind without a word."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from devstack.runtimes.docker import Engine
from tests.engine_bench import sweep
from tests.scenarios import trio
from tests.scenarios.machine import Machine, until
from tests.scenarios.trio import Trio


@pytest.fixture
def engine() -> Engine:
    return trio.ensure_images()


@pytest.fixture
def stack(machine: Machine, engine: Engine) -> Iterator[Trio]:
    del machine.environ["DEVSTACK_RUNTIME"]
    made = trio.make(machine)
    yield made
    if (made.project.folder / "state.json").exists():
        stack = made.project.state["stack"]
        made.project.run("down")
        sweep(engine, stack)


def _runtimes(stack: Trio) -> set[str]:
    return {row["runtime"] for row in stack.project.assert_up()["services"]}


def test_all_data_goes_there_and_back_and_what_was_done_stays_done(stack: Trio) -> None:
    project = stack.project
    project.run("up", "--runtime", "native")
    stack.fill()
    before = stack.digest()

    refused = project.run("up", "--runtime", "docker", "--json", code=7).error
    assert (refused["id"], refused["fix"]) == ("data-elsewhere", "devstack up --runtime docker --move-data")
    assert _runtimes(stack) == {"native"}

    project.run("up", "--runtime", "docker", "--move-data")
    assert _runtimes(stack) == {"docker"}
    assert stack.digest() == before
    assert "nothing had to be done" in project.run("up").text
    assert {path.name.partition("-moved-")[2] for path in (project.folder / "trash").iterdir()} == {
        "postgres", "redis", "rabbitmq",
    }  # fmt: skip

    project.run("up", "--runtime", "native", "--move-data")
    assert _runtimes(stack) == {"native"}
    assert stack.digest() == before
    assert stack.seeded() == 1


def test_a_move_that_is_killed_leaves_the_data_where_it_was(stack: Trio, engine: Engine) -> None:
    project = stack.project
    project.run("up", "--runtime", "native")
    stack.fill()
    before = stack.digest()

    child = project.popen("up", "--runtime", "docker", "--move-data")
    assert until(lambda: _has_begun(stack, "rabbitmq:load"), 90)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()

    # some had arrived by then, and those that had not are as they were
    kept = project.state["runtimes"]
    assert kept["rabbitmq"] == "native"
    project.run("up", "--runtime", "docker", "--json", code=7)
    project.run("up", "--runtime", "docker", "--move-data")
    assert _runtimes(stack) == {"docker"}
    assert stack.digest() == before
    assert stack.seeded() == 1


def _has_begun(stack: Trio, step: str) -> bool:
    lines = [line for path in stack.project.journals() for line in path.read_text().splitlines()]
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return any(event.get("event") == "started" and event.get("step") == step for event in events)
