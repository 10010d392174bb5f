"""Servers from the distribution's packages, with the real apt: nothing is installed, root isn't needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from devstack import services
from devstack.errors import NetworkError, PrerequisiteError
from devstack.runtimes.servers import Servers
from devstack.runtimes.servers.machine import Machine, observe
from devstack.runtimes.servers.packages import Apt, make_links, missing_libraries
from devstack.services import Installed, Packages, Server, Source
from devstack.system import System
from tests.runtimes.toys import RecordingSystem, ToyKind, quiet

REDIS = Packages(("redis-tools",), {"bin/redis-server": "usr/bin/redis-check-rdb"}, program="bin/redis-server")


@pytest.fixture
def machine() -> Machine:
    machine = observe(System())
    if not machine.apt or not machine.distribution.startswith(("debian", "ubuntu")):
        pytest.skip("this machine isn't a Debian with apt")
    return machine


def fetch(servers: Servers, name: str, kind: ToyKind) -> Server:
    try:
        return servers.fetch(name, kind, servers.choose(name, kind, "", frozenset()), quiet)
    except NetworkError as error:
        if error.id != "server-download":
            raise
        pytest.skip(f"the distribution's mirror isn't reachable: {error.why}")


def test_a_server_comes_with_the_libraries_that_the_machine_lacks(
    machine: Machine, environ: dict[str, str], tmp_path: Path
) -> None:
    kind = ToyKind((Source("packages", REDIS), Source("installed", Installed("redis-server", ()))))
    system = System(environ)
    server = fetch(Servers(system, tmp_path / "é cache"), "redis", kind)
    done = system.capture((server.program, "--version"), timeout=10, env={**environ, **server.env})
    assert f"v={server.version}" in done.stdout
    assert missing_libraries(system, machine, Path(server.home)) == frozenset()


def test_a_machine_without_package_lists_gets_private_ones(
    machine: Machine, environ: dict[str, str], tmp_path: Path
) -> None:
    for name in ("no-lists/partial", "archives"):
        (tmp_path / name).mkdir(parents=True)
    settings = tmp_path / "apt.conf"
    settings.write_text(f'Dir::State::lists "{tmp_path}/no-lists";\nDir::Cache "{tmp_path}/archives";\n')
    system = RecordingSystem({**environ, "APT_CONFIG": str(settings)})
    apt = Apt(system, machine, tmp_path / "apt")
    assert apt.version("redis-tools", ()) == ""
    (tmp_path / "debs").mkdir()
    try:
        debs = apt.download(("liblzf1",), tmp_path / "debs", quiet)
    except NetworkError as error:
        pytest.skip(f"the distribution's mirror isn't reachable: {error.why}")
    assert [deb.name.split("_")[0] for deb in debs] == ["liblzf1"]
    assert any("update" in command for command in system.commands)
    assert list((tmp_path / "no-lists").iterdir()) == [tmp_path / "no-lists/partial"]


def test_a_package_that_the_distribution_does_not_have_is_no_source(
    machine: Machine, environ: dict[str, str], tmp_path: Path
) -> None:
    kind = ToyKind((Source("packages", Packages(("no-such-package-devstack",))),))
    with pytest.raises(PrerequisiteError) as caught:
        Servers(System(environ), tmp_path / "cache").choose("toy", kind, "1", frozenset())
    assert "no package no-such-package-devstack" in caught.value.why


def test_the_look_for_a_version_is_remembered(machine: Machine, environ: dict[str, str], tmp_path: Path) -> None:
    kind = ToyKind((Source("packages", REDIS),))
    system = RecordingSystem(environ)
    versions = {
        Servers(system, tmp_path / "cache").choose("redis", kind, "", frozenset()).server.version for _ in range(3)
    }
    assert len(versions) == 1
    if versions == {""}:
        pytest.skip("this machine has no package lists")
    assert len(system.commands) <= 2


def test_rabbitmq_and_erlang_come_without_root(machine: Machine, shared_servers: Path) -> None:
    kind = services.get("rabbitmq")
    only = ToyKind(tuple(s for s in kind.sources if not isinstance(s.way, Installed)), patch_glob=kind.patch_glob)
    server = fetch(Servers(System(), shared_servers), "rabbitmq", only)
    release = next(Path(server.home, "rabbitmq").resolve().glob("plugins/rabbit-*"))
    assert release.name == f"rabbit-{server.version}"
    env = {
        "ROOTDIR": f"{server.home}/erlang", "BINDIR": f"{server.home}/erts/bin", "EMU": "beam", "PROGNAME": "erl",
        "HOME": server.home, "PATH": "/usr/bin:/bin", **server.env,
    }  # fmt: skip
    argv = (server.program, "-noinput", "-boot", "no_dot_erlang", "-eval", 'io:format("~s", [ok]), halt().')
    assert System().capture(argv, timeout=60, env=env).stdout == "ok"


def test_a_link_needs_exactly_one_target(tmp_path: Path) -> None:
    for name in ("erts-1", "erts-2"):
        (tmp_path / name).mkdir()
    make_links(tmp_path, {"sub/one": "erts-1"})
    assert (tmp_path / "sub/one").resolve() == tmp_path / "erts-1"
    for pattern in ("erts-*", "nothing-*"):
        with pytest.raises(PrerequisiteError, match="no single"):
            make_links(tmp_path, {"link": pattern})
