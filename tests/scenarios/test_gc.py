"""`gc` removes what deleted projects left, and nothing of a project that is there."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from devstack.runtimes.docker import Engine
from devstack.runtimes.engine_answers import IMAGE_STACK
from devstack.stack.leftovers import _is_deleted
from tests.engine_bench import ensure_image, strange_container, sweep, this_machines_engine
from tests.scenarios.machine import Machine, Project, below

PROFILE = 'name = "one"\n[services.redis]\nruntime = "docker"\n[processes.loop]\nrun = "python loop.py"\n'


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """A user has one engine: what another test's deleted project left would be found too."""
    with FileLock(Path(tempfile.gettempdir()) / f"devstack-tests-gc-{_user()}.lock"):
        yield


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


BUILT = """
name = "built"
[python]
install = []
[processes.web]
build = "."
run = "sleep 600"
"""


@pytest.fixture
def builders(
    machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Project, Project, list[str], Engine]]:
    """Two projects that are up, whose processes run of images that were built for them, and the names of those."""
    engine = this_machines_engine()
    ensure_image(engine, "busybox:latest")
    machine.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("own-state"))
    made = []
    for name in ("deleted", "kept"):
        project = machine.project(machine.folder / name)
        project.write("devstack.toml", BUILT)
        project.write("Dockerfile", f"FROM busybox:latest\nCOPY part /{name}\n")
        (project.root / "part").write_bytes(os.urandom(300_000))
        project.trust()
        project.run("up")
        made.append(project)
    stacks = [str(project.state["stack"]) for project in made]
    names = [name for stack in stacks for name in _images(engine, stack)]
    assert len(names) == 2
    yield made[0], made[1], names, engine
    made[1].run("down")
    for stack in stacks:
        sweep(engine, stack)
        for name in _images(engine, stack):
            engine.api.remove_image(name, force=True)


def _images(engine: Engine, stack: str) -> list[str]:
    found = engine.api.images(filters={"label": [f"{IMAGE_STACK}={stack}"]})
    return [name for one in found for name in one["RepoTags"] or ()]


@pytest.mark.fault("E12")
def test_images_built_for_a_deleted_project_go_and_nobody_elses(
    builders: tuple[Project, Project, list[str], Engine]
) -> None:
    gone, kept, names, engine = builders
    stack = str(gone.state["stack"])
    engine.api.tag(names[0], f"stranger-{stack}", "mine")
    shutil.rmtree(gone.root)

    listed = kept.run("gc", code=2).text
    assert names[0] in listed
    assert names[1] not in listed
    removed = kept.run("gc", "--yes", "--json").document["removed"]

    [image] = [one for one in removed if one["kind"] == "image"]
    assert (image["name"], image["root"]) == (names[0], str(gone.root))
    assert 300_000 <= image["size"] < 1_000_000, "without what it shares with busybox"
    assert _images(engine, stack) == [f"stranger-{stack}:mine"]
    assert engine.image(names[1])
    kept.assert_up()
    assert kept.run("gc", "--yes", "--json").document == {"removed": [], "bytes": 0}


@pytest.mark.fault("E12")
def test_an_image_that_a_strangers_container_uses_stays(
    builders: tuple[Project, Project, list[str], Engine]
) -> None:
    gone, kept, names, engine = builders
    with strange_container(engine, f"stranger-{gone.state['stack']}", image=names[0]) as container:
        shutil.rmtree(gone.root)

        removed = kept.run("gc", "--yes", "--json").document["removed"]

        assert "container" in {one["kind"] for one in removed}
        assert "image" not in {one["kind"] for one in removed}
        assert engine.api.inspect_container(container)["State"]["Running"]
        assert engine.image(names[0])
    assert [one["name"] for one in kept.run("gc", "--yes", "--json").document["removed"]] == [names[0]]


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
