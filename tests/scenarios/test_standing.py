"""A stack that stands as it was left is told of at once; anything else is looked at."""

from __future__ import annotations

import fcntl
import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from devstack import evidence, standing
from devstack.registry import Entry, Registry
from devstack.stack import Options, Stack
from devstack.system import System
from tests.scenarios.machine import Done, Project, until

#: what the short way is there to avoid
HEAVY = {
    "amqp", "asyncio", "click", "http.client", "pathlib", "psutil", "psycopg", "pydantic", "redis", "rich",
    "subprocess", "xmlrpc.client", "devstack.stack", "devstack.system",
}
_CODE = (
    "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); "
    "from devstack.cli.entry import main; main()"
)
SHORT = (sys.executable, "-P", "-c", _CODE)
WHOLE = (sys.executable, "-P", "-c", "from devstack.cli.main import main; main()")


def asked(project: Project, command: tuple[str, ...], *words: str) -> Done:
    project.machine.command, before = command, project.machine.command
    try:
        return project.run(*words)
    finally:
        project.machine.command = before


def short(project: Project, *words: str) -> Done:
    """The short way's answer. On a machine that is too busy for it the long way is taken, rightly: asked again then."""
    for _ in range(5):
        done = asked(project, SHORT, *words)
        if "click" not in done.err.split():
            break
    return done


def steady(text: str) -> str:
    """Without what time changes."""
    return re.sub(r'"uptime_s": [\d.]+|\d+ (s|min)\b', "UPTIME", text)


@pytest.fixture
def up(mini: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Up, and this process sees what the person's shell exports. No other stack is in its registry: each that enters it
    changes a file that is compared."""
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = 130 + worker % 3 * 20
    # ports that other tests don't reach, since they don't see this registry
    ports = {f"p{port}": port for base in (6379, 8000) for port in range(base, base + first)}
    Registry(System(), state / "devstack").record(Entry("0" * 16, "elsewhere", str(tmp_path), "native", ports, 0.0))
    mini.machine.environ["XDG_STATE_HOME"] = str(state)
    mini.trust()
    mini.run("up")
    for name in evidence.variables(os.environ):
        monkeypatch.delenv(name)
    for name, value in mini.machine.environ.items():
        monkeypatch.setenv(name, value)
    return mini


def memo(project: Project) -> Any:
    found = standing.memo_of(str(project.root))
    assert found is not None
    return found[1]


def stands(project: Project, *, whole: bool = True) -> bool:
    return standing.stands(memo(project), whole=whole)


@contextmanager
def paused(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def present(path: Path) -> Iterator[None]:
    path.touch()
    try:
        yield
    finally:
        path.unlink()


def test_the_short_way_says_what_the_long_one_says_and_loads_little(up: Project) -> None:
    assert until(lambda: stands(up))
    assert (up.folder / standing.NAME).stat().st_mode & 0o777 == 0o600
    for words in (("status",), ("ps", "--json"), ("urls",), ("urls", "--json"), ("up",), ("up", "--json", "-v")):
        quick = short(up, *words)
        *said, modules = quick.err.splitlines()
        assert sorted(HEAVY.intersection(modules.split())) == []
        whole = asked(up, WHOLE, *words)
        assert steady(quick.out) == steady(whole.out)
        assert steady("\n".join(said)) == steady(whole.err.strip())
    # from below too, but not where a folder may be a project of its own, and with a flag that asks for more not at all
    assert standing.memo_of(str(up.root / "fixtures")) == standing.memo_of(str(up.root))
    up.write("fixtures/pyproject.toml", "")
    assert standing.memo_of(str(up.root / "fixtures")) is None
    assert "click" in asked(up, SHORT, "up", "--yes").err.split()


def test_a_use_that_changes_nothing_still_counts_as_one(up: Project) -> None:
    first = asked(up, WHOLE, "list", "--json").document["stacks"][0]
    mark = Path(memo(up)["used"])
    os.utime(mark, (0, 0))
    assert "click" not in short(up, "up").err.split()
    assert mark.stat().st_mtime > 0
    again = asked(up, WHOLE, "list", "--json").document["stacks"][0]
    assert again["id"] == first["id"]
    assert again["last_used"] >= first["last_used"]


def test_while_anything_is_in_doubt_the_long_way_is_taken(up: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One by one; when it is over, the stack stands as before."""
    status = up.status()
    server = int((up.folder / "pids" / "redis").read_text().split()[0])
    for pid in (server, status["processes"][0]["pid"], memo(up)["processes"][0][0]):
        with paused(pid):
            assert not stands(up)
            assert not stands(up, whole=False)
        assert until(lambda: stands(up)), pid
    for name in ("devstack.local.toml", "fixtures/more.txt", ".devstack/tasks/one"):
        with present(up.root / name):
            assert not stands(up), name
        assert until(lambda: stands(up)), name
    with (up.folder / "lock").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert not stands(up)
    for variable in ("PATH", "DEVSTACK_PROFILE", "XDG_CACHE_HOME", "UV_PYTHON_INSTALL_DIR"):
        with monkeypatch.context() as patch:
            patch.setenv(variable, f"/elsewhere:{os.environ.get(variable, '')}")
            assert not stands(up), variable
    up.redis("CONFIG SET", "requirepass", "another")
    assert not stands(up)
    with monkeypatch.context() as patch:
        patch.setattr(type(up), "password", "another")
        up.redis("CONFIG SET", "requirepass", json.loads((up.folder / "secrets.json").read_text())["services.redis"])
    assert until(lambda: stands(up))


def test_what_has_changed_takes_the_long_way_until_the_next_up(up: Project) -> None:
    venv = (up.root / ".venv").resolve()

    def kill() -> None:
        pid = up.pids()["worker 1"]
        os.kill(pid, signal.SIGKILL)
        assert until(lambda: up.pids()["worker 1"] not in (pid, None))

    changes = {
        "input": lambda: up.write("fixtures/new.txt", "new"),
        "script": lambda: (up.folder / "env" / "web").chmod(0o750),
        "profile": lambda: up.replace('name = "mini"', 'name = "mini"\n# more'),
        "secret": lambda: (up.folder / "secrets.json").write_bytes((up.folder / "secrets.json").read_bytes()),
        "package": lambda: next(venv.glob("lib/*/site-packages")).joinpath("added").touch(),
        "link": (up.root / ".venv").unlink,
        "killed": kill,
    }
    for name, change in changes.items():
        assert until(lambda: stands(up)), name
        has_glance = memo(up)["glanced"] != memo(up)["looked"]
        change()
        assert not stands(up), name
        # a glance, which an `up` that did something leaves, needs no more than the profile and what runs
        assert stands(up, whole=False) == (has_glance and name in ("input", "script", "package", "link")), name
        up.run("up")
        if not stands(up):
            # what `up` met could not be relied on at once, such as a file written in that very moment
            up.run("up")
    up.run("down")
    assert standing.memo_of(str(up.root)) is None
    assert up.status()["stack"]["state"] == "down"


def test_a_memo_that_this_users_devstack_did_not_write_is_none(up: Project) -> None:
    path = up.folder / standing.NAME
    text = path.read_text()
    path.write_text(text.replace('"checks": [', '"checks": [{"argv": ["true"], "env": {}, "cwd": "/", "timeout": 1}, '))
    assert not stands(up)
    path.write_text(text[:-10])
    assert standing.memo_of(str(up.root)) is None
    path.write_text(text)
    assert until(lambda: stands(up))
    Path(memo(up)["used"]).unlink()
    assert not stands(up)


def test_an_observation_asks_for_no_variable_that_is_not_compared(up: Project) -> None:
    class Watched(dict[str, str]):
        def get(self, name: str, default: Any = None) -> Any:
            names.add(name)
            return super().get(name, default)

        def __getitem__(self, name: str) -> str:
            names.add(name)
            return super().__getitem__(name)

    names: set[str] = set()
    system = System()
    system.environ = Watched(up.machine.environ)
    stack = Stack(system, up.root, Options())
    stack.observe()
    assert "PATH" in names
    assert names - evidence.variables(dict.fromkeys(names, "")).keys() == set()


def test_a_command_that_tells_is_run_once_at_the_end(mini: Project) -> None:
    """`celery status` takes seconds: two looks in a row share its answer."""
    mini.write("devstack.toml", """
        name = "mini"
        python = { install = [] }
        [processes.one]
        run = "sleep 600"
        ready = { command = "sh -c 'echo x >> asked'" }
    """)
    mini.trust()
    mini.run("up")
    # by whoever waited for it, and at the end
    assert len(mini.read("asked").splitlines()) == 1 + 1
