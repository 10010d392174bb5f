"""Data that tasks made in one clone is what the next one begins with: the same data, never another one's secrets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.engine_bench import sweep, this_machines_engine
from tests.scenarios import trio
from tests.scenarios.machine import Machine, Project, commit, git, until
from tests.scenarios.trio import Trio

PROFILE = f"""name = "trio"
[python]
packages = ["psycopg[binary]", "redis", "amqp"]
{trio.SERVICES}[tasks.migrate]
run = "python migrate.py"
inputs = ["migrations/*.sql"]
needs = ["postgres"]
[tasks.seed]
run = "python seed.py"
inputs = ["seed.py"]
needs = ["migrate", "redis", "rabbitmq"]
snapshot = "seeded"
"""
TRACE = "open('trace', 'a').write({0!r} + '\\n')\n"
MIGRATE = """import os, pathlib, psycopg
with psycopg.connect(os.environ["PG"]) as session:
    for path in sorted(pathlib.Path("migrations").glob("*.sql")):
        session.execute(path.read_text())
"""
SEED = """import os, amqp, psycopg, redis
from urllib.parse import unquote, urlsplit
with psycopg.connect(os.environ["PG"]) as session:
    session.execute("INSERT INTO t (words) SELECT 'row ' || g FROM generate_series(1, 500) g")
with redis.Redis.from_url(os.environ["REDIS"]) as client:
    client.set("text", b"\\x00\\xff binary", px=3_600_000)
    client.rpush("list", "x", "y", "z")
    client.hset("hash", mapping={"k": "v"})
    client.sadd("set", "a")
    client.zadd("zset", {"m": 1.5})
    client.xadd("stream", {"f": "g"}, id="5-1")
    client.xgroup_create("stream", "group", id="5-1")
    client.execute_command("SELECT", 3)
    client.set("elsewhere", 1)
parts = urlsplit(os.environ["AMQP"])
login = (parts.username, unquote(parts.password))
with amqp.Connection(f"{parts.hostname}:{parts.port}", *login, virtual_host="/") as connection:
    channel = connection.channel()
    channel.queue_declare("jobs", durable=True, auto_delete=False)
    for number in range(3):
        message = amqp.Message(
            f"job {number}", delivery_mode=2, content_type="text/plain", application_headers={"n": number}
        )
        channel.basic_publish(message, routing_key="jobs")
"""
TABLE = "CREATE TABLE IF NOT EXISTS t (id serial PRIMARY KEY, words text);\n"


@dataclass
class Clones:
    """A repository, and clones of it on a machine whose cache holds no seed at first."""

    machine: Machine
    origin: Path
    stacks: list[str] = field(default_factory=list)

    def clone(self, name: str) -> Trio:
        root = self.machine.folder / name
        git(self.machine.folder, "clone", "-q", str(self.origin), str(root))
        project = self.machine.project(root)
        project.trust()
        return Trio(project)

    def up(self, stack: Trio, *words: str) -> str:
        text = stack.project.run("up", *words).text
        self.stacks.append(stack.project.state["stack"])
        return text

    @property
    def seeds(self) -> list[Path]:
        folder = Path(self.machine.environ["XDG_CACHE_HOME"], "devstack", "data-seeds")
        return [path for path in folder.iterdir() if path.name[0] != "."] if folder.exists() else []


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        # the test's folder is on another disk
        shutil.copy2(source, target)


def _own_cache(machine: Machine) -> None:
    """All that this machine's user has in the cache, but nothing that is kept for other stacks."""
    old, new = Path(machine.environ["XDG_CACHE_HOME"]), machine.folder / "cache"
    (new / "devstack").mkdir(parents=True, mode=0o700)
    if (old / "devstack" / "servers").is_dir():
        shutil.copytree(
            old / "devstack" / "servers", new / "devstack" / "servers", symlinks=True, copy_function=_linked,
            # another test may be at work there
            ignore=shutil.ignore_patterns(".*"),
        )
    for path in old.iterdir() if old.is_dir() else ():
        if path.name != "devstack":
            (new / path.name).symlink_to(path)
    machine.environ["XDG_CACHE_HOME"] = str(new)
    del machine.environ["DEVSTACK_NO_SEED"]


@pytest.fixture
def clones(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Clones]:
    runtime = getattr(request, "param", "native")
    trio.settle_on(machine, runtime)
    _own_cache(machine)
    origin = machine.folder / "origin"
    (origin / "migrations").mkdir(parents=True)
    (origin / "devstack.toml").write_text(PROFILE)
    (origin / "migrate.py").write_text(MIGRATE + TRACE.format("migrate"))
    (origin / "seed.py").write_text(SEED + TRACE.format("seed"))
    (origin / "migrations" / "1.sql").write_text(TABLE)
    git(origin, "init", "-q", "-b", "main")
    commit(origin, "The project")
    made = Clones(machine, origin)
    yield made
    for project in machine.projects:
        if project.folder.exists():
            project.run("down")
    for stack in made.stacks if runtime == "docker" else ():
        sweep(this_machines_engine(), stack)


def _ran(stack: Trio) -> list[str]:
    path = stack.project.root / "trace"
    return path.read_text().splitlines() if path.exists() else []


def _secrets(stack: Trio) -> dict[str, str]:
    found: dict[str, str] = json.loads((stack.project.folder / "secrets.json").read_text())
    return found


@pytest.mark.parametrize("clones", ["native", "docker"], indirect=True)
def test_the_second_clone_begins_with_the_data_of_the_first(clones: Clones) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.up(one)
    assert _ran(one) == ["migrate", "seed"]
    (seed,) = clones.seeds
    for path in (seed.parent, seed, *seed.rglob("*")):
        assert stat.S_IMODE(path.lstat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    kept = b"".join(path.read_bytes() for path in seed.rglob("*") if path.is_file())
    assert not [name for name, value in _secrets(one).items() if value.encode() in kept]
    expected = one.digest()

    text = clones.up(two)
    assert _ran(two) == []
    assert "migrate" in text
    assert "its data comes from a seed of" in text
    assert "UTC, made in one" in text
    assert two.digest() == expected
    two.project.assert_up()
    assert "nothing had to be done" in two.project.run("up").text
    # what it is set up with is its own
    assert set(_secrets(one).values()).isdisjoint(_secrets(two).values())
    own = "services.postgres"
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(two.urls()["PG"].replace(_secrets(two)[own], _secrets(one)[own]))
    # and it has what `reset` goes back to
    with psycopg.connect(two.urls()["PG"], autocommit=True) as session:
        session.execute("DELETE FROM t")
    two.project.run("reset", "--yes")
    assert two.digest() == expected

    # whoever wants it done for real
    two.project.run("down", "--volumes", "--yes")
    clones.up(two, "--no-seed")
    assert _ran(two) == ["migrate", "seed"]
    two.project.run("down", "--volumes", "--yes")
    clones.up(two)
    assert _ran(two) == ["migrate", "seed"]
    assert two.digest() == expected


def _migration(stack: Trio) -> None:
    stack.project.write("migrations/2.sql", "ALTER TABLE t ADD COLUMN IF NOT EXISTS more int;\n")


def _fixture(stack: Trio) -> None:
    stack.project.write("seed.py", stack.project.read("seed.py").replace("500", "5"))


def _database(stack: Trio) -> None:
    stack.project.replace('"other"]', '"other", "third"]')


def _variable(stack: Trio) -> None:
    stack.project.replace("[env]\n", '[env]\nSIZE = "2"\n')


def _script(stack: Trio) -> None:
    stack.project.write("migrate.py", "# other\n" + stack.project.read("migrate.py"))


def test_whatever_the_data_depends_on_makes_it_other_data(clones: Clones) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.up(one)
    assert _begins_with_a_seed(two)
    for change in (_fixture, _database, _variable, _script, _migration):
        git(two.project.root, "checkout", "-q", ".")
        change(two)
        two.project.trust()
        assert not _begins_with_a_seed(two), change
    text = clones.up(two)
    assert _ran(two) == ["migrate", "seed"]
    assert "its data comes from" not in text
    assert len(clones.seeds) == 2


def _begins_with_a_seed(stack: Trio) -> bool:
    return "data:seed" in [step["id"] for step in stack.project.run("plan", "--json").document["steps"]]


def _flip(seed: Path) -> None:
    path = seed / "postgres" / "0.sql"
    path.write_bytes(path.read_bytes().replace(b"row", b"raw"))


def _swapped(seed: Path) -> None:
    moved = seed.parent / ".moved"
    seed.rename(moved)
    seed.symlink_to(moved)


@pytest.mark.parametrize("harm", [_flip, _swapped])
def test_a_damaged_seed_is_told_and_dropped_and_tasks_are_run(clones: Clones, harm: Callable[[Path], Any]) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.up(one)
    expected = one.digest()
    (seed,) = clones.seeds
    harm(seed)
    text = clones.up(two)
    assert _ran(two) == ["migrate", "seed"]
    assert "a damaged seed was removed, and tasks are run" in text
    assert two.digest() == expected
    two.project.assert_up()


@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6] if os.environ.get("DEVSTACK_SWEEP") == "whole" else [0.1])
def test_killed_while_a_seed_is_put_in(clones: Clones, after: float) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.up(one)
    expected = one.digest()
    child = two.project.popen("up")
    assert until(lambda: _has_begun(two.project), 60)
    _wait(after)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()

    clones.up(two)
    two.project.assert_up()
    assert two.digest() == expected
    assert _ran(two) in ([], ["migrate", "seed"])
    assert not list((two.project.folder / "snapshots").glob("seeding*"))
    assert "nothing had to be done" in two.project.run("up").text


def test_killed_and_the_seed_is_gone_when_it_comes_back(clones: Clones) -> None:
    """What was put in so far is nobody's: the tasks begin with nothing."""
    one, two = clones.clone("one"), clones.clone("two")
    clones.up(one)
    expected = one.digest()
    child = two.project.popen("up")
    marker = two.project.folder / "snapshots" / "seeding"
    assert until(marker.exists, 60)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    marker.touch()
    shutil.rmtree(clones.seeds[0])

    clones.up(two)
    assert _ran(two) == ["migrate", "seed"]
    assert two.digest() == expected
    assert not marker.exists()


def _has_begun(project: Project) -> bool:
    lines = [line for path in project.journals() for line in path.read_text().splitlines()]
    return any('"started"' in line and '"data:seed"' in line for line in lines)


def _wait(seconds: float) -> None:
    import time

    time.sleep(seconds)


def test_data_that_somebody_has_worked_with_is_neither_kept_nor_replaced(clones: Clones) -> None:
    one, two = clones.clone("one"), clones.clone("two")
    clones.up(one)
    clones.up(two, "--no-seed")
    with psycopg.connect(two.urls()["PG"], autocommit=True) as session:
        session.execute("INSERT INTO t (words) VALUES ('mine')")
    _migration(two)
    clones.up(two)
    assert _ran(two) == ["migrate", "seed", "migrate"]
    with psycopg.connect(two.urls()["PG"]) as session:
        assert session.execute("SELECT count(*) FROM t WHERE words = 'mine'").fetchone() == (1,)
    assert len(clones.seeds) == 1


def test_a_task_that_names_no_inputs_depends_on_the_whole_project(clones: Clones) -> None:
    path = clones.origin / "devstack.toml"
    path.write_text(path.read_text().replace('inputs = ["seed.py"]\n', ""))
    commit(clones.origin, "No inputs")
    one, two, three = clones.clone("one"), clones.clone("two"), clones.clone("three")
    clones.up(one)
    clones.up(two)
    assert _ran(two) == []
    three.project.write("anything.json", "{}")
    clones.up(three)
    assert _ran(three) == ["migrate", "seed"]


def test_gc_shows_what_is_kept_and_removes_it_on_request(clones: Clones) -> None:
    one = clones.clone("one")
    clones.up(one)
    told = one.project.run("gc", "--yes").text
    assert "1 seed of" in told
    assert "devstack gc --seeds" in told
    refused = one.project.run("gc", "--seeds", "--json", code=2).error
    assert refused["fix"] == "devstack gc --seeds --yes"
    removed = one.project.run("gc", "--seeds", "--yes", "--json").document["removed"]
    (seed,) = [found for found in removed if found["kind"] == "seed"]
    assert (seed["name"], seed["root"]) == ("seeded", str(one.project.root))
    assert seed["size"] > 1000
    assert clones.seeds == []
