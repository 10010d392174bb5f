"""Installations that fail or are killed: each failure has its kind and its words, and the next build converges."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from devstack.errors import NetworkError, PrerequisiteError, ProcessError
from devstack.profile.model import Python
from devstack.python_env import PythonEnvironments
from devstack.system import Completed, System
from tests.python_bench import Bench, make_bench, wheel


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return make_bench(tmp_path)


@pytest.mark.fault("B11")
def test_a_wrong_hash_installs_nothing(bench: Bench) -> None:
    """Fault B11."""
    bench.require("beta==1.0 --hash=sha256:" + "0" * 64)
    with pytest.raises(NetworkError) as caught:
        bench.build()
    error = caught.value
    assert (error.id, error.exit_code) == ("hash-mismatch", 4)
    assert "beta" in error.what
    assert "0" * 64 in error.why
    assert error.fix
    assert error.evidence
    assert not list(bench.observe().folder.glob("lib/*/site-packages/beta*"))


def test_a_right_hash_is_accepted_and_packages_come_apart(bench: Bench) -> None:
    digest = hashlib.sha256((bench.root / "wheels/beta-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    bench.require(f"beta==1.0 --hash=sha256:{digest}")
    path = wheel(bench.root / "wheels", "gamma")
    assert bench.build(Python(packages=(f"gamma @ {path.as_uri()}",))).state.is_built
    assert bench.run("import beta, gamma; print(1)") == "1"


def test_requirements_that_contradict_are_explained(bench: Bench) -> None:
    bench.require("beta==1.0", "beta<1")
    with pytest.raises(ProcessError) as caught:
        bench.build()
    assert caught.value.id == "install-failed"
    assert "beta" in caught.value.why


def test_the_next_run_takes_a_python_that_what_is_installed_allows(bench: Bench, tmp_path: Path) -> None:
    wheel(bench.root / "wheels", "late", python=">=3.91")
    bench.require("late")
    with pytest.raises(PrerequisiteError) as caught:
        bench.build()
    assert (caught.value.id, bool(caught.value.fix)) == ("python-missing", True)
    other = tmp_path / "other" / "python3.91"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho '[\"3.91.0\",\"final\",\"cpython\",false,true]'\n")
    other.chmod(0o755)
    both = Bench(bench.root, bench.environ | {"PATH": f"{other.parent}:{bench.environ['PATH']}"})
    with pytest.raises(ProcessError) as asked:
        both.build(Python(version="<3.91"))
    assert (asked.value.id, asked.value.fix) == ("python-excluded", 'version = ">=3.91" below [python]')
    with pytest.raises(ProcessError) as free:
        both.build()
    assert (free.value.id, free.value.fix) == ("python-excluded", "devstack up")
    assert f"Python 3.91.0 is there ({other})" in free.value.why
    assert both.observe().interpreter.path == str(other)


@pytest.mark.fault("A13")
def test_a_build_that_lacks_a_tool_names_its_package(bench: Bench) -> None:
    """Fault A13: the header package comes from the build's own words. The backend is in the tree: no download."""
    source = bench.root / "native"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "native"\nversion = "1"\n'
    )
    (source / "backend.py").write_text("raise SystemExit('Error: pg_config executable not found.')\n")
    bench.require("./native")
    with pytest.raises(ProcessError) as caught:
        bench.build()
    assert (caught.value.id, caught.value.exit_code) == ("install-failed", 8)
    assert any("pg_config executable not found" in line for line in caught.value.evidence)
    assert "native" in caught.value.what
    assert "pg_config" in caught.value.what
    assert "libpq" in caught.value.fix


def test_the_time_limit_ends_a_build_and_names_it(bench: Bench) -> None:
    source = bench.root / "slow"
    source.mkdir()
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    (source / "backend.py").write_text("import signal\nsignal.pause()\n")
    (source / "setup.py").write_text("")
    bench.require("slow @ " + source.as_uri())
    with pytest.raises(ProcessError) as caught:
        bench.build(Python(timeout=3))
    assert caught.value.id == "install-timeout"
    assert caught.value.fix


def reaching(bench: Bench) -> Bench:
    """The same project with this machine's own way to an index."""
    kept = {
        name: value for name, value in os.environ.items()
        if name.startswith(("UV_", "PIP_", "SSL_")) or name.upper().endswith("_PROXY")
    }
    return Bench(bench.root, {name: value for name, value in bench.environ.items() if name != "UV_OFFLINE"} | kept)


def test_a_real_index_serves(bench: Bench) -> None:
    (bench.root / "requirements.txt").write_text("six==1.16.0\n")
    try:
        assert reaching(bench).build().state.is_built
    except NetworkError as error:
        pytest.skip(f"no package index is reachable: {error.why}")
    assert bench.run("import six; print(six.__version__)") == "1.16.0"


class Unplugged(System):
    """The machine without its network: what isn't told to stay offline gets an installer's words for that."""

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        if "virtualenv" not in argv and "UV_OFFLINE" not in options["env"]:
            return Completed(2, "error: Request failed after 3 retries\n  cause: Network is unreachable")
        return super().run(argv, **options)


@pytest.mark.fault("B1")
def test_without_a_network_the_cache_serves_and_says_so(bench: Bench) -> None:
    """Fault B1."""
    environ = {name: value for name, value in bench.environ.items() if name != "UV_OFFLINE"}
    environments = PythonEnvironments(Unplugged(environ), bench.root, bench.root / ".devstack")
    observed = environments.observe(Python())
    environments.create(observed)
    assert environments.install(observed) == ("offline: used the cache",)
    environments.verify(observed)


@pytest.mark.fault("B2")
def test_without_a_network_what_was_never_fetched_is_named(bench: Bench) -> None:
    """Fault B2."""
    (bench.root / "requirements.txt").write_text("six==1.15.0\n")
    environ = {name: value for name, value in bench.environ.items() if name != "UV_OFFLINE"}
    environments = PythonEnvironments(Unplugged(environ), bench.root, bench.root / ".devstack")
    observed = environments.observe(Python())
    environments.create(observed)
    with pytest.raises(NetworkError) as caught:
        environments.install(observed)
    assert caught.value.id == "offline-missing"
    assert "six" in caught.value.what


_KILLED = """
import os, signal, sys, threading
from pathlib import Path
sys.path.insert(0, sys.argv[4])
from devstack.system import System
from devstack.profile.model import Python
from devstack.python_env import PythonEnvironments

class Killed(System):
    calls = 0
    def _count(self):
        Killed.calls += 1
        if Killed.calls == int(sys.argv[2]):
            if sys.argv[3] == "0":
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL)).start()
    def run(self, *args, **kwargs):
        self._count()
        return super().run(*args, **kwargs)
    def capture(self, *args, **kwargs):
        self._count()
        return super().capture(*args, **kwargs)
    def write(self, *args, **kwargs):
        self._count()
        return super().write(*args, **kwargs)
    def sync_folder(self, *args, **kwargs):
        self._count()
        return super().sync_folder(*args, **kwargs)

root = Path(sys.argv[1])
environments = PythonEnvironments(Killed(), root, root / ".devstack")
observed = environments.observe(Python(version=sys.argv[5]))
environments.create(observed)
environments.install(observed)
environments.verify(observed)
environments.link(observed)
"""


@pytest.mark.parametrize(("call", "delay"), [
    (1, "0"), (2, "0"), (3, "0"), (3, "0.05"), (3, "0.2"), (3, "0.4"), (4, "0"), (4, "0.03"), (4, "0.08"), (5, "0"),
    (6, "0"), (7, "0"), (8, "0"),
])
@pytest.mark.fault("B12", "F1")
def test_killed_at_any_point_the_next_build_converges(bench: Bench, call: int, delay: str) -> None:
    """kill -9 before each act on the machine, and in the middle of virtualenv and of uv, whose orphans go on."""
    version = bench.build().interpreter.version
    shutil.rmtree(bench.root / ".devstack" / "venvs")
    (bench.root / ".venv").unlink()
    source = str(Path(__file__).parents[1])
    arguments = [sys.executable, "-c", _KILLED, str(bench.root), str(call), delay, source, version]
    done = subprocess.run(arguments, env=bench.environ, check=False, timeout=60)
    wanted = Python(version=version)
    observed = bench.observe(wanted)
    if not observed.state.is_built:
        assert done.returncode == -9
        observed = bench.build(wanted)
    bench.environments().link(observed)
    state = bench.observe(wanted).state
    assert (state.is_built, state.linked) == (True, state.wanted)
    assert bench.environments().damage(observed) == ""
    assert bench.run("import alpha, beta; print(1)") == "1"
    assert sorted(path.name for path in bench.root.iterdir()) == [".devstack", ".venv", "requirements.txt", "wheels"]
    assert {path.name for path in observed.folder.parent.iterdir()} <= {"interpreter.json", state.wanted}
