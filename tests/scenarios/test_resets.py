"""Parts of the data reset: one service, what waits in queues; what they keep comes back, and a replaced profile."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import amqp
import psycopg
import pytest
import redis

from tests.engine_bench import sweep, this_machines_engine
from tests.scenarios import trio
from tests.scenarios.machine import Machine, Project, until
from tests.scenarios.trio import Trio

TASKS = """[tasks.table]
run = "python table.py"
needs = ["postgres"]
[tasks.cached]
run = "python -c pass"
needs = ["redis"]
[python]
packages = ["psycopg[binary]"]
"""
TABLE = """import os, psycopg
with psycopg.connect(os.environ["PG"], autocommit=True) as session:
    session.execute("CREATE TABLE IF NOT EXISTS t (id serial PRIMARY KEY, words text)")
    session.execute("INSERT INTO t (words) VALUES ('made')")
"""


@pytest.fixture(params=["native", "docker"])
def stack(request: pytest.FixtureRequest, machine: Machine) -> Iterator[Trio]:
    trio.settle_on(machine, request.param)
    made = trio.make(machine)
    made.project.edit("devstack.toml", '"python seed.py"', '"python seed.py"\nneeds = []')
    made.project.trust()
    made.project.run("up")
    yield made
    stack = made.project.state["stack"]
    made.project.run("down")
    if request.param == "docker":
        sweep(this_machines_engine(), stack)


def _rows(stack: Trio) -> int:
    with psycopg.connect(stack.urls()["PG"]) as session:
        if session.execute("SELECT to_regclass('t')").fetchone() == (None,):
            return 0
        row = session.execute("SELECT count(*) FROM t").fetchone()
    return int(row[0]) if row else 0


def _keys(stack: Trio) -> int:
    with redis.Redis.from_url(stack.urls()["REDIS"]) as client:
        return int(client.dbsize())


def _waiting(stack: Trio) -> int | None:
    """Messages in the queue `jobs`, None where there is none."""
    parts = urlsplit(stack.urls()["AMQP"])
    with amqp.Connection(
        f"{parts.hostname}:{parts.port}", parts.username, unquote(parts.password or ""),
        virtual_host=unquote(parts.path[1:]), connect_timeout=10,
    ) as connection:
        try:
            return int(connection.channel().queue_declare("jobs", passive=True).message_count)
        except amqp.exceptions.NotFound:
            return None


def test_one_service_begins_anew_and_comes_back_and_the_others_stay(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    before = stack.digest()
    refused = project.run("reset", "--service", "postgres", "--json", code=2).error
    assert refused["id"] == "not-confirmed"
    assert "MB) is made anew" in refused["why"]
    assert "before-reset-postgres" in refused["why"]
    assert stack.digest() == before

    for service in ("postgres", "rabbitmq", "redis"):
        project.run("reset", "--service", service, "--yes")
        project.assert_up()
        assert (_rows(stack), _keys(stack), _waiting(stack)) == (
            0 if service == "postgres" else 500, 0 if service == "redis" else 6, None if service == "rabbitmq" else 3
        )
        project.run("undo", "--yes")
        project.assert_up()
        assert stack.digest() == before

    project.run("undo", "--yes")
    assert (_rows(stack), _keys(stack), _waiting(stack)) == (500, 0, 3), "a second undo exchanges the two again"


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_what_was_done_with_the_service_is_done_again_and_nothing_else(stack: Trio) -> None:
    project = stack.project
    project.write("table.py", TABLE)
    project.edit("devstack.toml", "[tasks.seed]", f"{TASKS}[tasks.seed]")
    project.trust()
    project.run("up")
    assert _rows(stack) == 1
    with psycopg.connect(stack.urls()["PG"], autocommit=True) as session:
        session.execute("INSERT INTO t (words) VALUES ('by hand')")

    done = project.run("reset", "--service", "postgres", "--yes")
    assert "table:run" in done.text or "table" in done.text
    assert _rows(stack) == 1
    last = project.journals()[-1].read_text()
    assert '"table:run"' in last
    assert '"cached:run"' not in last
    assert "nothing had to be done" in project.run("up").text

    project.run("undo", "--yes")
    assert _rows(stack) == 2
    assert "nothing had to be done" in project.run("up").text, "what was done counts as it did with that data"


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_one_service_goes_back_to_its_part_of_what_was_seeded(stack: Trio) -> None:
    project = stack.project
    project.write("table.py", TABLE)
    project.edit("devstack.toml", "needs = []", 'needs = ["table"]\nsnapshot = "seeded"')
    project.edit("devstack.toml", "[tasks.seed]", f"{TASKS}[tasks.seed]")
    project.trust()
    project.run("up")
    with redis.Redis.from_url(stack.urls()["REDIS"]) as client:
        client.set("a", 1)
    with psycopg.connect(stack.urls()["PG"], autocommit=True) as session:
        session.execute("INSERT INTO t (words) VALUES ('by hand')")

    assert "snapshot seeded" in project.run("reset", "--service", "postgres", "--json", code=2).error["why"]
    project.run("reset", "--service", "postgres", "--yes")
    assert (_rows(stack), _keys(stack)) == (1, 1)
    project.run("undo", "--yes")
    assert (_rows(stack), _keys(stack)) == (2, 1)

    # whatever snapshots there are: even the server's folder is a new one
    project.run("reset", "--service", "postgres", "--all", "--yes")
    assert (_rows(stack), _keys(stack)) == (1, 1)
    assert [path.name[16:] for path in (project.folder / "trash").iterdir()] == ["service-postgres"]
    project.run("undo", "--yes")
    project.run("up")
    assert (_rows(stack), _keys(stack)) == (2, 1)
    assert "nothing had to be done" in project.run("up").text


def test_queues_are_emptied_and_nothing_else(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    before = stack.digest()
    assert "rabbitmq (every vhost)" in project.run("reset", "--queues", "--json", code=2).error["why"]
    project.run("reset", "--queues", "--yes")
    project.assert_up()
    assert (_rows(stack), _keys(stack), _waiting(stack)) == (500, 6, 0)
    assert "nothing had to be done" in project.run("up").text
    project.run("undo", "--yes")
    assert stack.digest() == before


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_a_redis_is_a_broker_where_a_variable_says_so(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    assert project.run("reset", "--queues", "--service", "redis", "--yes", "--json", code=2).error["id"] == "no-queues"
    url = '"redis://:${services.redis.password}@127.0.0.1:${services.redis.port}/3"'
    project.replace("[env]", f"[env]\nCELERY_BROKER_URL = {url}")
    assert "redis (database 3)" in project.run("reset", "--queues", "--json", code=2).error["why"]
    project.run("reset", "--queues", "--service", "redis", "--yes")
    with redis.Redis.from_url(stack.urls()["REDIS"].removesuffix("/0") + "/3") as client:
        assert client.dbsize() == 0
    assert (_keys(stack), _waiting(stack)) == (6, 3)

    project.replace("[services.redis]", "[services.redis]\nbroker = false")
    assert project.run("reset", "--queues", "--service", "redis", "--yes", "--json", code=2).error["id"] == "no-queues"


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_a_reset_of_one_service_that_is_cut_short_loses_nothing(stack: Trio) -> None:
    project = stack.project
    stack.fill()
    before = stack.digest()
    child = project.popen("reset", "--service", "postgres", "--yes")
    assert until((project.folder / "snapshots" / "restoring.json").exists, 60)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()

    project.run("up")
    project.assert_up()
    assert not (project.folder / "snapshots" / "restoring.json").exists()
    assert _rows(stack) == 0
    project.run("undo", "--yes")
    assert stack.digest() == before


@pytest.mark.parametrize("stack", ["native"], indirect=True)
def test_what_can_not_be_reset_is_told(stack: Trio) -> None:
    error = stack.project.run("reset", "--service", "postgre", "--yes", "--json", code=2).error
    assert (error["id"], error["fix"]) == ("unknown-service", "devstack reset --service postgres")
    assert stack.project.run("reset", "--queues", "--all", "--json", code=2).error["id"] == "flags-clash"


def test_a_profile_that_init_has_replaced_comes_back(mini: Project) -> None:
    own = mini.read("devstack.toml")
    mini.run("init", "--yes")
    made = mini.read("devstack.toml")
    assert made != own
    assert mini.run("undo", "--json", code=2).error["id"] == "not-confirmed"
    mini.run("undo", "--yes")
    assert mini.read("devstack.toml") == own
    mini.run("undo", "--yes")
    assert mini.read("devstack.toml") == made, "a second undo exchanges the two again"
