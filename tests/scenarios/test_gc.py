"""`gc` removes what deleted projects left, and nothing of a project that is there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.runtimes.docker import Engine
from devstack.stack.leftovers import _is_deleted
from tests.engine_bench import ensure_image, sweep, this_machines_engine
from tests.scenarios.machine import Machine, Project, below

PROFILE = 'name = "one"\n[services.redis]\nruntime = "docker"\n[processes.loop]\nrun = "python loop.py"\n'


@pytest.fixture
def engine() -> Engine:
    found = this_machines_engine()
    ensure_image(found, "redis:7")
    return found


@pytest.fixture
def pair(
    machine: Machine, engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Project]]:
    """Two projects that are up, on a machine that knows no other."""
    machine.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("own-state"))
    made = (_project(machine, "deleted"), _project(machine, "kept"))
    stacks = [project.state["stack"] for project in made]
    yield made
    if made[1].folder.exists():
        made[1].run("down")
    for stack in stacks:
        sweep(engine, stack)


def _project(machine: Machine, name: str) -> Project:
    project = machine.project(machine.folder / name)
    project.root.mkdir()
    project.write("devstack.toml", PROFILE.replace("one", name))
    project.write("loop.py", "import time\nwhile True:\n    time.sleep(1)\n")
    project.trust()
    project.run("up", "--new-ports")
    return project


def _owned(engine: Engine, project_root: str) -> list[str]:
    return [one.kind for one in engine.survey(_user()) if one.root == project_root]


def _user() -> int:
    from devstack.system import System

    return System().user_id()


@pytest.mark.fault("E12")
def test_what_a_deleted_project_left_is_shown_then_removed(pair: tuple[Project, Project], engine: Engine) -> None:
    gone, kept = pair
    root = str(gone.root)
    shutil.rmtree(gone.root)

    refused = kept.run("gc", "--json", code=2).error
    assert (refused["id"], refused["fix"]) == ("not-confirmed", "devstack gc --yes")
    assert _owned(engine, root) == ["container", "volume", "network"]

    document = kept.run("gc", "--yes", "--json").document
    assert {one["root"] for one in document["removed"]} == {root}
    assert {one["kind"] for one in document["removed"]} >= {"process", "container", "volume", "network", "entry"}
    assert _owned(engine, root) == []
    assert not below(gone.root)
    kept.assert_up()
    assert kept.run("gc", "--yes", "--json").document == {"removed": [], "bytes": 0}
    assert [one["root"] for one in kept.run("list", "--json").document["stacks"]] == [str(kept.root)]


def test_the_trash_goes_only_if_a_person_says_so(pair: tuple[Project, Project], engine: Engine) -> None:
    project = pair[1]
    project.run("down", "--volumes", "--yes")
    assert _owned(engine, str(project.root)) == ["volume"]
    assert kept_names(project.run("gc", "--yes", "--json").document) == []
    removed = kept_names(project.run("gc", "--trash", "--yes", "--json").document)
    assert [kind for kind, _ in removed] == ["volume", "folder"]
    assert _owned(engine, str(project.root)) == []
    project.run("up")
    project.assert_up()


def kept_names(document: dict[str, list[dict[str, str]]]) -> list[tuple[str, str]]:
    return [(one["kind"], one["name"]) for one in document["removed"]]


def test_a_folder_on_a_disk_that_is_not_there_is_not_deleted(tmp_path: Path) -> None:
    disk, home = tmp_path / "disk", tmp_path / "home"
    (home / "shop").mkdir(parents=True)
    disk.mkdir()
    used = home.stat().st_mtime
    assert not _is_deleted(str(home / "shop"), used)
    (home / "shop").rmdir()
    assert _is_deleted(str(home / "shop"), used)
    # an empty folder that nobody has touched since: the place where a disk would be
    assert not _is_deleted(str(disk / "shop"), disk.stat().st_mtime + 60)
    assert not _is_deleted(str(disk / "shop"), None)
    assert not _is_deleted(str(tmp_path / "nothing" / "shop"), used)
