"""Engines that are stopped, die, hang, or have no room left: told by name, in time, and nothing is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.contained import container_name
from tests.engine_bench import sweep
from tests.own_engine import OwnEngine, own_engine
from tests.scenarios.machine import CHECKOUT, Machine, Project, give, until

NOWHERE = "unix:///srv/nobody.sock"


@pytest.fixture(scope="module")
def engine() -> Iterator[OwnEngine]:
    with own_engine() as engine:
        engine.load("redis:7")
        yield engine


@pytest.fixture
def here(engine: OwnEngine, machine: Machine) -> Iterator[Project]:
    """The small project, on an engine of the tests' own and in its network."""
    if engine.child is None:
        engine.start()
    machine.environ |= {"DEVSTACK_RUNTIME": "docker", "DOCKER_HOST": engine.url}
    machine.prefix = engine.prefix
    project = machine.new_project()
    yield project
    if engine.child is None:
        engine.start()
    if (project.folder / "state.json").exists():
        project.run("down")
        # nobody can take it down any more when its engine has gone
        machine.projects.remove(project)
        sweep(engine.connected, project.state["stack"])


def redis(engine: OwnEngine, project: Project, *words: str) -> str:
    """Ask the server inside its container: its network isn't this one."""
    argv = ("redis-cli", "--no-auth-warning", "-a", project.password, *words)
    [one] = engine.connected.api.containers(filters={"label": [f"devstack.stack={project.state['stack']}"]})
    status, output = engine.connected.execute(one["Id"], argv)
    assert status == 0, output
    return output.strip()


@contextlib.contextmanager
def hanging() -> Iterator[str]:
    """The address of something that accepts and never answers."""
    with tempfile.TemporaryDirectory(prefix="dsh", dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/s")
        server.listen()
        Path(folder, "s").chmod(0o777)
        yield f"unix://{folder}/s"


@pytest.mark.fault("A4", "A5")
def test_without_an_engine_that_answers_docker_is_refused_and_auto_is_native(mini: Project) -> None:
    with hanging() as silent:
        for host, why in ((NOWHERE, "no such file"), (silent, "doesn't answer within 5 s")):
            environ = {"DOCKER_HOST": host, "DEVSTACK_RUNTIME": "docker"}
            began = time.monotonic()
            error = mini.run("up", "--json", code=3, env=environ).error
            # one deadline of 5 s, not one for each question
            assert time.monotonic() - began < 30
            assert error["id"] == "engine-unavailable"
            assert why in error["why"]
            assert not (mini.folder / "data" / "redis").exists()
    mini.run("up", env={"DOCKER_HOST": NOWHERE, "DEVSTACK_RUNTIME": "auto"})

    [row] = mini.status()["services"]
    assert (row["runtime"], row["ready"]) == ("native", True)


@pytest.mark.fault("A3")
def test_a_socket_that_this_user_may_not_open_is_told_with_the_group(ordinary: Machine) -> None:
    project = ordinary.new_project(trusted=False)
    if os.geteuid() == 0:
        give(ordinary.folder)
    with tempfile.TemporaryDirectory(prefix="dsh", dir="/tmp") as folder:
        path = Path(folder, "s")
        Path(folder).chmod(0o755)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
            path.chmod(0)
            environ = {"DOCKER_HOST": f"unix://{path}", "DEVSTACK_RUNTIME": "docker"}
            error = project.run("up", "--trust", "--json", code=3, env=environ).error
    assert error["id"] == "engine-unavailable"
    assert "may not be opened by this user" in error["why"]
    assert error["fix"].startswith('sudo usermod -aG docker "$USER"')


@pytest.mark.fault("H4")
@pytest.mark.parametrize("end", [OwnEngine.stop, OwnEngine.kill])
def test_an_engine_that_ends_and_comes_back_is_told_and_loses_nothing(
    engine: OwnEngine, here: Project, end: Callable[[OwnEngine], None]
) -> None:
    here.run("up")
    redis(engine, here, "SET", "mine", "kept")

    end(engine)

    status = here.status()
    assert status["stack"]["state"] == "degraded"
    [row] = status["services"]
    assert not row["ready"]
    assert engine.url in row["reason"]
    assert here.run("up", "--json", code=3).error["id"] == "engine-unavailable"
    engine.start()
    assert here.status()["stack"]["state"] in ("degraded", "up")
    here.run("up")
    here.assert_up()
    assert redis(engine, here, "GET", "mine") == "kept"


@pytest.mark.fault("H3")
def test_an_engine_that_ends_in_the_middle_of_up_is_told_and_the_next_up_goes_on(
    engine: OwnEngine, here: Project
) -> None:
    here.hold()
    child = here.popen("up", "--json")
    assert until((here.root / "var" / "holds").exists, 60)
    engine.kill()
    (here.root / "var" / "go").touch()
    # the task's own words are a traceback
    child.communicate(timeout=120)
    engine.start()

    assert child.returncode in (0, 3, 8)
    here.run("up")
    here.assert_up()
    stack = here.state["stack"]
    assert len(engine.connected.api.containers(all=True, filters={"label": [f"devstack.stack={stack}"]})) == 1
    assert redis(engine, here, "GET", "goods") == "mug,bowl"


def test_down_says_what_it_could_not_stop(engine: OwnEngine, here: Project) -> None:
    here.run("up")
    engine.stop()

    done = here.run("down", code=3)

    assert "engine" in done.text
    assert not here.programs()
    engine.start()
    here.run("down")
    stack = here.state["stack"]
    assert not engine.connected.api.containers(all=True, filters={"label": [f"devstack.stack={stack}"]})


BOX = """
[processes.box]
image = "busybox"
run = "sh -c 'n=0; while sleep 0.05; do echo out $n; echo err $n >&2; n=$((n+1)); done'"
ready = { log = "out" }
"""


@dataclass(frozen=True)
class Following:
    """`logs -f` of a project's box: what it prints, and what it says."""

    child: subprocess.Popen[bytes]
    heard: Path
    told: Path

    @property
    def lines(self) -> list[str]:
        return [line.partition("|")[2].strip() for line in self.heard.read_text().splitlines()]

    def begins(self, times: int) -> bool:
        """Wait for the first line of so many lives of the box."""
        return until(lambda: self.lines.count("out 0") == times, 60)

    def misses(self, times: int) -> bool:
        """Wait until it has said so often that the engine doesn't answer."""
        return until(lambda: self.told.read_text().count("nothing of containers") == times, 60)


@contextlib.contextmanager
def following(project: Project, folder: Path, count: str) -> Iterator[Following]:
    machine, heard, told = project.machine, folder / "heard", folder / "told"
    words = [*machine.prefix, *machine.command, "logs", "-f", "-n", count, "box"]
    with heard.open("w") as output, told.open("w") as warnings, subprocess.Popen(
        words, cwd=project.root, env=machine.environ, stdout=output, stderr=warnings, start_new_session=True
    ) as child:
        try:
            yield Following(child, heard, told)
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 130
        finally:
            child.kill()


@pytest.fixture
def with_box(engine: OwnEngine, here: Project) -> Project:
    """The project is up, with a process in a container that counts on both of its streams."""
    engine.load("busybox:latest")
    here.write("devstack.toml", here.read("devstack.toml") + BOX)
    here.trust()
    here.run("up")
    return here


@pytest.mark.fault("H4")
@pytest.mark.parametrize("end", [OwnEngine.stop, OwnEngine.kill])
def test_following_goes_on_through_the_end_and_return_of_an_engine(
    engine: OwnEngine, with_box: Project, end: Callable[[OwnEngine], None], tmp_path: Path
) -> None:
    container = container_name(with_box.state["stack"], "box")
    with following(with_box, tmp_path, "100000") as follower:
        assert follower.begins(1), follower.told.read_text()
        for number in (1, 2):
            end(engine)
            assert follower.misses(number), follower.told.read_text()
            engine.start()
            assert follower.begins(number + 1), follower.told.read_text()
        engine.connected.api.stop(container, timeout=1)
        kept = engine.connected.api.logs(container).decode().splitlines()
        assert until(lambda: len(follower.lines) >= len(kept), 20)
    # two streams of the engine's: in whatever order
    assert sorted(follower.lines) == sorted(kept), "none is lost, none comes twice"


def test_following_that_begins_without_an_engine_begins_with_the_last_lines(
    engine: OwnEngine, with_box: Project, tmp_path: Path
) -> None:
    engine.stop()
    with following(with_box, tmp_path, "1") as follower:
        assert follower.misses(1)
        engine.start()
        assert until(lambda: len(follower.lines) > 10, 60)
    assert follower.lines.count("out 0") <= 1, "what the box printed in its first life isn't new"


SERVE = """
from tests.stub_registry import serve
with serve(layers=2, size=40_000_000) as registry:
    print(registry.image, flush=True)
    input()
"""


@pytest.mark.fault("C4")
def test_an_engine_without_room_is_told_and_nothing_is_removed(machine: Machine) -> None:
    with own_engine(size="64m") as engine:
        engine.load("busybox:latest")
        machine.environ |= {"DEVSTACK_RUNTIME": "docker", "DOCKER_HOST": engine.url}
        machine.prefix = engine.prefix
        project = machine.new_project()
        with subprocess.Popen(
            [*engine.prefix, sys.executable, "-c", SERVE], cwd=CHECKOUT, text=True, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as registry:  # fmt: skip
            assert registry.stdout is not None
            project.replace("[services.redis]", f'[services.redis]\nimage = "{registry.stdout.readline().strip()}"')
            error = project.run("up", "--json", code=5).error
            registry.kill()
        assert (error["id"], error["fix"]) == ("disk-full", "docker system df")
        assert "no space left on device" in error["why"]
        assert [one["RepoTags"] for one in engine.connected.api.images()] == [["busybox:latest"]]
        project.run("down")
        # nobody can take it down any more when its engine has gone
        machine.projects.remove(project)
