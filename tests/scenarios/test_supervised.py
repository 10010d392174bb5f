"""Processes that end, run at times, start again on a change, or break in a way of their own."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.scenarios.machine import Machine, Project, below, until

LOOP = 'run = "python loop.py"\nready = { log = "^ready$", grace = 60 }\n'
WATCH = f'[processes.worker]\nreplicas = 2\nwatch = ["loop.py", "lib/**/*.txt"]\n{LOOP}[processes.other]\n{LOOP}'
DIES = "import time\nprint('ready', flush=True)\ntime.sleep(0.4)\nraise SystemExit('no more')\n"
DAEMON = "import subprocess, sys\nsubprocess.Popen([sys.executable, 'loop.py'], stdout=subprocess.DEVNULL)\n"
SLOW = """import signal, time
signal.signal(signal.SIGINT, lambda *_: exit(print('finished in time')))
print('slow begins', flush=True)
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def bare(machine: Machine) -> Project:
    """A project without services and tasks: what a test declares is all there is."""
    project = machine.new_project()
    declare(project, "")
    return project


def declare(project: Project, text: str) -> None:
    project.write("devstack.toml", f'name = "bare"\n[python]\ninstall = []\n[env]\nKEY = {{ generate = 24 }}\n{text}')
    project.trust()


def row(project: Project, name: str, replica: int = 1) -> dict[str, Any]:
    (found,) = [one for one in project.status()["processes"] if (one["name"], one["replica"]) == (name, replica)]
    return dict(found)


def log(project: Project, program: str) -> str:
    return (project.folder / f"logs/{program}.log").read_text()


def starts(project: Project, program: str) -> int:
    """How often a process of this program has begun."""
    return log(project, program).count(f"[devstack] {program} pid ")


def steps(project: Project) -> list[str]:
    return [step["id"] for step in project.run("plan", "--json").document["steps"]]


def watchers(project: Project) -> list[psutil.Process]:
    return [one for one in below(project.root) if f"{project.folder}/watch.json" in one.cmdline()]


# --- those that end --------------------------------------------------------------------------------------------------


def test_a_process_that_may_end_is_done_and_not_started_again(bare: Project) -> None:
    once = '[processes.once]\nrun = "python -c pass"\nrestart = "never"\n'
    after = f'[processes.after]\nneeds = ["once"]\n{LOOP}'
    declare(bare, once + after)

    bare.run("up")

    bare.assert_up()
    found = row(bare, "once")
    assert (found["state"], found["pid"], found["reason"]) == ("exited", None, "it ended by itself with status 0")
    assert steps(bare) == []
    declare(bare, once.replace("pass", "None") + after)
    assert [step for step in steps(bare) if step.endswith(":start")] == ["once:start"]
    bare.run("up")
    assert (starts(bare, "once"), starts(bare, "after")) == (2, 1)


@pytest.mark.fault("I1", "I3")
def test_a_process_that_ends_as_it_must_not_is_told_by_how_it_ended(bare: Project) -> None:
    bare.write("dies.py", DIES)
    bare.write("daemon.py", DAEMON)

    declare(bare, '[processes.once]\nrun = "python -c \'raise SystemExit(3)\'"\nrestart = "never"\n')
    once = bare.run("up", "--json", code=8).error
    declare(bare, '[processes.dies]\nrun = "python dies.py"\nready = { log = "^ready$" }\nsettle = 2\n')
    dies = bare.run("up", "--json", code=8).error
    declare(bare, '[processes.daemon]\nrun = "python daemon.py"\n')
    daemon = bare.run("up", "--json", code=8).error

    assert (once["id"], starts(bare, "once")) == ("process-died", 1)
    assert "status 3" in once["why"]
    assert (dies["id"], daemon["id"]) == ("process-died", "process-daemonized")
    assert "`--daemon`" in daemon["fix"]
    assert not [one for one in below(bare.root) if "loop.py" in one.cmdline()]


# --- schedule --------------------------------------------------------------------------------------------------------


def test_a_schedule_runs_its_command_and_passes_the_stop_signal_on(bare: Project) -> None:
    bare.write("tidy.py", "import os\nprint('tidied with', len(os.environ['KEY']))\nraise SystemExit(4)\n")
    bare.write("slow.py", SLOW)
    declare(
        bare, '[processes.tidy]\nrun = "python tidy.py"\nschedule = "* * * * * *"\n'
        '[processes.slow]\nrun = "python slow.py"\nschedule = "* * * * * *"\nstop = { signal = "INT", grace = 30 }\n',
    )  # fmt: skip
    bare.run("up")

    assert until(lambda: log(bare, "tidy").count("tidied with 24") > 1 and "slow begins" in log(bare, "slow"))

    tidy = row(bare, "tidy")
    assert (tidy["ready"], tidy["restarts"], starts(bare, "tidy")) == (True, 0, 1)
    assert tidy["reason"].startswith(("the last run ended with status 4 after ", "a run begins"))
    bare.run("down")
    # one run at a time, however long it takes
    assert log(bare, "slow").count("slow begins") == 1
    assert "finished in time" in log(bare, "slow")
    bare.assert_gone()


# --- watch -----------------------------------------------------------------------------------------------------------


def test_a_burst_of_changes_restarts_every_replica_once_and_nothing_else(bare: Project) -> None:
    declare(bare, WATCH)
    bare.run("up")
    before = bare.pids()

    for number in range(20):
        bare.write(f"lib/deep/{number}.txt", str(number))
        bare.write("loop.py", f"{bare.read('loop.py')}# {number}\n")
    assert until(lambda: starts(bare, "worker-1") == starts(bare, "worker-2") == 2)
    assert until(lambda: row(bare, "worker", 1)["ready"] and row(bare, "worker", 2)["ready"])

    after = bare.pids()
    assert {name for name in before if before[name] != after[name]} == {"worker 1", "worker 2"}
    assert "[devstack] worker is restarted: " in log(bare, "worker-2")
    assert "[devstack] worker is restarted: " in bare.run("logs", "devstack-watch").out
    assert {(one["name"], one["restarts"]) for one in bare.assert_up()["processes"]} == {("worker", 0), ("other", 0)}
    # what isn't the project's own, and what nobody watches; then a folder that wasn't there
    bare.write("lib/node_modules/a.txt", "x")
    bare.write("web.py", bare.read("web.py"))
    bare.write("lib/new/again.txt", "x")
    assert until(lambda: starts(bare, "worker-1") == starts(bare, "worker-2") == 3)
    assert steps(bare) == []
    bare.run("down")
    assert starts(bare, "worker-1") == 3
    bare.assert_gone()


def test_the_watcher_is_shown_when_it_breaks_restarted_alone_and_ends_with_the_last_glob(bare: Project) -> None:
    declare(bare, WATCH)
    bare.run("up")
    before = bare.pids()
    Path(bare.folder, "watch.json").write_text("{")
    watchers(bare)[0].kill()
    assert until(lambda: log(bare, "devstack-watch").count("watch.json can't be read") > 2, 60)

    broken = bare.status()
    declare(bare, WATCH.replace("lib/**/*.txt", "other/*.txt"))
    planned = steps(bare)
    bare.run("up")

    assert broken["stack"]["state"] == "degraded"
    (shown,) = [one for one in broken["processes"] if one["name"] == "devstack-watch"]
    assert (shown["ready"], bool(shown["reason"])) == (False, True)
    assert [step for step in planned if step.endswith(":start")] == ["devstack-watch:start"]
    assert bare.pids() == before
    assert len(watchers(bare)) == 1
    declare(bare, WATCH.replace("watch = ", "# "))
    bare.run("up")
    assert watchers(bare) == []
    assert bare.pids() == before


def test_a_watcher_mends_what_a_change_broke_and_dies_with_its_supervisord(bare: Project) -> None:
    good = bare.read("loop.py")
    declare(bare, WATCH)
    bare.run("up")
    bare.write("loop.py", "raise SystemExit('broken')\n")
    assert until(lambda: "broken" in log(bare, "worker-1"))
    bare.write("loop.py", good)
    assert until(lambda: row(bare, "worker", 1)["ready"] and row(bare, "worker", 2)["ready"])

    first = watchers(bare)
    (supervisord,) = bare.programs()["supervisord"]
    os.kill(supervisord.pid, signal.SIGKILL)
    bare.run("up")

    assert not set(first) & set(watchers(bare))
    assert len(watchers(bare)) == 1
    assert len([one for one in below(bare.root) if "loop.py" in one.cmdline()]) == 3
