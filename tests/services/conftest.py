"""Real servers for the tests of the kinds: binaries found or fetched once; for each test a private data folder, or a
stack of its own on this machine's engine."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devstack import services
from devstack.errors import NetworkError, PrerequisiteError
from devstack.profile.secret import Secret
from devstack.runtimes.servers import Servers
from devstack.services import Instance, Kind, Server
from devstack.state import RuntimeHere
from devstack.system import System
from tests.engine_bench import ensure_image, sweep
from tests.services.benches import Bench, ContainerBench

#: awkward on purpose: quotes, an escape, what URLs and configuration files give a meaning to
PASSWORD = """s3'cret"Pa/ss@#%\\ word"""


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder whose path is short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ds-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make_instance(short_folder: Path) -> Callable[..., Instance]:
    """An instance of a kind with free ports, in a folder of the given name; keywords are the kind's own keys."""

    def make(name: str, folder: str = "one", **options: Any) -> Instance:
        kind = services.get(name)
        declaration = kind.declaration.model_validate(options)
        sockets = short_folder / "s"
        sockets.mkdir(mode=0o700, exist_ok=True)
        ports = {port: System().free_port() for port in kind.ports}
        return Instance(
            name, "shop", declaration, ports, kind.account(declaration, "shop"), Secret(PASSWORD),
            str(short_folder / folder / "data"), str(sockets),
        )

    return make


@pytest.fixture
def runtime() -> RuntimeHere:
    """Where the bench's servers run; a test of both is marked with BOTH."""
    return "native"


@pytest.fixture
def make_bench(runtime: RuntimeHere, make_instance: Callable[..., Instance]) -> Iterator[Callable[..., Bench]]:
    """A bench for a kind, its server found or fetched; whatever still runs is killed at the end."""
    benches = list[Bench]()

    def make(name: str, folder: str = "one", **options: Any) -> Bench:
        kind = services.get(name)
        instance = make_instance(name, folder, **options)
        if runtime == "docker":
            server = Server(name, "image", instance.declaration.version or kind.default_version, "", "")
            contained = ContainerBench(kind, replace(instance, is_contained=True), server)
            ensure_image(contained.engine, contained.service.image)
            benches.append(contained)
        else:
            benches.append(Bench(kind, instance, _server(name, kind, instance)))
        return benches[-1]

    yield make
    for bench in benches:
        if isinstance(bench, ContainerBench):
            sweep(bench.engine, bench.stack)
        else:
            with suppress(ProcessLookupError):
                bench.kill()


def _server(name: str, kind: Kind, instance: Instance) -> Server:
    # fetched servers are kept where devstack keeps them: they are too big to fetch for every run
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "devstack" / "servers"
    wanted = instance.declaration.version or kind.default_version
    servers = Servers(System(), cache)
    try:
        choice = servers.choose(name, kind, wanted, kind.needs(instance.declaration))
        return servers.fetch(name, kind, choice, lambda _line: None)
    except (NetworkError, PrerequisiteError) as error:
        pytest.skip(f"no {name} server for this machine: {error}")
