"""The demo as a newcomer gets it: bootstrapped once for all tests of a worker, on a machine of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.demo.shop import Shop
from tests.engine_bench import ensure_image, sweep, this_machines_engine
from tests.scenarios.conftest import keep_away
from tests.scenarios.machine import CHECKOUT, Machine, below, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_NETWORK = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "PIP_INDEX_URL", "UV_DEFAULT_INDEX"}


@pytest.fixture(scope="session")
def bootstrapped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with _bootstrapped(tmp_path_factory, "native") as shop:
        yield shop


@pytest.fixture(scope="session")
def contained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The same with all its services in containers."""
    engine = this_machines_engine()
    for image in ("postgres:16", "redis:7", "rabbitmq:3"):
        ensure_image(engine, image)
    with _bootstrapped(tmp_path_factory, "docker") as shop:
        yield shop
    sweep(engine, shop.project.state["stack"])


@contextmanager
def _bootstrapped(tmp_path_factory: pytest.TempPathFactory, where: str) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("demo")
    # port leases are those of one user: the workers of a test run share them
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    state = shared / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    keep_away(state, shared)
    # a socket's path is short: pytest's folders are too deep for it
    runtime = Path(tempfile.mkdtemp(prefix="dsd-", dir="/tmp"))
    machine = Machine(folder, _environ(folder, state, runtime) | {"DEVSTACK_RUNTIME": where})
    try:
        project = machine.bootstrap("demo", into=folder / "shop")
        yield Shop(project)
        project.run("down")
        project.assert_gone()
    finally:
        for process in below(folder):
            process.kill()
        shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def shop(bootstrapped: Shop) -> Shop:
    """Everything ready, whatever the test before has done to it."""
    assert until(bootstrapped.is_ready, 60), bootstrapped.project.status()
    return bootstrapped


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A real one, with a home of its own."""
    found = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if found is None:
        pytest.skip(f"there is no {' or '.join(_BROWSERS)} on PATH")
    from playwright.sync_api import sync_playwright

    environ: dict[str, str | float | bool] = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_QUIET), env=environ)
        yield browser
        browser.close()


def _environ(folder: Path, state: Path, runtime: Path) -> dict[str, str]:
    """Only the cache is this machine's: servers and packages that were fetched once are not fetched again."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
    return {
        "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "HOME": str(home), "TMPDIR": str(home),
        "XDG_CACHE_HOME": cache,
        "XDG_STATE_HOME": str(state), "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_RUNTIME_DIR": str(runtime), "PYTHONPATH": str(CHECKOUT),
    } | {name: value for name, value in os.environ.items() if name.upper() in _NETWORK}  # fmt: skip
