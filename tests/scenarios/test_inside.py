"""Inside of containers: clients and shells on a real terminal and through pipes, whatever this machine has."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.scenarios.crates import Crate, crate
from tests.scenarios.machine import Machine
from tests.scenarios.terminal import terminal

PROFILE = """
    [services.postgres]
    [services.redis]
    [services.rabbitmq]
    [processes.box]
    image = "busybox"
    run = "sleep 600"
    needs = []
"""
BOX = """
    [processes.box]
    image = "busybox"
    run = "sleep 600"
    [processes.here]
    run = "sleep 600"
"""


@pytest.fixture
def box(machine: Machine) -> Iterator[Crate]:
    with crate(machine, BOX) as made:
        made.project.run("up")
        yield made


def test_each_client_is_the_one_inside_and_logged_in(machine: Machine) -> None:
    with crate(machine, PROFILE, images=("busybox:latest", "postgres:16", "redis:7", "rabbitmq:3")) as made:
        made.project.run("up")
        # nothing of this machine is asked: it may have no client
        bare = {"PATH": "/nowhere"}
        run = made.project.run
        assert "42" in run("shell", "postgres", "--", "-Atc", "select 41 + 1", env=bare).out
        assert run("shell", "postgres", "--", "-c", "select no_such_column", env=bare, code=1).out == ""
        assert run("shell", "redis", "--", "incr", "a", env=bare).out.strip() == "1"
        assert "crate" in run("shell", "rabbitmq", "--", "list_users", env=bare).out
        assert made.project.password not in str(made.inspect("redis")["Config"])


def test_exit_code_and_both_outputs_come_through(box: Crate) -> None:
    done = box.project.run("shell", "box", "--", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.out, done.err) == ("out\n", "err\n")
    assert box.project.run("exec", "--in", "box", "--", "ls", "/bin/busybox").out == "/bin/busybox\n"
    box.project.run("exec", "--in", "box", "--", "nothing-like-it", code=126)


def test_input_comes_through_to_its_end(box: Crate) -> None:
    machine = box.project.machine
    (box.project.root / "input").write_bytes(b"x" * 1_000_000)
    with (box.project.root / "input").open("rb") as data:
        done = subprocess.run(
            [*machine.command, "exec", "--in", "box", "--", "wc", "-c"], cwd=box.project.root, env=machine.environ,
            stdin=data, capture_output=True, text=True, check=True, timeout=60,
        )
    assert done.stdout.strip() == "1000000"


def test_a_shell_of_a_process_is_a_real_terminal(box: Crate) -> None:
    with terminal(box.project, "shell", "box", columns=91, rows=33) as screen:
        assert screen.sees("# ")
        screen.type("stty size; tty\r")
        assert screen.sees("33 91")
        assert screen.sees("/dev/pts/")
        screen.resize(102, 40)
        screen.type("while ! stty size | grep -q '40 102'; do :; done; echo re''sized\r")
        assert screen.sees("resized")
        # its line editor has the terminal until a command begins
        screen.type("echo beg''un; sleep 500\r")
        assert screen.sees("begun")
        screen.type("\x03")
        # a terminal drops what was typed ahead of it
        assert screen.sees("^C\r\n")
        screen.type("echo went o''n\r")
        assert screen.sees("went on")
        screen.type("exit 5\r")
        assert screen.child.wait(30) == 5


def test_what_is_not_inside_is_told(box: Crate) -> None:
    run = box.project.run
    assert run("exec", "--in", "here", "--json", "--", "ls", code=2).error["id"] == "not-in-a-container"
    assert run("shell", "here", "--json", code=2).error["id"] == "not-in-a-container"
    assert run("shell", "bax", "--json", code=2).error["fix"] == "devstack shell box"
    run("down")
    error = run("shell", "box", "--json", code=8).error
    assert (error["id"], error["fix"]) == ("not-running", "devstack up box")
