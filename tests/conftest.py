"""A machine of its own for every test: nothing of this user's environment, home and XDG folders in `tmp_path`."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from devstack import services
from devstack.profile.load import load
from devstack.profile.model import Profile
from devstack.profile.secret import Secret
from devstack.profile.source import SourceFile
from devstack.programs import port_names
from devstack.services import Instance, Server
from devstack.state import PythonState, ServiceState, State, TaskState
from devstack.system import System

# a machine that is busy with other tests isn't a failure
settings.register_profile("devstack", deadline=None)
settings.load_profile("devstack")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every tool is installed (CI), a skip is a failure: a test that doesn't run proves nothing."""
    report = yield
    if report.skipped and os.environ.get("DEVSTACK_NO_SKIP") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, and CI allows no skip: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def ordinary_python() -> Iterator[str]:
    """A Python with the tool's libraries and devstack that any user of this machine may run.

    The one that runs the tests may lie in a folder that only root can enter; then another is made, and removed.
    """
    if os.geteuid() != 0:
        yield sys.executable
        return
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no Python is installed for all users of this machine")
    checkout = Path(__file__).parent.parent
    with tempfile.TemporaryDirectory(prefix="devstack-ordinary-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        for part in ("devstack", "profiles"):
            shutil.copytree(checkout / part, folder / "checkout" / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(checkout / "Procfile.template", folder / "checkout")
        project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
        environ = System({**os.environ}).environ
        plain = {key: value for key, value in environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
        for argv in (
            [sys.executable, "-m", "virtualenv", "-q", "--no-pip", "-p", python, str(folder / "venv")],
            [sys.executable, "-m", "uv", "pip", "install", "-q", "--link-mode", "copy", "--python",
             str(folder / "venv/bin/python"), "-c", str(checkout / "constraints.txt"), *project["dependencies"]],
        ):  # fmt: skip
            done = System(plain).capture(argv, timeout=300)
            if done.returncode != 0:
                pytest.skip(f"no Python for all users can be made: {done.output[-300:]}")
        site = next((folder / "venv/lib").glob("python3*")) / "site-packages"
        (site / "checkout.pth").write_text(f"{folder / 'checkout'}\n")
        yield str(folder / "venv/bin/python")


@pytest.fixture
def private_environ(tmp_path: Path) -> dict[str, str]:
    """Only PATH is this machine's."""
    home = tmp_path / "home"
    folders = {
        "HOME": home, "XDG_CONFIG_HOME": home / "config", "XDG_CACHE_HOME": home / "cache",
        "XDG_DATA_HOME": home / "data", "XDG_STATE_HOME": home / "state", "XDG_RUNTIME_DIR": home / "run",
        "TMPDIR": home / "tmp",
    }
    for folder in folders.values():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"} | {name: str(path) for name, path in folders.items()}


@pytest.fixture
def system(private_environ: dict[str, str]) -> System:
    return System(private_environ)


@pytest.fixture(scope="session")
def make_profile() -> Callable[[str], Profile]:
    """A profile from the text of a devstack.toml."""

    def make(text: str) -> Profile:
        return load([SourceFile("devstack.toml", text, "project")], services.declarations()).profile

    return make


@pytest.fixture(scope="session")
def make_state() -> Callable[..., State]:
    """What is observed of a stack of which nothing exists yet: ports leased, servers chosen. Keywords: other fields."""

    def make(profile: Profile, **changes: Any) -> State:
        folder, place, ports = "/srv/shop/.devstack", "/run/ds/abc", dict[str, int]()
        states = {}
        for name, declared in profile.services.items():
            kind = services.kind_of(name, declared)
            own = {port: declared.port or standard for port, standard in services.ports_of(name, declared).items()}
            ports |= {name if port == "main" else f"{name}.{port}": number for port, number in own.items()}
            instance = Instance(
                name, "shop", declared, own, kind.account(declared, "shop"), Secret(f"{name}-Pass"),
                f"{folder}/data/{name}", f"{place}/{name}",
            )
            home = f"/cache/{declared.kind or name}"
            server = Server(declared.kind or name, "wheel", "1.2.3", home, f"{home}/bin/server")
            states[name] = ServiceState(instance, server, is_fetched=False, has_data=False, generation="g1")
        names = [key for name, process in profile.processes.items() for key in port_names(name, process)]
        ports |= {key: 8000 + number for number, key in enumerate(names)}
        state = State(
            stack="abc", root="/srv/shop", folder=folder, sockets=place, venv="/srv/shop/.devstack/venvs/k1",
            base={"PATH": "/usr/bin:/bin", "HOME": "/home/ann"}, services=states, ports=ports,
            python=PythonState(wanted="k1", version="3.11.7"),
            tasks={name: TaskState(f"key-{name}") for name in profile.tasks},
            missing_paths=frozenset(profile.files),
        )
        return replace(state, **changes)

    return make
