"""Processes that end, run at times, start again on a change, or break in a way of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil

from tests.scenarios.machine import Project, below, until

WATCH = '\nwatch = ["loop.py", "lib/**/*.txt"]\n'


def with_process(project: Project, text: str, before: str = "[processes.beat]") -> None:
    """Declare something more."""
    project.replace(before, f"{text}\n\n{before}")


def row(project: Project, name: str) -> dict[str, object]:
    (found,) = [one for one in project.status()["processes"] if one["name"] == name]
    return dict(found)


def starts(project: Project, program: str) -> int:
    """How often a process of this program has begun."""
    return (project.folder / f"logs/{program}.log").read_text().count(f"[devstack] {program} pid ")


def watcher(project: Project) -> psutil.Process:
    (found,) = [one for one in below(project.root) if f"{project.folder}/watch.json" in one.cmdline()]
    return found


# --- those that end ----------------------------------------------------------------------------------------------


def test_a_process_that_may_end_is_done_and_not_started_again(mini: Project) -> None:
    with_process(mini, '[processes.once]\nrun = "python -c pass"\nrestart = "never"')
    with_process(mini, '[processes.after]\nrun = "python loop.py"\nneeds = ["once"]\nready = { log = "ready" }')

    mini.run("up")

    status = mini.assert_up()
    (once,) = [one for one in status["processes"] if one["name"] == "once"]
    assert (once["state"], once["pid"], once["reason"]) == ("exited", None, "it ended by itself with status 0")
    assert mini.run("plan", "--json").document["steps"] == []
    mini.replace('"python -c pass"', '"python -c None"')
    assert [step["id"] for step in mini.run("plan", "--json").document["steps"]][1:3] == [
        "supervisor:reload", "once:start",
    ]
    mini.run("restart", "once")
    assert starts(mini, "once") == 2


def test_a_process_that_must_not_be_started_again_fails_with_its_status(mini: Project) -> None:
    with_process(mini, '[processes.once]\nrun = "python -c \'raise SystemExit(3)\'"\nrestart = "never"')

    failed = mini.run("up", "--json", code=8)

    assert failed.error["id"] == "process-died"
    assert "status 3" in failed.error["why"]
    assert starts(mini, "once") == 1
    assert row(mini, "once")["state"] == "exited"


def test_a_process_that_dies_right_after_it_was_ready_fails_the_run(mini: Project) -> None:
    mini.write("dies.py", "import time\nprint('ready', flush=True)\ntime.sleep(0.4)\nraise SystemExit('no more')\n")
    with_process(mini, '[processes.dies]\nrun = "python dies.py"\nready = { log = "^ready$" }')

    failed = mini.run("up", "--json", code=8)

    assert failed.error["id"] == "process-died"
    assert "dies" in failed.error["what"]


def test_a_program_that_goes_to_the_background_is_told_so_and_leaves_nothing(mini: Project) -> None:
    mini.write("daemon.py", "import subprocess, sys\nsubprocess.Popen([sys.executable, 'loop.py'], stdout=-3)\n")
    with_process(mini, '[processes.daemon]\nrun = "python daemon.py"')

    failed = mini.run("up", "--json", code=8)

    assert failed.error["id"] == "process-daemonized"
    assert "`--daemon`" in failed.error["fix"]
    assert "daemon" not in mini.programs()


# --- schedule ----------------------------------------------------------------------------------------------------


def test_a_schedule_runs_its_command_and_status_says_how_it_went(mini: Project) -> None:
    mini.write("tidy.py", "import os\nprint('tidied with', len(os.environ['SECRET_KEY']))\nraise SystemExit(4)\n")
    with_process(mini, '[processes.tidy]\nrun = "python tidy.py"\nschedule = "* * * * * *"')
    mini.run("up")

    log = mini.folder / "logs/tidy.log"
    assert until(lambda: log.read_text().count("tidied with 24") > 1)

    tidy = row(mini, "tidy")
    assert tidy["ready"]
    assert "status 4" in str(tidy["reason"])
    assert tidy["restarts"] == 0
    assert starts(mini, "tidy") == 1
    mini.run("down")
    mini.assert_gone()


def test_a_run_under_way_gets_the_stop_signal_and_its_grace(mini: Project) -> None:
    mini.write("slow.py", "import signal, time\n"
               "signal.signal(signal.SIGINT, lambda *_: exit(print('finished in time', flush=True)))\n"
               "print('slow begins', flush=True)\nwhile True:\n    time.sleep(0.1)\n")  # fmt: skip
    stop = 'stop = { signal = "INT", grace = 20 }'
    with_process(mini, f'[processes.slow]\nrun = "python slow.py"\nschedule = "* * * * * *"\n{stop}')
    mini.run("up")
    log = mini.folder / "logs/slow.log"
    assert until(lambda: "slow begins" in log.read_text())

    mini.run("down")

    assert log.read_text().count("slow begins") == 1
    assert "finished in time" in log.read_text()
    mini.assert_gone()


# --- watch -------------------------------------------------------------------------------------------------------


def test_a_burst_of_changes_restarts_every_replica_once_and_nothing_else(mini: Project) -> None:
    mini.replace("replicas = 2\n", f"replicas = 2{WATCH}")
    mini.run("up")
    mini.assert_up()
    before = mini.pids()

    for number in range(20):
        mini.write(f"lib/deep/{number}.txt", str(number))
        mini.write("loop.py", f"{mini.read('loop.py')}# {number}\n")
    assert until(lambda: starts(mini, "worker-1") == starts(mini, "worker-2") == 2)

    after = mini.pids()
    assert {name for name in before if before[name] != after[name]} == {"worker 1", "worker 2"}
    assert "[devstack] worker is restarted: " in (mini.folder / "logs/worker-1.log").read_text()
    assert "[devstack] worker is restarted: " in mini.run("logs", "devstack-watch").out
    rows = mini.assert_up()["processes"]
    assert [one["restarts"] for one in rows] == [0, 0, 0, 0]
    assert "devstack-watch" not in {one["name"] for one in rows}
    # a change inside what isn't the project's own, and one that nobody watches
    mini.write("lib/node_modules/a.txt", "x")
    mini.write("web.py", mini.read("web.py"))
    mini.write("lib/new/again.txt", "x")
    assert until(lambda: starts(mini, "worker-1") == 3)
    assert mini.run("plan", "--json").document["steps"] == []
    mini.run("up")
    assert starts(mini, "worker-1") == starts(mini, "worker-2") == 3
    mini.run("down")
    mini.assert_gone()


def test_other_globs_restart_the_watcher_alone(mini: Project) -> None:
    mini.replace("replicas = 2\n", f"replicas = 2{WATCH}")
    mini.run("up")
    before = mini.pids(), watcher(mini).pid

    mini.replace("lib/**/*.txt", "other/*.txt")
    steps = [step["id"] for step in mini.run("plan", "--json").document["steps"]]
    mini.run("up")

    assert [step for step in steps if step.endswith(":start")] == ["devstack-watch:start"]
    assert mini.pids() == before[0]
    assert watcher(mini).pid != before[1]
    mini.replace('watch = ["loop.py", "other/*.txt"]\n', "")
    mini.run("up")
    assert mini.pids() == before[0]
    assert not [one for one in below(mini.root) if f"{mini.folder}/watch.json" in one.cmdline()]


def test_a_process_that_a_broken_change_has_ended_is_started_by_the_next(mini: Project) -> None:
    good = mini.read("loop.py")
    mini.replace("replicas = 2\n", f"replicas = 2{WATCH}")
    mini.run("up")
    mini.write("loop.py", "raise SystemExit('broken')\n")
    assert until(lambda: row_of(mini, "worker", 1)["state"] in ("backoff", "fatal"))

    mini.write("loop.py", good)

    assert until(lambda: row_of(mini, "worker", 1)["ready"] is True)
    assert until(lambda: row_of(mini, "worker", 2)["ready"] is True)


def row_of(project: Project, name: str, replica: int) -> dict[str, object]:
    (found,) = [one for one in project.status()["processes"] if (one["name"], one["replica"]) == (name, replica)]
    return dict(found)


def test_a_killed_supervisord_leaves_no_watcher_behind(mini: Project) -> None:
    mini.replace("replicas = 2\n", f"replicas = 2{WATCH}")
    mini.run("up")
    first = watcher(mini)

    (supervisord,) = mini.programs()["supervisord"]
    os.kill(supervisord.pid, signal.SIGKILL)
    mini.run("up")

    assert not first.is_running()
    assert watcher(mini).pid != first.pid
    mini.assert_single()


def test_a_watcher_that_does_not_run_is_shown(mini: Project) -> None:
    mini.replace("replicas = 2\n", f"replicas = 2{WATCH}")
    mini.run("up")
    config = Path(mini.folder / "watch.json")
    config.write_text("{")
    watcher(mini).kill()

    shown = (mini.folder / "logs/supervisord.log")
    assert until(lambda: "gave up: devstack-watch" in shown.read_text())

    assert mini.status()["stack"]["state"] == "degraded"
    assert "watch.json can't be read" in (mini.folder / "logs/devstack-watch.log").read_text()
    assert row(mini, "devstack-watch")["ready"] is False
    mini.run("up")
    mini.assert_up()
