"""A project with the three services and no process of its own, and what a test puts into them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp
import psycopg
import redis

from devstack.runtimes.docker import Engine
from tests.engine_bench import ensure_image, this_machines_engine
from tests.scenarios.machine import Machine, Project

SERVICES = """[services.postgres]
databases = ["trio", "other"]
[services.redis]
[services.rabbitmq]
[env]
PG = "${services.postgres.url}"
REDIS = "${services.redis.url}"
AMQP = "${services.rabbitmq.url}"
"""
PROFILE = f"""name = "trio"
{SERVICES}[tasks.seed]
run = "python seed.py"
"""
SEED = "open('seeded', 'a').write('once\\n')\n"
KEYS: dict[str, Any] = {
    "list": ["x", "y", "z"], "hash": {"k": "v", "é": "ü"}, "set": {"a", "b"}, "zset": {"m": 1.5, "n": -2.0},
}  # fmt: skip


#: what no copy of a database brings by itself
SAID = """
ALTER DATABASE trio SET search_path TO "$user", public, "more, words";
ALTER DATABASE trio SET "shop.words" TO 'it''s, 100%';
ALTER ROLE trio IN DATABASE trio SET work_mem TO '8MB';
REVOKE TEMPORARY ON DATABASE trio FROM PUBLIC;
GRANT CREATE ON DATABASE trio TO pg_monitor WITH GRANT OPTION;
ALTER DATABASE trio CONNECTION LIMIT 77;
COMMENT ON DATABASE trio IS 'the project''s';
"""
SHOWN = """SELECT current_setting('search_path'), current_setting('shop.words', true), current_setting('work_mem'), (
  SELECT array_agg(said ORDER BY said)
  FROM aclexplode(datacl), concat_ws(' ', grantee::regrole, privilege_type, is_grantable) said
), datconnlimit, shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"""


@dataclass(frozen=True)
class Trio:
    """The project and its data."""

    project: Project
    _asked: dict[str, dict[str, str]] = field(default_factory=dict)

    def urls(self) -> dict[str, str]:
        """What `env` tells, asked again where a port, a secret, or the profile has changed."""
        files = (self.project.folder / "state.json", self.project.folder / "secrets.json")
        key = str([self.project.read("devstack.toml"), *(path.read_text() for path in files if path.exists())])
        if key not in self._asked:
            self._asked[key] = json.loads(self.project.run("env", "--format", "json", "--reveal").out)
        return self._asked[key]

    def fill(self) -> None:
        """Something of every sort in each of the servers."""
        urls = self.urls()
        with psycopg.connect(urls["PG"], autocommit=True) as session:
            session.execute("CREATE TABLE t (id serial PRIMARY KEY, words text)")
            session.execute("INSERT INTO t (words) SELECT 'row ' || g FROM generate_series(1, 500) g")
            session.execute(SAID)
        with redis.Redis.from_url(urls["REDIS"]) as client:
            client.set("text", b"\x00\xff binary", px=3_600_000)
            client.rpush("list", *KEYS["list"])
            client.hset("hash", mapping=KEYS["hash"])
            client.sadd("set", *KEYS["set"])
            client.zadd("zset", KEYS["zset"])
            client.xadd("stream", {"f": "g"}, id="5-1")
            client.xgroup_create("stream", "group", id="5-1")
            client.execute_command("SELECT", 3)
            client.set("elsewhere", 1)
        with self.broker(urls["AMQP"]) as connection:
            channel = connection.channel()
            channel.queue_declare("jobs", durable=True, auto_delete=False)
            for number in range(3):
                message = amqp.Message(
                    f"job {number}", delivery_mode=2, content_type="text/plain", application_headers={"n": number}
                )
                channel.basic_publish(message, routing_key="jobs")

    def digest(self) -> dict[str, Any]:
        """Everything that `fill` has made, as it is now; taken messages go back."""
        urls = self.urls()
        with psycopg.connect(urls["PG"]) as session:
            rows = session.execute("SELECT id, words FROM t ORDER BY id").fetchall()
            after = session.execute("SELECT last_value FROM t_id_seq").fetchone()
            database = session.execute(SHOWN).fetchone()
        with redis.Redis.from_url(urls["REDIS"]) as client:
            assert 0 < client.pttl("text") <= 3_600_000
            keys: dict[str, Any] = {
                "text": client.get("text"), "list": client.lrange("list", 0, -1), "hash": client.hgetall("hash"),
                "set": client.smembers("set"), "zset": client.zrange("zset", 0, -1, withscores=True),
                "stream": client.xrange("stream"), "groups": [one["name"] for one in client.xinfo_groups("stream")],
                "size": client.dbsize(),
            }  # fmt: skip
            client.execute_command("SELECT", 3)
            keys["elsewhere"] = client.get("elsewhere")
        with self.broker(urls["AMQP"]) as connection:
            channel, messages = connection.channel(), []
            while (message := channel.basic_get("jobs")) is not None:
                said = message.properties
                messages.append((message.body, said["application_headers"], said["content_type"]))
        return {"rows": rows, "after": after, "database": database, "keys": keys, "messages": messages}

    def seeded(self) -> int:
        return len(self.project.read("seeded").splitlines())

    @staticmethod
    def broker(url: str) -> amqp.Connection:
        parts = urlsplit(url)
        return amqp.Connection(
            f"{parts.hostname}:{parts.port}", parts.username, unquote(parts.password or ""),
            virtual_host=unquote(parts.path[1:]), connect_timeout=10,
        )


def settle_on(machine: Machine, runtime: str) -> None:
    """Everything of a machine runs so from now on; without the images the test is skipped."""
    machine.environ["DEVSTACK_RUNTIME"] = runtime
    if runtime == "docker":
        ensure_images()


def ensure_images() -> Engine:
    """The engine that has the images of all three; without them the test is skipped."""
    engine = this_machines_engine()
    for image in ("postgres:16", "redis:7", "rabbitmq:3"):
        ensure_image(engine, image)
    return engine


def make(machine: Machine) -> Trio:
    """A trusted project that has never been up."""
    project = machine.project(machine.folder / "trio")
    project.root.mkdir()
    project.write("devstack.toml", PROFILE)
    project.write("seed.py", SEED)
    project.trust()
    return Trio(project)
