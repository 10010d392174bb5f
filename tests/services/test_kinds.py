"""What every kind must be, whoever wrote it: found by name, pure, private, on loopback, patient with strangers."""

from __future__ import annotations

import json
import re
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

import pytest

from devstack import services
from devstack.errors import UsageError
from devstack.profile.meanings import meanings
from devstack.profile.secret import Secret
from devstack.services import Installed, Instance, Kind, NativeService, Packages, Server, Wheel
from devstack.services import System as SystemPackages
from devstack.system import System

MakeInstance = Callable[..., Instance]
#: that have a form of their own on this machine; another one may be any image
KINDS = tuple(name for name in services.names() if services.get(name).sources)


def _server(kind: str, name: str = "server") -> Server:
    version = services.get(kind).default_version
    return Server(kind, "a-source", version, "/opt/s", f"/opt/s/bin/{name}", ("/opt/s/lib",))


def _native(name: str, instance: Instance) -> NativeService:
    return services.get(name).native(instance, _server(name))


def _texts(native: NativeService) -> str:
    return "\n".join((*native.argv, *native.env.values(), *(file.text for file in native.files)))


def test_the_three_kinds_are_found_without_a_list() -> None:
    assert {"postgres", "redis", "rabbitmq"} <= set(KINDS)


@pytest.mark.parametrize(("said", "why", "fix"), [
    ('ERROR:  extension "btree_gin" is not available', "lacks the extension btree_gin",
     'extensions = ["btree_gin"] below [services.main]'),
    ("FeatureNotSupported: ICU is not supported in this build", "no ICU", "icu = true below [services.main]"),
    ('connection failed: FATAL:  database "hc" does not exist', "no database hc in main",
     'databases = ["hc"] below [services.main]'),
    ('OperationalError: connection to server at "127.0.0.1", port 5432 failed: fe_sendauth: no password supplied',
     "other credentials than those of main", "below [env], give what the project reads of these: ${services.main.url}"),
    ('connection failed: FATAL:  role "root" does not exist', "other credentials", "${services.main.url}"),
    ('ProgrammingError: role "reader" does not exist', "no role reader", 'roles = ["reader"] below [services.main]'),
    ('connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed: No such file or directory',
     "elsewhere than main is", "${services.main.url}"),
    ('could not translate host name "db" to address: Name or service not known', "elsewhere", "${services.main.url}"),
])
def test_a_servers_own_words_are_answered_with_what_helps(said: str, why: str, fix: str) -> None:
    """Running the task again can't."""
    declared = services.get("postgres").declaration(kind="postgres")

    found = services.said_by_a_server({"main": declared}, f"Traceback\n{said}\n")

    assert found is not None
    assert why in found[0]
    assert fix in found[1]
    assert services.said_by_a_server({"main": declared}, "ValueError: no") is None


def test_a_build_without_icu_is_passed_over_where_icu_is_declared() -> None:
    kind = services.get("postgres")
    declaration = kind.declaration.model_validate({"icu": True})

    assert "icu" in kind.needs(declaration)
    assert all("icu" not in source.only for source in kind.sources if source.only is not None)


def test_an_unknown_kind_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        services.get("postgers")
    assert caught.value.fix == 'kind = "postgres"'


@pytest.mark.parametrize("name", KINDS)
def test_the_url_leads_to_this_instance_with_its_credentials(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    url = urlsplit(services.get(name).url(instance).reveal())
    assert (url.hostname, url.port) == ("127.0.0.1", instance.port)
    assert unquote(url.username or "") == instance.user
    assert url.password is None or unquote(url.password) == instance.password.reveal()


@pytest.mark.parametrize("name", KINDS)
def test_variables_offer_the_common_names_and_hide_the_password(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    variables = services.get(name).variables(instance)
    assert {"url", "host", "port", "user", "password"} <= variables.keys()
    plain = [value for value in variables.values() if not isinstance(value, Secret)]
    assert not any(instance.password.reveal() in value for value in plain)
    assert instance.password.reveal() not in repr(variables)


@pytest.mark.parametrize("name", KINDS)
def test_the_password_is_neither_in_argv_nor_environment_nor_a_readable_file(
    name: str, make_instance: MakeInstance
) -> None:
    instance = make_instance(name)
    native = _native(name, instance)
    prepare = native.prepare
    shown = [*native.argv, *native.env.values(), *native.folders, *native.links, *(file.path for file in native.files)]
    shown += [*prepare.argv, *prepare.env.values(), prepare.template] if prepare else []
    assert not any(instance.password.reveal() in text for text in shown)
    assert not any(file.mode & 0o077 for file in native.files)


@pytest.mark.parametrize("name", KINDS)
def test_the_same_instance_gives_the_same_process(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    assert _native(name, instance) == _native(name, replace(instance))


@pytest.mark.parametrize("name", KINDS)
def test_the_server_is_told_its_ports_and_to_stay_on_loopback(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    text = _texts(_native(name, instance))
    assert "127.0.0.1" in text
    assert not re.search(r"0\.0\.0\.0|\[::\]", text)
    assert all(str(port) in text for port in instance.ports.values())


@pytest.mark.parametrize("name", KINDS)
def test_the_server_is_told_its_identity(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    assert instance.identity in _texts(_native(name, instance))
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,63}", instance.identity)


@pytest.mark.parametrize("name", KINDS)
def test_everything_written_stays_in_the_data_folder(name: str, make_instance: MakeInstance) -> None:
    native = _native(name, make_instance(name))
    paths = [*(file.path for file in native.files), *native.folders, *native.links, *native.pid_files]
    assert all(not PurePosixPath(path).is_absolute() and ".." not in PurePosixPath(path).parts for path in paths)


@pytest.mark.parametrize("name", KINDS)
def test_libraries_found_at_unpacking_reach_the_server(name: str, make_instance: MakeInstance) -> None:
    native = services.get(name).native(make_instance(name), _server(name, "erlexec"))
    assert native.env["LD_LIBRARY_PATH"] == "/opt/s/lib"
    assert native.prepare is None or native.prepare.env["LD_LIBRARY_PATH"] == "/opt/s/lib"


@pytest.mark.parametrize("name", KINDS)
def test_a_template_is_shared_by_all_instances(name: str, make_instance: MakeInstance) -> None:
    one, other = _native(name, make_instance(name)), _native(name, make_instance(name, "two"))
    assert one.prepare == other.prepare


@pytest.mark.parametrize("name", KINDS)
def test_sources_are_pinned_named_apart_and_ask_for_consent_last(name: str) -> None:
    sources = services.get(name).sources
    assert len({source.name for source in sources}) == len(sources)
    order = (Installed, Wheel, Packages, SystemPackages)
    ranks = [order.index(type(source.way)) for source in sources]
    assert ranks == sorted(ranks)
    for wheel in (source.way for source in sources if isinstance(source.way, Wheel)):
        assert all(re.fullmatch(r"[0-9a-f]{64}", pin[3]) for pin in wheel.files.values())
        assert re.match(r"\d", wheel.release)
        assert wheel.program


@pytest.mark.parametrize("name", KINDS)
def test_a_declaration_is_documented_and_refuses_unknown_keys(name: str) -> None:
    model = services.get(name).declaration
    assert model.model_fields.keys() == meanings(model).keys()
    assert json.dumps(model.model_json_schema())
    with pytest.raises(ValueError, match="no_such_key"):
        model.model_validate({"no_such_key": 1})


@pytest.mark.parametrize("name", KINDS)
def test_a_closed_port_is_an_answer_at_once(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    began = time.monotonic()
    probe = services.get(name).probe(instance, 10)
    assert not probe.ok
    assert probe.detail
    assert time.monotonic() - began < 5


class _Babbler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 20)


class _Mute(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.settimeout(20)
        while self.request.recv(4096):
            pass


@contextmanager
def _stranger(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Clients hang up; that is no news."""

    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def _probe_on(port: int, kind: Kind, instance: Instance, timeout: float) -> services.Probe:
    return kind.probe(replace(instance, ports={**instance.ports, "main": port}), timeout)


@pytest.mark.parametrize("name", KINDS)
def test_a_stranger_that_babbles_is_not_our_server(name: str, make_instance: MakeInstance) -> None:
    instance = make_instance(name)
    with _stranger(_Babbler) as port:
        probe = _probe_on(port, services.get(name), instance, 5)
    assert not probe.ok
    assert "\n" not in probe.detail
    assert instance.password.reveal() not in probe.detail


@pytest.mark.parametrize("name", KINDS)
def test_a_stranger_that_says_nothing_costs_no_more_than_the_deadline(name: str, make_instance: MakeInstance) -> None:
    with _stranger(_Mute) as port:
        began = time.monotonic()
        probe = _probe_on(port, services.get(name), make_instance(name), 2)
        took = time.monotonic() - began
    assert not probe.ok
    # imports and a loaded machine are forgiven, a wait without end is not
    assert took < 8


@pytest.mark.parametrize("name", KINDS)
def test_importing_a_kind_does_not_import_its_client(name: str) -> None:
    seen = f"import sys, devstack.services.{name}; print(*{{'psycopg', 'redis', 'amqp'}} & set(sys.modules))"
    done = System().capture((sys.executable, "-c", seen), timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "")
