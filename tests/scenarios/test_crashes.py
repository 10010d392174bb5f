"""Killed or interrupted at any moment, run again: it converges, and nothing is lost, left over or there twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenarios.machine import MINI, Machine, Project, finish, git, lives, make_repository, until

#: every so many lines of the journal a run is killed; the first one differs, so that together they cover them all
_STRIDE = 12
_SHARES = 3


def journal_lines(project: Project) -> int:
    return sum(path.read_bytes().count(b"\n") for path in project.journals())


def kill_at(project: Project, line: int) -> bool:
    """Run `up` and kill it as soon as its journal has so many lines; False where it was done before."""
    before = journal_lines(project)
    child = project.popen("up")
    assert until(lambda: journal_lines(project) >= before + line or child.poll() is not None)
    was_alive = child.poll() is None
    child.kill()
    finish(child)
    return was_alive


@pytest.mark.parametrize("share", range(_SHARES))
@pytest.mark.fault("I9")
def test_up_killed_at_any_point_converges(machine: Machine, share: int) -> None:
    first = share * _STRIDE // _SHARES + 1
    killed = 0
    for line in range(first, 200, _STRIDE):
        project = machine.new_project(machine.folder / f"at{line}")
        if not kill_at(project, line):
            break
        killed += 1
        seeds, canary = project.seeded(), False
        with contextlib.suppress(Exception):
            canary = bool(project.redis("SET", "canary", "alive"))

        status = project.run("up", "--json").document

        assert status["stack"]["state"] == "up"
        assert all(row["ready"] for row in (*status["services"], *status["processes"]))
        project.assert_single()
        assert project.seeded() >= max(seeds, 1)
        assert project.redis("GET", "goods") == b"mug,bowl"
        assert not canary or project.redis("GET", "canary") == b"alive"
        project.run("down")
        project.assert_gone()
        machine.projects.remove(project)
        shutil.rmtree(project.root)
    assert killed > 1


@pytest.mark.fault("I9")
def test_down_killed_half_way_is_ended_by_the_next(mini: Project) -> None:
    mini.run("up")
    mini.redis("SET", "mine", "kept")
    for line in (3, 5):
        before = journal_lines(mini)
        child = mini.popen("down")
        assert until(lambda before=before, line=line: journal_lines(mini) >= before + line)  # type: ignore[misc]
        child.kill()
        finish(child)

    mini.run("down")

    mini.assert_gone()
    mini.run("up")
    assert mini.redis("GET", "mine") == b"kept"


@pytest.mark.fault("I9")
def test_a_task_whose_devstack_was_killed_never_runs_beside_its_next_run(mini: Project) -> None:
    mini.hold()
    child = mini.popen("up")
    assert until((mini.root / "var" / "holds").exists)
    child.kill()
    finish(child)
    (mini.root / "var" / "holds").unlink()

    again = mini.popen("up")
    assert until((mini.root / "var" / "holds").exists)
    (mini.root / "var" / "go").touch()
    finish(again, ("up",), 0)

    assert mini.seeded() == 1
    mini.assert_up()


@pytest.mark.fault("B3")
def test_a_clone_that_was_killed_is_begun_again(machine: Machine) -> None:
    origin = machine.folder / "origin"
    make_repository(origin)
    (origin / "big").write_bytes(os.urandom(20_000_000))
    git(origin, "add", "-A")
    git(origin, "-c", "user.name=one", "-c", "user.email=one@localhost", "commit", "-q", "-m", "Big")
    words = ("bootstrap", f"file://{origin}", "--into", "clone", "--trust", "--no-start")
    place = machine.folder / "there"
    place.mkdir()

    child = machine.popen(*words, cwd=place)
    assert until(lambda: any(place.iterdir()))
    child.kill()
    finish(child)
    assert not (place / "clone").exists()
    machine.projects.append(Project(machine, place / "clone"))
    machine.run(*words, cwd=place)

    assert git(place / "clone", "status", "--porcelain") == ""
    assert until(lambda: [path.name for path in place.iterdir()] == ["clone"]), list(place.iterdir())


# --- what runs is killed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["up", "down"])
@pytest.mark.fault("D3")
@pytest.mark.fault("E3", "I5")
def test_a_killed_supervisord_leaves_no_orphan_and_no_duplicate(mini: Project, verb: str) -> None:
    mini.run("up")
    before = mini.programs()
    (supervisord,) = before["supervisord"]
    supervisord.kill()
    assert until(lambda: "supervisord" not in mini.programs())
    assert mini.status()["stack"]["state"] == "down"

    mini.run(verb)

    if verb == "up":
        mini.assert_up()
        mini.assert_single()
        assert not any(lives(process) for each in before.values() for process in each)
    else:
        mini.assert_gone()


def test_strangers_that_look_like_the_stack_survive(mini: Project) -> None:
    mini.run("up")
    web = mini.programs()["web"][0]
    twin = mini.machine.folder / "twin"
    shutil.copytree(MINI, twin)
    alike = subprocess.Popen(
        web.cmdline(), executable=sys.executable, cwd=twin, stdout=subprocess.DEVNULL,
        env={"DEVSTACK_STACK": "another", "DEVSTACK_PROGRAM": "web", "PATH": os.environ["PATH"], "PORT": "0"},
    )
    try:
        (mini.folder / "pids" / "beat").write_text(f"{alike.pid} 1 - - 0\n")
        mini.programs()["supervisord"][0].kill()
        mini.run("up")
        mini.run("down")

        assert not lives(web)
        assert alike.poll() is None
    finally:
        alike.kill()
        alike.wait()


def test_a_killed_server_is_started_again_with_its_data(mini: Project) -> None:
    mini.run("up")
    mini.redis("SET", "mine", "kept")
    (redis,) = mini.programs()["redis"]

    redis.kill()

    assert until(lambda: mini.status()["stack"]["state"] == "up" and not lives(redis))
    assert mini.redis("GET", "mine") == b"kept"
    mini.assert_single()


@pytest.mark.fault("G6")
def test_a_killed_postgres_loses_no_committed_row(mini: Project) -> None:
    import psycopg

    mini.replace("[services.redis]\n", "[services.redis]\n\n[services.postgres]\n")
    mini.replace("[env]\n", '[env]\nDATABASE_URL = "${services.postgres.url}"\n')
    mini.run("up")
    url = mini.run("exec", "--", "printenv", "DATABASE_URL").out.strip()
    committed = 0
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        for number in range(100_000):
            connection.execute("INSERT INTO kept VALUES (%s)", (number,))
            committed = number + 1
            if committed == 300:
                process = next(p for p in mini.programs()["postgres"] if str(p.ppid()) == _supervisord(mini))
                process.kill()

    assert committed >= 300
    mini.run("up")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    assert row[0] >= committed


def _supervisord(project: Project) -> str:
    return str(project.programs()["supervisord"][0].pid)


# --- asked to end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.fault("I7")
def test_up_that_is_interrupted_ends_calmly_and_goes_on_later(mini: Project, number: int, code: int) -> None:
    go = mini.hold()
    child = mini.popen("up")
    assert until((mini.root / "var" / "holds").exists)
    child.send_signal(number)

    done = finish(child, ("up",), code)

    assert "interrupted" in done.err
    assert "fix: devstack up" in done.err
    assert not [process for process in below_seed(mini) if process]
    go.touch()
    mini.run("up")
    mini.assert_up()
    mini.assert_single()
    assert mini.seeded() == 1


@pytest.mark.fault("I7")
def test_asked_twice_it_ends_at_once(mini: Project) -> None:
    go = mini.hold()
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    mini.write("seed.py", f"{deaf}\n{mini.read('seed.py')}")
    child = mini.popen("up")
    assert until((mini.root / "var" / "holds").exists)
    child.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(0.3)
    child.send_signal(signal.SIGINT)

    assert child.wait(1) == 130
    finish(child)
    go.touch()
    mini.run("up")
    mini.assert_single()


def below_seed(project: Project) -> list[Path]:
    """Folders in which the task `seed` still runs."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if b"seed.py" in (process / "cmdline").read_bytes() and (process / "cwd").resolve() == project.root:
                found.append(process)
    return found
