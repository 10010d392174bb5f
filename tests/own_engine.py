"""A container engine of a test's own, to be stopped, killed, or filled up: a second dockerd with a folder of its own.

It lives in a network of its own (an engine that starts again in the machine's takes away the bridge of the other one),
sets no rule of the firewall, and has another namespace where the containerd is the system's. Needs root.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from devstack.runtimes.docker import Engine
from devstack.runtimes.engines import Address
from devstack.system import System
from tests.engine_bench import close, ensure_image, this_machines_engine
from tests.scenarios.machine import below, until

_SBIN = f"{os.environ['PATH']}:/usr/sbin:/sbin"
_MOUNT, _UMOUNT, _UNSHARE, _NSENTER = (
    shutil.which(name, path=_SBIN) or name for name in ("mount", "umount", "unshare", "nsenter")
)
#: a variable of all that belongs to it
_MARK = "OWN_ENGINE"
_DAEMON = shutil.which("dockerd", path=_SBIN)


@dataclass
class OwnEngine:
    folder: Path
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    holder: subprocess.Popen[bytes] | None = None
    child: subprocess.Popen[bytes] | None = None
    client: Engine | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/s"

    @property
    def connected(self) -> Engine:
        """Connected since its last start."""
        if self.client is None:
            self.client = Engine(System(), Address(self.url))
        return self.client

    @property
    def prefix(self) -> tuple[str, ...]:
        """Words before a command that should reach what its containers publish, and whatever else is in its network."""
        assert self.holder is not None
        return _NSENTER, f"--net=/proc/{self.holder.pid}/ns/net"

    def start(self) -> None:
        """Start it, once more maybe, and wait until it answers."""
        if self.holder is None:
            self.holder = subprocess.Popen(
                [_UNSHARE, "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 86400"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env={**os.environ, "PATH": _SBIN, _MARK: self.url},
            )
            assert self.holder.stdout is not None
            assert self.holder.stdout.readline() == b"up\n"
        with (self.folder / "log").open("ab") as log:
            self.child = subprocess.Popen(
                [
                    *self.prefix, _DAEMON or "dockerd", "--data-root", f"{self.folder}/data",
                    "--exec-root", f"{self.folder}/exec", "--host", self.url, "--pidfile", f"{self.folder}/pid",
                    "--iptables=false", "--containerd-namespace", f"devstack-{self.token}",
                    "--max-download-attempts", "2",
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        assert until(self._is_up, 60), self.printed()

    def _is_up(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, self.printed()
        with socket.socket(socket.AF_UNIX) as asker:
            return asker.connect_ex(f"{self.folder}/s") == 0 and bool(self.connected.title)

    def printed(self) -> str:
        return (self.folder / "log").read_text(errors="replace")[-4000:]

    def stop(self) -> None:
        """End it in order: its containers end too."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does: its containers live on, with nobody to look after them."""
        self._end(signal.SIGKILL)
        # where nobody reaps the dead, the next one would take its predecessor's containerd for alive
        (self.folder / "exec/containerd/containerd.pid").unlink(missing_ok=True)

    def _end(self, sign: signal.Signals) -> None:
        if self.client is not None:
            close(self.client)
            self.client = None
        if self.child is not None:
            self.child.send_signal(sign)
            self.child.wait(60)
            self.child = None

    def load(self, name: str) -> None:
        """Give it an image of this machine's engine."""
        source = this_machines_engine()
        ensure_image(source, name)
        archive = self.folder / "image.tar"
        with archive.open("wb") as file:
            file.writelines(source.api.get_image(name))
        with archive.open("rb") as file:
            list(self.connected.api.load_image(file))
        archive.unlink()

    def clear(self) -> None:
        """Nothing of it is left, however it ended."""
        with contextlib.suppress(Exception):
            self.stop()
        for process in below(self.folder):
            with contextlib.suppress(psutil.Error):
                process.kill()
        assert until(lambda: not below(self.folder), 10), below(self.folder)
        if self.holder is not None:
            self.holder.wait(10)
            if self.holder.stdout is not None:
                self.holder.stdout.close()
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in sorted((one for one in mounts if one.startswith(f"{self.folder}/")), reverse=True):
            subprocess.run([_UMOUNT, "--lazy", mount], check=False)


@contextlib.contextmanager
def own_engine(*, size: str = "") -> Iterator[OwnEngine]:
    """size: of the file system that holds its images, in memory; "" for a folder of this machine."""
    if os.geteuid() != 0 or _DAEMON is None:
        pytest.skip("an engine of one's own needs root and dockerd")
    folder = Path(tempfile.mkdtemp(prefix="dso", dir="/tmp"))
    engine = OwnEngine(folder)
    try:
        if size:
            (folder / "data").mkdir()
            subprocess.run([_MOUNT, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder / "data")], check=True)
        engine.start()
        yield engine
    finally:
        engine.clear()
        shutil.rmtree(folder)
