"""One process on a person's terminal, the rest behind it under supervisord."""

from __future__ import annotations

from tests.scenarios.machine import Project, until
from tests.scenarios.terminal import terminal

_WEB = """import os, sys
from pathlib import Path
Path("var/seen").write_text(f"{os.environ['PORT']} {sys.stdin.isatty()} {Path.cwd()} {'DEVSTACK_RUN' in os.environ}")
try:
    said = input("say: ")
except KeyboardInterrupt:
    raise SystemExit(42) from None
"""


def test_a_process_runs_here_with_its_environment_and_its_exit_code(mini: Project) -> None:
    """Meanwhile status says so and nobody starts it twice; Ctrl-C is the process's own to answer."""
    mini.run("up")
    mini.write("web.py", _WEB)
    with terminal(mini, "up", "--foreground", "web") as screen:
        assert screen.sees("say: "), screen.text
        status = mini.status()
        (row,) = [row for row in status["processes"] if row["name"] == "web"]
        assert (row["state"], row["ready"]) == ("foreground", False)
        assert row["reason"] == f"in the foreground (pid {row['pid']})"
        assert status["stack"]["state"] == "up", "the rest is"
        assert "left alone" in mini.run("up").text
        assert mini.run("up", "--foreground", "web", "--json", code=6).error["id"] == "in-foreground"
        screen.type("\x03")
        assert screen.child.wait(20) == 42, screen.text
        assert screen.sees("exit status 42"), screen.text
    port = mini.state["ports"]["web"]
    assert mini.read("var/seen") == f"{port} True {mini.root} False"
    assert mini.status()["stack"]["state"] == "degraded"


def test_down_ends_it_too(mini: Project) -> None:
    with terminal(mini, "up", "--foreground", "worker-2") as screen:
        assert until((mini.folder / "foreground" / "worker-2").exists, 60), screen.text
        mini.run("down")
        assert screen.child.wait(20) == 0, "a worker ends in order when it is asked to"
