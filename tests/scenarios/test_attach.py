"""A person reaches a breakpoint of a process that supervisord runs."""

from __future__ import annotations

import subprocess

import pytest

from tests.scenarios.machine import Machine, Project
from tests.scenarios.terminal import terminal

_PROFILE = """
name = "debugged"
python.install = []
[processes.web]
run = "python parent.py"
settle = 0.1
[processes.worker]
run = "python loop.py"
replicas = 2
settle = 0.1
"""
#: as an autoreloader does: the child that reaches the breakpoint only inherits its stdin
_PARENT = "import subprocess, sys\nsys.exit(subprocess.run([sys.executable, 'app.py']).returncode)\n"
_APP = """import time
found = "sésame"
breakpoint()
print(f"went on with {found} \\x1b]0;title\\x07")
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def debugged(machine: Machine) -> Project:
    project = machine.new_project()
    project.write("devstack.toml", _PROFILE)
    project.write("parent.py", _PARENT)
    project.write("app.py", _APP)
    project.trust()
    project.run("up")
    return project


def test_a_breakpoint_is_reached_without_a_terminal(debugged: Project) -> None:
    """Also: a name that is several programs, and input that isn't ASCII."""
    several = debugged.run("attach", "worker", "--json", code=2).error
    assert (several["id"], several["fix"]) == ("several-replicas", "devstack attach worker-1")

    done = subprocess.run(
        [*debugged.machine.command, "attach", "web"], cwd=debugged.root, env=debugged.machine.environ,
        input="found += 'é'\np found\nc\n", capture_output=True, text=True, timeout=60, check=False,
    )

    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert "(Pdb) 'sésameé'\n" in text
    assert "went on with sésameé \n" in text, "what a terminal would obey is taken out"
    debugged.assert_up()


def test_a_person_detaches_and_the_process_goes_on(debugged: Project) -> None:
    before = debugged.pids()["web 1"]
    with terminal(debugged, "attach", "web") as screen:
        assert screen.sees("Ctrl-C detaches"), screen.text
        assert screen.sees("(Pdb) "), screen.text
        screen.type("p found\n")
        assert screen.sees("'sésame'"), screen.text
        screen.type("\x03")
        assert screen.child.wait(20) == 0
        assert screen.sees("detached; web goes on"), screen.text
    assert debugged.pids()["web 1"] == before


def test_whoever_does_not_run_is_named(debugged: Project) -> None:
    debugged.run("down")
    assert debugged.run("attach", "web", "--json", code=8).error["id"] == "supervisor-unreachable"
