"""Nothing listens beyond this machine, and no secret is where others could read it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.machine import Project, below, git, sockets


@contextlib.contextmanager
def command_lines() -> Iterator[set[bytes]]:
    """Every command line of any process that is seen meanwhile."""
    seen: set[bytes] = set()
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                with contextlib.suppress(OSError):
                    seen.add(path.read_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        over.set()
        watcher.join()


@pytest.mark.fault("S11", "S15")
def test_everything_listens_on_this_machine_only(mini: Project) -> None:
    mini.replace("[services.redis]\n", "[services.redis]\n\n[services.postgres]\n\n[services.rabbitmq]\n")
    mini.run("up")
    own = {process.pid for process in below(mini.root)}

    found = [one for one in sockets() if one.pid in own]

    assert {one.port for one in found} >= set(mini.state["ports"].values())
    assert {one.ip for one in found} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, found


@pytest.mark.fault("S14")
def test_no_secret_is_where_others_could_read_it(mini: Project) -> None:
    secrets: dict[str, str] = {}
    with command_lines() as seen:
        mini.run("up", umask=0)
        mini.run("exec", "--", "true", umask=0)
        mini.run("restart", "redis", umask=0)
        secrets = json.loads((mini.folder / "secrets.json").read_text())

    assert set(secrets) >= {"services.redis", "env.SECRET_KEY"}
    for value in secrets.values():
        assert len(value) >= 24
        assert not [line for line in seen if value.encode() in line]
        told = [*(mini.folder / "logs").iterdir(), *mini.journals(), mini.folder / "state.json"]
        assert not [path for path in told if value in path.read_text(errors="replace")]
        assert value not in git(mini.root, "status", "--porcelain", "--ignored")
    assert git(mini.root, "status", "--porcelain") == ""
    assert git(mini.root, "ls-files", ".devstack") == ""


@pytest.mark.fault("S13")
def test_files_are_private_whatever_the_umask(mini: Project) -> None:
    mini.run("up", umask=0)

    # an environment's files are public code, a server's data are its own business, and a pid is no secret: all of it
    # lies below the private folder
    found = [path for path in mini.folder.rglob("*") if not {"venvs", "data", "pids"} & set(path.parts)]
    open_to_others = [path for path in (mini.folder, *found) if not path.is_symlink() and path.lstat().st_mode & 0o077]

    assert mini.folder.stat().st_mode & 0o777 == 0o700
    assert [path for path in open_to_others if path.name != ".gitignore"] == []
    for name in ("state.json", "secrets.json"):
        assert (mini.folder / name).stat().st_mode & 0o777 == 0o600
    runtime = Path(mini.machine.environ["XDG_RUNTIME_DIR"]) / "devstack"
    assert [path for path in (runtime, *runtime.rglob("*")) if path.lstat().st_mode & 0o077] == []
