"""Fixtures: a clean environment, toy wheels, and one cache of real servers for the whole run."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devstack.profile.model import Service
from devstack.profile.secret import Secret
from devstack.runtimes.servers.machine import observe
from devstack.services import Instance, NativeService, Server, Source, Wheel
from devstack.system import System
from tests.runtimes.toys import PREPARE, TOY, Bench, MakeWheel, RecordingSystem, ToyWheel, write_wheel


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    home = tmp_path / "home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"], "HOME": str(home), "TMPDIR": str(tmp_path), "XDG_CACHE_HOME": str(home / "cache"),
        "PIP_CONFIG_FILE": os.devnull,
    }


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A private folder whose path is short enough for Unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="dse-", dir="/tmp"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def make_wheel(tmp_path: Path, environ: dict[str, str]) -> MakeWheel:
    def make(script: str = TOY, sha256: str = "") -> ToyWheel:
        index = tmp_path / "index"
        index.mkdir(exist_ok=True)
        file = index / "toyserver-1.4.2-py3-none-any.whl"
        write_wheel(file, script)
        pinned = sha256 or hashlib.sha256(file.read_bytes()).hexdigest()
        platform = observe(System()).platform
        way = Wheel("toyserver", "1.4.2", {platform: ("py3", "none", "manylinux_2_17_any", pinned)}, home="toyserver")
        pip = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index)}
        return ToyWheel(Source("wheel", way, version="1.4.2"), file, {**environ, **pip})

    return make


@pytest.fixture
def nobodys_home() -> Iterator[Path]:
    """A folder of an ordinary user's own; not below `tmp_path`, whose parents every pytest closes to others."""
    with tempfile.TemporaryDirectory(prefix="devstack-test-") as name:
        Path(name).chmod(0o755)
        home = Path(name, "hôme of nobody")
        home.mkdir()
        if os.geteuid() == 0:
            os.chown(home, 65534, 65534)
        yield home


@pytest.fixture
def as_nobody(ordinary_python: str) -> tuple[str, ...]:
    """Words that run a Python with the tool's libraries as an ordinary user."""
    if os.geteuid() != 0:
        pytest.skip("every other test runs as an ordinary user already")
    return ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", ordinary_python)


@pytest.fixture(scope="session")
def shared_servers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache of real servers for the whole run (all xdist workers); DEVSTACK_TEST_SERVERS keeps it between runs."""
    kept = os.environ.get("DEVSTACK_TEST_SERVERS")
    base = tmp_path_factory.getbasetemp()
    return Path(kept) if kept else (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "servers"


@pytest.fixture
def bench(tmp_path: Path, environ: dict[str, str]) -> Bench:
    project = tmp_path / "a project é"
    project.mkdir()
    program = tmp_path / "toy/bin/toyserver"
    program.parent.mkdir(parents=True)
    shutil.copy(shutil.which("sleep") or "/bin/sleep", program)
    data = project / ".devstack/data/toy"
    declaration = Service()
    instance = Instance("toy", "stack", declaration, {"main": 4000}, "", Secret("s"), str(data), str(tmp_path))
    server = Server("toy", "wheel", "15.3", str(tmp_path / "toy"), str(program))
    spec = NativeService((str(program),), {}, str(data), prepare=PREPARE)
    return Bench(RecordingSystem(environ), instance, server, spec, tmp_path / "seeds")


@pytest.fixture
def started(bench: Bench) -> Iterator[list[int]]:
    pids: list[int] = []
    yield pids
    for pid in pids:
        identity = bench.system.identity(pid)
        if identity:
            bench.system.signal(identity, signal.SIGKILL)
