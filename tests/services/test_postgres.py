"""PostgreSQL for real: the two ways in, provisioning and its repairs, identity, and what a crash leaves."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.errors import DataError, PrerequisiteError, ProcessError
from devstack.profile.secret import Secret
from devstack.services import Instance, Server
from devstack.services._postgres_sources import extension_package
from devstack.services.postgres import KIND
from tests.services.benches import BOTH, ContainerBench

if TYPE_CHECKING:
    from tests.services.benches import Bench

MakeBench = Callable[..., "Bench"]
MakeInstance = Callable[..., Instance]


def _connect(bench: Bench, **changes: object) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(KIND.url(bench.instance).reveal(), autocommit=True, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("runtime", "version"), [
    ("native", "15"), ("native", "16"), ("native", "18"), ("docker", "15"), ("docker", "16"),
])
def test_a_first_start_makes_everything_declared(make_bench: MakeBench, runtime: str, version: str) -> None:
    bench = make_bench("postgres", version=version, databases=["shop", "shop_reporting"], roles=["reader"])
    bench.start()
    done = bench.provision()
    assert done == ("role shop", "role reader", "database shop", "database shop_reporting")
    probe = bench.ready()
    assert probe.version
    # what an image's tag says of the server in it is its maker's to keep
    assert runtime == "docker" or probe.version == bench.server.version
    assert not probe.missing
    with _connect(bench) as connection:
        row = connection.execute(
            "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'shop'"
        ).fetchone()
        assert row == ("shop", "UTF8")
        # a plain C locale would leave these as they are, and case-insensitive searches would miss them
        assert connection.execute("SELECT lower('É'), 'é' ILIKE 'É'").fetchone() == ("é", True)
        connection.execute("CREATE SCHEMA one CREATE TABLE t (x int)")
    with _connect(bench, user="reader") as connection:
        assert connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'reader'").fetchone() == (False,)
    assert bench.stop() == 0


@BOTH
def test_provisioning_twice_changes_nothing(make_bench: MakeBench) -> None:
    bench = make_bench("postgres", roles=["reader"])
    bench.up()
    assert KIND.provision(bench.instance, 10) == ()


@BOTH
def test_what_is_added_to_the_declaration_is_missed_and_made_without_a_restart(
    make_bench: MakeBench, runtime: str
) -> None:
    extension = "vector" if runtime == "native" else "pg_trgm"
    bench = make_bench("postgres", databases=["shop"], extensions=[extension], version="16")
    bench.up()
    bench.declare(databases=["shop", "two"], roles=["reader"])
    probe = KIND.probe(bench.instance, 5)
    assert (probe.ok, probe.missing) == (True, ("role reader", "database two"))
    assert KIND.provision(bench.instance, 10) == ("role reader", "database two", f"extension {extension} in two")
    assert KIND.probe(bench.instance, 5).missing == ()
    with _connect(bench, dbname="two") as connection:
        connection.execute(f"DROP EXTENSION {extension}")
    assert KIND.probe(bench.instance, 5).missing == (f"extension {extension} in two",)


def test_a_missing_first_database_is_named(make_bench: MakeBench) -> None:
    bench = make_bench("postgres", databases=["shop"])
    bench.up()
    bench.declare(databases=["other"])
    probe = KIND.probe(bench.instance, 5)
    assert (probe.ok, probe.missing) == (False, ("database other",))
    KIND.provision(bench.instance, 10)
    assert KIND.probe(bench.instance, 5).ok


def test_a_changed_password_is_repaired_and_the_old_one_refused(make_bench: MakeBench) -> None:
    bench = make_bench("postgres")
    bench.up()
    old = bench.instance
    bench.set_password("another")
    refused = KIND.probe(bench.instance, 5)
    assert not refused.ok
    assert "password authentication failed" in refused.detail
    assert KIND.provision(bench.instance, 10) == ("password of role shop",)
    assert KIND.probe(bench.instance, 5).ok
    assert not KIND.probe(old, 5).ok


@BOTH
@pytest.mark.fault("S11", "S14")
def test_nobody_gets_in_by_tcp_without_a_password_and_nobody_can_read_it(make_bench: MakeBench, runtime: str) -> None:
    bench = make_bench("postgres")
    bench.up()
    for user in ("shop", "postgres"):
        with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|rejects connection"):
            _connect(bench, user=user, password="wrong")
    assert bench.listening() == {"127.0.0.1"}
    assert bench.instance.password.reveal() not in bench.shown()
    if runtime == "native":
        with pytest.raises(psycopg.OperationalError, match="rejects connection"):
            _connect(bench, user="postgres")


@pytest.mark.fault("G3")
@pytest.mark.parametrize("runtime", ["docker"])
def test_data_survives_another_container_even_with_another_password(make_bench: MakeBench) -> None:
    """An older volume is mended from inside; the administrator, who comes by TCP, has the stack's password too."""
    bench = make_bench("postgres")
    bench.up()
    with _connect(bench) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS x")
    old = bench.instance
    bench.set_password("another")

    bench.start()
    assert bench.provision() == ("password of role shop",)

    assert bench.ready().ok
    assert not KIND.probe(old, 5).ok
    with _connect(bench) as connection:
        assert connection.execute("SELECT x FROM t").fetchone() == (7,)
    assert KIND.provision(bench.instance, 10) == ()


@pytest.mark.fault("G2")
@pytest.mark.parametrize("runtime", ["docker"])
def test_data_survives_an_image_that_declares_its_volume_elsewhere(make_bench: MakeBench) -> None:
    """As the official one does from version 18 on."""
    bench = make_bench("postgres")
    assert isinstance(bench, ContainerBench)
    bench.up()
    with _connect(bench) as connection:
        connection.execute("CREATE TABLE t AS SELECT 7 AS x")
    api, name = bench.engine.api, f"devstack-test-{bench.stack}"
    made = api.create_container(bench.service.image, ["true"])["Id"]
    api.commit(made, name, "18", changes="VOLUME /var/lib/postgresql")
    api.remove_container(made, v=True)
    try:
        bench.declare(image=f"{name}:18")
        bench.up()
        with _connect(bench) as connection:
            assert connection.execute("SELECT x FROM t").fetchone() == (7,)
        bench.stop()
    finally:
        api.remove_image(f"{name}:18", force=True)


@BOTH
@pytest.mark.fault("G6")
def test_kill_9_loses_no_committed_row(make_bench: MakeBench) -> None:
    bench = make_bench("postgres")
    bench.up()
    with _connect(bench) as connection:
        connection.execute("CREATE TABLE t (x int)")
        for number in range(50):
            connection.execute("INSERT INTO t VALUES (%s)", (number,))
    bench.kill()
    bench.up()
    with _connect(bench) as connection:
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (50,)


@BOTH
def test_another_stacks_server_is_a_stranger_even_with_the_same_password(make_bench: MakeBench) -> None:
    ours, theirs = make_bench("postgres", "ours"), make_bench("postgres", "theirs")
    theirs.up()
    probe = KIND.probe(replace(ours.instance, ports=theirs.instance.ports), 5)
    assert not probe.ok
    assert "another server" in probe.detail


def test_an_extension_that_the_build_lacks_is_named(make_bench: MakeBench) -> None:
    bench = make_bench("postgres", version="16")
    bench.up()
    bench.declare(extensions=["no_such_extension"])
    with pytest.raises(PrerequisiteError) as caught:
        KIND.provision(bench.instance, 10)
    assert caught.value.id == "extension-missing"
    assert "no_such_extension" in caught.value.what


@pytest.mark.parametrize(("programs", "extension", "package"), [
    ("/usr/lib/postgresql/15/bin", "postgis", "postgresql-15-postgis-3"),
    ("/usr/lib/postgresql/15/bin", "of_our_own", ""),
    ("/home/ann/.cache/devstack/servers/x/bin", "postgis", ""),
])
def test_a_server_of_debians_packages_has_packages_of_extensions(programs: str, extension: str, package: str) -> None:
    assert extension_package(programs, extension) == package


@pytest.mark.fault("G16")
def test_a_database_of_another_encoding_is_left_for_a_person(make_bench: MakeBench) -> None:
    bench = make_bench("postgres", databases=["shop"])
    bench.up()
    with _connect(bench) as connection:
        connection.execute(
            "CREATE DATABASE old ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' LOCALE_PROVIDER libc"
            " TEMPLATE template0"
        )
    bench.declare(databases=["shop", "old"])
    with pytest.raises(DataError) as caught:
        KIND.provision(bench.instance, 10)
    assert caught.value.id == "database-encoding"


def test_a_server_that_hangs_costs_a_probe_no_more_than_its_deadline(make_bench: MakeBench) -> None:
    bench = make_bench("postgres")
    bench.up()
    assert bench.child
    os.kill(bench.child.pid, signal.SIGSTOP)
    began = time.monotonic()
    probe = KIND.probe(bench.instance, 2)
    os.kill(bench.child.pid, signal.SIGCONT)
    assert not probe.ok
    assert time.monotonic() - began < 6


def test_a_query_that_never_ends_is_given_up_at_the_deadline(make_bench: MakeBench) -> None:
    from devstack.services._postgres_sessions import connect

    bench = make_bench("postgres")
    bench.up()
    began = time.monotonic()
    session = connect(bench.instance, "shop", began + 3)
    os.kill(session.info.backend_pid, signal.SIGSTOP)
    try:
        with pytest.raises(psycopg.OperationalError, match="does not answer"):
            session.execute("SELECT 1")
    finally:
        os.kill(session.info.backend_pid, signal.SIGCONT)
        session.close()
    assert time.monotonic() - began < 8


def test_provisioning_without_a_server_ends_at_its_deadline_with_the_reason(make_instance: MakeInstance) -> None:
    with pytest.raises(ProcessError) as caught:
        KIND.provision(make_instance("postgres"), 0.3)
    assert caught.value.id == "service-not-ready"
    assert "No such file" in caught.value.why


def test_the_environments_own_postgres_settings_are_ignored(
    make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = make_bench("postgres")
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")
    monkeypatch.setenv("PGOPTIONS", "-c nonsense=1")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("PGCHANNELBINDING", "require")
    assert bench.up().ok


def test_a_folder_of_any_name_will_do(make_bench: MakeBench) -> None:
    assert make_bench("postgres", 'it\'s "odd" # ü').up().ok


def test_durable_switches_the_shortcuts_off(make_instance: MakeInstance) -> None:
    server = Server("postgres", "installed", "16.1", "/opt/pg", "/opt/pg/bin/postgres")
    fast = KIND.native(make_instance("postgres"), server).files[0].text
    durable = KIND.native(make_instance("postgres", durable=True), server).files[0].text
    assert "fsync = off" in fast
    assert "fsync = on" in durable
    assert "full_page_writes = on" in durable
    assert "synchronous_commit = on" in fast


def test_the_cluster_is_prepared_by_the_sibling_of_the_server(make_instance: MakeInstance) -> None:
    server = Server("postgres", "installed", "17.2", "/opt/pg", "/opt/pg/bin/postgres")
    native = KIND.native(make_instance("postgres"), server)
    assert native.prepare
    assert native.prepare.argv[:3] == ("/opt/pg/bin/initdb", "-D", "{target}")
    assert "--builtin-locale=C.UTF-8" in native.prepare.argv
    assert native.stop_signal == "INT"


@pytest.mark.parametrize("stack", ["postgres", "public", "none", "pg-admin"])
def test_no_stack_gets_an_account_that_the_server_keeps_for_itself(stack: str) -> None:
    assert KIND.account(KIND.declaration(), stack) == f"app_{stack.replace('-', '_')}"
    assert KIND.account(KIND.declaration(), "my-shop") == "my_shop"


def test_a_verifier_is_matched_by_its_password_alone() -> None:
    from devstack.services._postgres_scram import is_verifier_of

    # RFC 7677's example, in the form of pg_authid
    verifier = (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
        "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )
    assert is_verifier_of(verifier, "pencil")
    assert not is_verifier_of(verifier, "pen")
    assert not is_verifier_of("md5deadbeef", "pencil")
    assert not is_verifier_of("", "pencil")


@pytest.mark.parametrize("databases", [["a b"], ["x" * 64], ["a;b"], [""]])
def test_a_bad_name_is_refused(databases: list[str]) -> None:
    with pytest.raises(ValueError, match="databases"):
        KIND.declaration.model_validate({"databases": databases})


def test_a_wrong_password_is_not_told_in_the_detail(make_bench: MakeBench) -> None:
    bench = make_bench("postgres")
    bench.up()
    probe = KIND.probe(replace(bench.instance, password=Secret("canary-7")), 5)
    assert not probe.ok
    assert "canary-7" not in probe.detail
