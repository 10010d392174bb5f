"""RabbitMQ for real: what the first start makes, identity, repairs by restart, and what a crash leaves."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import amqp
import pytest

from devstack.errors import ProcessError, UsageError
from devstack.profile.secret import Secret
from devstack.services import Instance, Probe, Server
from devstack.services.rabbitmq import KIND
from tests.services.benches import BOTH, ContainerBench

if TYPE_CHECKING:
    from tests.services.benches import Bench

MakeBench = Callable[..., "Bench"]
MakeInstance = Callable[..., Instance]
EXCHANGE = {"name": "events", "type": "topic"}


@contextmanager
def _channel(bench: Bench, vhost: str, user: str = "", password: str = "") -> Iterator[Any]:
    login = (user, password) if user else (bench.instance.user, bench.instance.password.reveal())
    connection = amqp.Connection(
        f"127.0.0.1:{bench.instance.port}", *login, login_method="PLAIN", virtual_host=vhost, read_timeout=20
    )
    connection.connect()
    try:
        yield connection.channel()
    finally:
        connection.close()


def _definitions(instance: Instance) -> Any:
    server = Server("rabbitmq", "packages", "3.10.8", "/opt/r", "/opt/r/erts/bin/erlexec")
    [file] = [file for file in KIND.native(instance, server).files if file.path == "definitions.json"]
    return json.loads(file.text)


@BOTH
@pytest.mark.fault("S11", "S14")
def test_a_first_start_makes_everything_declared_and_only_on_loopback(make_bench: MakeBench, runtime: str) -> None:
    bench = make_bench("rabbitmq", vhosts=["shop", "/"], exchanges=[EXCHANGE])
    probe = bench.up()
    assert probe.version
    assert runtime == "docker" or probe.version == bench.server.version
    assert probe.missing == ()
    for vhost in ("shop", "/"):
        with _channel(bench, vhost) as channel:
            channel.queue_declare("jobs", durable=True, auto_delete=False)
    with _channel(bench, "shop") as channel:
        channel.exchange_declare("events", "topic", passive=True)
    with pytest.raises(amqp.exceptions.AccessRefused), _channel(bench, "/", "guest", "guest"):
        pass
    wrong = KIND.probe(replace(bench.instance, password=Secret("canary-7")), 10)
    assert not wrong.ok
    assert "canary-7" not in wrong.detail
    assert bench.listening() == {"127.0.0.1"}
    assert bench.instance.password.reveal() not in bench.shown()
    # in a container the image's own start script starts it, and it isn't published
    assert runtime == "docker" or "epmd" not in bench.shown().replace("start_epmd", "").replace("erl_epmd", "")
    assert bench.stop() == 0


@BOTH
def test_a_restart_brings_what_was_added_and_the_new_password(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq", vhosts=["shop"])
    bench.up()
    old = bench.instance
    bench.declare(vhosts=["shop", "reports"], exchanges=[{**EXCHANGE, "vhost": "reports"}])
    probe = KIND.probe(bench.instance, 10)
    assert (probe.ok, probe.missing) == (True, ("vhost reports",))
    with pytest.raises(ProcessError) as caught:
        KIND.provision(bench.instance, 10)
    assert caught.value.id == "vhost-missing"
    assert caught.value.fix == "devstack restart rabbitmq"
    bench.set_password("another")
    assert not KIND.probe(bench.instance, 10).ok
    bench.stop()
    assert bench.up().missing == ()
    assert not KIND.probe(old, 10).ok


@pytest.mark.parametrize("runtime", ["docker"])
def test_a_node_that_takes_no_messages_or_gives_no_rights_is_told(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq", vhosts=["shop"])
    assert isinstance(bench, ContainerBench)
    bench.up()

    def ctl(*words: str) -> Probe:
        status, output = bench.engine.execute(bench.name, ("rabbitmqctl", *words))
        assert status == 0, output
        return KIND.probe(bench.instance, 10)

    full = ctl("set_disk_free_limit", "900GB")
    assert (full.ok, full.needs_start) == (False, False)
    assert full.detail.endswith("low on disk")
    assert ctl("set_disk_free_limit", "50MB").ok
    for words in (("clear_permissions", "-p", "shop", bench.instance.user), ("delete_vhost", "shop")):
        refused = ctl(*words)
        assert (refused.ok, refused.needs_start) == (False, True), refused
    with pytest.raises(ProcessError):
        KIND.provision(bench.instance, 10)
    bench.stop()
    assert bench.up().missing == ()


@pytest.mark.parametrize("runtime", ["docker"])
def test_a_node_in_a_container_does_not_search_erlang_s_own_libraries(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq")
    assert isinstance(bench, ContainerBench)
    bench.up()
    sizes = "[length(element(2,application:get_key(A,modules)))||A<-[compiler,public_key,mnesia,ssl,rabbit]]."
    status, output = bench.engine.execute(bench.name, ("rabbitmqctl", "eval", sizes))
    assert status == 0, output
    compiler, public_key, *others = json.loads(output.strip())
    assert (compiler, public_key) == (0, 0)
    assert min(others) > 20


@BOTH
def test_an_exchange_that_is_gone_is_missed_and_made_again(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq", vhosts=["shop"], exchanges=[EXCHANGE, {"name": "audit", "type": "fanout"}])
    bench.up()
    with _channel(bench, "shop") as channel:
        channel.exchange_delete("events")
    probe = KIND.probe(bench.instance, 10)
    assert (probe.ok, probe.missing) == (True, ("exchange events in shop",))
    assert KIND.provision(bench.instance, 10) == ("exchange events in shop",)
    assert KIND.provision(bench.instance, 10) == ()
    assert KIND.probe(bench.instance, 10).missing == ()


@BOTH
def test_kill_9_loses_no_confirmed_message(make_bench: MakeBench) -> None:
    bench = make_bench("rabbitmq")
    bench.up()
    with _channel(bench, "/") as channel:
        channel.queue_declare("jobs", durable=True, auto_delete=False)
    # the declaration itself is RabbitMQ's own weakness: Mnesia syncs its log as it answers, but the line that commits
    # comes from another process and may miss that, and then waits two seconds in disk_log's cache
    bench.stop()
    bench.up()
    with _channel(bench, "/") as channel:
        channel.confirm_select()
        for number in range(20):
            channel.basic_publish_confirm(amqp.Message(str(number), delivery_mode=2), routing_key="jobs")
    bench.kill()
    bench.up()
    with _channel(bench, "/") as channel:
        assert channel.queue_declare("jobs", passive=True).message_count == 20


@pytest.mark.fault("G8", "G9")
@pytest.mark.parametrize("runtime", ["docker"])
def test_queue_and_exchange_survive_another_container(make_bench: MakeBench) -> None:
    """So they do where the cookie is open to others by now, with which Erlang refuses to start."""
    bench = make_bench("rabbitmq", exchanges=[EXCHANGE])
    assert isinstance(bench, ContainerBench)
    bench.up()
    with _channel(bench, "/") as channel:
        channel.queue_declare("jobs", durable=True, auto_delete=False)
        channel.queue_bind("jobs", "events", routing_key="#")
        channel.confirm_select()
        channel.basic_publish_confirm(amqp.Message("1", delivery_mode=2), exchange="events", routing_key="a")
    assert bench.engine.execute(bench.name, ("chmod", "644", "/var/lib/rabbitmq/.erlang.cookie")) == (0, "")
    bench.set_password("another")

    assert bench.up().missing == ()

    with _channel(bench, "/") as channel:
        assert channel.queue_declare("jobs", passive=True).message_count == 1


@BOTH
def test_another_stacks_server_is_a_stranger_and_is_left_alone(make_bench: MakeBench) -> None:
    ours, theirs = make_bench("rabbitmq", "ours", exchanges=[EXCHANGE]), make_bench("rabbitmq", "theirs")
    theirs.up()
    mistaken = replace(ours.instance, ports=theirs.instance.ports)
    probe = KIND.probe(mistaken, 10)
    assert not probe.ok
    assert "another server" in probe.detail
    assert KIND.provision(mistaken, 10) == ()
    with _channel(theirs, "/") as channel, pytest.raises(amqp.exceptions.NotFound):
        channel.exchange_declare("events", "topic", passive=True)


def test_a_folder_of_nearly_any_name_will_do(make_bench: MakeBench) -> None:
    assert make_bench("rabbitmq", 'say "odd" # ü').up().ok


def test_a_folder_that_hangs_the_server_is_refused_before_it_starts(make_instance: MakeInstance) -> None:
    server = Server("rabbitmq", "packages", "3.10.8", "/opt/r", "/opt/r/erts/bin/erlexec")
    with pytest.raises(UsageError) as caught:
        KIND.native(make_instance("rabbitmq", "it's"), server)
    assert caught.value.id == "path-unsupported"


def test_definitions_hold_a_hash_and_no_password(make_instance: MakeInstance) -> None:
    instance = make_instance("rabbitmq", vhosts=["a", "b"], exchanges=[{"name": "x", "vhost": "b", "durable": False}])
    topology = _definitions(instance)
    assert [user["name"] for user in topology["users"]] == ["shop"]
    assert instance.password.reveal() not in json.dumps(topology)
    assert [(one["user"], one["vhost"]) for one in topology["permissions"]] == [("shop", "a"), ("shop", "b")]
    [exchange] = topology["exchanges"]
    assert (exchange["name"], exchange["vhost"], exchange["type"], exchange["durable"]) == ("x", "b", "topic", False)


def test_a_password_hash_is_the_servers_own_form() -> None:
    import base64
    import hashlib

    from devstack.services._rabbitmq_model import password_hash

    raw = base64.b64decode(password_hash(Secret("pencil")))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"pencil").digest()


def test_the_default_vhost_is_written_so_that_clients_understand_it(make_instance: MakeInstance) -> None:
    assert KIND.url(make_instance("rabbitmq")).reveal().endswith("/%2F")
    assert KIND.url(make_instance("rabbitmq", vhosts=["a/b", "c"])).reveal().endswith("/a%2Fb")


def test_the_cookie_is_private_and_on_no_command_line(make_instance: MakeInstance) -> None:
    server = Server("rabbitmq", "packages", "3.10.8", "/opt/r", "/opt/r/erts/bin/erlexec")
    native = KIND.native(make_instance("rabbitmq"), server)
    [cookie] = [file for file in native.files if file.path == ".erlang.cookie"]
    assert cookie.mode == 0o400
    assert not any(cookie.text in text for text in (*native.argv, *native.env.values()))
    assert "-setcookie" not in native.argv


def test_only_the_build_that_is_known_is_trimmed(make_instance: MakeInstance) -> None:
    app = "{application,ranch,[{vsn,\"2.1.0\"},\n {modules, ['a',\n 'b']},\n {registered,[]}]}."
    known = Server("rabbitmq", "packages", "3.10.8", "/opt/r", "/opt/r/erts/bin/erlexec")
    other = replace(known, version="4.0.5")
    installed = replace(known, program="/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmqctl")
    patched = KIND.patch(known, "usr/lib/x/ranch-2.1.0/ebin/ranch.app", app)
    assert patched == app.replace("['a',\n 'b']", "[]").replace("modules, ", "modules,")
    assert KIND.patch(known, "usr/lib/x/rabbit_common-3.10.8/ebin/rabbit_common.app", app) is None
    assert KIND.patch(other, "usr/lib/x/ranch-2.1.0/ebin/ranch.app", app) is None
    instance = make_instance("rabbitmq")
    assert len(KIND.native(instance, known).links) == 21
    assert "-eval" not in KIND.native(instance, known).argv[: KIND.native(instance, known).argv.index("boot")]
    for server in (other, installed):
        native = KIND.native(instance, server)
        assert not native.links
        # any other is told the same as it starts
        assert native.argv.index("-eval") < native.argv.index("boot")


def test_an_installed_server_runs_on_the_installed_erlang(make_instance: MakeInstance) -> None:
    program = "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8/sbin/rabbitmqctl"
    native = KIND.native(make_instance("rabbitmq"), Server("rabbitmq", "installed", "3.10.8", "/x", program))
    assert native.argv[:2] == ("/usr/bin/env", "erl")
    assert native.env["RABBITMQ_HOME"] == "/usr/lib/rabbitmq/lib/rabbitmq_server-3.10.8"
    assert "ROOTDIR" not in native.env


@pytest.mark.parametrize(
    "options",
    [
        {"exchanges": [{"name": "x", "vhost": "nowhere"}]},
        {"exchanges": [{"name": "x", "type": "queue"}]},
        {"exchanges": [{"name": "x\n"}]},
        {"vhosts": [""]},
    ],
)
def test_a_bad_declaration_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"nowhere|type|name|vhosts"):
        KIND.declaration.model_validate(options)
    assert KIND.account(KIND.declaration(), "guest") == "app_guest"
