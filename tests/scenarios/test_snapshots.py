"""Named states of all data: saved, restored, replaced, cut short; and back to what a task has seeded."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from psycopg import sql

from tests.engine_bench import sweep, this_machines_engine
from tests.scenarios import trio
from tests.scenarios.machine import Machine, Project, until
from tests.scenarios.trio import Trio

IDLE = '[processes.idle]\nrun = "sleep 100000"\n'
COUNTED = """import os, psycopg
with psycopg.connect(os.environ["PG"], autocommit=True) as session:
    session.execute("CREATE TABLE IF NOT EXISTS seeds (x int)")
    session.execute("INSERT INTO seeds VALUES (1)")
"""


@pytest.fixture(params=["native", "docker"])
def stack(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Trio]:
    trio.settle_on(machine, request.param)
    made = trio.make(machine)
    made.project.write("devstack.toml", trio.PROFILE + IDLE)
    made.project.trust()
    made.project.run("up")
    yield made
    stack = made.project.state["stack"]
    made.project.run("down")
    if request.param == "docker":
        sweep(this_machines_engine(), stack)


def _mess(stack: Trio) -> None:
    """Change something of every sort."""
    urls = stack.urls()
    with psycopg.connect(urls["PG"], autocommit=True) as session:
        session.execute("DELETE FROM t WHERE id > 5")
        session.execute("CREATE TABLE another (x int)")
    with redis.Redis.from_url(urls["REDIS"]) as client:
        client.delete("list")
        client.set("new", "1")


def _names(project: Project) -> list[str]:
    """Of all but those that are made before a task changes data."""
    found = project.run("snapshot", "list", "--json").document["snapshots"]
    return [one["name"] for one in found if one["origin"] != "automatic"]


@pytest.mark.fault("G14")
def test_everything_goes_back_and_what_was_there_can_be_had_again(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    before = stack.digest()
    saved = project.run("snapshot", "save", "mine", "--json").document["saved"]
    assert set(saved["services"]) == {"postgres", "redis", "rabbitmq"}
    assert saved["size"] > 1_000_000
    project.assert_up()
    assert stack.digest() == before

    _mess(stack)
    messed = stack.digest()
    refused = project.run("snapshot", "restore", "mine", "--json", code=2).error
    assert refused["id"] == "not-confirmed"
    assert refused["fix"].startswith("devstack snapshot restore mine")
    assert stack.digest() == messed

    project.run("snapshot", "restore", "mine", "--yes")
    project.assert_up()
    assert stack.digest() == before
    project.run("snapshot", "restore", "before-restore", "--yes")
    assert stack.digest() == messed
    project.run("snapshot", "restore", "mine", "--yes")
    assert stack.digest() == before
    assert set(_names(project)) == {"mine", "before-restore", "before-restore-earlier"}

    project.run("snapshot", "rm", "mine", "--yes")
    assert project.run("snapshot", "restore", "mine", "--yes", "--json", code=2).error["id"] == "no-snapshot"
    project.run("snapshot", "save", "other")
    assert _copies(stack) == 3, "a server keeps no copy of what was removed"


def _copies(stack: Trio) -> int:
    """How many snapshots the server holds copies of."""
    with psycopg.connect(stack.urls()["PG"]) as session:
        rows = session.execute("SELECT datname FROM pg_database WHERE datname LIKE 'devstack\\_%'").fetchall()
    return len({name.split("_")[1] for (name,) in rows})


@pytest.mark.parametrize("stack", ["native"], indirect=True)
@pytest.mark.parametrize(("verb", "after"), [("save", 0.0), ("save", 0.3), ("restore", 0.1), ("restore", 0.5)])
@pytest.mark.fault("G11", "G13")
def test_what_is_cut_short_is_never_listed_or_taken_up(stack: Trio, verb: str, after: float) -> None:
    """Killed while data is copied or exchanged; `after`: seconds since that began."""
    project = stack.project
    stack.fill()
    before = stack.digest()
    project.run("snapshot", "save", "mine")
    _mess(stack)
    messed = stack.digest()
    words = ("snapshot", "save", "cut") if verb == "save" else ("snapshot", "restore", "mine", "--yes")
    child = project.popen(*words)
    assert until(lambda: _has_begun(project, verb), 60)
    _wait(after)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()

    project.run("up")
    project.assert_up()
    found = stack.digest()
    if verb == "save":
        assert found == messed
        assert "mine" in _names(project)
    else:
        assert found in (before, messed), "all of it, or nothing"
        assert found == before or "before-restore" not in _names(project)
    project.run("snapshot", "restore", "mine", "--yes")
    assert stack.digest() == before


def _has_begun(project: Project, verb: str) -> bool:
    lines = [line for path in project.journals() for line in path.read_text().splitlines()]
    return any('"started"' in line and f'"data:{verb}"' in line for line in lines[-60:])


def _wait(seconds: float) -> None:
    import time

    time.sleep(seconds)


@pytest.mark.parametrize("stack", ["native"], indirect=True)
@pytest.mark.fault("G14", "G17")
def test_reset_goes_back_to_what_the_task_has_left_and_keeps_the_files(stack: Trio) -> None:
    project = stack.project
    project.write("seed.py", COUNTED)
    more = 'snapshot = "seeded"\n[python]\npackages = ["psycopg[binary]"]'
    project.replace('run = "python seed.py"', f'run = "python seed.py again"\n{more}')
    project.run("up")
    assert _names(project) == ["seeded"]
    files = {path.name: path.read_bytes() for path in project.root.iterdir() if path.is_file()}
    with psycopg.connect(stack.urls()["PG"], autocommit=True) as session:
        session.execute("INSERT INTO seeds VALUES (2), (3)")

    refused = project.run("reset", "--json", code=2).error
    assert refused["id"] == "not-confirmed"
    assert "seeded" in refused["why"]
    project.run("reset", "--yes")
    project.assert_up()
    assert _seeds(stack) == 1
    assert {path.name: path.read_bytes() for path in project.root.iterdir() if path.is_file()} == files
    assert "nothing had to be done" in project.run("up").text

    project.run("snapshot", "restore", "before-reset", "--yes")
    assert _seeds(stack) == 3
    project.run("reset", "--all", "--yes")
    project.assert_up()
    assert _seeds(stack) == 1
    assert [one["name"] for one in _documents(project) if one["lost"]] != []


def _documents(project: Project) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = project.run("snapshot", "list", "--json").document["snapshots"]
    return found


def _seeds(stack: Trio) -> int:
    with psycopg.connect(stack.urls()["PG"]) as session:
        row = session.execute("SELECT count(*) FROM seeds").fetchone()
    return int(row[0]) if row else 0


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_a_name_that_can_not_be_one_and_one_that_is_missing_are_told(stack: Trio) -> None:
    ask: Callable[..., Any] = lambda *words: stack.project.run("snapshot", *words, "--json", code=2).error  # noqa: E731
    assert ask("save", "Not A Name")["fix"] == "devstack snapshot save not-a-name"
    assert ask("save")["id"] == "name-missing"
    assert ask("restore", "nothing", "--yes")["id"] == "no-snapshot"
    assert stack.project.run("snapshot", "list").out.strip() == "No snapshot yet: devstack snapshot save NAME"


def test_data_in_the_trash_comes_back_and_what_was_done_with_it_stays_done(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    before = stack.digest()
    project.run("down", "--volumes", "--yes")
    project.run("up")
    assert stack.seeded() == 2

    refused = project.run("undo", "--json", code=2).error
    assert refused["id"] == "not-confirmed"
    assert "the data of now goes to the trash" in refused["why"]
    project.run("undo", "--yes")
    project.run("up")
    assert stack.digest() == before
    assert stack.seeded() == 2, "it was seeded when it went to the trash"

    # and the other data is what went there last
    project.run("undo", "--yes")
    project.run("up")
    with psycopg.connect(stack.urls()["PG"]) as session:
        assert session.execute("SELECT to_regclass('t')").fetchone() == (None,)


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_an_environment_in_the_trash_comes_back(stack: Trio) -> None:
    project = stack.project
    project.replace('name = "trio"', 'name = "trio"\n[python]\npackages = ["idna"]')
    project.run("up")
    old = (project.root / ".venv").resolve()
    (old / "mark").touch()
    project.run("reset", "--env", "--yes")
    assert not ((project.root / ".venv").resolve() / "mark").exists()
    project.run("undo", "--yes")
    project.run("up")
    assert ((project.root / ".venv").resolve() / "mark").exists()
    project.run("down", "--volumes", "--yes")
    assert [path.name[16:] for path in sorted((project.folder / "trash").iterdir())] == ["replaced", "data"]


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_an_empty_trash_has_nothing_to_bring_back(stack: Trio) -> None:
    assert stack.project.run("undo", "--yes", "--json", code=2).error["id"] == "nothing-to-undo"


def _databases(stack: Trio) -> set[str]:
    with psycopg.connect(stack.urls()["PG"]) as session:
        return {name for (name,) in session.execute("SELECT datname FROM pg_database").fetchall()}


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_a_task_that_is_given_a_snapshot_after_it_was_done_has_it_taken(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    before, idle = stack.digest(), project.pids()["idle 1"]
    project.replace('run = "python seed.py"', 'run = "python seed.py"\nsnapshot = "seeded"')
    project.run("up")
    assert stack.seeded() == 1
    assert _names(project) == ["seeded"]
    assert project.pids()["idle 1"] != idle, "nobody writes meanwhile"
    assert "nothing had to be done" in project.run("up").text

    # what `reset` goes to is made ahead, and used
    assert until(lambda: any(name.endswith("_spare") for name in _databases(stack)))
    _mess(stack)
    idle = project.pids()["idle 1"]
    project.run("reset", "--yes")
    project.assert_up()
    assert project.pids()["idle 1"] != idle
    assert stack.digest() == before
    assert until(lambda: any(name.endswith("_spare") for name in _databases(stack))), "and made again"

    project.run("snapshot", "rm", "seeded", "--yes")
    project.run("up")
    assert _names(project) == ["before-reset"], "what a person has removed isn't made again"


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_a_spare_that_is_gone_costs_only_time(stack: Trio) -> None:
    """It may be made this very moment, or never have come about."""
    project = stack.project
    stack.fill()
    before = stack.digest()
    project.replace('run = "python seed.py"', 'run = "python seed.py"\nsnapshot = "seeded"')
    project.run("up")
    for _ in range(2):
        with psycopg.connect(_superuser(project), autocommit=True) as session:
            for name in _databases(stack):
                if name.endswith("_spare"):
                    session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        _mess(stack)
        project.run("reset", "--yes")
        project.assert_up()
        assert stack.digest() == before


def _superuser(project: Project) -> str:
    runtime = project.machine.environ["XDG_RUNTIME_DIR"]
    (folder,) = Path(runtime, "devstack").glob("*/postgres")
    return f"host={folder} port={project.state['ports']['postgres']} user=postgres dbname=postgres"
