"""What containers print, in the same stream as everything else: while they run, after they have ended, when they go."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from tests.scenarios.crates import Crate, crate
from tests.scenarios.machine import Machine, until

PROFILE = """
    [processes.box]
    image = "busybox"
    run = "sh -c 'echo begun; while sleep 0.2; do [ -e /shared/go ] && cat /shared/go && rm /shared/go; done'"
    volumes = ["./shared:/shared"]
    ready = { log = "begun" }
    [processes.here]
    run = "sh -c 'echo here; exec sleep 600'"
    [processes.over]
    image = "busybox"
    run = "sh -c 'echo first; echo last'"
    restart = "never"
"""


@pytest.fixture
def made(machine: Machine) -> Iterator[Crate]:
    with crate(machine, PROFILE, {"shared/.keep": ""}) as found:
        found.project.run("up")
        yield found


def test_all_lines_are_in_one_stream_each_with_its_source(made: Crate) -> None:
    lines = made.project.run("logs").out.splitlines()
    found = {tuple(part.strip() for part in line.split("|", 1)) for line in lines}
    assert {("box", "begun"), ("here", "here"), ("over", "first"), ("over", "last")} <= found
    assert made.project.run("logs", "over", "--tail", "1").out.split("|")[1].strip() == "last"
    assert made.project.run("logs", "box", "--tail", "0").out == ""


def test_following_goes_on_through_a_restart(made: Crate) -> None:
    project, heard = made.project, made.project.root / "heard"

    def hears(*lines: str) -> bool:
        return until(lambda: heard.read_text().split() == list(lines), 60)

    with heard.open("w") as output, subprocess.Popen(
        [*project.machine.command, "logs", "-f", "-n", "1", "box"], cwd=project.root, env=project.machine.environ,
        stdout=output, stderr=subprocess.DEVNULL, start_new_session=True,
    ) as child:
        try:
            box = ("box", "|")
            assert hears(*box, "begun"), heard.read_text()
            project.write("shared/go", "one\n")
            assert hears(*box, "begun", *box, "one"), heard.read_text()
            project.run("restart", "box")
            assert hears(*box, "begun", *box, "one", *box, "begun"), heard.read_text()
            child.send_signal(signal.SIGINT)
            assert child.wait(30) == 130
        finally:
            child.kill()


def test_what_one_has_printed_outlives_it(made: Crate) -> None:
    made.project.write("shared/go", "of before\n")
    assert until(lambda: "of before" in made.project.run("logs", "box").out)
    made.project.run("restart", "box")
    found = [line.split("|", 1)[1].strip() for line in made.project.run("logs", "box").out.splitlines()]
    assert found == ["begun", "of before", "begun"]
    made.project.run("down")
    assert "of before" in made.project.run("logs", "box").out
    path = made.project.folder / "logs" / "box.log"
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_engine_that_is_gone_hides_only_its_own(made: Crate) -> None:
    done = made.project.run("logs", env={"DOCKER_HOST": "tcp://127.0.0.1:9"})
    assert "here" in done.out
    assert "begun" not in done.out
    assert "nothing of containers" in done.err
