"""Nothing listens beyond this machine, and no secret is where others could read it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import stat
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from devstack.wire import WireError, amqp
from devstack.wire.stream import Stream, after
from tests.scenarios.machine import Project, below, git, sockets

_USUAL = ("", "postgres", "password", "guest", "admin", "root", "redis", "rabbitmq", "mini", "devstack", "changeme")


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


@pytest.mark.fault("S11", "S12", "S15")
def test_everything_listens_on_this_machine_only(mini: Project) -> None:
    mini.replace("[services.redis]\n", "[services.redis]\n\n[services.postgres]\n\n[services.rabbitmq]\n")
    mini.run("up")
    own = {process.pid for process in below(mini.root)}

    found = [one for one in sockets() if one.pid in own]

    assert {one.port for one in found} >= set(mini.state["ports"].values())
    assert {one.ip for one in found} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, found
    (supervisord,) = mini.programs()["supervisord"]
    assert not [one for one in found if one.pid == supervisord.pid]
    assert "inet_http_server" not in (mini.folder / "supervisord.conf").read_text()
    assert_usual_passwords_fail(mini)


def assert_usual_passwords_fail(project: Project) -> None:
    """Of the servers as they are: none of the words that everybody tries opens one of them."""
    ports = project.state["ports"]
    for word in _USUAL:
        with redis.Redis("127.0.0.1", ports["redis"], password=word or None) as client, pytest.raises(
            redis.exceptions.RedisError
        ):
            client.ping()
        for user in ("postgres", "mini", "root", "guest"):
            with pytest.raises(psycopg.OperationalError):
                psycopg.connect(
                    host="127.0.0.1", port=ports["postgres"], user=user, password=word, dbname="mini", connect_timeout=5
                )
            with Stream(ports["rabbitmq"], after(5)) as stream:
                amqp._greet(stream)
                with pytest.raises(WireError):
                    amqp._log_in(stream, user, word, "mini")


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as somebody else")
@pytest.mark.fault("S13", "S15")
def test_another_user_reads_no_secret_and_reaches_no_supervisord(mini: Project) -> None:
    """Also where every folder above lets them in, and the person's umask would let everybody write."""
    mini.run("up", umask=0)
    own = itertools.takewhile(lambda folder: not folder.stat().st_mode & stat.S_ISVTX, mini.root.parents)
    for folder in (mini.root, *own):
        folder.chmod(folder.stat().st_mode | 0o055)
    runtime = Path(mini.machine.environ["XDG_RUNTIME_DIR"])
    runtime.chmod(0o755)
    (socket,) = runtime.rglob("supervisor*.sock")
    reach = f"import socket; socket.socket(socket.AF_UNIX).connect({str(socket)!r})"

    def another(*words: str) -> subprocess.CompletedProcess[str]:
        who = ("/usr/bin/env", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        return subprocess.run([*who, *words], capture_output=True, text=True, check=False)

    assert another("cat", str(mini.root / "devstack.toml")).returncode == 0
    for words in (
        ("cat", str(mini.folder / "secrets.json")), ("cat", str(mini.folder / "state.json")),
        ("ls", str(mini.folder / "env")), ("/usr/bin/python3", "-I", "-c", reach),
        ("cat", str(Path(mini.machine.environ["XDG_STATE_HOME"]) / "devstack" / "trust")),
    ):  # fmt: skip
        done = another(*words)
        assert done.returncode != 0, words
        assert "Permission denied" in done.stderr, (words, done.stderr)
