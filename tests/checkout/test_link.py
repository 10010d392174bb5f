"""Slow, stalled and cut connections: the real git against git's own server, through a proxy that behaves badly."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from devstack.checkout import Git
from devstack.checkout.git import Wish
from devstack.errors import DevstackError, NetworkError, UsageError
from devstack.system import System
from tests.checkout.desk import GIT, Hasty, Run, names, quiet
from tests.checkout.test_clone import CLONE, ROOT

_CORE = subprocess.run([GIT, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip() if GIT else ""
pytestmark = pytest.mark.skipif(not shutil.which("git-daemon", path=_CORE), reason="needs git daemon")
_SIZE = 400_000


@dataclass
class Proxy:
    """Passes on what the server says, as long as `gate` lets it.

    gate: is handed the connection's number and how many bytes have gone through; "pass", "cut" or "stall".
    """

    port: int
    server: int
    gate: Callable[[int, int], str] = lambda connection, count: "pass"
    connections: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        while not self.over.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = listener.accept()
                self.connections += 1
                threading.Thread(target=self._pass_on, args=(client, self.connections)).start()

    def _pass_on(self, client: socket.socket, number: int) -> None:
        with client, socket.create_connection(("127.0.0.1", self.server)) as server:
            asking = threading.Thread(target=_copy, args=(client, server), daemon=True)
            asking.start()
            count = 0
            with contextlib.suppress(OSError):
                while data := server.recv(8192):
                    what = self.gate(number, count)
                    if what == "cut":
                        # no goodbye: the other side gets a reset, once nobody reads here any more
                        client.shutdown(socket.SHUT_RD)
                        asking.join()
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        return
                    if what == "stall":
                        self.over.wait(60)
                        return
                    client.sendall(data)
                    count += len(data)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture
def proxy(shop: Path, run: Run, private_environ: dict[str, str]) -> Iterator[Proxy]:
    """In front of a server that has `shop`, of some size."""
    (shop / "big").write_bytes(os.urandom(_SIZE))
    run(shop, "add", "-A")
    run(shop, "commit", "-q", "-m", "big")
    server = System().free_port()
    words = [f"--base-path={shop.parent}", "--export-all", "--listen=127.0.0.1", f"--port={server}", "--reuseaddr"]
    daemon = subprocess.Popen([f"{_CORE}/git-daemon", *words], env=private_environ, start_new_session=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        made = Proxy(listener.getsockname()[1], server)
        assert System().until(lambda: System().connect(server, 1) is None, 20)
        thread = threading.Thread(target=made.serve, args=(listener,))
        thread.start()
        try:
            yield made
        finally:
            made.over.set()
            thread.join()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(daemon.pid, 15)
            daemon.wait()


@pytest.mark.fault("B6")
def test_a_connection_that_is_cut_half_way_is_made_again(
    system: Hasty, git: Git, work: Path, proxy: Proxy
) -> None:
    """Nothing of the first try is there, and the new one is told."""
    proxy.gate = lambda connection, count: "cut" if connection == 1 and count > _SIZE // 2 else "pass"
    told: list[str] = []

    git.clone(f"git://127.0.0.1:{proxy.port}/shop", work / "shop", Wish(), quiet, told.append)

    assert proxy.connections == 2
    assert system.pauses == [1]
    assert [line for line in told if line.endswith("trying again (2 of 3)")]
    assert (work / "shop" / "big").stat().st_size == _SIZE
    assert names(work) == ["shop"]


@pytest.mark.fault("B6")
def test_one_that_is_cut_every_time_is_a_network_error(git: Git, work: Path, proxy: Proxy) -> None:
    proxy.gate = lambda connection, count: "cut" if count > _SIZE // 2 else "pass"
    with pytest.raises(NetworkError) as caught:
        git.clone(f"git://127.0.0.1:{proxy.port}/shop", work / "shop", Wish(), quiet)
    assert (caught.value.id, caught.value.exit_code) == ("network-failed", 4)
    assert caught.value.evidence
    assert proxy.connections == 3
    assert names(work) == []


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
@pytest.mark.fault("B3")
def test_a_run_that_is_killed_on_the_way_leaves_nothing_under_the_name(
    git: Git, work: Path, proxy: Proxy, private_environ: dict[str, str], share: float
) -> None:
    """kill -9 of devstack and its git while so much has come; the next clone is whole, and sweeps what was left."""
    reached = threading.Event()

    def gate(connection: int, count: int) -> str:
        if connection > 1 or count < share * _SIZE:
            return "pass"
        reached.set()
        return "stall"

    proxy.gate = gate
    url = f"git://127.0.0.1:{proxy.port}/shop"
    child = subprocess.Popen(
        [sys.executable, "-c", CLONE, url, str(work / "shop")], env=private_environ, cwd=ROOT, start_new_session=True
    )
    assert reached.wait(60)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert not (work / "shop").exists()

    git.clone(url, work / "shop", Wish(), quiet)

    assert (work / "shop" / "big").stat().st_size == _SIZE
    assert names(work) == ["shop"]
    assert not [line for line in everybody() if f".devstack-tmp-shop-{child.pid}-" in line]


def everybody() -> Iterator[str]:
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (folder / "cmdline").read_text(errors="replace")


@pytest.mark.fault("B5")
def test_one_that_stalls_is_given_up_after_three_tries(system: Hasty, work: Path, proxy: Proxy) -> None:
    """What a person with a slow line sets higher is set low here."""
    proxy.gate = lambda connection, count: "stall" if count > _SIZE // 2 else "pass"
    git = Git(Hasty(system.environ | {"DEVSTACK_STALL_TIMEOUT": "0.7"}))
    told: list[str] = []
    with pytest.raises(NetworkError) as caught:
        git.clone(f"git://127.0.0.1:{proxy.port}/shop", work / "shop", Wish(), quiet, told.append)
    error = caught.value
    assert (error.id, error.exit_code) == ("clone-stalled", 4)
    assert "0.7 s" in error.why
    assert proxy.connections == 3
    assert len(told) == 2
    assert error.fix == f"git ls-remote -- git://127.0.0.1:{proxy.port}/shop"
    assert names(work) == []


@pytest.mark.fault("B5")
def test_a_slow_one_is_waited_for(system: Hasty, work: Path, proxy: Proxy) -> None:
    """It says something all the time, so that it isn't taken for a stalled one, however long it takes."""
    said: list[str] = []
    go = threading.Event()

    def slowly(connection: int, count: int) -> str:
        go.wait(0.05)
        return "pass"

    proxy.gate = slowly
    git = Git(Hasty(system.environ | {"DEVSTACK_STALL_TIMEOUT": "2"}))
    git.clone(f"git://127.0.0.1:{proxy.port}/shop", work / "shop", Wish(), said.append)
    assert len([line for line in said if re.match(r"Receiving objects: +\d+%", line)]) >= 3
    assert names(work) == ["shop"]


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_a_limit_that_is_none_is_refused(system: Hasty, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Git(Hasty(system.environ | {"DEVSTACK_STALL_TIMEOUT": text}))
    assert caught.value.id == "bad-variable"


# --- log-ins ---------------------------------------------------------------------------------------------------------

SSH = {
    "Permission denied (publickey).": ("access-denied", "ssh-add && git ls-remote -- "),
    "Host key verification failed.": ("host-key-unknown", "git ls-remote -- "),
    "ssh: Could not resolve hostname x: Name or service not known": ("network-failed", "git ls-remote -- "),
}


@pytest.mark.parametrize("said", SSH)
def test_what_ssh_says_is_told_apart(system: Hasty, work: Path, tmp_path: Path, said: str) -> None:
    (tmp_path / "ssh").write_text(f"#!/bin/sh\necho {said!r} >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    git = Git(Hasty(system.environ | {"GIT_SSH_COMMAND": str(tmp_path / "ssh")}))
    with pytest.raises(DevstackError) as caught:
        git.clone("git@host.example:acme/shop.git", work / "shop", Wish(), quiet)
    name, fix = SSH[said]
    assert (caught.value.id, caught.value.exit_code) == (name, 4)
    assert caught.value.fix == f"{fix}git@host.example:acme/shop.git"
    assert any(said in line for line in caught.value.evidence)
    assert names(work) == []
