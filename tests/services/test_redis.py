"""Redis for real: login, identity, databases, and what a crash or a changed password does to the data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

from devstack import services
from devstack.profile.secret import Secret
from devstack.services import Instance, Server
from devstack.services.redis import KIND
from tests.services.benches import BOTH

if TYPE_CHECKING:
    from tests.services.benches import Bench

MakeBench = Callable[..., "Bench"]


def _client(bench: Bench) -> redis.Redis:
    return redis.Redis.from_url(KIND.url(bench.instance).reveal(), decode_responses=True)


@BOTH
@pytest.mark.fault("S11", "S14")
def test_the_url_logs_in_and_the_server_listens_on_loopback_only(make_bench: MakeBench) -> None:
    bench = make_bench("redis", db=2)
    probe = bench.up()
    assert probe.version
    assert not probe.missing
    with _client(bench) as client:
        assert client.set("a", "1")
        assert client.info("keyspace").keys() == {"db2"}
    assert bench.listening() == {"127.0.0.1"}
    assert bench.instance.password.reveal() not in bench.shown()
    assert bench.stop() == 0


@BOTH
def test_a_wrong_password_and_none_are_refused(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.up()
    wrong = KIND.probe(replace(bench.instance, password=Secret("wrong")), 5)
    assert not wrong.ok
    assert "wrong" not in wrong.detail.replace("wrong number", "")
    with redis.Redis("127.0.0.1", bench.instance.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_a_server_without_password_is_known_by_its_identity(make_bench: MakeBench) -> None:
    bench = make_bench("redis", password=False)
    assert bench.up().ok
    assert "@" not in KIND.url(bench.instance).reveal()


@BOTH
def test_another_stacks_server_is_a_stranger_even_with_the_same_password(make_bench: MakeBench) -> None:
    ours, theirs = make_bench("redis", "ours"), make_bench("redis", "theirs")
    theirs.up()
    probe = KIND.probe(replace(ours.instance, ports=theirs.instance.ports), 5)
    assert not probe.ok
    assert "another server" in probe.detail


@BOTH
def test_kill_9_loses_nothing_that_was_answered(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.up()
    with _client(bench) as client:
        for number in range(100):
            client.set(f"key{number}", number)
    bench.kill()
    bench.up()
    with _client(bench) as client:
        assert client.dbsize() == 100


@BOTH
def test_a_changed_password_is_in_force_after_a_restart(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.up()
    old = bench.instance
    bench.set_password("another")
    assert not KIND.probe(bench.instance, 5).ok
    bench.stop()
    assert bench.up().ok
    assert not KIND.probe(old, 5).ok


@pytest.mark.parametrize("runtime", ["docker"])
def test_data_survives_another_container(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.up()
    with _client(bench) as client:
        client.set("mine", "kept")
    bench.declare(db=40)

    bench.up()

    bench.declare(db=0)
    with _client(bench) as client:
        assert client.get("mine") == "kept"


def test_provisioning_has_nothing_to_do(make_bench: MakeBench) -> None:
    bench = make_bench("redis")
    bench.start()
    assert KIND.provision(bench.instance, 5) == ()


def test_a_folder_of_any_name_will_do(make_bench: MakeBench) -> None:
    bench = make_bench("redis", 'it\'s "odd" # ü')
    assert bench.up().ok
    assert list((Path(bench.instance.data) / "data").iterdir())


def test_a_server_that_cannot_write_is_not_ready(make_instance: Callable[..., Instance]) -> None:
    from devstack.wire.redis import _judge

    instance = make_instance("redis")
    question = KIND.question(instance)
    assert question
    info = {"redis_version": "7.2.4", "valkey_version": "9.1.2", "loading": "0", "aof_last_write_status": "err"}
    assert not _judge(question, instance.identity, info).ok
    good = _judge(question, instance.identity, {**info, "aof_last_write_status": "ok"})
    assert (good.ok, good.version) == (True, "7.2.4 (valkey 9.1.2)")
    well = {**info, "aof_last_write_status": "ok", "used_memory": "9", "maxmemory": "9"}
    for more, is_ok in ({"role": "slave"}, False), ({"maxmemory_policy": "noeviction"}, False), ({}, True):
        seen = _judge(question, instance.identity, {**well, **more})
        assert (seen.ok, seen.needs_start) == (is_ok, not is_ok), more


@pytest.mark.parametrize("program", ["redis-check-rdb", "redis-check-aof", "redis-server"])
def test_the_server_is_called_by_the_name_that_makes_it_one(
    program: str, make_instance: Callable[..., Instance]
) -> None:
    native = KIND.native(make_instance("redis"), Server("redis", "installed", "7", "/usr", f"/usr/bin/{program}"))
    assert native.argv[0] == "/usr/bin/redis-server"


def test_a_database_beyond_the_usual_sixteen_exists(make_bench: MakeBench) -> None:
    bench = make_bench("redis", db=40)
    assert bench.up().ok


@pytest.mark.parametrize("options", [{"db": -1}, {"db": "x"}, {"db": True}, {"password": "yes please"}])
def test_a_bad_declaration_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"db|password"):
        services.get("redis").declaration.model_validate(options)
