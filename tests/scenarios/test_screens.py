"""What a person is told: once, in words that hold here, and in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

from tests.scenarios.machine import Machine, Project, commit, finish, until
from tests.scenarios.terminal import terminal

# --- status and notes ------------------------------------------------------------------------------------------------


def test_status_names_the_devstack_that_is_at_work(mini: Project) -> None:
    go = mini.hold()
    child = mini.popen("up", "worker")
    try:
        assert until((mini.root / "var" / "holds").exists, 60)
        busy = mini.status()["busy"]
        assert (busy["pid"], busy["command"]) == (child.pid, "devstack up worker")
        assert f"pid {child.pid} is at work on it" in mini.run("status").out
        assert mini.run("up", "--json", code=75).error["why"].startswith(f"pid {child.pid}: devstack up worker, for ")
    finally:
        go.touch()
        finish(child, ("up",), 0)
    assert mini.status()["busy"] is None
    # a killed one is at work no more, whatever it left behind
    (mini.folder / "lock.json").write_text(json.dumps({"pid": 1, "start": "0", "command": "devstack up", "since": 1}))
    assert mini.status()["busy"] is None


def test_what_holds_beyond_a_run_is_told_once(mini: Project) -> None:
    warning = ".venv isn't devstack's"
    (mini.root / ".venv").mkdir()
    assert warning in mini.run("up", "worker").text
    assert warning not in mini.run("up", "worker").text
    assert warning in mini.run("up", "worker", "-v").text
    assert warning in mini.run("status", "-v").text
    assert warning not in mini.run("status").text


def test_a_profiles_notes_are_shown_with_the_urls(mini: Project) -> None:
    mini.replace('name = "mini"', 'name = "mini"\nnotes = "Log in at ${processes.web.url}/admin as demo, demo"')
    done = mini.run("up")
    note = f"Log in at http://127.0.0.1:{mini.state['ports']['web']}/admin as demo, demo"
    assert note in done.out
    assert note in mini.run("urls").out
    assert mini.run("urls", "--json").document["notes"] == [note]


def test_a_server_that_other_machines_can_reach_is_named_once(mini: Project) -> None:
    mini.edit("web.py", '("127.0.0.1", int', '("0.0.0.0", int')
    done = mini.run("up")
    port = mini.state["ports"]["web"]
    assert f"web listens on 0.0.0.0:{port}, where other machines can reach it" in done.text
    assert "bind 127.0.0.1" in done.text
    assert "other machines" not in mini.run("up").text, "nothing was started"


def test_discarding_without_a_yes_is_refused_in_one_message(mini: Project) -> None:
    mini.run("up", "redis")
    done = mini.run("down", "--volumes", code=2)
    assert done.text.count("goes to the trash") == 1
    assert "fix: devstack down --volumes --yes" in done.err


def test_a_fix_is_a_command_that_works_from_where_the_person_is(machine: Machine) -> None:
    origin = machine.new_project(machine.folder / "origin", trusted=False)
    origin.write("seed.py", "raise SystemExit(3)")
    commit(origin.root, "Fail")
    into = machine.project(machine.folder / "the shop")
    done = machine.run("bootstrap", str(origin.root), "--into", "the shop", "--trust", cwd=machine.folder, code=8)
    assert "fix: cd 'the shop' && devstack run seed\n" in done.err
    assert (into.root / "devstack.toml").exists()
    assert "fix: devstack run seed\n" in into.run("up", code=8).err


# --- questions -------------------------------------------------------------------------------------------------------


@pytest.mark.fault("I8")
def test_a_question_that_is_not_answered_changes_nothing(machine: Machine) -> None:
    mini = machine.new_project(trusted=False)
    with terminal(mini, "up") as screen:
        assert screen.sees("Trust it?"), screen.text
        screen.type("\x03")
        assert screen.child.wait(20) == 130, screen.text
        assert screen.sees("Nothing was done."), screen.text
    with terminal(mini, "up") as screen:
        assert screen.sees("Trust it?"), screen.text
        screen.hang_up()
        assert screen.child.wait(20) == 128 + signal.SIGHUP
    with terminal(mini, "up") as screen:
        assert screen.sees("Trust it?"), screen.text
        screen.child.send_signal(signal.SIGTERM)
        assert screen.child.wait(20) == 128 + signal.SIGTERM, screen.text
    assert not (mini.folder / "state.json").exists()


def test_a_no_is_taken_without_showing_everything_again(mini: Project) -> None:
    mini.edit("devstack.toml", "24 }", "25 }")
    with terminal(mini, "up") as screen:
        assert screen.sees("Trust it?"), screen.text
        screen.type("n")
        assert screen.child.wait(20) == 9, screen.text
        assert screen.sees("(not-trusted, exit 9)"), screen.text
    assert screen.text.count("+SECRET_KEY = { generate = 25 }") == 1
    assert "WARNING" not in screen.text
    assert not (mini.folder / "state.json").exists()


def test_after_a_question_ctrl_c_still_ends_the_run_in_order(machine: Machine) -> None:
    mini = machine.new_project(trusted=False)
    mini.hold()
    with terminal(mini, "up") as screen:
        assert screen.sees("Trust it?"), screen.text
        screen.type("y")
        assert until((mini.root / "var" / "holds").exists, 60), screen.text
        screen.type("\x03")
        assert screen.child.wait(20) == 130, screen.text
        assert "Traceback" not in screen.text


def test_only_what_has_no_default_is_asked_for(mini: Project) -> None:
    asked = 'TOKEN = { ask = "The token", secret = true }\nCITY = { ask = "Which city", default = "Oslo" }'
    mini.replace("SECRET_KEY = { generate = 24 }", f"SECRET_KEY = {{ generate = 24 }}\n{asked}")
    error = mini.run("up", "--json", code=2).error
    assert (error["id"], error["fix"]) == ("value-missing", "DEVSTACK_ENV_TOKEN=VALUE devstack up")
    with terminal(mini, "up") as screen:
        assert screen.sees("The token (TOKEN)"), screen.text
        screen.type("abc\r")
        assert screen.child.wait(60) == 0, screen.text
        assert "Which city" not in screen.text
        assert "abc" not in screen.text
    assert mini.run("exec", "--", "sh", "-c", "echo $TOKEN $CITY").out == "abc Oslo\n"
    mini.run("up", env={"DEVSTACK_ENV_CITY": "Rome"})
    assert mini.run("exec", "--", "sh", "-c", "echo $TOKEN $CITY").out == "abc Rome\n"


# --- poor terminals --------------------------------------------------------------------------------------------------


@pytest.mark.fault("J4", "J5")
def test_a_poor_place_to_print_is_no_fault(machine: Machine) -> None:
    """LANG=C, closed streams, a reader that leaves, a terminal that can't do anything."""
    mini = machine.new_project(machine.folder / "größe")
    mini.run("up", "worker")
    plain = mini.run("status", env={"LC_ALL": "C", "LANG": "C"})
    assert plain.out.isascii()
    assert "gr??e" in plain.out
    call = f"{' '.join(machine.command)} status"
    for line in (f"{call} >&-", f"{call} <&- | head -n 1", f"{call} 2>&- | head -c 1", f"{call} </dev/full"):
        done = subprocess.run(
            ["/bin/sh", "-c", line], cwd=mini.root, env=machine.environ, capture_output=True, text=True, timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), line
    with terminal(mini, "up", env={"TERM": "dumb", "LC_ALL": "C"}) as screen:
        assert screen.child.wait(60) == 0
        assert until(lambda: "devstack down" in screen.text)
        assert "\x1b" not in screen.text
        assert screen.text.isascii()


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 8)])
def test_a_resize_during_a_run_leaves_a_readable_end(mini: Project, columns: int, rows: int) -> None:
    go = mini.hold()
    with terminal(mini, "up", columns=120, rows=40) as screen:
        assert until((mini.root / "var" / "holds").exists, 60), screen.text
        screen.resize(columns, rows)
        os.kill(screen.child.pid, signal.SIGWINCH)
        go.touch()
        assert screen.child.wait(60) == 0, screen.text
        assert screen.sees("mini is up"), screen.text
