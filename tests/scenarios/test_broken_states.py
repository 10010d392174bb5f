"""`doctor` names what is wrong by id, changes nothing, and what it says it can fix is fixed."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

import psutil
import pytest

from tests.scenarios.machine import Project, stranger, until


def _kill_worker(mini: Project) -> None:
    """For good: supervisord would start it again."""
    mini.edit("loop.py", "import", "raise SystemExit(3)\nimport")
    os.kill(mini.pids()["worker 1"], signal.SIGKILL)
    assert until(lambda: any(row["state"] == "fatal" or row["restarts"] > 1 for row in mini.status()["processes"]))
    mini.edit("loop.py", "raise SystemExit(3)\nimport", "import")


def _kill_supervisord(mini: Project) -> None:
    (daemon,) = mini.programs()["supervisord"]
    os.kill(daemon.pid, signal.SIGKILL)
    assert until(lambda: not psutil.pid_exists(daemon.pid) or daemon.status() == psutil.STATUS_ZOMBIE)


def _lose_environment(mini: Project) -> None:
    shutil.rmtree((mini.root / ".venv").resolve())


def _unlink_environment(mini: Project) -> None:
    (mini.root / ".venv").unlink()


def _lose_files(mini: Project) -> None:
    (mini.folder / "Procfile").unlink()
    shutil.rmtree(mini.folder / "env")


def _change_profile(mini: Project) -> None:
    mini.replace("settle = 0.1", 'settle = 0.1\nenv = { MORE = "1" }')


def _change_inputs(mini: Project) -> None:
    mini.write("fixtures/more.txt", "more\n")


def _stop_web(mini: Project) -> None:
    os.kill(mini.pids()["web 1"], signal.SIGSTOP)


BROKEN: dict[str, tuple[Callable[[Project], None], str, str]] = {
    "a process that dies": (_kill_worker, "not-running", "fault"),
    "supervisord killed": (_kill_supervisord, "orphans", "fault"),
    "environment deleted": (_lose_environment, "environment-unusable", "fault"),
    "link deleted": (_unlink_environment, "environment-unlinked", "warning"),
    "generated files deleted": (_lose_files, "files-stale", "warning"),
    "profile changed": (_change_profile, "changed", "warning"),
    "inputs changed": (_change_inputs, "task-stale", "warning"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_named_and_mended(mini: Project, case: str) -> None:
    mini.run("up")
    assert mini.run("doctor", "--json").document == {"findings": []}
    break_it, name, severity = BROKEN[case]
    break_it(mini)

    found = mini.run("doctor", "--json", code=8 if severity == "fault" else 0).document["findings"]
    named = {one["id"]: one for one in found}
    assert named[name]["severity"] == severity
    assert all(one["what"] and one["fix"] for one in found)

    mini.run("doctor", "--fix", "--json")
    mini.assert_up()
    assert mini.run("doctor", "--json").document == {"findings": []}


def test_one_that_hangs_is_not_ready(mini: Project) -> None:
    mini.run("up")
    pid = mini.pids()["web 1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        found = mini.run("doctor", "--json", code=8).document["findings"]
    finally:
        os.kill(pid, signal.SIGCONT)
    assert [(one["id"], one["target"]) for one in found] == [("not-ready", "web")]


def test_a_stack_that_is_down_is_no_fault_and_a_stranger_on_its_port_is(mini: Project) -> None:
    mini.run("up")
    mini.run("down")
    assert mini.run("doctor").out.strip() == "✓ nothing is wrong"
    with stranger(mini.state["ports"]["web"]) as (_, child):
        (found,) = mini.run("doctor", "--json", code=8).document["findings"]
        assert (found["id"], found["fix"]) == ("port-taken", "devstack up --new-ports")
        assert str(child.pid) in found["why"]


def test_it_works_when_everything_else_is_broken(mini: Project) -> None:
    mini.run("up")
    good = mini.read("devstack.toml")
    mini.write("devstack.toml", "name = [")
    (broken,) = [one for one in mini.run("doctor", "--json", code=8).document["findings"] if one["severity"] == "fault"]
    assert broken["id"] == "profile-invalid"
    mini.write("devstack.toml", good)
    mini.run("down")
    (mini.folder / "state.json").write_text("{")
    found = mini.run("doctor", "--json").document["findings"]
    assert "state-damaged" in {one["id"] for one in found}
    mini.run("up")
    mini.assert_up()


def test_nothing_is_changed_by_looking(mini: Project) -> None:
    """Not even where the project was never up."""
    before = sorted(path.relative_to(mini.root) for path in mini.root.rglob("*") if ".git" not in path.parts)
    mini.run("doctor", code=8)
    after = sorted(path.relative_to(mini.root) for path in mini.root.rglob("*") if ".git" not in path.parts)
    assert after == before


def test_outside_of_a_project_the_machine_is_looked_at(mini: Project) -> None:
    assert mini.run("doctor", "--json", cwd=mini.machine.folder).document == {"findings": []}
    found = mini.run("doctor", "--json", cwd=mini.machine.folder, env={"PATH": "/nonexistent"}, code=8).document
    assert [one["id"] for one in found["findings"]] == ["git-missing"]
