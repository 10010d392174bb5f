"""One machine per test; whatever a test leaves running is found, told and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from devstack.registry import Entry, Registry
from devstack.system import System
from tests.engine_bench import ensure_image, this_machines_engine
from tests.scenarios.boxed import Boxed
from tests.scenarios.machine import CHECKOUT, DEVSTACK, Machine, Project, below, give


@pytest.fixture(scope="session")
def leases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """XDG_STATE_HOME of the whole run, all workers together: two stacks never choose the same port."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "state"
    folder.mkdir(mode=0o700, exist_ok=True)
    keep_away(folder, shared)
    return folder


def keep_away(state: Path, run: Path) -> None:
    """Lease the first ports to nobody: stacks of this machine's users, and of another run of the tests, take those,
    and with a registry of their own they might do so between a lease and its use."""
    first = 20 + zlib.crc32(bytes(run)) % 20 * 40
    ports = {f"p{port}": port for base in (5432, 5672, 6379, 8000, 25672) for port in range(base, base + first)}
    registry = Registry(System(), state / "devstack")
    registry.record(Entry("0" * 16, "elsewhere", str(run), "native", ports, 0.0))


@pytest.fixture
def machine(tmp_path: Path, leases: Path) -> Iterator[Machine]:
    # a socket's path is short: pytest's folders are too deep for it
    runtime = Path(tempfile.mkdtemp(prefix="dsr-", dir="/tmp"))
    made = make_machine(tmp_path, leases, runtime)
    yield made
    try:
        clear(made)
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def mini(machine: Machine) -> Project:
    """A trusted project that has never been up."""
    return machine.new_project()


@pytest.fixture
def boxed(machine: Machine) -> Iterator[Boxed]:
    """The small project with its Redis in a container of this machine's engine."""
    engine = this_machines_engine()
    ensure_image(engine, "redis:7")
    machine.environ["DEVSTACK_RUNTIME"] = "docker"
    made = Boxed(machine.new_project(), engine)
    yield made
    made.clear()


def make_machine(folder: Path, state: Path, runtime: Path) -> Machine:
    home = folder / "home"
    home.mkdir(mode=0o700)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    environ = {
        "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home),
        "XDG_CACHE_HOME": cache,
        "XDG_STATE_HOME": str(state), "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(CHECKOUT),
        # whether an engine answers here must not change what a test is about
        "DEVSTACK_RUNTIME": "native",
        # nor what is kept of another test's data, in the one cache of all
        "DEVSTACK_NO_SEED": "1",
    }
    network = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"}
    reach = {name: value for name, value in os.environ.items() if name.upper() in network}
    return Machine(folder, environ | reach)


def clear(machine: Machine) -> None:
    """Take every project down; nothing of it may be left."""
    try:
        for project in machine.projects:
            if (project.folder / "state.json").exists():
                project.run("down")
            project.assert_gone()
            # its leases are free for the next one
            shutil.rmtree(project.root, ignore_errors=True)
    finally:
        for process in below(machine.folder):
            with contextlib.suppress(psutil.Error):
                process.kill()


@pytest.fixture
def ordinary(tmp_path: Path, machine: Machine) -> Iterator[Machine]:
    """A machine whose user has no rights: the one of the tests, or `nobody` with this machine's Redis."""
    if os.geteuid() != 0:
        yield machine
        return
    if shutil.which("setpriv") is None:
        pytest.skip("root can't become another user without setpriv")
    # pytest's own folders are closed to others
    folder = Path(tempfile.mkdtemp(prefix="dsn-", dir="/tmp"))
    (folder / "runtime").mkdir()
    made = make_machine(folder, folder / "state", folder / "runtime")
    # `env`: what setpriv itself executes, it still executes with root's rights
    made.prefix = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env")
    made.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    copy_servers(folder)
    give(folder)
    try:
        made.command = command_for(made)
        yield made
        clear(made)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def command_for(machine: Machine) -> tuple[str, ...]:
    """How this user can call devstack: this interpreter may be closed to others."""
    for command in (DEVSTACK, ("/usr/bin/python3", str(CHECKOUT / "bootstrap.py"))):
        done = subprocess.run(
            [*machine.prefix, *command, "--version"], env=machine.environ, cwd=machine.folder, capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return command
    pytest.skip(f"nobody can't run devstack: {done.stderr.decode()[-500:]}")


def copy_servers(folder: Path) -> None:
    """Downloads of this machine's user, if there are any, so that they needn't be fetched again."""
    own = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "devstack" / "servers"
    for found in own.glob("redis-*"):
        shutil.copytree(found, folder / "cache" / "devstack" / "servers" / found.name, symlinks=True)
