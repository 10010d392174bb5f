"""Copies that `recall` brings back: what a server makes ahead for it, and that neither needs a program of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, LiteralString

import amqp
import psycopg
import pytest
import redis

from devstack.errors import DataError, ProcessError
from devstack.services import Kept
from devstack.services._postgres_snapshots import connect
from devstack.services._rabbitmq_copies import Control
from devstack.services.postgres import PostgresKind
from devstack.services.rabbitmq import RabbitMQKind
from devstack.services.redis import RedisKind
from devstack.system import System
from devstack.wire import WireError
from devstack.wire.erlang import Node
from tests.scenarios.machine import until
from tests.services.benches import BOTH, Bench

MakeBench = Callable[..., Bench]
POSTGRES, REDIS, RABBITMQ = PostgresKind(), RedisKind(), RabbitMQKind()


@dataclass
class Files:
    """A runner without programs: a copy that needs one fails."""

    files: dict[str, bytes] = field(default_factory=dict)

    def save(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        raise AssertionError(argv)

    def feed(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        raise AssertionError(argv)

    def write(self, name: str, content: bytes) -> None:
        self.files[name] = content

    def read(self, name: str) -> bytes:
        return self.files.get(name, b"")


def _kept(token: str) -> Kept:
    return Kept(Files(), token)


# --- Postgres --------------------------------------------------------------------------------------------------------


def _rows(bench: Bench, *statements: LiteralString) -> list[tuple[Any, ...]]:
    """Of the last."""
    with psycopg.connect(POSTGRES.url(bench.instance).reveal(), autocommit=True) as session:
        *_, last = [session.execute(statement) for statement in statements]
        return last.fetchall()


def _oids(bench: Bench) -> dict[str, str]:
    with connect(bench.instance) as session:
        rows = session.rows("SELECT datname, oid FROM pg_database")
    return {row[0]: row[1] for row in rows}


@BOTH
def test_a_spare_is_made_by_the_server_and_renamed_when_it_is_wanted(make_bench: MakeBench) -> None:
    bench = make_bench("postgres", databases=["shop", "other"])
    bench.up()
    _rows(bench, "CREATE TABLE t (x int)", "INSERT INTO t VALUES (1) RETURNING x")
    kept, before = _kept("aaaa"), _kept("bbbb")
    POSTGRES.copies.keep(bench.instance, bench.server, kept.runner, kept.token)
    _rows(bench, "INSERT INTO t VALUES (2) RETURNING x")
    POSTGRES.copies.spare(bench.instance, bench.server, kept)
    names = [f"devstack_aaaa_{number}_spare" for number in range(2)]
    assert until(lambda: set(names) <= _oids(bench).keys())
    POSTGRES.copies.spare(bench.instance, bench.server, kept)
    oids = _oids(bench)
    assert POSTGRES.copies.kept_size(bench.instance, "aaaa") < 30_000_000, "spares aren't counted"

    POSTGRES.copies.recall(bench.instance, bench.server, kept, before)
    assert _rows(bench, "SELECT x FROM t") == [(1,)]
    now = _oids(bench)
    # sorted by name, `other` is the first
    assert {now["other"], now["shop"]} == {oids[name] for name in names}
    assert not set(names) & now.keys()
    assert {"devstack_aaaa_0", "devstack_bbbb_0"} <= now.keys()

    # and without one
    POSTGRES.copies.recall(bench.instance, bench.server, before, _kept("cccc"))
    assert _rows(bench, "SELECT x FROM t") == [(1,), (2,)]
    POSTGRES.copies.sweep(bench.instance, bench.server, {"aaaa"}, is_awaited=True)
    assert {name for name in _oids(bench) if name.startswith("devstack_")} == {"devstack_aaaa_0", "devstack_aaaa_1"}


def test_whoever_is_connected_is_sent_away_at_once(make_bench: MakeBench) -> None:
    bench = make_bench("postgres")
    bench.up()
    kept = _kept("aaaa")
    POSTGRES.copies.keep(bench.instance, bench.server, kept.runner, kept.token)
    POSTGRES.copies.spare(bench.instance, bench.server, kept)
    assert until(lambda: "devstack_aaaa_0_spare" in _oids(bench))
    with psycopg.connect(POSTGRES.url(bench.instance).reveal()) as session:
        session.execute("CREATE TABLE t (x int)")
        POSTGRES.copies.recall(bench.instance, bench.server, kept, _kept("bbbb"))
        with pytest.raises(psycopg.OperationalError):
            session.execute("SELECT 1")
    assert _rows(bench, "SELECT to_regclass('t')") == [(None,)]


def test_a_copy_that_is_gone_changes_nothing(make_bench: MakeBench) -> None:
    bench = make_bench("postgres")
    bench.up()
    kept = _kept("aaaa")
    POSTGRES.copies.keep(bench.instance, bench.server, kept.runner, kept.token)
    POSTGRES.copies.sweep(bench.instance, bench.server, (), is_awaited=True)
    before = _oids(bench)
    with pytest.raises(DataError, match="copies any more"):
        POSTGRES.copies.recall(bench.instance, bench.server, kept, _kept("bbbb"))
    assert _oids(bench) == before
    bench.kill()
    with pytest.raises(ProcessError, match="can't be copied"):
        POSTGRES.copies.recall(bench.instance, bench.server, kept, _kept("bbbb"))


# --- Redis -----------------------------------------------------------------------------------------------------------


def _client(bench: Bench, number: int = 0) -> redis.Redis:
    return redis.Redis("127.0.0.1", bench.instance.port, number, bench.instance.password.reveal())


@BOTH
def test_keys_of_every_type_go_and_come_back_with_what_is_left_of_their_lives(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.up()
    with _client(bench) as client, _client(bench, 5) as fifth:
        for number in range(2500):
            client.set(f"key {number}", b"\x00\xff" * number)
        client.set("short", "1", px=1)
        client.set("long", "1", ex=5000)
        client.zadd("zset", {"a": 1.5})
        client.xadd("stream", {"f": "g"}, id="5-1")
        client.xgroup_create("stream", "group", id="5-1")
        fifth.hset("hash", mapping={"é": "ü"})
        kept, before, after = _kept("a"), _kept("b"), _kept("c")
        assert until(lambda: client.get("short") is None)
        REDIS.keep(bench.instance, bench.server, kept.runner, kept.token)
        client.set("key 7", "changed")
        client.set("new", "1")
        fifth.delete("hash")

        REDIS.recall(bench.instance, bench.server, kept, before)
        assert client.dbsize() == 2503
        assert client.get("key 7") == b"\x00\xff" * 7
        assert 4900 < client.ttl("long") <= 5000
        assert client.xinfo_groups("stream")[0]["name"] == b"group"
        assert client.zscore("zset", "a") == 1.5
        assert fifth.hgetall("hash") == {"é".encode(): "ü".encode()}
        REDIS.recall(bench.instance, bench.server, before, after)
        assert client.get("key 7") == b"changed"
        assert not fifth.exists("hash")


@BOTH
def test_keys_as_the_server_dumped_them_go_into_a_file_that_any_server_reads(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.up()
    with _client(bench) as client, _client(bench, 5) as fifth:
        client.set("long", b"\x00\xff", ex=5000)
        client.xadd("stream", {"f": "g"}, id="5-1")
        client.xgroup_create("stream", "group", id="5-1")
        fifth.hset("hash", mapping={"é": "ü"})
        kept, target, adopted = _kept("a"), _kept("b"), _kept("c")
        REDIS.keep(bench.instance, bench.server, kept.runner, kept.token)
        client.flushall()
        client.set("mine", "1")

        REDIS.export(bench.instance, bench.server, kept, target.runner)
        assert client.keys("*") == [b"mine"], "what is in use stays as it is"
        assert target.runner.read("keys.dump") == b""
        REDIS.adopt(bench.instance, bench.server, target.runner, "7", adopted)
        REDIS.recall(bench.instance, bench.server, adopted, _kept("d"))
        assert sorted(client.keys("*")) == [b"long", b"stream"]
        assert client.get("long") == b"\x00\xff"
        assert 4900 < client.ttl("long") <= 5000
        assert client.xinfo_groups("stream")[0]["name"] == b"group"
        assert fifth.hgetall("hash") == {"é".encode(): "ü".encode()}


@pytest.mark.parametrize("harm", ["cut", "foreign"])
def test_a_damaged_copy_takes_no_key_away(make_bench: MakeBench, harm: str) -> None:
    bench = make_bench("redis")
    bench.up()
    with _client(bench) as client:
        client.set("a", "1")
        kept = _kept("a")
        REDIS.keep(bench.instance, bench.server, kept.runner, kept.token)
        text = kept.runner.read("keys.dump")
        damaged = text[:-1] if harm == "cut" else text.replace(text[-10:-2], bytes(8))
        kept.runner.write("keys.dump", damaged)
        with pytest.raises((DataError, ProcessError)):
            REDIS.recall(bench.instance, bench.server, kept, _kept("b"))
        assert client.get("a") == b"1"


# --- RabbitMQ --------------------------------------------------------------------------------------------------------


def _broker(bench: Bench) -> amqp.Connection:
    return amqp.Connection(
        f"127.0.0.1:{bench.instance.port}", bench.instance.user, bench.instance.password.reveal(),
        login_method="PLAIN", virtual_host="/", read_timeout=20,
    )


def test_queues_are_exchanged_without_an_erlang_of_our_own(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq")
    bench.up()
    with _broker(bench) as connection:
        channel = connection.channel()
        channel.queue_declare("jobs", durable=True, auto_delete=False)
        for number in range(600):
            channel.basic_publish(amqp.Message(f"job {number}", delivery_mode=2), routing_key="jobs")
        assert until(lambda: channel.queue_declare("jobs", passive=True).message_count == 600)
        kept, before = _kept("a"), _kept("b")
        RABBITMQ.keep(bench.instance, bench.server, kept.runner, kept.token)
        channel.queue_purge("jobs")
        channel.queue_declare("more", durable=True, auto_delete=False)
        channel.basic_publish(amqp.Message("one"), routing_key="more")

        RABBITMQ.recall(bench.instance, bench.server, kept, before)
        assert [channel.basic_get("jobs", no_ack=True).body for _ in range(600)] == [f"job {n}" for n in range(600)]
        RABBITMQ.recall(bench.instance, bench.server, before, _kept("c"))
        assert channel.basic_get("more", no_ack=True).body == "one"


class Programs(Files):
    """A runner that only notes the programs it is to run."""

    def save(self, name: str, argv: tuple[str, ...], env: Mapping[str, str]) -> None:
        self.files["ran"] = " ".join(argv).encode()

    feed = save


def test_where_the_node_has_no_door_its_own_program_is_asked(make_bench: MakeBench) -> None:
    """Nobody listens; or it is no node at all, such as another stack's server on the port."""
    runner, port = Programs(), System().free_port()
    Control.beside(("rabbitmqctl",), {}, port, "cookie").save(runner)
    assert runner.read("ran") == b"rabbitmqctl --quiet export_definitions {file}"
    bench = make_bench("redis")
    bench.up()
    Control.beside(("rabbitmqctl",), {}, bench.instance.port, "cookie").feed(runner)
    assert runner.read("ran") == b"rabbitmqctl --quiet import_definitions {file}"


def test_a_node_with_another_cookie_refuses(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq")
    bench.up()
    with pytest.raises((WireError, OSError)):
        Node(bench.instance.ports["dist"], "wrong", 5.0)
