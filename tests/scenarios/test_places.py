"""Where a stack lives: two side by side, moved, copied, in an awkward folder, as an ordinary user."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.scenarios.machine import Machine, Project, give, make_repository


@pytest.mark.fault("D2", "S12")
def test_two_clones_live_side_by_side(machine: Machine) -> None:
    make_repository(machine.folder / "origin")
    one, two = (
        machine.bootstrap(str(machine.folder / "origin"), "--trust", into=machine.folder / name)
        for name in ("one", "two")
    )  # fmt: skip
    ports = two.state["ports"]

    assert not set(one.state["ports"].values()) & set(ports.values())
    assert one.password != two.password
    assert not {one.password, two.password} & {"", "redis", "password", "devstack", "mini"}
    assert len(one.password) >= 22, "128 bits in letters and digits"
    one.redis("SET", "whose", "one")
    two.redis("SET", "whose", "two")
    assert one.redis("GET", "whose") == b"one"
    one.run("down")
    one.assert_gone()
    two.assert_up()
    two.assert_single()
    two.run("down")
    two.run("up")
    assert two.state["ports"] == ports


@pytest.mark.fault("E10")
def test_a_moved_project_keeps_its_data(mini: Project) -> None:
    mini.run("up")
    mini.redis("SET", "mine", "kept")
    mini.run("down")
    there = mini.machine.folder / "elsewhere"
    mini.root.rename(there)
    moved = mini.machine.project(there)

    moved.run("up", "--trust")

    assert moved.redis("GET", "mine") == b"kept"
    moved.assert_up()
    moved.assert_single()


@pytest.mark.fault("E11")
def test_a_project_copied_while_it_is_up_is_another_stack(mini: Project) -> None:
    mini.run("up")
    mini.redis("SET", "whose", "original")
    copy = mini.machine.project(mini.machine.folder / "copy")
    shutil.copytree(mini.root, copy.root, symlinks=True)

    copy.run("up", "--trust")
    mini.run("up")

    assert copy.state["stack"] != mini.state["stack"]
    assert not set(copy.state["ports"].values()) & set(mini.state["ports"].values())
    copy.redis("SET", "whose", "copy")
    assert mini.redis("GET", "whose") == b"original"
    for project in (copy, mini):
        project.assert_up()
        project.assert_single()


@pytest.mark.fault("J1")
def test_an_awkward_folder_is_a_folder(machine: Machine) -> None:
    project = machine.new_project(machine.folder / "it's \"odd\" %s é $HOME; #1 \U0001f642 \u200fx \\z")

    project.run("up")

    project.assert_up()
    project.assert_single()
    project.run("restart", "worker")
    project.assert_up()


@pytest.mark.fault("J1")
def test_a_line_break_in_a_folder_is_refused_before_anything_is_done(machine: Machine) -> None:
    """supervisord's configuration has no way to say it. The printed command moves the project to a place that works."""
    project = machine.new_project(machine.folder / "one\ntwo")

    error = project.run("up", "--json", code=2).error
    subprocess.run(["/bin/sh", "-c", error["fix"]], env=machine.environ, check=True)

    assert error["id"] == "path-unusable"
    assert not project.root.exists()
    moved = Project(machine, Path(machine.environ["HOME"]) / "one-two")
    assert moved.run("plan", "--json").document["steps"]
    # nothing has run, and its leased ports may be somebody's
    shutil.rmtree(moved.root)


@pytest.mark.fault("J2")
def test_a_deep_folder_is_a_folder(machine: Machine) -> None:
    """Sockets and the first lines of scripts have a length that a path may go beyond."""
    project = machine.new_project(machine.folder.joinpath(*["a-folder-with-a-long-name"] * 8))

    project.run("up")

    project.assert_up()
    project.assert_single()


@pytest.mark.fault("J8")
def test_a_link_to_a_project_is_the_project(mini: Project) -> None:
    mini.run("up")
    link = mini.machine.folder / "link"
    link.symlink_to(mini.root)
    before = mini.status()["stack"]

    # a shell says in PWD how it came here
    seen = mini.run("status", "--json", cwd=link, env={"PWD": str(link)}).document["stack"]
    again = mini.run("plan", "--json", cwd=link / "fixtures", env={"PWD": str(link / "fixtures")}).document
    mini.run("bootstrap", "./link", "--trust", cwd=mini.machine.folder)

    assert (seen["id"], seen["root"]) == (before["id"], before["root"]) == (before["id"], str(mini.root))
    assert again["steps"] == []
    mini.assert_single()


# --- as an ordinary user ---------------------------------------------------------------------------------------------


def test_an_ordinary_user_needs_no_rights(ordinary: Machine) -> None:
    make_repository(ordinary.folder / "é w")
    if os.geteuid() == 0:
        give(ordinary.folder / "é w")
    project = ordinary.project(ordinary.folder / "é w")
    project.root.chmod(0o500)
    error = project.run("up", "--trust", "--json", code=5).error
    project.root.chmod(0o700)

    project.run("up")

    assert error["id"] == "no-permission"
    assert str(project.folder) in error["what"]
    project.assert_up()
    project.assert_single()
    assert 0 not in {process.uids().real for each in project.programs().values() for process in each}
