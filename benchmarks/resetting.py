"""Back to seeded data: `reset --data` against dropping, migrating and loading again; copies against the server's own; a
second clone that begins with the data of the first."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import framework
from benchmarks.measure import DEVSTACK, Bench, Row, Samples, compared
from devstack.data_seeds import DataSeeds
from devstack.stack.paths import places
from devstack.system import System

_PROFILE = """name = "data"
[python]
packages = ["psycopg[binary]", "redis", "amqp", "DJANGO"]
[services.postgres]
[services.redis]
[services.rabbitmq]
[env]
PG = "${services.postgres.url}"
REDIS = "${services.redis.url}"
AMQP = "${services.rabbitmq.url}"
[tasks.migrate]
run = "python data.py migrate"
inputs = ["data.py"]
[tasks.seed]
run = "python data.py seed"
inputs = ["data.py"]
snapshot = "seeded"
[processes.web]
role = "web"
run = "python web.py ${port}"
ready = { http = "/" }
[processes.worker]
run = "python web.py -"
replicas = 2
ready = { log = "^ready$" }
"""
_WEB = """import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
if sys.argv[1].isdecimal():
    http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
print("ready", flush=True)
import time
time.sleep(1e6)
"""
#: 100 MB in Postgres, 5000 keys, 200 messages
_DATA = """import os, sys
from urllib.parse import unquote, urlsplit
import amqp, psycopg, redis
parts = urlsplit(os.environ["AMQP"])
login = (f"{parts.hostname}:{parts.port}", parts.username, unquote(parts.password))
def session():
    return psycopg.connect(os.environ["PG"], autocommit=True)
def drop():
    name = urlsplit(os.environ["PG"]).path[1:]
    with psycopg.connect(os.environ["PG"].rpartition("/")[0] + "/template1", autocommit=True) as other:
        other.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        other.execute(f'CREATE DATABASE "{name}"')
    with redis.Redis.from_url(os.environ["REDIS"]) as client:
        client.flushall()
    with amqp.Connection(*login, virtual_host="/") as connection:
        for queue in ("jobs", "mails"):
            connection.channel().queue_delete(queue)
def migrate():
    with session() as one:
        for number in range(20):
            one.execute(f"CREATE TABLE t{number} (id bigserial PRIMARY KEY, a text, b text)")
            one.execute(f"CREATE INDEX ON t{number} (a)")
def seed():
    with session() as one:
        for number in range(20):
            one.execute(
                f"INSERT INTO t{number} (a, b) SELECT md5(g::text), repeat(md5((g * 7)::text), 6) "
                "FROM generate_series(1, 14000) g"
            )
    others()
def send():
    import hashlib
    text = lambda number: hashlib.md5(str(number).encode()).hexdigest()
    with psycopg.connect(os.environ["PG"]) as one, one.cursor() as cursor:
        for number in range(20):
            rows = [(text(g), text(g * 7) * 6) for g in range(1, 14001)]
            cursor.executemany(f"INSERT INTO t{number} (a, b) VALUES (%s, %s)", rows)
    others()
def others():
    with redis.Redis.from_url(os.environ["REDIS"]) as client:
        for number in range(5000):
            client.set(f"key {number}", "x" * 100)
    with amqp.Connection(*login, virtual_host="/") as connection:
        for queue in ("jobs", "mails"):
            channel = connection.channel()
            channel.queue_declare(queue, durable=True, auto_delete=False)
            for number in range(100):
                channel.basic_publish(amqp.Message(f"{queue} {number}", delivery_mode=2), routing_key=queue)
if __name__ == "__main__":
    globals()[sys.argv[1]]()
"""


def measure(bench: Bench) -> list[Row]:
    samples = Samples()
    one, two = (_project(bench, name) for name in ("r", "r2"))
    try:
        bench.say("resetting: the first stack")
        samples.add("without a seed", bench.run(*DEVSTACK, "up", "--trust", cwd=one, env=_SEEDS).took)
        for number in range(bench.rounds):
            bench.say(f"resetting, {number + 1} of {bench.rounds}")
            _round(bench, one, samples)
        for number in range(bench.rounds):
            bench.say(f"a second clone, {number + 1} of {bench.rounds}")
            _second(bench, two, samples)
    finally:
        for project in (one, two):
            bench.run(*DEVSTACK, "down", cwd=project)
        _forget(bench)
    part = "data"
    return [
        *(compared(part, "`reset --data`, the whole command", samples, ("reset", rival), 0.1) for rival in _RIVALS),
        Row(part, "`reset --data`, the whole command", samples.median("reset"), limit=1.0),
        compared(part, "of it: data exchanged", samples, ("exchanged", _PLAIN), 0.1),
        Row(part, "of it: from the first step to the last", samples.median("plan")),
        compared(part, "`snapshot save`, the copying", samples, ("save", "CREATE DATABASE … TEMPLATE ∥ BGSAVE"), 1.3),
        compared(part, "`snapshot save`, the copying", samples, ("save", "CREATE DATABASE … TEMPLATE alone")),
        compared(part, "`snapshot restore`, the exchange", samples, ("restore", "the same, two renames"), 1.3),
        compared(part, "a second clone's `up`, from the seed", samples, ("from a seed", "with --no-seed")),
    ]


_PLAIN, _SENT, _FRAMEWORK = "drop, migrate, load", "drop, migrate, load rows from a program", "the same in Django"
#: what is typed to begin anew, commands of the environment's Python
_RIVALS = {
    _PLAIN: ("data.py drop", "data.py migrate", "data.py seed"),
    _SENT: ("data.py drop", "data.py migrate", "data.py send"),
    _FRAMEWORK: ("data.py drop", "manage.py migrate", "manage.py load"),
}
#: everything else is measured without: a first time is meant there
_SEEDS = {"DEVSTACK_NO_SEED": "0"}


def _project(bench: Bench, name: str) -> Path:
    project = bench.new_folder(name)
    profile = _PROFILE.replace("DJANGO", framework.PACKAGE)
    for file, text in (("devstack.toml", profile), ("web.py", _WEB), ("data.py", _DATA)):
        (project / file).write_text(text)
    framework.write(project)
    return project


def _round(bench: Bench, project: Path, samples: Samples) -> None:
    samples.add("reset", bench.run(*DEVSTACK, "reset", "--data", "--yes", cwd=project).took)
    took = _steps(project)
    samples.add("exchanged", took["data:restore"])
    samples.add("plan", took[""])
    bench.run(*DEVSTACK, "snapshot", "save", "mine", cwd=project)
    samples.add("save", _steps(project)["data:save"])
    bench.run(*DEVSTACK, "snapshot", "restore", "mine", "--yes", cwd=project)
    samples.add("restore", _steps(project)["data:restore"])
    environ = json.loads(bench.run(*DEVSTACK, "env", "--format", "json", "--reveal", cwd=project).out)
    _raw(project, samples)
    for rival, commands in _RIVALS.items():
        began = time.monotonic()
        for words in commands:
            bench.run(".venv/bin/python", *words.split(), cwd=project, env=environ)
        samples.add(rival, time.monotonic() - began)
    # a spare is there again, made meanwhile
    bench.run(*DEVSTACK, "reset", "--data", "--yes", cwd=project)
    time.sleep(2)


def _raw(project: Path, samples: Samples) -> None:
    """What the servers themselves take for copies of what they hold, side by side, and Postgres for putting one in its
    place."""
    from redis import Redis

    from devstack.services._postgres_snapshots import connect
    from devstack.stack import Options, Stack

    services = Stack(System(), project, Options()).observe(light=True).state.services
    keys = services["redis"].instance

    def save() -> None:
        with Redis(port=keys.port, password=keys.password.reveal()) as client:
            client.bgsave()
            while client.info("persistence")["rdb_bgsave_in_progress"]:
                time.sleep(0.001)

    with connect(services["postgres"].instance) as session, ThreadPoolExecutor() as pool:
        began = time.monotonic()
        beside = pool.submit(save)
        session.rows("CREATE DATABASE raw TEMPLATE data STRATEGY file_copy")
        beside.result()
        samples.add("CREATE DATABASE … TEMPLATE ∥ BGSAVE", time.monotonic() - began)
        session.rows("DROP DATABASE raw")
        began = time.monotonic()
        session.rows("CREATE DATABASE raw TEMPLATE data STRATEGY file_copy")
        samples.add("CREATE DATABASE … TEMPLATE alone", time.monotonic() - began)
        began = time.monotonic()
        session.rows("CREATE DATABASE raw2 TEMPLATE raw STRATEGY file_copy")
        session.rows("ALTER DATABASE data RENAME TO raw3")
        session.rows("ALTER DATABASE raw2 RENAME TO data")
        samples.add("the same, two renames", time.monotonic() - began)
        for name in ("raw", "raw3"):
            session.rows(f"DROP DATABASE {name}")


def _second(bench: Bench, project: Path, samples: Samples) -> None:
    for name, env in (("with --no-seed", {}), ("from a seed", _SEEDS)):
        bench.run(*DEVSTACK, "up", "--trust", cwd=project, env=env)
        samples.add(name, _steps(project)[""])
        bench.run(*DEVSTACK, "down", "--volumes", "--yes", cwd=project)
        shutil.rmtree(project / ".devstack" / "trash", ignore_errors=True)


def _steps(project: Path) -> Mapping[str, float]:
    """Seconds of each step of the last run that changed anything, and under "" of all of it."""
    journals = sorted((project / ".devstack" / "journal").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    lines: list[dict[str, Any]] = [json.loads(line) for line in journals[-1].read_text().splitlines()]
    took = {line["step"]: float(line["took"]) for line in lines if line.get("event") == "finished"}
    return {**took, "": float(lines[-1]["took"])}


def _forget(bench: Bench) -> None:
    """What these stacks have left for others."""
    seeds = DataSeeds(System(bench.environ), places(System(bench.environ)).cache / "data-seeds")
    for seed in seeds.all():
        if Path(seed.root).is_relative_to(bench.folder):
            seeds.remove(seed.key)
